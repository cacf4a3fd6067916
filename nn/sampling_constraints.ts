/**
 * Processors that exclude or force single tokens, with the meaning and the order of transformers' `generate`. Pure
 * functions of logits f32 [B, V] and of plain lists of token ids.
 *
 * @module
 */

import { iota, scatterRows, type Tensor, tensor, UserError, where, zeros } from "../core/mod.ts";
import type { LogitsProcessor, TokensSoFar } from "./sampling.ts";

/** What a run of tokens gains or loses: the logit of its last token, where the others stand before it. */
export interface SequenceBias {
  /** The run. */
  readonly ids: readonly number[];
  /** What is added; −∞ excludes. */
  readonly bias: number;
}

/** Which tokens may not, or have to, come. Fields and their effect are those of transformers' `GenerationConfig`. */
export interface TokenConstraints {
  /** What runs of tokens gain or lose. */
  readonly sequenceBias?: readonly SequenceBias[];
  /** Runs of tokens that do not come. */
  readonly badWordsIds?: readonly (readonly number[])[];
  /** No end before so many tokens, the prompt's included. 0, the default, is no limit. */
  readonly minLength?: number;
  /** No end before so many new tokens. 0, the default, is no limit. */
  readonly minNewTokens?: number;
  /** The token after a prompt of a single token. */
  readonly forcedBosTokenId?: number;
  /** The last token, where an answer comes to `maxNewTokens`; several are equally likely. */
  readonly forcedEosTokenId?: number | readonly number[];
  /** Tokens that never come. */
  readonly suppressTokens?: readonly number[];
  /** Tokens that do not come first. */
  readonly beginSuppressTokens?: readonly number[];
}

/** What the constraints are applied with. */
export interface ConstraintContext {
  /** Tokens that end a sequence. */
  readonly eosTokenIds?: readonly number[];
  /** The most new tokens, where that is known: needed by `forcedEosTokenId`. */
  readonly maxNewTokens?: number;
}

/** The processors of some constraints but for `sequenceBias` and `badWordsIds`, in transformers' order. */
export function tokenConstraints(
  options: TokenConstraints & ConstraintContext,
): LogitsProcessor[] {
  const { eosTokenIds: eos = [], maxNewTokens } = options;
  const { minLength = 0, minNewTokens: least = 0, forcedBosTokenId: bos } = options;
  const { suppressTokens = [], beginSuppressTokens = [] } = options;
  const forcedEos = options.forcedEosTokenId === undefined ? [] : [options.forcedEosTokenId].flat();
  return [
    ...(minLength > 0 ? [excludeWhere((s) => known(s).lengths.lt(minLength), eos)] : []),
    ...(least > 0 ? [minNewTokens(least, eos)] : []),
    ...(bos === undefined ? [] : [forceWhere((s) => known(s).lengths.eq(1), [bos])]),
    ...(forcedEos.length > 0 && maxNewTokens !== undefined
      ? [forceWhere((s) => newTokens(s).eq(maxNewTokens - 1), forcedEos)]
      : []),
    ...(suppressTokens.length > 0 ? [suppress(suppressTokens)] : []),
    ...(beginSuppressTokens.length > 0
      ? [excludeWhere((s) => newTokens(s).eq(0), beginSuppressTokens)]
      : []),
  ];
}

/** Whether constraints need the tokens so far. */
export function needsHistory({ sequenceBias = [], badWordsIds = [] }: TokenConstraints): boolean {
  return [...sequenceBias.map(({ ids }) => ids), ...badWordsIds].some(({ length }) => length > 1);
}

/** Excludes tokens. */
export function suppress(ids: readonly number[]): LogitsProcessor {
  return (logits) => logits.add(row(logits, ids, 0, -Infinity));
}

/** Excludes some tokens until there are so many new ones. */
export function minNewTokens(count: number, excluded: readonly number[]): LogitsProcessor {
  return excludeWhere((soFar) => newTokens(soFar).lt(count), excluded);
}

/** Runs of tokens that do not come; a run that is an end of the sequence is left out. */
export function badWords(
  runs: readonly (readonly number[])[],
  eosTokenIds: readonly number[] = [],
): LogitsProcessor {
  const banned = runs.filter((ids) => !(ids.length === 1 && eosTokenIds.includes(ids[0]!)));
  return biasSequences(banned.map((ids) => ({ ids, bias: -Infinity })));
}

/** Adds to the last token of runs of tokens whose others stand at the end of a sequence. */
export function biasSequences(entries: readonly SequenceBias[]): LogitsProcessor {
  const byLength = new Map<number, SequenceBias[]>();
  // Of a run that is given twice, the last one counts.
  for (const entry of new Map(entries.map((entry) => [entry.ids.join(), entry])).values()) {
    byLength.set(entry.ids.length, [...byLength.get(entry.ids.length) ?? [], entry]);
  }
  return (logits, soFar) =>
    Array.from(byLength).reduce(
      (x, [length, runs]) => x.add(length === 1 ? always(x, runs) : after(x, runs, soFar)),
      logits,
    );
}

function always(logits: Tensor, runs: readonly SequenceBias[]): Tensor {
  const biases = new Float32Array(logits.shape[1]!);
  for (const { ids, bias } of runs) {
    const id = within(logits, ids[0]!);
    biases[id] = biases[id]! + bias;
  }
  return tensor(biases, { shape: [1, biases.length] });
}

/** What runs of one length add, f32 [B, V]. */
function after(logits: Tensor, runs: readonly SequenceBias[], soFar: TokensSoFar): Tensor {
  const { history, lengths } = soFar;
  if (!history || !lengths) {
    throw new RangeError("Runs of several tokens need the tokens so far");
  }
  const [rows, vocabulary] = logits.shape as [number, number];
  const columns = history.shape[1]!;
  const before = runs[0]!.ids.length - 1;
  const flat = history.reshape(-1);
  const ends = lengths.reshape(rows, 1);
  const starts = iota(rows).mul(columns).reshape(rows, 1).add(ends).sub(before);
  const integers = (of: (run: SequenceBias) => number) =>
    tensor(Int32Array.from(runs, of), { shape: [1, runs.length] });
  // A run longer than the sequence so far has no place to begin.
  let matches = ends.gt(before);
  for (let i = 0; i < before; i++) {
    const token = flat.gather(starts.add(i).maximum(0).reshape(-1)).reshape(rows, 1);
    matches = matches.and(token.eq(integers(({ ids }) => ids[i]!)));
  }
  const lasts = integers(({ ids }) => within(logits, ids.at(-1)!));
  const places = iota(rows).mul(vocabulary).reshape(rows, 1).add(lasts);
  const biases = tensor(Float32Array.from(runs, ({ bias }) => bias), { shape: [1, runs.length] });
  const added = where(matches, biases, 0);
  return scatterRows(
    zeros([rows * vocabulary]),
    where(matches, places, -1).reshape(-1),
    added.reshape(-1),
    { add: true },
  ).reshape(rows, vocabulary);
}

/** Sequences, by a condition i32 or bool [B], from which tokens are excluded. */
function excludeWhere(
  condition: (soFar: TokensSoFar) => Tensor,
  ids: readonly number[],
): LogitsProcessor {
  return (logits, soFar) => {
    const here = condition(soFar).reshape(logits.shape[0]!, 1);
    return where(here, logits.add(row(logits, ids, 0, -Infinity)), logits);
  };
}

/** Sequences, by a condition, in which only these tokens can come. */
function forceWhere(
  condition: (soFar: TokensSoFar) => Tensor,
  ids: readonly number[],
): LogitsProcessor {
  return (logits, soFar) => {
    const here = condition(soFar).reshape(logits.shape[0]!, 1);
    return where(here, row(logits, ids, -Infinity, 0), logits);
  };
}

/** f32 [1, V]: one value for some tokens, another for the rest. */
function row(logits: Tensor, ids: readonly number[], others: number, value: number): Tensor {
  const values = new Float32Array(logits.shape[1]!).fill(others);
  for (const id of ids) values[within(logits, id)] = value;
  return tensor(values, { shape: [1, values.length] });
}

function within(logits: Tensor, id: number): number {
  const vocabulary = logits.shape[1]!;
  if (Number.isInteger(id) && id >= 0 && id < vocabulary) return id;
  throw new UserError(
    `Cannot generate: ${id} is no token of the model, whose tokens have the ids 0 to ${
      vocabulary - 1
    }.`,
  );
}

function known(
  { lengths, promptLengths }: TokensSoFar,
): { readonly lengths: Tensor; readonly promptLengths: Tensor } {
  if (lengths && promptLengths) return { lengths, promptLengths };
  throw new RangeError("These constraints need the lengths so far");
}

function newTokens(soFar: TokensSoFar): Tensor {
  const { lengths, promptLengths } = known(soFar);
  return lengths.sub(promptLengths);
}
