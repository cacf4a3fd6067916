/** Attention over flat token streams. @module */

import * as p from "./primitives.ts";
import { showShape } from "./shape.ts";
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
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  const { querySegments, keySegments = querySegments, bias } = options;
  const [t, heads, width] = q.shape;
  const [s, keyHeads] = k.shape;
  const fits = q.rank === 3 && k.rank === 3 && showShape(k.shape) === showShape(v.shape) &&
    k.shape[2] === width &&
    heads! % keyHeads! === 0 && showShape(querySegments.shape) === `[5, ${t}]` &&
    showShape(keySegments.shape) === `[5, ${s}]` &&
    (!bias || (bias.rank === 2 && bias.shape[0] === heads && bias.shape[1]! % 2 === 1));
  const typed = [q, k, v, ...(bias ? [bias] : [])].every((x) => x.dtype === "f32") &&
    querySegments.dtype === "i32" && keySegments.dtype === "i32";
  if (!fits || !typed) {
    const all = [q, k, v, querySegments, keySegments, ...(bias ? [bias] : [])];
    throw new RangeError(
      `Cannot attend: q, k, v, querySegments, keySegments${bias ? ", bias" : ""} are ${
        all.join(", ")
      }; need ` +
        "f32 [T, H, D], [S, K, D], [S, K, D] with H a multiple of K, i32 [5, T], [5, S] and f32 [H, 2R + 1]",
    );
  }
  const node = p.attention(
    [q, k, v, querySegments, keySegments, ...(bias ? [bias] : [])].map((x) => x.node),
    {
      causal: options.causal ?? true,
      window: Math.min(options.window ?? Infinity, 2 ** 31 - 1),
      scale: options.scale ?? 1 / Math.sqrt(width!),
      softcap: options.softcap ?? null,
      bias: bias !== undefined,
    },
  );
  return new Tensor(p.part(node, 0));
}
