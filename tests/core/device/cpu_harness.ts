/** Runs a kernel's code on host arrays, threads one after another, with guards around every buffer. @module */

import assert from "node:assert/strict";
import { blockOffsets, type KernelCode, parameterBlock } from "../../../core/device/cpu/code.ts";
import { recordOf } from "../../../core/launch.ts";
import type { HandMadeKernel, SizesOf } from "../../../core/operations/mod.ts";
import { assemble } from "../../../core/device/cpu/wasm_module.ts";

/** A phase, compiled. */
type Phase = (parameters: bigint, thread: number, threads: number) => void;

const maximumPages = 262144;

// TypeScript's library does not know 64-bit memories yet.
interface Memory64Descriptor {
  readonly initial: bigint;
  readonly maximum: bigint;
  readonly shared: true;
  readonly address: "i64";
}

function sharedMemory(pages: number): WebAssembly.Memory {
  const descriptor: Memory64Descriptor = {
    initial: BigInt(pages),
    maximum: BigInt(maximumPages),
    shared: true,
    address: "i64",
  };
  const construct: (descriptor: object) => unknown = (d) =>
    Reflect.construct(WebAssembly.Memory, [d]);
  const memory = construct(descriptor);
  assert.ok(memory instanceof WebAssembly.Memory);
  return memory;
}

/** A compiled kernel with memory of its own. */
export interface Bench<K extends HandMadeKernel> {
  /**
   * Runs all phases for every thread and reads outputs and updated arguments back. All others
   * must be unchanged, and so must 64 bytes around each buffer.
   */
  readonly run: (launch: HarnessLaunch<K>) => void;
}

/** A launch on host arrays; outputs are written in place. */
export interface HarnessLaunch<K extends HandMadeKernel> {
  readonly args: readonly (Float32Array | Int32Array)[];
  /** Indices of arguments that are written; they start as NaN. */
  readonly outputs: readonly number[];
  /** Indices of arguments that are updated in place. */
  readonly updated?: readonly number[];
  readonly sizes: SizesOf<K>;
  readonly threads: number;
  /** Runs the threads of each phase from the last to the first. */
  readonly reversed?: boolean;
}

const guard = 64;
const canary = 0x7fc0_dead;

/** Compiles a kernel. */
export function bench<K extends HandMadeKernel>(kernel: K, code: KernelCode<SizesOf<K>>): Bench<K> {
  const offsets = blockOffsets(kernel);
  const { integers, floats } = recordOf(kernel);
  const bytes = assemble({
    functions: code.phases.map((body, i) => ({ name: `phase${i}`, body })),
    maximumPages,
  });
  const module = new WebAssembly.Module(bytes);
  let memory = sharedMemory(64);
  let phases: Phase[] = [];

  const place = (launch: HarnessLaunch<K>) => {
    const align = (address: number) => Math.ceil(address / 64) * 64;
    const addresses: number[] = [];
    let next = 4096;
    const reserve = (length: number) => {
      const address = align(next) + guard;
      next = align(address + length) + guard;
      return address;
    };
    for (const arg of launch.args) addresses.push(reserve(arg.byteLength));
    const scratchBytes = code.scratchBytes(launch.sizes, launch.threads);
    const scratch = reserve(scratchBytes);
    const pages = Math.ceil((next + 65536) / 65536);
    if (phases.length === 0 || memory.buffer.byteLength < pages * 65536) {
      memory = sharedMemory(pages);
      const { exports } = new WebAssembly.Instance(module, { env: { memory } });
      phases = code.phases.map((_, i) => {
        const f = exports[`phase${i}`];
        assert.ok(typeof f === "function");
        return (parameters, thread, threads) => {
          f(parameters, thread, threads);
        };
      });
    }
    const view = new DataView(memory.buffer);
    // NaN everywhere: what is read without having been written shows.
    new Uint32Array(memory.buffer).fill(canary);
    const parameters = 1024;
    view.setBigInt64(parameters + parameterBlock.scratch, BigInt(scratch), true);
    launch.args.forEach((arg, i) => {
      view.setBigInt64(parameters + parameterBlock.arg(i), BigInt(addresses[i]!), true);
      if (launch.outputs.includes(i)) return;
      new Uint8Array(memory.buffer, addresses[i]!, arg.byteLength)
        .set(new Uint8Array(arg.buffer, arg.byteOffset, arg.byteLength));
    });
    const sizes: Readonly<Record<string, number>> = launch.sizes;
    for (const name of integers) {
      view.setBigInt64(parameters + offsets.size(name), BigInt(sizes[name]!), true);
    }
    for (const name of floats) {
      view.setFloat32(parameters + offsets.size(name), sizes[name]!, true);
    }
    const execute = () => {
      for (const phase of phases) {
        for (let i = 0; i < launch.threads; i++) {
          const thread = launch.reversed ? launch.threads - 1 - i : i;
          phase(BigInt(parameters), thread, launch.threads);
        }
      }
    };
    return { addresses, scratch, scratchBytes, execute };
  };

  const run = (launch: HarnessLaunch<K>) => {
    const { addresses, scratch, scratchBytes, execute } = place(launch);
    execute();
    const unchanged = (start: number, end: number, what: string) => {
      const words = new Uint32Array(memory.buffer, start, (end - start) / 4);
      assert.ok(words.every((word) => word === canary), `${what} was overwritten`);
    };
    unchanged(scratch - guard, scratch, "memory before the scratch");
    const scratchEnd = Math.ceil((scratch + scratchBytes) / 64) * 64;
    unchanged(scratchEnd, scratchEnd + guard, "memory behind the scratch");
    launch.args.forEach((arg, i) => {
      const start = addresses[i]!;
      const end = start + arg.byteLength;
      unchanged(start - guard, start, `memory before argument ${i}`);
      unchanged(end, Math.ceil(end / 64) * 64 + guard, `memory behind argument ${i}`);
      const now = new Uint8Array(memory.buffer.slice(start, end));
      const host = new Uint8Array(arg.buffer, arg.byteOffset, arg.byteLength);
      if (launch.outputs.includes(i) || launch.updated?.includes(i)) host.set(now);
      else assert.ok(host.every((byte, at) => byte === now[at]), `argument ${i} was overwritten`);
    });
  };

  return { run };
}
