/** Quantiles of token statistics. @module */

import { iota, type Tensor, where, zeros } from "../core/mod.ts";

/**
 * Quantile of the values that count, between neighbours by linear interpolation (as `torch.quantile`), a single number;
 * ∞ if none counts. Finds the exact order statistics without sorting: bits of non-negative floats are ordered as the
 * floats are, and eight passes over the values settle four bits each. Not differentiable.
 *
 * @param x f32 [N], not negative (negative values count as 0).
 * @param mask 1 for values that count, f32 [N].
 * @param q In [0, 1].
 */
export function maskedQuantile(x: Tensor, mask: Tensor, q: number): Tensor {
  const values = x.maximum(0).abs(); // −0 would have its sign bit set
  const counted = mask.ne(0);
  const size = mask.ne(0).cast("f32").sum();
  const position = size.sub(1).maximum(0).mul(q);
  const rank = position.floor();
  const lower = orderStatistic(values, counted, rank);

  const upTo = counted.and(values.le(lower)).cast("f32").sum();
  const above = where(counted.and(values.gt(lower)), values, Infinity).min();
  const upper = where(upTo.gt(rank.add(1)).or(upTo.ge(size)), lower, above);
  const found = lower.add(upper.sub(lower).mul(position.sub(rank)));
  return where(size.eq(0), Infinity, found);
}

/** The value with `rank` smaller ones among those counted. */
function orderStatistic(values: Tensor, counted: Tensor, rank: Tensor): Tensor {
  const size = values.shape[0]!;
  const bits = values.bitcast("u32").reshape(1, size);
  let found = zeros([], "u32");
  for (let shift = 28; shift >= 0; shift -= 4) {
    const candidates = iota(16).cast("u32").shiftLeft(shift).add(found);
    const smaller = counted.reshape(1, size).and(bits.lt(candidates.reshape(16, 1)));
    const fitting = smaller.cast("f32").sum(1).le(rank).cast("i32").sum();
    found = found.add(fitting.sub(1).maximum(0).cast("u32").shiftLeft(shift));
  }
  return found.bitcast("f32");
}
