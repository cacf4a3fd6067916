/** Quantised matrices as weights: storage of 4 or 8 bits with a scale for each block. @module */

import {
  dequantize,
  iota,
  quantizedMatmul,
  type QuantizedMatrix,
  stopGradient,
  Tensor,
} from "../core/mod.ts";
import { nestedBlock } from "./quantize_nested.ts";

/** Scales that are themselves quantised (double quantisation, QLoRA, arXiv:2305.14314, section 3). */
export interface NestedScales {
  /** u8 [blocks]: positions in the map. */
  readonly codes: Tensor;
  /** f32 [256]: values of the codes; the dynamic map. */
  readonly map: Tensor;
  /** f32: one for 256 scales. */
  readonly absmax: Tensor;
  /** f32 [1]: the mean of the scales, which was subtracted. */
  readonly offset: Tensor;
}

/** A matrix as codes and scales. All but the tensors are strings, which `jit` takes as static. */
export interface Quantized {
  /** The code: 4-bit `nf4` or `fp4` in blocks of 64, or 8-bit `int8` by row. */
  readonly format: QuantizedMatrix["format"];
  /** Sizes, as "out x in" without spaces: "4096x1024". */
  readonly shape: string;
  /**
   * u8. 4-bit formats: [⌈out·in / 2⌉], the first of two codes in the high half. int8: [out, in], two's
   * complement.
   */
  readonly codes: Tensor;
  /** f32: 4-bit formats one for 64 adjacent weights, [⌈out·in / 64⌉]; int8 one a row, [out]. */
  readonly absmax: Tensor | NestedScales;
}

/** Sizes of a quantised matrix. */
export function quantizedShape({ shape }: Quantized): [outputs: number, inputs: number] {
  return shape.split("x").map(Number) as [number, number];
}

/** Scales as f32. */
export function scalesOf({ absmax }: Quantized): Tensor {
  if (absmax instanceof Tensor) return stopGradient(absmax);
  const { codes, map, absmax: scales, offset } = absmax;
  const shared = scales.gather(iota(codes.size).div(nestedBlock));
  return stopGradient(map.gather(codes.cast("i32")).mul(shared).add(offset));
}

function matrixOf(weight: Quantized): QuantizedMatrix {
  const { format, codes } = weight;
  return { format, shape: quantizedShape(weight), codes, absmax: scalesOf(weight) };
}

/** The matrix as one f32 tensor [out, in], a constant to differentiation. */
export function dequantized(weight: Quantized): Tensor {
  return dequantize(matrixOf(weight));
}

/** x·Wᵀ on the last axis, without the matrix in memory; gradients flow to x. */
export function projectQuantized(weight: Quantized, x: Tensor): Tensor {
  return quantizedMatmul(x, matrixOf(weight), { transpose: true });
}
