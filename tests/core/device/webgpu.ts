/** The WebGPU device of the tests, opened once, and shorthands for running kernels on it. @module */

import type { Allocation, Device } from "../../../core/device/device.ts";
import type { FusedLaunch, HandMadeLaunch } from "../../../core/launch.ts";
import type { HandMadeKernel } from "../../../core/operations/mod.ts";
import { openAdapter } from "../../adapter.ts";

/** The device under test, or undefined (and a printed line) where there is no adapter. */
export const gpu: Device | undefined = await openAdapter();

/** The same adapter with the kernels of the other class, so that both are tested everywhere. */
const hardware = gpu && await openAdapter({ kernels: "hardware" });

/** A test that needs the device; ignored where there is none. */
export function gpuTest(name: string, test: (device: Device) => Promise<void>): void {
  Deno.test({ name: `webgpu: ${name}`, ignore: gpu === undefined, fn: () => test(gpu!) });
}

/** The same test with the kernels of the adapter's class and with those of hardware adapters. */
export function bothKernels(name: string, test: (device: Device) => Promise<void>): void {
  gpuTest(name, test);
  Deno.test({
    name: `webgpu, kernels for hardware: ${name}`,
    ignore: hardware === undefined,
    fn: () => test(hardware!),
  });
}

type Data = Float32Array | Int32Array | Uint32Array | Uint16Array | Uint8Array;

/** The bytes of an array, padded to whole words. */
export function bytesOf(data: Data): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(data.byteLength / 4) * 4);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return bytes;
}

/** Memory that holds an array. */
export function upload(device: Device, data: Data): Allocation {
  const allocation = device.allocate(data.byteLength);
  device.write(allocation, bytesOf(data));
  return allocation;
}

/** A kernel with its numbers. */
export type Call =
  | Omit<FusedLaunch, "args">
  | {
    [Op in HandMadeKernel["op"]]: Omit<
      HandMadeLaunch<Extract<HandMadeKernel, { readonly op: Op }>>,
      "args"
    >;
  }[HandMadeKernel["op"]];

/** Runs one kernel on arrays and returns what the arguments hold afterwards, as bytes. */
export async function runKernel(
  device: Device,
  call: Call,
  args: readonly Data[],
  options: { readonly scalars?: Float32Array } = {},
): Promise<Uint8Array[]> {
  const allocations = args.map((data) => upload(device, data));
  const program = device.compile({
    launches: [{ ...call, args: args.map((_, external) => ({ external })) }],
    externals: args.length,
    arenaBytes: 0,
  });
  device.run(program, allocations, options.scalars ?? new Float32Array());
  const results: Uint8Array[] = [];
  for (let i = 0; i < args.length; i++) {
    results.push(await device.read(allocations[i]!, args[i]!.byteLength));
  }
  program.dispose();
  allocations.forEach((allocation) => device.free(allocation));
  return results;
}

/** Bytes as f32. */
export function asFloats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** A small generator of reproducible numbers in [0, 1): mulberry32. */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Reproducible numbers in [−1, 1). */
export function numbers(count: number, seed: number): Float32Array {
  const next = generator(seed);
  return Float32Array.from({ length: count }, () => 2 * next() - 1);
}
