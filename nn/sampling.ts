/**
 * Sampling: what changes logits before a token is drawn, and the draw. Pure functions of logits f32 [B, V], in
 * the order and with the meaning of transformers' `generate`.
 *
 * @module
 */

import {
  iota,
  type Key,
  logSoftmax,
  logSumExp,
  scatterRows,
  softmax,
  type Tensor,
  threefry,
  UserError,
  where,
  zeros,
} from "../core/mod.ts";
import {
  badWords,
  biasSequences,
  type ConstraintContext,
  type TokenConstraints,
  tokenConstraints,
} from "./sampling_constraints.ts";
import { largestThreshold, orderedBits } from "./sampling_select.ts";

/** How tokens are chosen. Fields and their effect are those of transformers' `GenerationConfig`. */
export interface SamplingOptions extends TokenConstraints, ConstraintContext {
  /** Draw tokens instead of taking the most probable one. Only then do the fields from `temperature` to `epsilonCutoff` count. */
  readonly doSample?: boolean;
  /** Divisor of the logits; above 0. 1 by default. */
  readonly temperature?: number;
  /** Keep the k most probable tokens (and those equal to the k-th). 0, the default, keeps all. */
  readonly topK?: number;
  /** Keep the smallest set of most probable tokens with this probability. 1, the default, keeps all. */
  readonly topP?: number;
  /** Keep tokens with this share of the largest probability. 0 by default. */
  readonly minP?: number;
  /** Keep the tokens nearest to the expected information content, up to this probability. 1 by default. */
  readonly typicalP?: number;
  /** Keep tokens of this probability. 0 by default. */
  readonly epsilonCutoff?: number;
  /** Divisor of positive and factor of negative logits of tokens seen before; above 0. 1 by default. */
  readonly repetitionPenalty?: number;
  /** No run of so many tokens comes twice. 0, the default, is no limit. */
  readonly noRepeatNgramSize?: number;
}

/** What processors know of the tokens so far: prompts and what was added to them. */
export interface TokensSoFar {
  /** f32 [B, V]: not 0 where a token occurs. Needed by the repetition penalty. */
  readonly seen?: Tensor;
  /** i32 [B, L]: the tokens, from the left. Needed by `noRepeatNgramSize` and by runs of several tokens. */
  readonly history?: Tensor;
  /** i32 [B]: how many of the history's columns are tokens. */
  readonly lengths?: Tensor;
  /** i32 [B]: how many of them are the prompt's. Needed by constraints. */
  readonly promptLengths?: Tensor;
  /** i32 [B]: numbers of the sequences, on which with the key what is drawn depends; 0 … B − 1 by default. */
  readonly sequences?: Tensor;
}

/** Changes logits f32 [B, V]; −∞ excludes a token. */
export type LogitsProcessor = (logits: Tensor, soFar: TokensSoFar) => Tensor;

/** Tokens and their probabilities. */
export interface Sampled {
  /** i32 [B]. */
  readonly tokens: Tensor;
  /** f32 [B]: natural logarithm of the probability they were drawn with, after all processors. */
  readonly logProbs: Tensor;
  /** f32 [B]: the same in the softmax of the model's own logits. */
  readonly rawLogProbs: Tensor;
}

/** Logits / value. */
export function temperature(value: number): LogitsProcessor {
  return (logits) => logits.div(value);
}

/** Excludes all but the k largest logits; ties with the k-th stay. */
export function topK(k: number): LogitsProcessor {
  return (logits) => {
    const width = logits.shape[1]!;
    if (k >= width) return logits;
    const keys = orderedBits(logits);
    // At least k keys are at or above the threshold.
    const threshold = largestThreshold(keys, (below) => countOf(below).le(width - k));
    return keep(logits, keys.ge(threshold));
  };
}

/** Excludes the least probable tokens whose probabilities sum to 1 − p or less; ties stay together. */
export function topP(p: number): LogitsProcessor {
  return (logits) => {
    const { mass, total } = masses(logits);
    const keys = orderedBits(logits);
    const excluded = total.mul(1 - p);
    const threshold = largestThreshold(keys, (below) => sumWhere(below, mass).le(excluded));
    return keep(logits, keys.ge(threshold).or(isLargest(logits)));
  };
}

/** Excludes tokens with less than p times the largest probability. */
export function minP(p: number): LogitsProcessor {
  return (logits) => keep(logits, logits.sub(logits.max(-1, { keepDims: true })).exp().ge(p));
}

/** Locally typical sampling (Meister et al., 2022): keeps tokens whose information is nearest to the entropy. */
export function typicalP(p: number): LogitsProcessor {
  return (logits) => {
    const logProbs = logSoftmax(logits);
    const possible = logits.gt(-Infinity);
    const finite = where(possible, logProbs, 0);
    const entropy = finite.exp().mul(finite).mul(where(possible, 1, 0)).sum(-1, { keepDims: true })
      .neg();
    const distance = where(possible, finite.add(entropy).abs(), Infinity);
    const { mass, total } = masses(logits);
    const keys = orderedBits(distance);
    const wanted = total.mul(p);
    const threshold = largestThreshold(keys, (below) => sumWhere(below, mass).lt(wanted));
    return keep(logits, keys.le(threshold));
  };
}

/** Excludes tokens less probable than epsilon, but never the most probable one. */
export function epsilonCutoff(epsilon: number): LogitsProcessor {
  return (logits) => keep(logits, softmax(logits).ge(epsilon).or(isLargest(logits)));
}

/** Makes tokens seen before less probable (penalty > 1): positive logits / penalty, negative · penalty. */
export function repetitionPenalty(penalty: number): LogitsProcessor {
  return (logits, { seen }) => {
    if (!seen) throw new RangeError("The repetition penalty needs the tokens seen so far");
    const punished = where(logits.lt(0), logits.mul(penalty), logits.div(penalty));
    return where(seen.ne(0), punished, logits);
  };
}

/** Excludes tokens that would repeat a run of n tokens. */
export function noRepeatNgram(n: number): LogitsProcessor {
  return (logits, { history, lengths }) => {
    if (!history || !lengths) throw new RangeError("noRepeatNgramSize needs the tokens so far");
    const [rows, columns] = history.shape as [number, number];
    const starts = columns - n + 1;
    if (starts <= 0) return logits;
    const ends = lengths.reshape(rows, 1);
    const flat = history.reshape(-1);
    const lineStart = iota(rows).mul(columns).reshape(rows, 1);
    let repeats = iota(starts).reshape(1, starts).add(n - 1).lt(ends);
    for (let i = 0; i < n - 1; i++) {
      const last = flat.gather(lineStart.add(ends).sub(n - 1 - i).reshape(-1)).reshape(rows, 1);
      repeats = repeats.and(history.slice(i, i + starts, 1).eq(last));
    }
    const banned = tokenMask(history.slice(n - 1, columns, 1), repeats, logits.shape[1]!);
    return keep(logits, banned.eq(0));
  };
}

/** Which tokens occur in the first `lengths` columns of a history i32 [B, L]: f32 [B, V], not 0 where they do. */
export function seenTokens(history: Tensor, lengths: Tensor, vocabulary: number): Tensor {
  const [rows, columns] = history.shape as [number, number];
  const real = iota(columns).reshape(1, columns).lt(lengths.reshape(rows, 1));
  return tokenMask(history, real, vocabulary);
}

/** `seen`, f32 [B, V], with one more token i32 [B] per row; in place where its memory is free. */
export function markSeen(seen: Tensor, tokens: Tensor): Tensor {
  const [rows, vocabulary] = seen.shape as [number, number];
  const places = iota(rows).mul(vocabulary).add(tokens);
  return scatterRows(seen.reshape(-1), places, zeros([rows]).add(1)).reshape(rows, vocabulary);
}

/**
 * The processors of some options, in transformers' order: biases, penalties and constraints first, then, if tokens are
 * drawn, temperature, top-k, top-p, min-p, typical-p and epsilon.
 *
 * @throws UserError if an option is out of range.
 */
export function logitsProcessors(options: SamplingOptions): LogitsProcessor[] {
  checkSampling(options);
  const list: LogitsProcessor[] = [];
  const add = (
    make: (value: number) => LogitsProcessor,
    value: number | undefined,
    neutral: number,
  ) => {
    if (value !== undefined && value !== neutral) list.push(make(value));
  };
  const { sequenceBias = [], badWordsIds = [], eosTokenIds } = options;
  if (sequenceBias.length > 0) list.push(biasSequences(sequenceBias));
  add(repetitionPenalty, options.repetitionPenalty, 1);
  add(noRepeatNgram, options.noRepeatNgramSize, 0);
  if (badWordsIds.length > 0) list.push(badWords(badWordsIds, eosTokenIds));
  list.push(...tokenConstraints(options));
  if (!options.doSample) return list;
  add(temperature, options.temperature, 1);
  add(topK, options.topK, 0);
  add(topP, options.topP, 1);
  add(minP, options.minP, 0);
  add(typicalP, options.typicalP, 1);
  add(epsilonCutoff, options.epsilonCutoff, 0);
  return list;
}

/**
 * Chooses one token per row.
 *
 * @param logits f32 [B, V], the model's own.
 * @param key Of this step; not used unless tokens are drawn. The same key and number of a sequence give the
 * same token for the same logits, whichever rows are beside it.
 * @throws UserError if an option is out of range.
 */
export function sample(
  logits: Tensor,
  key: Key,
  options: SamplingOptions = {},
  soFar: TokensSoFar = {},
): Sampled {
  const processors = logitsProcessors(options);
  const processed = processors.reduce((x, process) => process(x, soFar), logits);
  const tokens = options.doSample ? draw(key, processed, soFar.sequences) : processed.argMax(-1);
  const rawLogProbs = logProbOf(logits, tokens);
  const logProbs = processors.length === 0 ? rawLogProbs : logProbOf(processed, tokens);
  return { tokens, logProbs, rawLogProbs };
}

/**
 * Tokens i32 [B] from the softmax of logits, by inverting its cumulative distribution in two levels: a block of
 * about √V tokens, then a token in it. One pass over the logits and two random numbers per row; Gumbel noise
 * would take a random number and two logarithms per logit.
 */
function draw(key: Key, logits: Tensor, sequences?: Tensor): Tensor {
  const [rows, vocabulary] = logits.shape as [number, number];
  const width = 2 ** Math.ceil(Math.log2(vocabulary) / 2);
  const blocks = Math.ceil(vocabulary / width);
  const mass = logits.sub(logits.max(-1, { keepDims: true })).exp()
    .pad(0, blocks * width - vocabulary, 1)
    .reshape(rows, blocks, width);
  const numbers = (sequences ?? iota(rows)).mul(2).reshape(1, rows, 1);
  const uniform = fineUniform(key, numbers.add(iota(2).reshape(2, 1, 1)));
  const block = pick(mass.sum(-1), uniform.slice(0, 1).reshape(rows, 1));
  const chosen = mass.reshape(rows * blocks, width).gather(iota(rows).mul(blocks).add(block));
  return block.mul(width).add(pick(chosen, uniform.slice(1, 2).reshape(rows, 1)));
}

/** Positions i32 [B] drawn in proportion to mass f32 [B, N] by uniform f32 [B, 1]; never one without mass. */
function pick(mass: Tensor, uniform: Tensor): Tensor {
  const [rows, count] = mass.shape as [number, number];
  const upTo = iota(count).reshape(1, count).le(iota(count).reshape(count, 1));
  const cumulative = where(upTo, mass.reshape(rows, 1, count), 0).sum(-1);
  const target = cumulative.slice(count - 1, count, 1).mul(uniform);
  return cumulative.le(target).cast("i32").sum(-1);
}

/**
 * A uniform number on (0, 1) for each of some numbers, i32, with the full precision of f32 near 0: on a grid of 2⁻²⁴, zero itself would give improbable
 * tokens a share.
 */
function fineUniform(key: Key, numbers: Tensor): Tensor {
  const counter = numbers.cast("u32");
  const [high, low] = threefry(key, counter, counter.mul(0));
  return high.cast("f32").mul(2 ** -32)
    .add(low.cast("f32").add(0.5).mul(2 ** -64))
    .minimum(1 - 2 ** -23);
}

function logProbOf(logits: Tensor, tokens: Tensor): Tensor {
  const [rows, width] = logits.shape as [number, number];
  const chosen = iota(width).reshape(1, width).eq(tokens.reshape(rows, 1));
  return where(chosen, logits, 0).sum(-1).sub(logSumExp(logits, -1));
}

function keep(logits: Tensor, kept: Tensor): Tensor {
  return where(kept, logits, -Infinity);
}

function isLargest(logits: Tensor): Tensor {
  return logits.eq(logits.max(-1, { keepDims: true }));
}

function countOf(below: Tensor): Tensor {
  return below.cast("i32").sum(-1, { keepDims: true });
}

/** Σ mass over the tokens below each threshold, [B, C, 1]. */
function sumWhere(below: Tensor, mass: Tensor): Tensor {
  return where(below, mass, 0).sum(-1, { keepDims: true });
}

/** Probabilities without their denominator, [B, 1, V], and it, [B, 1, 1]. */
function masses(logits: Tensor): { readonly mass: Tensor; readonly total: Tensor } {
  const largest = logits.max(-1, { keepDims: true });
  const mass = logits.sub(largest).exp().unsqueeze(1);
  return { mass, total: mass.sum(-1, { keepDims: true }) };
}

/** f32 [B, V], not 0 for tokens i32 [B, N] where `wanted`. */
function tokenMask(tokens: Tensor, wanted: Tensor, vocabulary: number): Tensor {
  const rows = tokens.shape[0]!;
  const places = where(wanted, iota(rows).mul(vocabulary).reshape(rows, 1).add(tokens), -1);
  const flat = places.reshape(-1);
  return scatterRows(zeros([rows * vocabulary]), flat, zeros([flat.size]).add(1), { add: true })
    .reshape(rows, vocabulary);
}

function checkSampling(options: SamplingOptions): void {
  const rules: readonly [keyof SamplingOptions, (x: number) => boolean, string][] = [
    [
      "temperature",
      (x) => x > 0 && x < Infinity,
      "above 0 (for greedy decoding turn doSample off)",
    ],
    ["topK", (x) => Number.isInteger(x) && x >= 0, "a whole number, 0 for no limit"],
    ["topP", (x) => x > 0 && x <= 1, "above 0 and at most 1"],
    ["minP", (x) => x >= 0 && x <= 1, "from 0 to 1"],
    ["typicalP", (x) => x > 0 && x <= 1, "above 0 and at most 1"],
    ["epsilonCutoff", (x) => x >= 0 && x < 1, "from 0 to below 1"],
    ["repetitionPenalty", (x) => x > 0 && x < Infinity, "above 0, 1 for none"],
    ["minLength", (x) => Number.isInteger(x) && x >= 0, "a whole number, 0 for no limit"],
    ["minNewTokens", (x) => Number.isInteger(x) && x >= 0, "a whole number, 0 for no limit"],
    ["noRepeatNgramSize", (x) => Number.isInteger(x) && x >= 0, "a whole number, 0 for no limit"],
  ];
  for (const [name, valid, expected] of rules) {
    const value = options[name];
    if (typeof value === "number" && !valid(value)) {
      throw new UserError(`Cannot sample with ${name} = ${value}: it has to be ${expected}.`);
    }
  }
}
