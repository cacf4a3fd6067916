/** From log-probs of tokens to those of pairs. @module */

import { concat, segmentSum, type Tensor, where } from "../core/mod.ts";
import { UserError } from "../core/errors.ts";
import { meanNll } from "./means.ts";
import { tyingSums } from "./sequences.ts";
import type { PairLogProbs, TokenLogProbs } from "./types.ts";

/** Options of {@link pairLogProbs}. */
export interface PairOptions {
  /** LD-DPO's factor for tokens beyond the length of a pair's shorter completion. */
  readonly ldAlpha?: number | undefined;
  /** Weights pairs by how likely the policy is to say them itself (WPO). */
  readonly useWeighting?: boolean | undefined;
}

/**
 * Sums over the completions of B pairs: sequences 0 … B − 1 are the chosen ones, B … 2B − 1 the rejected ones; tokens of
 * other sequences are left out.
 *
 * @throws UserError if an option lacks its input.
 */
export function pairLogProbs(
  tokens: TokenLogProbs,
  pairs: number,
  options: PairOptions = {},
): PairLogProbs {
  const { ldAlpha, useWeighting } = options;
  const sums = (x: Tensor) => tyingSums(x, tokens, 2 * pairs);
  const lengths = sums(tokens.mask);
  const [chosenLengths, rejectedLengths] = halves(lengths);
  const factors = ldAlpha === undefined
    ? tokens.mask
    : tokens.mask.mul(lengthDesensitised(tokens, chosenLengths.minimum(rejectedLengths), ldAlpha));
  const [chosen, rejected] = halves(sums(tokens.logProbs.mul(factors)));
  const reference = tokens.refLogProbs && halves(sums(tokens.refLogProbs.mul(factors)));
  return {
    chosen,
    rejected,
    ...(reference && { refChosen: reference[0], refRejected: reference[1] }),
    chosenLengths,
    rejectedLengths,
    ...(useWeighting && { pairWeights: pairWeights(tokens, lengths) }),
    // Imitation is not discounted.
    ...(ldAlpha !== undefined &&
      { nll: meanNll(halves(sums(tokens.logProbs.mul(tokens.mask)))[0], chosenLengths) }),
  };
}

/** Chosen and rejected of values [2B] of sequences. */
function halves(x: Tensor): [chosen: Tensor, rejected: Tensor] {
  const pairs = x.shape[0]! / 2;
  return [x.slice(0, pairs), x.slice(pairs)];
}

/** 1 for the tokens that both completions of a pair are long enough to have, α beyond (Liu et al., "LD-DPO", 2024). */
function lengthDesensitised(
  { positions, segments }: TokenLogProbs,
  shared: Tensor,
  alpha: number,
): Tensor {
  if (!positions) {
    throw new UserError("ld_alpha needs the tokens' positions within their completions (i32 [N]).");
  }
  const limits = concat([shared, shared]).gather(segments);
  return where(positions.cast("f32").lt(limits), 1, alpha);
}

/**
 * exp of the mean over tokens of log p − log Σ p², multiplied over a pair's completions, f32 [B] (Zhou et al., "WPO",
 * 2024, equation 2).
 */
function pairWeights(
  { logProbs, sumSquares, mask, segments }: TokenLogProbs,
  lengths: Tensor,
): Tensor {
  if (!sumSquares) {
    throw new UserError(
      "use_weighting needs Σ p² of the tokens' distributions (sumSquares, f32 [N]).",
    );
  }
  const aligned = where(mask.ne(0), logProbs.sub(where(mask.ne(0), sumSquares, 1).log()), 0);
  const means = segmentSum(aligned, segments, lengths.shape[0]!).div(lengths.maximum(1));
  const [chosen, rejected] = halves(means);
  return chosen.add(rejected).exp();
}
