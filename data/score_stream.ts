/**
 * Sequences to be scored or classified, as one stream of tokens.
 *
 * @module
 */

import type { StepwiseExample } from "./prepare_prm.ts";
import type { RewardPair } from "./prepare_reward.ts";
import { IGNORED } from "./prepare_sft.ts";
import { bucketLength, buildStream, type Sequence, type StreamArrays } from "./token_stream.ts";

/** A stream of B pairs to be scored. */
export interface ScoreStream {
  /** The tokens; no labels. */
  readonly stream: StreamArrays;
  /** [2 · B]: the last token of each sequence, where its score is read; first all chosen, then all rejected. */
  readonly lastTokens: Int32Array;
  /** The numbers of the data set's rows, B of them. */
  readonly rows: readonly number[];
  /** [B]: margins, 0 where there is none. */
  readonly margins: Float32Array;
  /** Tokens of the sequences by themselves, common starts counted twice: TRL's `num_tokens`. */
  readonly separateTokens: number;
}

/**
 * Pairs in a stream. What both halves of a pair begin with goes through the model once, unless
 * `shared` is false; the scores are the same.
 */
export function rewardStream(
  pairs: readonly RewardPair[],
  { shared = true }: { readonly shared?: boolean } = {},
): ScoreStream {
  const sequences: Sequence[] = [];
  const lastTokens = new Int32Array(2 * pairs.length);
  let [tokens, separateTokens] = [0, 0];
  const place = (sequence: Sequence) => {
    tokens += sequence.ids.length;
    return sequences.push(sequence) - 1;
  };
  pairs.forEach(({ chosenIds, rejectedIds }, b) => {
    separateTokens += chosenIds.length + rejectedIds.length;
    const common = shared ? commonLength(chosenIds, rejectedIds) : 0;
    const parent = common > 0 ? place({ ids: chosenIds.subarray(0, common) }) : undefined;
    [chosenIds, rejectedIds].forEach((ids, half) => {
      const rest = ids.subarray(common);
      place({ ids: rest, ...(parent !== undefined && { parent }) });
      lastTokens[half * pairs.length + b] = tokens - 1;
    });
  });
  return {
    stream: buildStream(sequences),
    lastTokens,
    rows: pairs.map(({ row }) => row),
    margins: Float32Array.from(pairs, ({ margin }) => margin ?? 0),
    separateTokens,
  };
}

/** How many tokens two sequences begin with in common, leaving each at least one of its own. */
function commonLength(a: Int32Array, b: Int32Array): number {
  const limit = Math.min(a.length, b.length) - 1;
  let length = 0;
  while (length < limit && a[length] === b[length]) length++;
  return length;
}

/**
 * Answers in steps in a stream. Labels are classes, read off their own token's hidden state, not the
 * one before.
 */
export function stepStream(examples: readonly StepwiseExample[]): StreamArrays {
  const stream = buildStream(examples.map(({ inputIds }) => ({ ids: inputIds })));
  const labels: [source: number, target: number, segment: number][] = [];
  let start = 0;
  examples.forEach((example, segment) => {
    example.labels.forEach((label, i) => {
      if (label !== IGNORED) labels.push([start + i, label, segment]);
    });
    start += example.inputIds.length;
  });
  const labelCount = bucketLength(labels.length);
  const column = (k: 0 | 1 | 2) =>
    Int32Array.from({ length: labelCount }, (_, i) => labels[i]?.[k] ?? -1);
  return {
    ...stream,
    labelCount,
    labels: labels.length,
    sources: column(0),
    targets: column(1),
    labelSegments: column(2),
  };
}
