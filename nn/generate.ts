/** Generation: one compiled step over a key/value cache, for all sequences at once. @module */

import {
  foldKey,
  iota,
  jit,
  type Key,
  matmul,
  type Operand,
  randomKey,
  realize,
  scope,
  stack,
  Tensor,
  tensor,
  UserError,
  where,
  zeros,
} from "../core/mod.ts";
import { leavesOf } from "../core/tree.ts";
import type { DecoderParams, KeyValueCache } from "./decoder.ts";
import type { CausalModel } from "./model.ts";
import type { RotaryTables } from "./rotary.ts";
import {
  logitsProcessors,
  markSeen,
  sample,
  type SamplingOptions,
  seenTokens,
  type TokensSoFar,
} from "./sampling.ts";
import { type DecodingLayout, layOutPrompts } from "./sampling_layout.ts";

/** Options of {@link generator}; greedy unless `doSample`. */
export interface GenerateOptions extends SamplingOptions {
  /** The most tokens to add to each prompt. */
  readonly maxNewTokens: number;
  /** Tokens that end a sequence; they are kept in the result. */
  readonly eosTokenIds?: readonly number[];
  /** Seed of all randomness; 0 by default. */
  readonly seed?: number;
  /** Steps between two looks at the tokens, 8 by default; looking waits for the device. */
  readonly stepsPerRead?: number;
}

/** Options of one call of a generator. */
export interface CallOptions {
  /** Sequences per prompt, 1 by default; they share the prompt's keys and values. */
  readonly completions?: number;
  /** In place of the generator's seed. */
  readonly seed?: number;
  /** In place of the generator's EOS ids: those of each prompt. */
  readonly eosTokenIds?: readonly (readonly number[])[];
}

/** Why a sequence ended. */
export type FinishReason = "eos" | "length";

/** New tokens of one sequence. */
export interface TokenBlock {
  /** Index of the sequence: prompt · completions + completion. */
  readonly sequence: number;
  /** How many tokens of the sequence came before. */
  readonly start: number;
  /** Token ids. */
  readonly tokens: readonly number[];
  /** Natural logarithms of the probabilities they were chosen from, after all processors. */
  readonly logProbs: readonly number[];
  /** The same in the softmax of the model's own logits. */
  readonly rawLogProbs: readonly number[];
  /** Set on the last block of a sequence. */
  readonly finished: FinishReason | null;
}

/** A whole continuation. */
export interface Completion {
  /** Index of its prompt. */
  readonly prompt: number;
  /** Token ids, with the EOS token if there is one. */
  readonly tokens: readonly number[];
  /** As in {@link TokenBlock}. */
  readonly logProbs: readonly number[];
  /** As in {@link TokenBlock}. */
  readonly rawLogProbs: readonly number[];
  /** Why it ended. */
  readonly finished: FinishReason;
}

/** A generator compiled for a model. Its parameters must not be donated elsewhere while it runs. */
export interface Generator {
  /** The new tokens of each sequence. */
  (
    params: DecoderParams,
    prompts: readonly ArrayLike<number>[],
    call?: CallOptions,
  ): Promise<number[][]>;
  /** The new tokens of each sequence, with log-probs. */
  readonly complete: (
    params: DecoderParams,
    prompts: readonly ArrayLike<number>[],
    call?: CallOptions,
  ) => Promise<Completion[]>;
  /**
   * The same as it happens: at every look at the tokens one block per sequence that was not finished, by index.
   * Leaving the loop early frees the cache.
   */
  readonly stream: (
    params: DecoderParams,
    prompts: readonly ArrayLike<number>[],
    call?: CallOptions,
  ) => AsyncGenerator<TokenBlock, void, void>;
}

/** What a step hands to the next. */
interface DecodingState {
  readonly cache: KeyValueCache;
  readonly soFar: TokensSoFar;
}

/** i32 [3, B]: tokens, and the bits of their log-probs and raw log-probs, so that one copy reads all. */
type Packed = Tensor;

/**
 * Makes a generator. It compiles when first called, and again for other numbers or lengths of prompts. The same
 * seed and prompts give the same tokens; sequences of one call differ.
 *
 * @throws UserError if an option is out of range.
 *
 * @example
 * ```ts
 * import { openDevice, randomKey } from "@plumb/plumb/core";
 * import { causalModel, generator, initParameters } from "@plumb/plumb/nn";
 *
 * await openDevice("cpu");
 * const model = causalModel({
 *   model_type: "llama", vocab_size: 64, hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 1, num_attention_heads: 2,
 * });
 * const generate = generator(model, { maxNewTokens: 4 });
 * console.log((await generate(initParameters(model.config, randomKey(0)), [[1, 2, 3]]))[0]!.length); // 4
 * ```
 */
export function generator(model: CausalModel, options: GenerateOptions): Generator {
  const { maxNewTokens, stepsPerRead = 8 } = options;
  positiveInteger("maxNewTokens", maxNewTokens);
  positiveInteger("stepsPerRead", stepsPerRead);
  logitsProcessors(options);
  const wantsSeen = (options.repetitionPenalty ?? 1) !== 1;
  const wantsHistory = (options.noRepeatNgramSize ?? 0) !== 0;
  const { prefill, decode } = compileSteps(model, options, wantsSeen, wantsHistory);

  async function* stream(
    params: DecoderParams,
    prompts: readonly ArrayLike<number>[],
    call: CallOptions = {},
  ): AsyncGenerator<TokenBlock, void, void> {
    const completions = call.completions ?? 1;
    positiveInteger("completions", completions);
    const endsOf = endingTokens(prompts.length, options, call);
    const count = prompts.length * completions;
    const lengths = new Array<number>(count).fill(0);
    const open = new Set(lengths.keys());

    const start = () =>
      scope(async () => {
        const batch = layOutPrompts(prompts, completions, maxNewTokens);
        const { config } = model;
        const emptyCache = () => zeros([batch.rows, config.keyValueHeads, config.headDim]);
        const layers = Array.from({ length: config.layers });
        const cache = { keys: layers.map(emptyCache), values: layers.map(emptyCache) };
        const constants = await realize({
          layout: batch.layout,
          rotary: model.tables(batch.positions),
          key: randomKey(call.seed ?? options.seed ?? 0),
        });
        const first = prefill(
          params,
          batch.stream,
          { lasts: batch.lasts, rows: batch.tokenRows, history: batch.history },
          cache,
          constants.layout,
          constants.rotary,
          constants.key,
        );
        return { ...constants, state: first.state, packed: first.packed };
      });

    let held = await start();
    let step = 0;
    try {
      while (open.size > 0) {
        const steps = Math.min(stepsPerRead, maxNewTokens - step);
        const { kept, values } = await scope(async () => {
          const { layout, rotary, key } = held;
          let { state, packed } = held;
          const unread: Packed[] = [];
          for (let i = 0; i < steps; i++, step++) {
            if (step > 0) {
              ({ state, packed } = decode(params, packed, step - 1, state, layout, rotary, key));
            }
            unread.push(packed);
          }
          const values = await Promise.all(unread.map((x) => x.data()));
          return { kept: { layout, rotary, key, state, packed }, values };
        });
        if (kept.packed !== held.packed) held.packed.dispose();
        held = kept;
        for (const sequence of [...open]) {
          const ends = endsOf[Math.floor(sequence / completions)]!;
          const block = readBlock(values, sequence, lengths[sequence]!, ends, maxNewTokens);
          lengths[sequence]! += block.tokens.length;
          if (block.finished) open.delete(sequence);
          yield block;
        }
      }
    } finally {
      for (const [, leaf] of leavesOf(held)) if (leaf instanceof Tensor) leaf.dispose();
    }
  }

  const complete = async (
    params: DecoderParams,
    prompts: readonly ArrayLike<number>[],
    call: CallOptions = {},
  ): Promise<Completion[]> => {
    const completions = call.completions ?? 1;
    const blocks: TokenBlock[][] = [];
    for await (const block of stream(params, prompts, call)) {
      (blocks[block.sequence] ??= []).push(block);
    }
    return blocks.map((parts, sequence) => ({
      prompt: Math.floor(sequence / completions),
      tokens: parts.flatMap(({ tokens }) => tokens),
      logProbs: parts.flatMap(({ logProbs }) => logProbs),
      rawLogProbs: parts.flatMap(({ rawLogProbs }) => rawLogProbs),
      finished: parts.at(-1)!.finished!,
    }));
  };

  return Object.assign(
    async (
      params: DecoderParams,
      prompts: readonly ArrayLike<number>[],
      call?: CallOptions,
    ) => (await complete(params, prompts, call)).map(({ tokens }) => [...tokens]),
    { complete, stream },
  );
}

/** The two compiled functions: prompts into the cache with the first tokens, and one more token each. */
function compileSteps(
  model: CausalModel,
  options: SamplingOptions,
  wantsSeen: boolean,
  wantsHistory: boolean,
) {
  const choose = (logits: Tensor, key: Key, soFar: TokensSoFar, layout: DecodingLayout): Packed => {
    const lengths = soFar.lengths ?? layout.promptLengths;
    const { tokens, logProbs, rawLogProbs } = sample(logits, key, options, { ...soFar, lengths });
    return stack([tokens, logProbs.bitcast("i32"), rawLogProbs.bitcast("i32")]);
  };

  const prefill = jit((
    params: DecoderParams,
    stream: { readonly ids: Tensor; readonly segments: Tensor },
    places: { readonly lasts: Tensor; readonly rows: Tensor; readonly history: Tensor },
    cache: KeyValueCache,
    layout: DecodingLayout,
    rotary: RotaryTables,
    key: Key,
  ) => {
    const { lasts, rows, history } = places;
    const [hidden, filled] = model.hiddenCached(params, stream, { rotary }, cache, {
      rows,
      segments: layout.cacheSegments,
    });
    const perPrompt = matmul(hidden.gather(lasts), model.head(params), { transposeB: true });
    const vocabulary = perPrompt.shape[1]!;
    const soFar: TokensSoFar = {
      ...(wantsSeen ? { seen: seenTokens(history, layout.promptLengths, vocabulary) } : {}),
      ...(wantsHistory ? { history } : {}),
    };
    const packed = choose(perPrompt.gather(layout.prompts), foldKey(key, 0), soFar, layout);
    return { state: { cache: filled, soFar }, packed };
  }, { donate: [3], name: "prefill" });

  const decode = jit((
    params: DecoderParams,
    last: Packed,
    step: Operand,
    state: DecodingState,
    layout: DecodingLayout,
    rotary: RotaryTables,
    key: Key,
  ) => {
    const tokens = last.slice(0, 1).reshape(-1);
    const at = (tensor(0).add(step)).cast("i32");
    const rows = layout.firstRows.add(at);
    const positions = layout.promptLengths.add(at);
    const here = layout.cacheSegments.slice(0, 2).transpose().gather(rows);
    const column = (i: number) => here.slice(i, i + 1, 1).reshape(-1);
    const segments = stack([column(0), column(1), positions, layout.begins, rows.add(1)]);
    const [hidden, cache] = model.hiddenCached(
      params,
      { ids: tokens, segments },
      { rotary },
      state.cache,
      { rows, segments: layout.cacheSegments },
    );
    const logits = matmul(hidden, model.head(params), { transposeB: true });
    const soFar: TokensSoFar = {
      ...(state.soFar.seen ? { seen: markSeen(state.soFar.seen, tokens) } : {}),
      ...(state.soFar.history ? { history: append(state.soFar.history, positions, tokens) } : {}),
    };
    const lengths = positions.add(1);
    const packed = choose(logits, foldKey(key, at.add(1)), { ...soFar, lengths }, layout);
    return { state: { cache, soFar }, packed };
  }, { donate: [3], name: "the decoding step" });

  return { prefill, decode };
}

/** A history i32 [B, L] with a token i32 [B] at one position, i32 [B], of each row. */
function append(history: Tensor, positions: Tensor, tokens: Tensor): Tensor {
  const [rows, columns] = history.shape as [number, number];
  const here = iota(columns).reshape(1, columns).eq(positions.reshape(rows, 1));
  return where(here, tokens.reshape(rows, 1), history);
}

/** One sequence's part of what was read, up to its end. */
function readBlock(
  values: readonly ArrayLike<number>[],
  sequence: number,
  start: number,
  ends: ReadonlySet<number>,
  maxNewTokens: number,
): TokenBlock {
  const [tokens, logProbs, rawLogProbs]: [number[], number[], number[]] = [[], [], []];
  let finished: FinishReason | null = null;
  for (const packed of values) {
    const bits = Int32Array.from(packed);
    const floats = new Float32Array(bits.buffer);
    const count = bits.length / 3;
    const token = bits[sequence]!;
    tokens.push(token);
    logProbs.push(floats[count + sequence]!);
    rawLogProbs.push(floats[2 * count + sequence]!);
    if (ends.has(token)) finished = "eos";
    else if (start + tokens.length >= maxNewTokens) finished = "length";
    if (finished) break;
  }
  return { sequence, start, tokens, logProbs, rawLogProbs, finished };
}

/** The EOS ids of each prompt. */
function endingTokens(
  prompts: number,
  options: GenerateOptions,
  { eosTokenIds }: CallOptions,
): ReadonlySet<number>[] {
  if (eosTokenIds && eosTokenIds.length !== prompts) {
    throw new UserError(
      `Cannot generate: eosTokenIds has ${eosTokenIds.length} lists for ${prompts} prompts. ` +
        "Give one list of token ids per prompt, or one for all in the generator's options.",
    );
  }
  const common = new Set(options.eosTokenIds);
  return Array.from({ length: prompts }, (_, p) => eosTokenIds ? new Set(eosTokenIds[p]) : common);
}

function positiveInteger(name: string, value: number): void {
  if (Number.isInteger(value) && value >= 1) return;
  throw new UserError(
    `Cannot generate with ${name} = ${value}: it has to be a whole number from 1.`,
  );
}
