/** Attention over flat token streams. @module */

import { attend } from "./operations/attention.ts";
import { Tensor } from "./tensor.ts";

/** Options of {@link attention}. */
export interface AttentionOptions {
  /**
   * i32 [5, T], one column per query token: its segment (−1: sees nothing, is padding), its segment's parent (−1:
   * none), its position, and the range [first, last) of tokens outside of which it sees nothing for sure.
   */
  readonly querySegments: Tensor;
  /** The same for the key tokens, [5, S]; the query's by default. */
  readonly keySegments?: Tensor;
  /** Whether a token sees only positions up to its own. True by default. */
  readonly causal?: boolean;
  /** Keys at this distance or more are not seen. No limit by default. */
  readonly window?: number;
  /** Factor of the scores; 1/√D by default. */
  readonly scale?: number;
  /** Scores become cap·tanh(score / cap). */
  readonly softcap?: number;
  /** f32 [H, 2R + 1], added to the scores by relative position query − key, limited to ±R. */
  readonly bias?: Tensor;
}

/**
 * Softmax attention, block by block, without a [T, S] matrix. Token j is visible to token i when segment(j) is
 * segment(i) or its parent, and 0 ≤ position(i) − position(j) < window (when not causal: |…| < window). A token
 * that sees nothing gets zeros.
 *
 * @param q f32 [T, H, D].
 * @param k f32 [S, K, D]; query head h reads key/value head ⌊h·K/H⌋.
 * @param v f32 [S, K, D].
 * @returns f32 [T, H, D].
 * @throws RangeError if shapes or dtypes do not fit.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  const { querySegments, keySegments = querySegments, bias } = options;
  const inputs = {
    ...{ q: q.node, k: k.node, v: v.node },
    ...{ querySegments: querySegments.node, keySegments: keySegments.node },
    bias: bias?.node ?? null,
  };
  return new Tensor(attend(inputs, {
    causal: options.causal ?? true,
    window: Math.min(options.window ?? Infinity, 2 ** 31 - 1),
    scale: options.scale ?? 1 / Math.sqrt(q.shape.at(-1)!),
    softcap: options.softcap ?? null,
  }));
}
