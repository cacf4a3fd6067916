/** Launches and plans: kernels with their numbers and buffers, in order. @module */

import type { FusedKernel } from "./kernel.ts";
import { type HandMadeKernel, records, type SizesOf } from "./operations/mod.ts";
import type { KernelRecord } from "./operations/record.ts";

/** Anything a device can launch. */
export type Kernel = FusedKernel | HandMadeKernel;

/** A buffer a launch uses: an external binding of the program, or a range of the shared arena. */
export type BufferRef =
  | { readonly external: number }
  /** Byte offset (a multiple of 256) and length in the arena. */
  | { readonly arena: number; readonly bytes: number };

/** A fused kernel with its numbers and buffers. */
export interface FusedLaunch {
  /** The kernel. */
  readonly kernel: FusedKernel;
  /** Its sizes, strides and offsets, by slot. */
  readonly ints: readonly number[];
  /** One per kernel argument. */
  readonly args: readonly BufferRef[];
}

/** A kernel made by hand with its numbers and buffers. */
export interface HandMadeLaunch<K extends HandMadeKernel = HandMadeKernel> {
  /** The kernel. */
  readonly kernel: K;
  /** Its numbers, by name. */
  readonly sizes: SizesOf<K>;
  /** One per kernel argument. */
  readonly args: readonly BufferRef[];
}

/** The kernel made by hand that has this name. */
export type KernelOf<Op extends HandMadeKernel["op"]> = Extract<
  HandMadeKernel,
  { readonly op: Op }
>;

/** A kernel with its numbers and buffers. */
export type Launch =
  | FusedLaunch
  | { [Op in HandMadeKernel["op"]]: HandMadeLaunch<KernelOf<Op>> }[HandMadeKernel["op"]];

/** What a device compiles into a program: launches in order, over externals and one arena. */
export interface Plan {
  /** Kernels launched so far. */
  readonly launches: readonly Launch[];
  /** Number of buffers bound at each run. */
  readonly externals: number;
  /** Bytes of temporaries. */
  readonly arenaBytes: number;
}

const keys: WeakMap<Kernel, string> = new WeakMap();

/** A kernel's identity: equal for kernels that compute the same thing in the same way. */
export function kernelKey(kernel: Kernel): string {
  let key = keys.get(kernel);
  if (key === undefined) keys.set(kernel, key = JSON.stringify(kernel));
  return key;
}

/** Whether the launch is of a kernel of this name. */
export function isLaunchOf<Op extends Kernel["op"]>(
  launch: Launch,
  op: Op,
): launch is Extract<Launch, { readonly kernel: { readonly op: Op } }> {
  return launch.kernel.op === op;
}

/** The record of a kernel made by hand, for kernels and sizes that belong together. */
export function recordOf(
  kernel: HandMadeKernel,
): KernelRecord<HandMadeKernel, Record<string, number>> {
  return records[kernel.op] as KernelRecord<HandMadeKernel, Record<string, number>>;
}

/** A launch's numbers in the order in which devices keep them. */
export function numbersOf(
  launch: Launch,
): { readonly ints: readonly number[]; readonly floats: readonly number[] } {
  if (isLaunchOf(launch, "fused")) return { ints: launch.ints, floats: [] };
  const { integers, floats } = recordOf(launch.kernel);
  const sizes: Readonly<Record<string, number>> = launch.sizes;
  return { ints: integers.map((name) => sizes[name]!), floats: floats.map((name) => sizes[name]!) };
}
