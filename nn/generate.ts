/** Generation: one compiled step over a key/value cache, for all sequences at once. @module */

import {
  currentDevice,
  leavesOf,
  randomKey,
  realize,
  scope,
  Tensor,
  tensor,
  UserError,
} from "../core/mod.ts";
import { breather } from "./breather.ts";
import { type CachedLogits, modelLogits } from "./cached_logits.ts";
import type { DecoderParams } from "./decoder.ts";
import { compileSteps, type Packed, wantsTokens } from "./generate_steps.ts";
import type { CausalModel } from "./model.ts";
import { logitsProcessors, type SamplingOptions } from "./sampling.ts";
import { layOutPrompts } from "./sampling_layout.ts";

/** Options of {@link generator}; greedy unless `doSample`. */
export interface GenerateOptions extends SamplingOptions {
  /** The most tokens to add to each prompt. */
  readonly maxNewTokens: number;
  /** Seed of all randomness; 0 by default. */
  readonly seed?: number;
  /**
   * Steps between two looks at the tokens. Looking waits for the device; sequences that ended meanwhile went on
   * in vain. 8 by default, on the CPU 1.
   */
  readonly stepsPerRead?: number;
  /** What ends a sequence beside tokens; looks at each new token. */
  readonly stop?: StopCriterion;
}

/** Whether a sequence ends with its newest token: looks at the new tokens so far, and at the prompt. */
export type StopCriterion = (
  tokens: readonly number[],
  prompt: ArrayLike<number>,
) => boolean;

/** Options of one call of a generator. */
export interface CallOptions {
  /** Sequences per prompt, 1 by default; they share the prompt's keys and values. */
  readonly completions?: number;
  /** In place of the generator's seed. */
  readonly seed?: number;
  /** In place of the generator's EOS ids: those of each prompt. */
  readonly eosTokenIds?: readonly (readonly number[])[];
}

/** Why a sequence ended: with an EOS token, by the stop criterion, or where there was no more room. */
export type FinishReason = "eos" | "stop" | "length";

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

/**
 * A generator compiled for a model, or for several that decide together. Parameters, `P`, must not be donated elsewhere
 * while it runs.
 */
export interface Generator<P = DecoderParams> {
  /** The new tokens of each sequence. */
  (
    params: P,
    prompts: readonly ArrayLike<number>[],
    call?: CallOptions,
  ): Promise<number[][]>;
  /** The new tokens of each sequence, with log-probs. */
  readonly complete: (
    params: P,
    prompts: readonly ArrayLike<number>[],
    call?: CallOptions,
  ) => Promise<Completion[]>;
  /**
   * The same as it happens: at every look at the tokens one block per sequence that was not finished, by index.
   * Leaving the loop early frees the cache.
   */
  readonly stream: (
    params: P,
    prompts: readonly ArrayLike<number>[],
    call?: CallOptions,
  ) => AsyncGenerator<TokenBlock, void, void>;
}

/** Batches do not shrink to fewer sequences than this: the smaller ones would hardly take less time. */
const smallestBatch = 4;

/**
 * Makes a generator. It compiles when first called, and again for other numbers of prompts and for lengths so
 * different that they fall into other buckets. What is drawn depends on the seed, the number of the sequence and
 * the step alone: not on how long other sequences are, nor on when they end.
 *
 * When half of the sequences have ended, decoding goes on with a smaller batch, and compiles for it once.
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
 * console.log((await generate(initParameters(model, randomKey(0)), [[1, 2, 3]]))[0]!.length); // 4
 * ```
 */
export function generator(model: CausalModel, options: GenerateOptions): Generator {
  return generatorOf(modelLogits(model), options);
}

/** The same for anything that gives logits; see {@link generator}. @throws UserError if an option is out of range. */
export function generatorOf<P>(decoder: CachedLogits<P>, options: GenerateOptions): Generator<P> {
  const { maxNewTokens, stepsPerRead } = options;
  positiveInteger("maxNewTokens", maxNewTokens);
  if (stepsPerRead !== undefined) positiveInteger("stepsPerRead", stepsPerRead);
  logitsProcessors(options);
  const { prefill, decode, select } = compileSteps(decoder, options);
  const wantsPast = (options.repetitionPenalty ?? 1) !== 1 || wantsTokens(options);

  async function* stream(
    params: P,
    prompts: readonly ArrayLike<number>[],
    call: CallOptions = {},
  ): AsyncGenerator<TokenBlock, void, void> {
    const completions = call.completions ?? 1;
    positiveInteger("completions", completions);
    const endsOf = endingTokens(prompts.length, options, call);
    const room = prompts.map(({ length }) => roomFor(length, maxNewTokens, decoder.maxPositions));
    const breathe = breather();
    const lengths = new Array<number>(prompts.length * completions).fill(0);
    const open = new Set(lengths.keys());
    const said = options.stop && lengths.map((): number[] => []);
    /** The sequence in each row of the batch, in order. */
    let places = [...open];

    const start = () =>
      scope(async () => {
        const batch = layOutPrompts(prompts, completions, maxNewTokens);
        const { constants, sequences } = await realize({
          constants: {
            cacheSegments: batch.cacheSegments,
            rotary: decoder.tables(batch.positions),
            key: randomKey(call.seed ?? options.seed ?? 0),
          },
          sequences: batch.sequences,
        });
        const { lasts, tokenRows: rows } = batch;
        const first = prefill(
          params,
          batch.stream,
          { lasts, rows, ...(wantsPast ? { history: batch.history() } : {}) },
          sequences,
          constants,
        );
        return { constants, sequences, ...first };
      });

    const { packed: first, ...started } = await start();
    let held = started;
    const stepsAtOnce = stepsPerRead ?? (currentDevice().kind === "cpu" ? 1 : 8);
    let step = 0;
    try {
      while (open.size > 0) {
        const steps = Math.min(stepsAtOnce, maxNewTokens - step);
        const { state, values } = await scope(async () => {
          const unread: Packed[] = [];
          let { state } = held;
          for (let i = 0; i < steps; i++, step++) {
            if (step === 0) unread.push(first);
            else {
              const { sequences, constants } = held;
              const next = decode(params, step - 1, state, sequences, constants);
              state = next.state;
              unread.push(next.packed);
            }
          }
          return { state, values: await Promise.all(unread.map(readPacked)) };
        });
        held = { ...held, state };
        await breathe();
        for (const [place, sequence] of places.entries()) {
          if (!open.has(sequence)) continue;
          const prompt = Math.floor(sequence / completions);
          const ends = endsOf[prompt]!;
          const block = blockOf(values, place, sequence, {
            start: lengths[sequence]!,
            endOf: (token) => {
              if (ends.has(token)) return "eos";
              if (!said || !options.stop) return null;
              said[sequence]!.push(token);
              return options.stop(said[sequence]!, prompts[prompt]!) ? "stop" : null;
            },
            room: room[prompt]!,
          });
          lengths[sequence]! += block.tokens.length;
          if (block.finished) open.delete(sequence);
          yield block;
        }
        const size = Math.max(smallestBatch, 2 ** Math.ceil(Math.log2(open.size)));
        if (open.size > 0 && 2 * size <= places.length) {
          // Sequences that ended fill up: their cache rows are theirs to the end.
          const ended = places.filter((sequence) => !open.has(sequence));
          const kept = new Set([...open, ...ended].slice(0, size));
          const rows = [...places.keys()].filter((place) => kept.has(places[place]!));
          const { sequences, state: { caches, ...past } } = held;
          const selected = await scope(() =>
            select({ sequences, past }, tensor(Int32Array.from(rows)))
          );
          disposeAll({ sequences, past });
          held = {
            ...held,
            sequences: selected.sequences,
            state: { caches, ...selected.past },
          };
          places = rows.map((place) => places[place]!);
        }
      }
    } finally {
      disposeAll({ first, held });
    }
  }

  const complete = async (
    params: P,
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
      params: P,
      prompts: readonly ArrayLike<number>[],
      call?: CallOptions,
    ) => (await complete(params, prompts, call)).map(({ tokens }) => [...tokens]),
    { complete, stream },
  );
}

/** What was read of one step. */
interface ReadStep {
  readonly tokens: Int32Array;
  readonly logProbs: Float32Array;
  readonly rawLogProbs: Float32Array;
}

async function readPacked(packed: Packed): Promise<ReadStep> {
  const tokens = Int32Array.from(await packed.data());
  const floats = new Float32Array(tokens.buffer);
  const count = tokens.length / 3;
  return {
    tokens,
    logProbs: floats.subarray(count, 2 * count),
    rawLogProbs: floats.subarray(2 * count),
  };
}

/** One sequence's part of what was read, up to its end. */
function blockOf(
  steps: readonly ReadStep[],
  place: number,
  sequence: number,
  { start, endOf, room }: {
    readonly start: number;
    /** Why the sequence ends with its next token, if it does. */
    readonly endOf: (token: number) => FinishReason | null;
    readonly room: number;
  },
): TokenBlock {
  const within = steps.slice(0, room - start);
  let reason: FinishReason | null = null;
  const end = within.findIndex(({ tokens }) => (reason = endOf(tokens[place]!)) !== null);
  const own = end < 0 ? within : within.slice(0, end + 1);
  const full = start + own.length >= room;
  if (!own.every(({ rawLogProbs }) => Number.isFinite(rawLogProbs[place]!))) {
    throw new UserError(
      "The model's logits are not finite (NaN or infinite), so that no token can be chosen by them. Its weights are " +
        "damaged or too large, as after a training run that went astray: use an earlier checkpoint.",
    );
  }
  return {
    sequence,
    start,
    tokens: own.map(({ tokens }) => tokens[place]!),
    logProbs: own.map(({ logProbs }) => logProbs[place]!),
    rawLogProbs: own.map(({ rawLogProbs }) => rawLogProbs[place]!),
    finished: end >= 0 ? reason : full ? "length" : null,
  };
}

/** New tokens that may follow a prompt. @throws UserError if the model has no position for one. */
function roomFor(length: number, maxNewTokens: number, maxPositions: number | null): number {
  const room = Math.min(maxNewTokens, (maxPositions ?? Infinity) - length);
  if (room > 0) return room;
  throw new UserError(
    `A prompt of ${length} tokens leaves no position for an answer: the model has learned ${maxPositions}. Use a ` +
      "shorter one.",
  );
}

function disposeAll(tree: unknown): void {
  for (const [, leaf] of leavesOf(tree)) if (leaf instanceof Tensor) leaf.dispose();
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
