/** Kahneman–Tversky optimisation: learning from single answers that are desirable or not. @module */

import { stopGradient, type Tensor, where, zeros } from "../core/mod.ts";
import { UserError } from "../core/errors.ts";
import { signOf } from "./labels.ts";
import { unpairedMetrics } from "./metrics.ts";
import type { Objective, UnpairedLogProbs } from "./types.ts";
import { variantOf } from "./variants.ts";

/** Inputs of {@link kto}. */
export interface KtoLogProbs extends UnpairedLogProbs {
  /** Log-probs of other prompts' completions (the batch's own, moved on by one row), f32 [B]. */
  readonly klLogProbs?: Tensor;
  /** The same under the reference model. */
  readonly refKlLogProbs?: Tensor;
}

/** A name of {@link ktoReferencePoints}. */
export type KtoLossType = "kto" | "apo_zero_unpaired";

/** The log-ratio at which an answer is neither gain nor loss, a single number. */
export type KtoReferencePoint = (logProbs: KtoLogProbs) => Tensor;

/** Reference points by TRL's `loss_type`. */
export const ktoReferencePoints: Readonly<Record<KtoLossType, KtoReferencePoint>> = {
  /** Ethayarajh et al., "KTO", 2024, equation 7: max(0, mean log π(y′|x)/π_ref(y′|x)) of mismatched y′; no gradient. */
  kto: ({ klLogProbs, refKlLogProbs }) => {
    if (klLogProbs && refKlLogProbs) {
      return stopGradient(klLogProbs.sub(refKlLogProbs).mean().maximum(0));
    }
    throw new UserError(
      'loss_type "kto" estimates a KL divergence from mismatched completions, whose log-probs are missing. Give ' +
        'klLogProbs and refKlLogProbs (f32 [B]), or choose "apo_zero_unpaired".',
    );
  },
  /** D'Oosterlinck et al., "Anchored Preference Optimization", 2024, equation 7, unpaired: the reference model itself. */
  apo_zero_unpaired: () => zeros([]),
};

/** Options of {@link kto}. */
export interface KtoOptions {
  /** The variant; `kto` by default. */
  readonly lossType?: KtoLossType;
  /** Strength of the pull to the reference; 0.1 by default. */
  readonly beta?: number;
  /** Factor of the losses of desirable answers; 1 by default. */
  readonly desirableWeight?: number;
  /** Factor of those of undesirable ones; 1 by default. */
  readonly undesirableWeight?: number;
}

/**
 * Kahneman–Tversky optimisation: w(1 − σ(±β(log π/π_ref − z₀))), + for desirable answers, − for undesirable ones.
 *
 * @param logProbs Summed completion log-probs of policy and reference and labels, f32 [B].
 * @throws UserError if `loss_type` needs an input that is missing.
 */
export function kto(logProbs: KtoLogProbs, options: KtoOptions = {}): Objective {
  const { lossType = "kto", beta = 0.1, desirableWeight = 1, undesirableWeight = 1 } = options;
  const { labels } = logProbs;
  const logRatios = logProbs.logProbs.sub(logProbs.refLogProbs);
  const kl = variantOf(ktoReferencePoints, lossType, "loss_type")(logProbs);
  const gain = logRatios.sub(kl).mul(beta).mul(signOf(labels));
  const weights = where(labels.ne(0), desirableWeight, undesirableWeight);
  const losses = gain.neg().sigmoid().mul(weights); // 1 − σ(x) = σ(−x)
  return {
    losses,
    metrics: { kl, ...unpairedMetrics(logRatios.mul(beta), logProbs.logProbs, labels) },
  };
}
