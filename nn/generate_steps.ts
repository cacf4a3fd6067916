/** The compiled functions of generation: prompts into the cache, one more token each, fewer sequences. @module */

import {
  foldKey,
  iota,
  jit,
  type Jitted,
  type Key,
  mapTree,
  type Operand,
  stack,
  type Tensor,
  tensor,
  where,
} from "../core/mod.ts";
import type { CachedLogits } from "./cached_logits.ts";
import type { KeyValueCache } from "./decoder.ts";
import type { RotaryTables } from "./rotary.ts";
import {
  markSeen,
  sample,
  type SamplingOptions,
  seenTokens,
  type TokensSoFar,
} from "./sampling.ts";
import { needsHistory } from "./sampling_constraints.ts";
import type { DecodingSequences } from "./sampling_layout.ts";

/** What a step hands to the next. */
export interface DecodingState {
  /** Of each model. */
  readonly caches: readonly KeyValueCache[];
  readonly soFar: TokensSoFar;
  /** i32 [B]: the newest tokens. */
  readonly tokens: Tensor;
}

/** What stays the same from step to step. */
export interface DecodingConstants {
  /** i32 [5, rows] of the cache. */
  readonly cacheSegments: Tensor;
  /** Of each model. */
  readonly rotary: readonly RotaryTables[];
  readonly key: Key;
}

/** i32 [3, B]: tokens, and the bits of their log-probs and raw log-probs, so that one copy reads all. */
export type Packed = Tensor;

/** What a step gives. */
export interface DecodingStep {
  readonly state: DecodingState;
  readonly packed: Packed;
}

/** What belongs to sequences, and shrinks with their number. */
export interface SequenceParts {
  readonly sequences: DecodingSequences;
  readonly past: Omit<DecodingState, "caches">;
}

/** The steps of a model, or of several that decide together; `P` is the tree of parameters. */
export interface CompiledSteps<P> {
  /** Prompts into a fresh cache, and the first token of every sequence. `history` if the past counts. */
  readonly prefill: Jitted<
    [
      params: P,
      stream: { readonly ids: Tensor; readonly segments: Tensor },
      places: { readonly lasts: Tensor; readonly rows: Tensor; readonly history?: Tensor },
      sequences: DecodingSequences,
      constants: DecodingConstants,
    ],
    DecodingStep
  >;
  /** One more token of every sequence. Takes over the state's memory. */
  readonly decode: Jitted<
    [
      params: P,
      step: Operand,
      state: DecodingState,
      sequences: DecodingSequences,
      constants: DecodingConstants,
    ],
    DecodingStep
  >;
  /** The sequences in some rows, i32 [B′], of the batch. */
  readonly select: Jitted<[parts: SequenceParts, rows: Tensor], SequenceParts>;
}

/** Compiles the steps for a model; each when first called, and again for other shapes. */
export function compileSteps<P>(
  decoder: CachedLogits<P>,
  options: SamplingOptions,
): CompiledSteps<P> {
  const wantsSeen = (options.repetitionPenalty ?? 1) !== 1;
  const wantsHistory = wantsTokens(options);

  const choose = (
    logits: Tensor,
    key: Key,
    soFar: TokensSoFar,
    lengths: Tensor,
    { numbers, promptLengths }: DecodingSequences,
  ): { readonly tokens: Tensor; readonly packed: Packed } => {
    const past = { ...soFar, lengths, promptLengths, sequences: numbers };
    const { tokens, logProbs, rawLogProbs } = sample(logits, key, options, past);
    return {
      tokens,
      packed: stack([tokens, logProbs.bitcast("i32"), rawLogProbs.bitcast("i32")]),
    };
  };

  const prefill: CompiledSteps<P>["prefill"] = jit((
    params,
    stream,
    places,
    sequences,
    { cacheSegments, rotary, key },
  ) => {
    const { lasts, rows, history } = places;
    const { logits: perPrompt, caches } = decoder.next(params, stream, {
      rotary,
      caches: decoder.emptyCaches(cacheSegments.shape[1]!),
      places: { rows, segments: cacheSegments },
      wanted: lasts,
    });
    const { promptLengths } = sequences;
    const soFar: TokensSoFar = {
      ...(wantsSeen ? { seen: seenTokens(history!, promptLengths, perPrompt.shape[1]!) } : {}),
      ...(wantsHistory ? { history: history! } : {}),
    };
    const logits = perPrompt.gather(sequences.prompts);
    const { tokens, packed } = choose(logits, foldKey(key, 0), soFar, promptLengths, sequences);
    return { state: { caches, soFar, tokens }, packed };
  }, { name: "prefill" });

  const decode: CompiledSteps<P>["decode"] = jit((
    params,
    step,
    { caches, soFar: { seen, history }, tokens: last },
    sequences,
    { cacheSegments, rotary, key },
  ) => {
    const at = (tensor(0).add(step)).cast("i32");
    const rows = sequences.firstRows.add(at);
    const positions = sequences.promptLengths.add(at);
    const { segments: own, prompts, begins } = sequences;
    const segments = stack([own, prompts, positions, begins, rows.add(1)]);
    const { logits, caches: filled } = decoder.next(params, { ids: last, segments }, {
      rotary,
      caches,
      places: { rows, segments: cacheSegments },
    });
    const soFar: TokensSoFar = {
      ...(seen ? { seen: markSeen(seen, last) } : {}),
      ...(history ? { history: append(history, positions, last) } : {}),
    };
    const stepKey = foldKey(key, at.add(1));
    const { tokens, packed } = choose(logits, stepKey, soFar, positions.add(1), sequences);
    return { state: { caches: filled, soFar, tokens }, packed };
  }, { donate: [2], name: "the decoding step" });

  const select: CompiledSteps<P>["select"] = jit(
    (parts, rows) => mapTree(parts, (leaf) => (leaf as Tensor).gather(rows)) as SequenceParts,
    { name: "going on with fewer sequences" },
  );

  return { prefill, decode, select };
}

/** Whether options need the tokens so far. */
export function wantsTokens(options: SamplingOptions): boolean {
  return (options.noRepeatNgramSize ?? 0) !== 0 || needsHistory(options);
}

/** A history i32 [B, L] with a token i32 [B] at one position, i32 [B], of each row. */
export function append(history: Tensor, positions: Tensor, tokens: Tensor): Tensor {
  const [rows, columns] = history.shape as [number, number];
  const here = iota(columns).reshape(1, columns).eq(positions.reshape(rows, 1));
  return where(here, tokens.reshape(rows, 1), history);
}
