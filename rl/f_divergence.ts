/**
 * Scores of a log-ratio x = log π/π_ref by f-divergence: f′(eˣ) (Wang et al., "Beyond Reverse KL", 2023). Reverse KL
 * is DPO.
 *
 * @module
 */

import { logSigmoid, type Tensor } from "../core/mod.ts";

/** Options of the scores. */
export interface DivergenceOptions {
  /** α of the α-divergence; 1 is reverse KL, 0 forward KL. */
  readonly alpha: number;
}

// e⁸⁰ and its products with usual β stay finite in f32; TRL limits the exponent here, too.
const largestExponent = 80;

/** (eᵏˣ − 1)/k, f32 of x's shape: eˣ to the power k, centred and scaled so that k = 0 gives x. */
export function powerScore(x: Tensor, k: number): Tensor {
  return Math.abs(k) < 1e-6 ? x : x.mul(k).minimum(largestExponent).expm1().div(k);
}

/** A name of {@link divergenceScores}. */
export type FDivergence = "reverse_kl" | "forward_kl" | "js_divergence" | "alpha_divergence";

/** The scores f32 [B] of log-ratios [B] by TRL's `f_divergence_type`. */
export const divergenceScores: Readonly<
  Record<FDivergence, (logRatio: Tensor, options: DivergenceOptions) => Tensor>
> = {
  reverse_kl: (x) => x,
  /** 1 − e⁻ˣ. */
  forward_kl: (x) => powerScore(x, -1),
  /** log 2 + log σ(x). */
  js_divergence: (x) => logSigmoid(x).add(Math.LN2),
  /** (e^((α−1)x) − 1)/(α − 1). */
  alpha_divergence: (x, { alpha }) => powerScore(x, alpha - 1),
};
