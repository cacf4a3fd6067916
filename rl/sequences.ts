/** Sums and means over the tokens of each sequence. @module */

import { segmentSum, type Tensor, where } from "../core/mod.ts";
import type { TokenLogProbs } from "./types.ts";

/** Which tokens count and whose they are. */
export type TokenLayout = Pick<TokenLogProbs, "mask" | "segments">;

/** Values of the tokens that count, 0 elsewhere (whatever stood there), f32 [N]. */
export function masked(values: Tensor, mask: Tensor): Tensor {
  return where(mask.ne(0), values.mul(mask), 0);
}

/** Σ values·mask over each of `count` sequences, f32 [count]. */
export function sequenceSums(values: Tensor, tokens: TokenLayout, count: number): Tensor {
  return segmentSum(masked(values, tokens.mask), tokens.segments, count);
}

/**
 * Σ values over each of `count` sequences, f32 [count], of values that are the same for sequences of one example that are:
 * those get one sum, for a sum's last digits depend on where its numbers lie, and equal answers must tie.
 */
export function tyingSums(
  values: Tensor,
  { segments, sameAs }: Pick<TokenLogProbs, "segments" | "sameAs">,
  count: number,
): Tensor {
  const sums = segmentSum(values, segments, count);
  return sameAs ? sums.gather(sameAs.slice(0, count)) : sums;
}

/** Mean of the values over each sequence's tokens, f32 [count]; `empty` for a sequence without tokens. */
export function sequenceMeans(
  values: Tensor,
  tokens: TokenLayout,
  count: number,
  empty = 0,
): Tensor {
  const lengths = segmentSum(tokens.mask, tokens.segments, count);
  const means = sequenceSums(values, tokens, count).div(lengths.maximum(1));
  return where(lengths.eq(0), empty, means);
}
