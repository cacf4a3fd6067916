/**
 * The core: immutable lazy tensors, automatic differentiation, `jit`, and the devices they run on. It knows
 * nothing of language models.
 *
 * @example
 * ```ts
 * import { grad, openDevice, tensor } from "@plumb/plumb/core";
 *
 * await openDevice("cpu");
 * const slope = grad((x: ReturnType<typeof tensor>) => x.mul(x).sum());
 * console.log(await slope(tensor([1, 2, 3])).data()); // [2, 4, 6]
 * ```
 *
 * @module
 */

export * from "./attention.ts";
export type { BlockCode } from "./block_codes.ts";
export * from "./create.ts";
export * from "./device/current.ts";
export type * from "./device/device.ts";
export * from "./dtype.ts";
export * from "./errors.ts";
export * from "./functions.ts";
export * from "./grad.ts";
export type * from "./graph.ts";
export type { TensorData } from "./host.ts";
export * from "./jit.ts";
export type * from "./kernel.ts";
export type * from "./launch.ts";
export type * from "./lower/plan.ts";
export * from "./logit_stats.ts";
export type {
  AttentionGradKernel,
  AttentionKernel,
  AttentionSettings,
  AttentionSizes,
  AttentionVariant,
} from "./operations/attention.ts";
export type { CodedOperand, MatmulKernel, MatmulSizes } from "./operations/matmul.ts";
export type { HandMadeKernel, Records, SizesOf } from "./operations/mod.ts";
export type { KernelRecord } from "./operations/record.ts";
export type { ScatterKernel, ScatterSizes } from "./operations/rows.ts";
export * from "./profile/mod.ts";
export * from "./quantized.ts";
export * from "./random.ts";
export type { Axes, ReduceOptions } from "./reduction.ts";
export * from "./scope.ts";
export type { Shape } from "./shape.ts";
export type * from "./storage.ts";
export * from "./tensor.ts";
export type { Control, Terminal } from "./terminal.ts";
export * from "./tree.ts";
export type * from "./view.ts";
