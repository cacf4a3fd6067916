/** Normalisation layers. @module */

import type { Tensor } from "../core/mod.ts";
import { denseVector, type VectorWeight } from "./weight.ts";

/** A gain, under its Hugging Face name. */
export interface NormParams {
  /** As wide as what it scales. */
  readonly weight: VectorWeight;
}

/** A gain and a bias. */
export interface LayerNormParams extends NormParams {
  /** As wide as what it shifts. */
  readonly bias: VectorWeight;
}

/** x / √(mean x² + ε) over the last axis. */
function overRms(x: Tensor, epsilon: number): Tensor {
  return x.mul(x.square().mean(-1, { keepDims: true }).add(epsilon).rsqrt());
}

/**
 * Root-mean-square normalisation over the last axis (Zhang and Sennrich, "Root Mean Square Layer Normalization",
 * 2019): x / √(mean x² + ε) · weight.
 */
export function rmsNorm({ weight }: NormParams, x: Tensor, epsilon: number): Tensor {
  return overRms(x, epsilon).mul(denseVector(weight));
}

/** The same with gains on top of one, as in Gemma: x / √(mean x² + ε) · (1 + weight). */
export function rmsNormFromOne({ weight }: NormParams, x: Tensor, epsilon: number): Tensor {
  return overRms(x, epsilon).mul(denseVector(weight).add(1));
}

/**
 * Layer normalisation over the last axis (Ba, Kiros and Hinton, arXiv:1607.06450):
 * (x − mean x) / √(var x + ε) · weight + bias.
 */
export function layerNorm({ weight, bias }: LayerNormParams, x: Tensor, epsilon: number): Tensor {
  const centred = x.sub(x.mean(-1, { keepDims: true }));
  return overRms(centred, epsilon).mul(denseVector(weight)).add(denseVector(bias));
}
