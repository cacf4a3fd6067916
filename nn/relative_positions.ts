/** Biases of attention by relative position, as T5 has them (Raffel et al., arXiv:1910.10683). @module */

import { type Tensor, tensor } from "../core/mod.ts";
import { embed, type Weight } from "./weight.ts";

/** How distances share biases. */
export interface RelativeBuckets {
  /** Number of biases per head. */
  readonly buckets: number;
  /** From this distance on they all share one. */
  readonly maxDistance: number;
  /** Whether keys behind the query have buckets of their own, half of all; otherwise they share that of distance 0. */
  readonly bidirectional: boolean;
}

/**
 * The bucket of a key so many positions before its query (negative: behind it). Half of the buckets are for one distance
 * each, the others for ranges that grow by a factor. Computed in f32, as PyTorch does: it decides at which distance a
 * range ends.
 */
export function relativeBucket(
  distance: number,
  { buckets, maxDistance, bidirectional }: RelativeBuckets,
): number {
  const count = bidirectional ? Math.floor(buckets / 2) : buckets;
  const begin = bidirectional && distance < 0 ? count : 0;
  const away = bidirectional ? Math.abs(distance) : Math.max(distance, 0);
  const exact = Math.floor(count / 2);
  if (away < exact) return begin + away;
  const { fround } = Math;
  const grown = fround(Math.log(fround(away / exact)));
  const share = fround(grown / fround(Math.log(maxDistance / exact)));
  return begin + Math.min(exact + Math.trunc(fround(share * (count - exact))), count - 1);
}

/**
 * The buckets of all distances from −R to R, R = `maxDistance`, i32 [2R + 1]: what lies farther has the bucket of the
 * end it lies at.
 */
export function relativeBuckets(how: RelativeBuckets): Int32Array {
  const reach = how.maxDistance;
  return Int32Array.from({ length: 2 * reach + 1 }, (_, i) => relativeBucket(i - reach, how));
}

/**
 * The `bias` of attention, f32 [H, 2R + 1].
 *
 * @param table A row of H biases for each bucket.
 * @param buckets From {@linkcode relativeBuckets}.
 */
export function relativeBias(table: Weight, buckets: Int32Array): Tensor {
  return embed(table, tensor(buckets)).transpose();
}
