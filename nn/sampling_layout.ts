/** Where prompts and their continuations lie in a key/value cache. @module */

import { type Tensor, tensor, UserError } from "../core/mod.ts";
import type { TokenStream } from "./decoder.ts";

/** Where things are while a batch is decoded. B sequences continue P prompts. All i32. */
export interface DecodingLayout {
  /** [5, rows] of the cache. */
  readonly cacheSegments: Tensor;
  /** [B]: the prompt each sequence continues. */
  readonly prompts: Tensor;
  /** [B]: length of that prompt. */
  readonly promptLengths: Tensor;
  /** [B]: the cache row of each sequence's first new token. */
  readonly firstRows: Tensor;
  /** [B]: the first cache row of each sequence's prompt. */
  readonly begins: Tensor;
}

/** Prompts as a stream, and the place of everything. */
export interface LaidOutPrompts {
  /** Rows of the cache. */
  readonly rows: number;
  /** Positions needed. */
  readonly positions: number;
  /** The prompts' tokens. */
  readonly stream: Pick<TokenStream, "ids" | "segments">;
  /** i32 [P]: the last token of each prompt in the stream. */
  readonly lasts: Tensor;
  /** i32 [T]: the cache rows of the stream's tokens. */
  readonly tokenRows: Tensor;
  /** Needed at every step. */
  readonly layout: DecodingLayout;
  /** i32 [B, longest prompt + maxNewTokens]: each sequence's prompt. */
  readonly history: Tensor;
}

/**
 * Lays out P prompts with n = `completions` sequences each: a prompt's rows once, then a run of rows for each
 * sequence, whose segment has the prompt as its parent. Rows not written yet lie at later positions of a
 * segment and so are not visible. Sequence p·n + i is completion i of prompt p.
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
  const total = lengths.reduce((a, b) => a + b, 0);
  const sequences = prompts.length * completions;
  const rows = total + sequences * maxNewTokens;
  const positions = Math.max(...lengths) + maxNewTokens;
  const segments = new Int32Array(5 * total);
  const cacheSegments = new Int32Array(5 * rows);
  const ids = new Int32Array(total);
  const tokenRows = new Int32Array(total);
  const history = new Int32Array(sequences * positions);
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
      history.set(Array.from(prompt), sequence * positions);
      for (let i = 0; i < maxNewTokens; i++, row++) {
        [prompts.length + sequence, p, prompt.length + i, begin, end]
          .forEach((value, k) => cacheSegments[k * rows + row] = value);
      }
    }
  });
  let end = 0;
  const lasts = lengths.map((n) => (end += n) - 1);
  const integers = (values: ArrayLike<number>) => tensor(Int32Array.from(values));
  const owner = firstRows.map((_, b) => Math.floor(b / completions));
  return {
    rows,
    positions,
    stream: { ids: tensor(ids), segments: tensor(segments, { shape: [5, total] }) },
    lasts: integers(lasts),
    tokenRows: tensor(tokenRows),
    layout: {
      cacheSegments: tensor(cacheSegments, { shape: [5, rows] }),
      prompts: integers(owner),
      promptLengths: integers(owner.map((p) => lengths[p]!)),
      firstRows: integers(firstRows),
      begins: integers(begins),
    },
    history: tensor(history, { shape: [sequences, positions] }),
  };
}
