/** How compiled kernels look on the CPU device. @module */

import { recordOf } from "../../launch.ts";
import type { HandMadeKernel } from "../../operations/mod.ts";
import { FunctionBuilder } from "./wasm_function.ts";
import type { FunctionType } from "./wasm_module.ts";

/**
 * A kernel as WebAssembly functions `(parameters: i64, thread: i32, threads: i32) → ()`. Every
 * thread calls every phase, with a barrier after each; a phase divides its work by thread number,
 * statically, so that the same launch gives the same bits with the same number of threads.
 */
export interface KernelCode<Z = Readonly<Record<string, number>>> {
  readonly phases: readonly FunctionBuilder[];
  /**
   * Bytes of scratch memory a launch needs, all threads together. Aligned to 64 bytes.
   *
   * @param sizes Numbers of a kernel made by hand; fused kernels need no scratch.
   */
  scratchBytes(sizes: Z, threads: number): number;
}

/** What emitters may use of the module they emit into. */
export interface EmitContext {
  /** Adds a function to the module and returns its index, for calls. */
  readonly link: (body: FunctionBuilder) => number;
  /** Index of the imported `sgemm`, or null without a BLAS. */
  readonly sgemm: number | null;
  /** Whether `sgemm` does small products without copying operands. */
  readonly smallProducts: boolean;
}

/** The type of a phase. */
export const phaseType: FunctionType = { parameters: ["i64", "i32", "i32"], results: [] };

/**
 * The parameter block a phase's first parameter points to, 64-byte aligned: i64 address of the
 * run's f32 scalars, i64 address of the scratch memory, i64 address of each argument, i64 of each
 * of the launch's ints, f32 of each of its floats. Arguments are 64-byte aligned, and at least 64
 * bytes behind their end may be read (not written).
 */
export const parameterBlock = {
  scalars: 0,
  scratch: 8,
  arg: (index: number): number => 16 + 8 * index,
  int: (args: number, index: number): number => 16 + 8 * (args + index),
  float: (args: number, ints: number, index: number): number => 16 + 8 * (args + ints) + 4 * index,
} as const;

/** Where the parameter block of a kernel made by hand has what its record names: byte offsets. */
export interface BlockOffsets {
  readonly arg: (name: string) => number;
  readonly size: (name: string) => number;
}

/** The offsets of a kernel's parameter block. */
export function blockOffsets<K extends HandMadeKernel>(
  kernel: K,
): BlockOffsets {
  const { integers, floats, args } = recordOf(kernel);
  const names = args(kernel);
  return {
    arg: (name) => parameterBlock.arg(names.indexOf(name)),
    size: (name) =>
      integers.includes(name)
        ? parameterBlock.int(names.length, integers.indexOf(name))
        : parameterBlock.float(names.length, integers.length, floats.indexOf(name)),
  };
}

/** A fresh phase. */
export function phase(): FunctionBuilder {
  return new FunctionBuilder(phaseType.parameters, phaseType.results);
}
