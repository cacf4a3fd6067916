/** Contrastive preference optimisation and its kin: preference without a reference model. @module */

import { stopGradient, zeros } from "../core/mod.ts";
import { powerScore } from "./f_divergence.ts";
import { marginLosses, type MarginLossVariant } from "./margin_losses.ts";
import { averageLogProbs, chosenNll } from "./means.ts";
import { pairMetrics } from "./metrics.ts";
import type { Objective, PairLogProbs } from "./types.ts";
import { variantOf } from "./variants.ts";

/** A variant of {@link cpo}. */
export interface CpoVariant extends MarginLossVariant {
  /** Overrides the option of this name. */
  readonly cpoAlpha?: number;
}

/** A name of {@link cpoLosses}. */
export type CpoLossType = "sigmoid" | "hinge" | "ipo" | "simpo" | "alphapo";

/** The variants by TRL's `loss_type`. */
export const cpoLosses: Readonly<Record<CpoLossType, CpoVariant>> = {
  ...marginLosses,
  /** AlphaPO: SimPO with transformed rewards, without the imitation term. */
  alphapo: { ...marginLosses.simpo, cpoAlpha: 0 },
};

/** Options of {@link cpo}. */
export interface CpoOptions {
  /** The variant; `sigmoid` by default. */
  readonly lossType?: CpoLossType;
  /** Scale of the rewards; 0.1 by default. */
  readonly beta?: number;
  /** Probability that a label is wrong, for `sigmoid`, `simpo` and `alphapo`; 0 by default. */
  readonly labelSmoothing?: number;
  /** Weight of the chosen answers' mean negative log-likelihood; 1 by default, 0 for `alphapo`. */
  readonly cpoAlpha?: number;
  /** SimPO's target margin γ; 0.5 by default. */
  readonly simpoGamma?: number;
  /** AlphaPO's α: rewards are (1 − P^(−α))/α instead of log P. */
  readonly alpha?: number;
}

/**
 * Contrastive preference optimisation (Xu et al., 2024): a loss of z = R(chosen) − R(rejected) plus
 * `cpoAlpha` times the chosen answers' mean negative log-likelihood. R is the summed log-prob (`sigmoid`, `hinge`) or
 * that per token (`ipo`, `simpo`, `alphapo`), P = eᴿ; AlphaPO (Gupta et al., 2025) bends it.
 *
 * @param logProbs Summed completion log-probs, f32 [B]; lengths where an average is taken; `nll` if it is not that of
 * the chosen completions' tokens.
 */
export function cpo(logProbs: PairLogProbs, options: CpoOptions = {}): Objective {
  const { lossType = "sigmoid", beta = 0.1, alpha = 0, simpoGamma = 0.5 } = options;
  const variant = variantOf(cpoLosses, lossType, "loss_type");
  const cpoAlpha = variant.cpoAlpha ?? options.cpoAlpha ?? 1;
  const scores = variant.average ? averageLogProbs(logProbs) : logProbs;
  const chosen = powerScore(scores.chosen, -alpha);
  const rejected = powerScore(scores.rejected, -alpha);
  const losses = variant.loss(chosen.sub(rejected), {
    beta,
    labelSmoothing: options.labelSmoothing ?? 0,
    gamma: simpoGamma,
  });
  const nll = cpoAlpha === 0 ? zeros([]) : chosenNll(logProbs);
  return {
    losses,
    term: nll.mul(cpoAlpha),
    metrics: {
      ...pairMetrics(chosen.mul(beta), rejected.mul(beta), scores),
      nll_loss: stopGradient(nll),
    },
  };
}

/** SimPO without an imitation term (Meng et al., "SimPO", 2024). */
export function simpo(logProbs: PairLogProbs, options: CpoOptions = {}): Objective {
  return cpo(logProbs, { ...options, lossType: "simpo", cpoAlpha: 0 });
}
