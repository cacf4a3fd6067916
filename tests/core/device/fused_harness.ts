/** Runs fused kernels by themselves: one module, one memory, the threads one after another. */

import type { FunctionBuilder } from "../../../core/device/cpu/wasm_function.ts";
import { assemble } from "../../../core/device/cpu/wasm_module.ts";
import { parameterBlock } from "../../../core/device/cpu/code.ts";
import { emitFused } from "../../../core/device/cpu/fused.ts";
import type { Elements } from "../interpret.ts";
import type { FusedKernel } from "../../../core/kernel.ts";

const maximumPages = 262144;

/** A shared 64-bit memory, which TypeScript's library does not know yet. */
export function createMemory(pages: number): WebAssembly.Memory {
  const descriptor = {
    initial: BigInt(pages),
    maximum: BigInt(maximumPages),
    shared: true,
    address: "i64",
  };
  const memory: WebAssembly.Memory = Reflect.construct(WebAssembly.Memory, [descriptor]);
  return memory;
}

export const memory = createMemory(64);

export type Phase = (parameters: bigint, thread: number, threads: number) => void;

/** Compiles one function. */
export function instantiate(body: FunctionBuilder, imported = memory): Phase {
  const bytes = assemble({ functions: [{ name: "run", body }], maximumPages });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
    env: { memory: imported },
  });
  return instance.exports["run"] as Phase;
}

/** Compiles a fused kernel. */
export function compile(kernel: FusedKernel, imported = memory): Phase {
  return instantiate(emitFused(kernel).phases[0]!, imported);
}

export interface Inputs {
  readonly ints: readonly number[];
  readonly scalars: readonly number[];
  readonly args: readonly Elements[];
}

const align = (address: number) => Math.ceil(address / 64) * 64;

/** Lays a launch out in memory: the address of its parameters, and of each argument. */
export function place(inputs: Inputs, imported = memory): { parameters: number; at: number[] } {
  const { ints, scalars, args } = inputs;
  const words = new BigInt64Array(imported.buffer);
  const scalarsAt = 64;
  const parameters = align(scalarsAt + 4 * scalars.length);
  let free = align(parameters + 16 + 8 * (args.length + ints.length));
  const put = (offset: number, value: number) => {
    words[(parameters + offset) / 8] = BigInt(value);
  };
  new Float32Array(imported.buffer, scalarsAt, scalars.length).set(scalars);
  put(parameterBlock.scalars, scalarsAt);
  put(parameterBlock.scratch, 0);
  const at = args.map((elements, index) => {
    const address = free;
    const bytes = new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength);
    new Uint8Array(imported.buffer).set(bytes, address);
    // What may be read past the end is not zero, and must not matter.
    free = align(address + elements.byteLength) + 64;
    new Uint8Array(imported.buffer).fill(0xff, address + elements.byteLength, free);
    put(parameterBlock.arg(index), address);
    return address;
  });
  ints.forEach((value, index) => put(parameterBlock.int(args.length, index), value));
  return { parameters, at };
}

/** Runs a kernel on copies of its arguments; their contents afterwards. */
export function runFused(kernel: FusedKernel, inputs: Inputs, threads = 1): Elements[] {
  const { parameters, at } = place(inputs);
  const run = compile(kernel);
  for (let thread = 0; thread < threads; thread++) run(BigInt(parameters), thread, threads);
  const bytes = new Uint8Array(memory.buffer);
  return inputs.args.map((elements, index) => {
    const result = elements.slice();
    const address = at[index]!;
    new Uint8Array(result.buffer).set(bytes.subarray(address, address + elements.byteLength));
    const after = bytes.subarray(
      address + elements.byteLength,
      align(address + elements.byteLength),
    );
    if (after.some((byte) => byte !== 0xff)) throw new Error(`Argument ${index} was overrun.`);
    return result;
  });
}
