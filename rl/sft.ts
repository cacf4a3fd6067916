/** Supervised fine-tuning: losses over the tokens of given answers. @module */

import { stopGradient, type Tensor } from "../core/mod.ts";
import { UserError } from "../core/errors.ts";
import { tokenMetrics } from "./token_metrics.ts";
import type { Objective, TokenLogProbs, TokenObjective } from "./types.ts";

/** Options of {@link nll}. */
export interface NllOptions {
  /** Share ε of the target given to all tokens alike; needs `meanLogProbs`. */
  readonly labelSmoothing?: number;
}

/**
 * Negative log-likelihood: −Σ log p / N; with label smoothing (Szegedy et al., "Rethinking the Inception Architecture",
 * 2015) −Σ ((1 − ε) log p + ε·mean log p over the vocabulary) / N.
 *
 * @throws UserError if label smoothing is asked for and `meanLogProbs` is missing.
 */
export function nll(tokens: TokenLogProbs, options: NllOptions = {}): Objective {
  const { labelSmoothing: e = 0 } = options;
  if (e === 0) return ofTokens(tokens.logProbs.neg(), tokens);
  if (!tokens.meanLogProbs) {
    throw new UserError(
      "Label smoothing needs the means of log p over the vocabulary (meanLogProbs, f32 [N]).",
    );
  }
  const smooth = tokens.logProbs.mul(e - 1).sub(tokens.meanLogProbs.mul(e));
  return ofTokens(smooth, tokens);
}

/**
 * Dynamic fine-tuning (Wu et al., "On the Generalization of SFT", 2025): each token's loss weighted by its own
 * probability, −Σ sg(p) log p / N.
 */
export function dft(tokens: TokenLogProbs): Objective {
  const p = stopGradient(tokens.logProbs.exp());
  return ofTokens(p.mul(tokens.logProbs).neg(), tokens);
}

/** The objectives of `sft` by TRL's `loss_type`; `chunked_nll` is the same number as `nll`. */
export const sftObjectives = { nll, chunked_nll: nll, dft } satisfies Record<
  string,
  TokenObjective
>;

function ofTokens(each: Tensor, tokens: TokenLogProbs): Objective {
  return { losses: each.mul(tokens.mask), mask: tokens.mask, metrics: tokenMetrics(tokens) };
}
