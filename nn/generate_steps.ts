/** The compiled functions of generation: prompts into the cache, one more token each, fewer sequences. @module */

import {
  foldKey,
  iota,
  jit,
  type Jitted,
  type Key,
  mapTree,
  matmul,
  type Operand,
  stack,
  type Tensor,
  tensor,
  where,
  zeros,
} from "../core/mod.ts";
import type { DecoderParams, KeyValueCache } from "./decoder.ts";
import type { CausalModel } from "./model.ts";
import type { RotaryTables } from "./rotary.ts";
import {
  markSeen,
  sample,
  type SamplingOptions,
  seenTokens,
  type TokensSoFar,
} from "./sampling.ts";
import type { DecodingSequences } from "./sampling_layout.ts";

/** What a step hands to the next. */
export interface DecodingState {
  readonly cache: KeyValueCache;
  readonly soFar: TokensSoFar;
  /** i32 [B]: the newest tokens. */
  readonly tokens: Tensor;
}

/** What stays the same from step to step. */
export interface DecodingConstants {
  /** i32 [5, rows] of the cache. */
  readonly cacheSegments: Tensor;
  readonly rotary: RotaryTables;
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
  readonly past: Omit<DecodingState, "cache">;
}

/** The steps of a model. */
export interface CompiledSteps {
  /** Prompts into a fresh cache, and the first token of every sequence. `history` if the past counts. */
  readonly prefill: Jitted<
    [
      params: DecoderParams,
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
      params: DecoderParams,
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
export function compileSteps(model: CausalModel, options: SamplingOptions): CompiledSteps {
  const wantsSeen = (options.repetitionPenalty ?? 1) !== 1;
  const wantsHistory = (options.noRepeatNgramSize ?? 0) !== 0;

  const choose = (
    logits: Tensor,
    key: Key,
    soFar: TokensSoFar,
    lengths: Tensor,
    { numbers }: DecodingSequences,
  ): { readonly tokens: Tensor; readonly packed: Packed } => {
    const past = { ...soFar, lengths, sequences: numbers };
    const { tokens, logProbs, rawLogProbs } = sample(logits, key, options, past);
    return {
      tokens,
      packed: stack([tokens, logProbs.bitcast("i32"), rawLogProbs.bitcast("i32")]),
    };
  };

  const prefill: CompiledSteps["prefill"] = jit((
    params,
    stream,
    places,
    sequences,
    { cacheSegments, rotary, key },
  ) => {
    const { lasts, rows, history } = places;
    const { layers, keyValueHeads, headDim } = model.config;
    const empty = () =>
      Array.from(
        { length: layers },
        () => zeros([cacheSegments.shape[1]!, keyValueHeads, headDim]),
      );
    const cache = { keys: empty(), values: empty() };
    const [hidden, filled] = model.hiddenCached(params, stream, { rotary }, cache, {
      rows,
      segments: cacheSegments,
    });
    const perPrompt = matmul(hidden.gather(lasts), model.head(params), { transposeB: true });
    const { promptLengths } = sequences;
    const soFar: TokensSoFar = {
      ...(wantsSeen ? { seen: seenTokens(history!, promptLengths, perPrompt.shape[1]!) } : {}),
      ...(wantsHistory ? { history: history! } : {}),
    };
    const logits = perPrompt.gather(sequences.prompts);
    const { tokens, packed } = choose(logits, foldKey(key, 0), soFar, promptLengths, sequences);
    return { state: { cache: filled, soFar, tokens }, packed };
  }, { name: "prefill" });

  const decode: CompiledSteps["decode"] = jit((
    params,
    step,
    { cache, soFar: { seen, history }, tokens: last },
    sequences,
    { cacheSegments, rotary, key },
  ) => {
    const at = (tensor(0).add(step)).cast("i32");
    const rows = sequences.firstRows.add(at);
    const positions = sequences.promptLengths.add(at);
    const { segments: own, prompts, begins } = sequences;
    const segments = stack([own, prompts, positions, begins, rows.add(1)]);
    const [hidden, filled] = model.hiddenCached(
      params,
      { ids: last, segments },
      { rotary },
      cache,
      { rows, segments: cacheSegments },
    );
    const logits = matmul(hidden, model.head(params), { transposeB: true });
    const soFar: TokensSoFar = {
      ...(seen ? { seen: markSeen(seen, last) } : {}),
      ...(history ? { history: append(history, positions, last) } : {}),
    };
    const stepKey = foldKey(key, at.add(1));
    const { tokens, packed } = choose(logits, stepKey, soFar, positions.add(1), sequences);
    return { state: { cache: filled, soFar, tokens }, packed };
  }, { donate: [2], name: "the decoding step" });

  const select: CompiledSteps["select"] = jit(
    (parts, rows) => mapTree(parts, (leaf) => (leaf as Tensor).gather(rows)) as SequenceParts,
    { name: "going on with fewer sequences" },
  );

  return { prefill, decode, select };
}

/** A history i32 [B, L] with a token i32 [B] at one position, i32 [B], of each row. */
function append(history: Tensor, positions: Tensor, tokens: Tensor): Tensor {
  const [rows, columns] = history.shape as [number, number];
  const here = iota(columns).reshape(1, columns).eq(positions.reshape(rows, 1));
  return where(here, tokens.reshape(rows, 1), history);
}
