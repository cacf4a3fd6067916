/** Supervised fine-tuning: losses over the tokens of given answers. @module */

import { stopGradient, type Tensor } from "../core/mod.ts";
import type { MeanOptions, Objective, TokenLogProbs, TokenObjective } from "./types.ts";

/** Negative log-likelihood: −Σ log p / N. */
export function nll(tokens: TokenLogProbs, options: MeanOptions = {}): Objective {
  return average(tokens.logProbs.neg(), tokens, options);
}

/**
 * Dynamic fine-tuning (Wu et al., "On the Generalization of SFT", 2025): each token's loss weighted by its own
 * probability, −Σ sg(p) log p / N.
 */
export function dft(tokens: TokenLogProbs, options: MeanOptions = {}): Objective {
  const p = stopGradient(tokens.logProbs.exp());
  return average(p.mul(tokens.logProbs).neg(), tokens, options);
}

/** The objectives of `sft` by TRL's `loss_type`; `chunked_nll` is the same number as `nll`. */
export const sftObjectives = { nll, chunked_nll: nll, dft } satisfies Record<
  string,
  TokenObjective
>;

function average(losses: Tensor, tokens: TokenLogProbs, { normalizer }: MeanOptions): Objective {
  const total = losses.mul(tokens.mask).sum();
  return { loss: total.div(normalizer ?? tokens.mask.sum()), metrics: tokenMetrics(tokens) };
}

/** Mean entropy and the share of tokens that greedy decoding would have got right, over the tokens that count. */
export function tokenMetrics(
  { mask, entropies, predictions, targets }: TokenLogProbs,
): Record<string, Tensor> {
  const count = mask.sum().maximum(1);
  const mean = (x: Tensor) => stopGradient(x).mul(mask).sum().div(count);
  return {
    ...(entropies ? { entropy: mean(entropies) } : {}),
    ...(predictions && targets
      ? { mean_token_accuracy: mean(predictions.eq(targets).cast("f32")) }
      : {}),
  };
}
