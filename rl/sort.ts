/** Sorting small vectors, differentiably. @module */

import { iota, type Tensor, where } from "../core/mod.ts";

/**
 * The values in ascending order; equal ones keep their order. Each value's gradient is that of the place it went to.
 * Compares all pairs: for vectors of a batch's length, not for vocabularies.
 *
 * @param x f32 [B], without NaN.
 * @returns f32 [B].
 */
export function sortAscending(x: Tensor): Tensor {
  const size = x.shape[0]!;
  const [column, row] = [x.reshape(size, 1), x.reshape(1, size)];
  const [columnIndex, rowIndex] = [iota(size).reshape(size, 1), iota(size).reshape(1, size)];
  const before = row.lt(column).or(row.eq(column).and(rowIndex.lt(columnIndex)));
  const rank = before.sum(1);
  return where(rank.reshape(1, size).eq(columnIndex), row, 0).sum(1);
}
