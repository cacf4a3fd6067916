/** Beam search over a key/value cache: several continuations of each prompt at once, of which the best are kept. @module */

import {
  jit,
  logSoftmax,
  mapTree,
  realize,
  scope,
  stack,
  type Tensor,
  tensor,
  UserError,
} from "../core/mod.ts";
import { type BeamRules, type BeamState, firstBeams, nextBeams } from "./beams.ts";
import { breather } from "./breather.ts";
import { modelLogits } from "./cached_logits.ts";
import type { DecoderParams, KeyValueCache } from "./decoder.ts";
import type { StopCriterion } from "./generate.ts";
import { append, type DecodingConstants, wantsTokens } from "./generate_steps.ts";
import type { CausalModel } from "./model.ts";
import {
  logitsProcessors,
  markSeen,
  type SamplingOptions,
  seenTokens,
  type TokensSoFar,
} from "./sampling.ts";
import { type DecodingSequences, layOutPrompts } from "./sampling_layout.ts";

/** Options of {@link beamSearch}. */
export interface BeamSearchOptions extends SamplingOptions {
  /** Beams of each prompt. */
  readonly numBeams: number;
  /** The most tokens to add to each prompt. */
  readonly maxNewTokens: number;
  /** Exponent of the length that a finished beam's log-probability is divided by; 1 by default. */
  readonly lengthPenalty?: number;
  /** When to stop; false by default. See {@link BeamRules}. */
  readonly earlyStopping?: boolean | "never";
  /** What ends a sequence beside tokens. */
  readonly stop?: StopCriterion;
}

/** A found continuation. */
export interface BeamCompletion {
  /** Index of its prompt. */
  readonly prompt: number;
  /** The new tokens, with the one that ended it. */
  readonly tokens: readonly number[];
  /** Its log-probability over its length to the power of the penalty. */
  readonly score: number;
}

/**
 * Searches continuations of prompts: of each the best ones, best first, prompt by prompt. An aborted signal ends it by
 * throwing its reason.
 */
export type BeamSearch = (
  params: DecoderParams,
  prompts: readonly ArrayLike<number>[],
  returned?: number,
  signal?: AbortSignal,
) => Promise<BeamCompletion[]>;

/** What a step hands to the next. */
interface BeamMemory {
  readonly caches: readonly KeyValueCache[];
  readonly soFar: Pick<TokensSoFar, "seen" | "history">;
}

/** Where the beams of a step come from. */
interface Order {
  /** i32 [B]: the newest tokens. */
  readonly tokens: Tensor;
  /** i32 [B]: the beam that each continues. */
  readonly parents: Tensor;
  /** i32 [rows]: the cache row whose keys and values each takes over. */
  readonly rows: Tensor;
}

/**
 * Makes a beam search (equal to transformers' without sampling: processors act on log-probabilities).
 *
 * @throws UserError if an option is out of range, or tokens are to be drawn.
 */
export function beamSearch(model: CausalModel, options: BeamSearchOptions): BeamSearch {
  const { numBeams, maxNewTokens, lengthPenalty = 1, earlyStopping = false } = options;
  if (!Number.isInteger(numBeams) || numBeams < 1) {
    throw new UserError(
      `Cannot search with ${numBeams} beams: it has to be a whole number from 1.`,
    );
  }
  if (options.doSample) {
    throw new UserError(
      "A beam search draws no tokens: turn doSample off, or search without beams.",
    );
  }
  const processors = logitsProcessors(options);
  const ends = new Set(options.eosTokenIds);
  const rules: BeamRules = {
    beams: numBeams,
    lengthPenalty,
    earlyStopping,
    maxNewTokens,
    endingTokens: ends.size,
  };
  const wantsSeen = (options.repetitionPenalty ?? 1) !== 1;
  const wantsHistory = wantsTokens(options);
  const decoder = modelLogits(model);

  const scores = (
    logits: Tensor,
    soFar: TokensSoFar,
    lengths: Tensor,
    { promptLengths }: DecodingSequences,
  ) =>
    processors.reduce(
      (x, process) => process(x, { ...soFar, lengths, promptLengths }),
      logSoftmax(logits),
    );

  const prefill = jit((
    params: DecoderParams,
    stream: { readonly ids: Tensor; readonly segments: Tensor },
    places: { readonly lasts: Tensor; readonly rows: Tensor; readonly history?: Tensor },
    sequences: DecodingSequences,
    { cacheSegments, rotary }: Omit<DecodingConstants, "key">,
  ): { readonly memory: BeamMemory; readonly logProbs: Tensor } => {
    const { logits: perPrompt, caches } = decoder.next(params, stream, {
      rotary,
      caches: decoder.emptyCaches(cacheSegments.shape[1]!),
      places: { rows: places.rows, segments: cacheSegments },
      wanted: places.lasts,
    });
    const { promptLengths } = sequences;
    const soFar = {
      ...(wantsSeen
        ? { seen: seenTokens(places.history!, promptLengths, perPrompt.shape[1]!) }
        : {}),
      ...(wantsHistory ? { history: places.history! } : {}),
    };
    const logits = perPrompt.gather(sequences.prompts);
    return { memory: { caches, soFar }, logProbs: scores(logits, soFar, promptLengths, sequences) };
  }, { name: "the prefill of a beam search" });

  const step = jit((
    params: DecoderParams,
    at: Tensor,
    { caches, soFar: { seen, history } }: BeamMemory,
    order: Order,
    sequences: DecodingSequences,
    { cacheSegments, rotary }: Omit<DecodingConstants, "key">,
  ): { readonly memory: BeamMemory; readonly logProbs: Tensor } => {
    const { tokens, parents } = order;
    const own = mapTree(caches, (leaf) => (leaf as Tensor).gather(order.rows)) as typeof caches;
    const rows = sequences.firstRows.add(at);
    const positions = sequences.promptLengths.add(at);
    const { segments, prompts, begins } = sequences;
    const { logits, caches: filled } = decoder.next(params, {
      ids: tokens,
      segments: stack([segments, prompts, positions, begins, rows.add(1)]),
    }, { rotary, caches: own, places: { rows, segments: cacheSegments } });
    const soFar = {
      ...(seen ? { seen: markSeen(seen.gather(parents), tokens) } : {}),
      ...(history ? { history: append(history.gather(parents), positions, tokens) } : {}),
    };
    return {
      memory: { caches: filled, soFar },
      logProbs: scores(logits, soFar, positions.add(1), sequences),
    };
  }, { donate: [2], name: "a step of a beam search" });

  return async (params, prompts, returned = 1, signal) => {
    checkReturned(returned, numBeams);
    const endsFor = (prompt: number) => (tokens: readonly number[]) =>
      ends.has(tokens.at(-1)!) || (options.stop?.(tokens, prompts[prompt]!) ?? false);
    const breathe = breather();
    return await scope(async () => {
      const batch = layOutPrompts(prompts, numBeams, maxNewTokens);
      const { constants, sequences } = await realize({
        constants: {
          cacheSegments: batch.cacheSegments,
          rotary: decoder.tables(batch.positions),
        },
        sequences: batch.sequences,
      });
      const firstRows = await sequences.firstRows.data() as Int32Array;
      let states = prompts.map(() => firstBeams(rules));
      let { memory, logProbs } = prefill(
        params,
        batch.stream,
        {
          lasts: batch.lasts,
          rows: batch.tokenRows,
          ...(wantsSeen || wantsHistory ? { history: batch.history() } : {}),
        },
        sequences,
        constants,
      );
      for (let at = 0;; at++) {
        const values = await logProbs.data() as Float32Array;
        logProbs.dispose();
        const width = values.length / (prompts.length * numBeams);
        const rowOf = (i: number) => values.subarray(i * width, (i + 1) * width);
        states = states.map((state, p) =>
          state.done ? state : nextBeams(
            state,
            Array.from({ length: numBeams }, (_, k) => checked(rowOf(p * numBeams + k))),
            rules,
            endsFor(p),
          )
        );
        if (states.every(({ done }) => done)) break;
        const order = orderOf(states, firstRows, at, batch.rows);
        const next = step(params, tensor(at).cast("i32"), memory, order, sequences, constants);
        ({ memory, logProbs } = await realize(next));
        await breathe();
        signal?.throwIfAborted();
      }
      return states.flatMap(({ finished }, prompt) =>
        finished.slice(0, returned).map(({ tokens, score }) => ({ prompt, tokens, score }))
      );
    });
  };
}

/** How beams, and the rows of what they have said, follow from those before; `at` tokens of each are in the cache. */
function orderOf(
  states: readonly BeamState[],
  firstRows: Int32Array,
  at: number,
  rows: number,
): Order {
  const beams = states[0]!.running.length;
  const taken = Int32Array.from({ length: rows }, (_, i) => i);
  const parents = states.flatMap(({ parents }, p) => parents.map((k) => p * beams + k));
  parents.forEach((parent, i) => {
    for (let t = 0; t < at; t++) taken[firstRows[i]! + t] = firstRows[parent]! + t;
  });
  return {
    tokens: tensor(
      Int32Array.from(states.flatMap(({ running }) => running.map(({ tokens }) => tokens.at(-1)!))),
    ),
    parents: tensor(Int32Array.from(parents)),
    rows: tensor(taken),
  };
}

/** A row of log-probs. @throws UserError if the model's logits were not finite. */
function checked(row: Float32Array): Float32Array {
  if (!row.some(Number.isNaN)) return row;
  throw new UserError(
    "The model's logits are not finite (NaN or infinite), so that no token can be chosen by them. Its weights are " +
      "damaged or too large, as after a training run that went astray: use an earlier checkpoint.",
  );
}

function checkReturned(returned: number, beams: number): void {
  if (Number.isInteger(returned) && returned >= 1 && returned <= beams) return;
  throw new UserError(
    `Cannot return ${returned} answers of ${beams} beams: at most one of each. Search with more beams.`,
  );
}
