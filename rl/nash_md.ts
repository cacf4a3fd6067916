/** Nash mirror descent: answers that win against a mixture of the policy and its reference. @module */

import { type Operand, stopGradient, type Tensor } from "../core/mod.ts";
import { UserError } from "../core/errors.ts";
import { sequenceSums } from "./sequences.ts";
import type { Objective, TokenLogProbs } from "./types.ts";

/** The policy's answers to B prompts and how they compare with the mixture's. */
export interface NashMdTokens extends TokenLogProbs {
  /** Scores of the policy's answers, f32 [B]. */
  readonly modelScores: Tensor;
  /** Scores of the mixture's answers to the same prompts, f32 [B]. */
  readonly mixtureScores: Tensor;
}

/** Options of {@link nashMd}. */
export interface NashMdOptions {
  /** Strength of the pull to the reference, a number or f32 []; 0.1 by default. */
  readonly beta?: Operand;
}

/**
 * Nash-MD (Munos et al., "Nash Learning from Human Feedback", 2023): β Σ sg(log π/π_ref)·log π − (P − ½) Σ log π,
 * where P = σ(score − mixture's score) is the chance to win.
 *
 * @param tokens Of the policy's answers, with `refLogProbs`.
 * @returns Losses of prompts [B]. As in TRL, `…/chosen` are the policy's and `…/rejected` the reference's log-probs and
 * the mixture's scores, and margins and accuracies are of log-probs.
 * @throws UserError if there are no log-probs of a reference.
 */
export function nashMd(tokens: NashMdTokens, options: NashMdOptions = {}): Objective {
  const { beta = 0.1 } = options;
  const { logProbs, refLogProbs, modelScores, mixtureScores } = tokens;
  if (!refLogProbs) {
    throw new UserError("Nash-MD compares with a reference model; give refLogProbs (f32 [N]).");
  }
  const sums = (x: Tensor) => sequenceSums(x, tokens, modelScores.size);
  const logRatio = stopGradient(logProbs.sub(refLogProbs));
  const probability = stopGradient(modelScores.sub(mixtureScores).sigmoid());
  const answer = sums(logProbs);
  const score = probability.sub(0.5).mul(answer);
  const losses = sums(logRatio.mul(logProbs)).mul(beta).sub(score);

  const margin = sums(logRatio);
  return {
    losses,
    metrics: {
      "loss/score": stopGradient(score).mean(),
      "loss/kl": margin.mean(),
      "objective/entropy": stopGradient(answer).mean().neg(),
      "rewards/probabilities": probability.mean(),
      "rewards/chosen": modelScores.mean(),
      "rewards/rejected": mixtureScores.mean(),
      "rewards/margins": margin.mean(),
      "rewards/accuracies": margin.gt(0).cast("f32").mean(),
      "logps/chosen": stopGradient(answer).mean(),
      "logps/rejected": sums(stopGradient(refLogProbs)).mean(),
    },
  };
}
