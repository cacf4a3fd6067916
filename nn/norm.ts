/** Normalisation layers. @module */

import type { Tensor } from "../core/mod.ts";
import { denseVector, type VectorWeight } from "./weight.ts";

/** A gain, under its Hugging Face name. */
export interface NormParams {
  /** As wide as what it scales. */
  readonly weight: VectorWeight;
}

/**
 * Root-mean-square normalisation over the last axis (Zhang and Sennrich, "Root Mean Square Layer Normalization",
 * 2019): x / √(mean x² + ε) · weight.
 */
export function rmsNorm({ weight }: NormParams, x: Tensor, epsilon: number): Tensor {
  const meanSquare = x.square().mean(-1, { keepDims: true });
  return x.mul(meanSquare.add(epsilon).rsqrt()).mul(denseVector(weight));
}
