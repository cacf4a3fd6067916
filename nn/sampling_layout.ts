/** Where prompts and their continuations lie in a key/value cache. @module */

import { type Tensor, tensor, UserError } from "../core/mod.ts";
import type { TokenStream } from "./decoder.ts";

/** What is known of each of B sequences while they are decoded. All i32 [B]. */
export interface DecodingSequences {
  /** Its number among all sequences. */
  readonly numbers: Tensor;
  /** Its segment. */
  readonly segments: Tensor;
  /** The prompt it continues. */
  readonly prompts: Tensor;
  /** Length of that prompt. */
  readonly promptLengths: Tensor;
  /** The cache row of its first new token. */
  readonly firstRows: Tensor;
  /** The first cache row of its prompt. */
  readonly begins: Tensor;
}

/** Prompts as a stream, and the place of everything. */
export interface LaidOutPrompts {
  /** Rows of the cache. */
  readonly rows: number;
  /** At least the positions needed; a power of two, for tables are small. */
  readonly positions: number;
  /** The prompts' tokens. */
  readonly stream: Pick<TokenStream, "ids" | "segments">;
  /** i32 [P]: the last token of each prompt in the stream. */
  readonly lasts: Tensor;
  /** i32 [T]: the cache rows of the stream's tokens; −1 in padding. */
  readonly tokenRows: Tensor;
  /** i32 [5, rows] of the cache. */
  readonly cacheSegments: Tensor;
  /** Of all sequences. */
  readonly sequences: DecodingSequences;
  /** i32 [B, positions]: each sequence's prompt. */
  readonly history: () => Tensor;
}

/** Fewer positions are not worth a program of their own. */
const leastPositions = 128;

/** Lengths are rounded up so that few distinct ones occur and at most 12 % is waste (15 if short). */
function bucket(length: number): number {
  const step = Math.max(16, 2 ** (Math.floor(Math.log2(length)) - 3));
  return Math.ceil(length / step) * step;
}

/**
 * Lays out P prompts with n = `completions` sequences each: a prompt's rows once, then a run of rows for each
 * sequence, whose segment has the prompt as its parent. Rows not written yet lie at later positions of a
 * segment and so are not visible. Sequence p·n + i is completion i of prompt p.
 *
 * Stream, cache and history are padded to few distinct lengths; padding belongs to no segment.
 *
 * @throws UserError if there is no prompt or an empty one.
 */
export function layOutPrompts(
  prompts: readonly ArrayLike<number>[],
  completions: number,
  maxNewTokens: number,
): LaidOutPrompts {
  const lengths = prompts.map((prompt) => prompt.length);
  const empty = lengths.indexOf(0);
  if (prompts.length === 0 || empty >= 0) {
    const what = prompts.length === 0 ? "there are no prompts" : `prompt ${empty} is empty`;
    throw new UserError(
      `Cannot generate: ${what}. Every prompt needs at least one token, such as the BOS token.`,
    );
  }
  const tokens = lengths.reduce((a, b) => a + b, 0);
  const total = bucket(tokens);
  const count = prompts.length * completions;
  const rows = bucket(tokens + count * maxNewTokens);
  const longest = lengths.reduce((a, b) => Math.max(a, b)) + maxNewTokens;
  const positions = Math.max(leastPositions, 2 ** Math.ceil(Math.log2(longest)));
  const segments = new Int32Array(5 * total).fill(-1, 0, 2 * total);
  const cacheSegments = new Int32Array(5 * rows).fill(-1, 0, 2 * rows);
  const ids = new Int32Array(total);
  const tokenRows = new Int32Array(total).fill(-1);
  const firstRows: number[] = [];
  const begins: number[] = [];
  let t = 0;
  let row = 0;
  prompts.forEach((prompt, p) => {
    const begin = row;
    const end = begin + prompt.length + completions * maxNewTokens;
    for (let i = 0; i < prompt.length; i++, t++, row++) {
      [p, -1, i, begin, end].forEach((value, k) => {
        segments[k * total + t] = value;
        cacheSegments[k * rows + row] = value;
      });
      ids[t] = prompt[i]!;
      tokenRows[t] = row;
    }
    for (let c = 0; c < completions; c++) {
      const sequence = p * completions + c;
      begins.push(begin);
      firstRows.push(row);
      for (let i = 0; i < maxNewTokens; i++, row++) {
        [prompts.length + sequence, p, prompt.length + i, begin, end]
          .forEach((value, k) => cacheSegments[k * rows + row] = value);
      }
    }
  });
  let end = 0;
  const lasts = lengths.map((n) => (end += n) - 1);
  const integers = (values: ArrayLike<number>) => tensor(Int32Array.from(values));
  const numbers = firstRows.map((_, b) => b);
  const owner = numbers.map((b) => Math.floor(b / completions));
  return {
    rows,
    positions,
    stream: { ids: tensor(ids), segments: tensor(segments, { shape: [5, total] }) },
    lasts: integers(lasts),
    tokenRows: tensor(tokenRows),
    cacheSegments: tensor(cacheSegments, { shape: [5, rows] }),
    sequences: {
      numbers: integers(numbers),
      segments: integers(numbers.map((b) => prompts.length + b)),
      prompts: integers(owner),
      promptLengths: integers(owner.map((p) => lengths[p]!)),
      firstRows: integers(firstRows),
      begins: integers(begins),
    },
    history: () => {
      const history = new Int32Array(count * positions);
      owner.forEach((p, b) => history.set(Array.from(prompts[p]!), b * positions));
      return tensor(history, { shape: [count, positions] });
    },
  };
}
