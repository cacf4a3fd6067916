/** Triple preference optimisation: a pair to compare and a third answer to imitate. @module */

import { segmentSum, stopGradient, type Tensor, zeros } from "../core/mod.ts";
import { UserError } from "../core/errors.ts";
import { marginLosses, type MarginLossVariant } from "./margin_losses.ts";
import { averageLogProbs, meanNll } from "./means.ts";
import { pairMetrics } from "./metrics.ts";
import { pairLogProbs } from "./pairs.ts";
import type { Objective, PairLogProbs, TokenLogProbs } from "./types.ts";
import { variantOf } from "./variants.ts";

/** Inputs of {@link tpo}. */
export interface TpoLogProbs extends PairLogProbs {
  /** Summed log-probs of the gold answers, f32 [B]; not needed with `tpoAlpha` 0. */
  readonly reference?: Tensor;
  /** Their numbers of tokens, f32 [B]. */
  readonly referenceLengths?: Tensor;
}

/** A name of {@link tpoLosses}. */
export type TpoLossType = "sigmoid" | "hinge" | "ipo" | "tpo-l";

/** The variants by TRL's `loss_type`. */
export const tpoLosses: Readonly<Record<TpoLossType, MarginLossVariant>> = {
  sigmoid: marginLosses.sigmoid,
  hinge: marginLosses.hinge,
  ipo: marginLosses.ipo,
  /** The length-normalised one: SimPO's loss. */
  "tpo-l": marginLosses.simpo,
};

/** Options of {@link tpo}. */
export interface TpoOptions {
  /** The variant; `sigmoid` by default. */
  readonly lossType?: TpoLossType;
  /** Scale of the rewards; 0.01 by default. */
  readonly beta?: number;
  /** Probability that a label is wrong, for `sigmoid` and `tpo-l`; 0 by default. */
  readonly labelSmoothing?: number;
  /** Weight of the gold answers' mean negative log-likelihood; 1 by default. */
  readonly tpoAlpha?: number;
  /** Target margin γ of `tpo-l`; 0.5 by default. */
  readonly tpoLGamma?: number;
}

/**
 * Triple preference optimisation (Saeidi et al., 2024): a loss of z = R(chosen) − R(rejected) plus `tpoAlpha` times
 * the gold answers' mean negative log-likelihood over all their tokens. R is the summed log-prob (`sigmoid`, `hinge`)
 * or that per token (`ipo`, `tpo-l`).
 *
 * @param logProbs Summed completion log-probs, f32 [B], and lengths.
 */
export function tpo(logProbs: TpoLogProbs, options: TpoOptions = {}): Objective {
  const { lossType = "sigmoid", beta = 0.01, tpoAlpha = 1, tpoLGamma = 0.5 } = options;
  const variant = variantOf(tpoLosses, lossType, "loss_type");
  const { chosen, rejected } = variant.average ? averageLogProbs(logProbs) : logProbs;
  const losses = variant.loss(chosen.sub(rejected), {
    beta,
    labelSmoothing: options.labelSmoothing ?? 0,
    gamma: tpoLGamma,
  });
  const nll = tpoAlpha === 0 ? zeros([]) : goldNll(logProbs);
  return {
    losses,
    term: nll.mul(tpoAlpha),
    metrics: {
      ...pairMetrics(chosen.mul(beta), rejected.mul(beta), { chosen, rejected }),
      nll_loss: stopGradient(nll),
    },
  };
}

/**
 * The log-probs of TPO from those of tokens: sequences 0 … B − 1 are the chosen completions, B … 2B − 1 the rejected ones,
 * 2B … 3B − 1 the gold ones.
 */
export function tpoLogProbs(tokens: TokenLogProbs, pairs: number): TpoLogProbs {
  const gold = (x: Tensor) => segmentSum(x, tokens.segments.sub(2 * pairs), pairs);
  return {
    ...pairLogProbs(tokens, pairs),
    reference: gold(tokens.logProbs.mul(tokens.mask)),
    referenceLengths: gold(tokens.mask),
  };
}

function goldNll({ nll, reference, referenceLengths }: TpoLogProbs): Tensor {
  if (nll) return nll;
  if (reference && referenceLengths) return meanNll(reference, referenceLengths);
  throw new UserError(
    "TPO imitates a third, gold answer, and its log-probs are missing. Give reference and referenceLengths " +
      "(f32 [B]), or set tpo_alpha to 0.",
  );
}
