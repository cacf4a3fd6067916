/** Prompts completed in batches, in order. @module */

import { UserError } from "../../core/errors.ts";
import type { Row } from "../../data/readers/dataset.ts";
import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";
import {
  type BeamSearch,
  beamSearch,
  type FinishReason,
  type GenerateOptions,
  generator,
} from "../../nn/mod.ts";
import type { GenerationModel } from "./open.ts";
import type { Prompt } from "./prompts.ts";
import { drawSeed } from "./seeds.ts";
import type { BeamSettings, GenerationSettings } from "./settings.ts";
import { textOf, withoutEnd } from "./text_stream.ts";

/** How prompts are completed. */
export interface CompletionOptions {
  /** How tokens are chosen. */
  readonly settings: GenerationSettings;
  /** Prompts at once. */
  readonly batchSize: number;
  /** Of the draws. */
  readonly seed: number;
  /** Ends the work early; the batch under way is not given. */
  readonly signal?: AbortSignal;
}

/** A completed batch. */
export interface CompletedBatch {
  /** A row for each completion, in order. */
  readonly rows: readonly Row[];
  /** Prompts completed so far. */
  readonly prompts: number;
  /** Tokens of this batch's completions. */
  readonly tokens: number;
}

/** Columns added to a row. */
const added = ["completion", "finish_reason", "completion_tokens"] as const;

/**
 * Completes prompts, `batchSize` at a time; what is drawn depends on the seed and the batch. A row's own column of the
 * name of an added one is kept as `original_…`.
 *
 * @throws {UserError} if several completions are asked for that would all be the same.
 */
export async function* completeInBatches(
  opened: GenerationModel,
  prompts: readonly Prompt[],
  options: CompletionOptions,
): AsyncGenerator<CompletedBatch, void, void> {
  const { settings, batchSize, signal } = options;
  const { beams, completions } = settings;
  if (completions > 1 && !beams && !settings.values.do_sample) {
    throw new UserError(
      `num_return_sequences is ${completions}, but do_sample is false, so that all completions of a prompt would be ` +
        "the same. Turn do_sample on, search with num_beams, or ask for one.",
    );
  }
  const complete = beams ? searching(opened, settings, beams) : choosing(opened, options);
  for (let start = 0; start < prompts.length; start += batchSize) {
    const batch = prompts.slice(start, start + batchSize);
    const found = await complete(batch.map(({ ids }) => ids), start / batchSize, signal);
    if (found === null) return;
    yield {
      rows: found.map((completion, i) =>
        completedRow(batch[Math.floor(i / completions)]!, completion, opened.tokenizer)
      ),
      prompts: start + batch.length,
      tokens: found.reduce((sum, { tokens }) => sum + tokens.length, 0),
    };
  }
}

/** Completions of the prompts of a batch, which has a number; null if the signal was aborted. */
type Complete = (
  prompts: readonly (readonly number[])[],
  number: number,
  signal: AbortSignal | undefined,
) => Promise<readonly Completing[] | null>;

/** Tokens are drawn, or the most probable ones taken. */
function choosing(
  { model, params }: GenerationModel,
  { settings, seed }: CompletionOptions,
): Complete {
  const { completions } = settings;
  const positions = model.config.maxPositions;
  const maxNewTokens = Math.min(settings.values.max_new_tokens, positions);
  const generate = generator(model, generateOptions(settings, maxNewTokens));
  return async (prompts, number, signal) => {
    const found = prompts.flatMap((ids) =>
      Array.from({ length: completions }, () => open(positions - ids.length))
    );
    const call = {
      completions,
      seed: drawSeed(seed, number),
      eosTokenIds: prompts.map(() => settings.eosTokenIds),
    };
    for await (const { sequence, tokens, finished } of generate.stream(params, prompts, call)) {
      extend(found[sequence]!, tokens, finished);
      if (signal?.aborted) return null;
      // An end that lies beyond the model's positions is not worth waiting for.
      if (found.every((completion) => completion.finished !== null)) break;
    }
    return found;
  };
}

/** The likeliest answers are searched for; prompts that leave room for as many tokens together. */
function searching(
  { model, params }: GenerationModel,
  settings: GenerationSettings,
  beams: BeamSettings,
): Complete {
  const { completions, eosTokenIds } = settings;
  const searches = new Map<number, BeamSearch>();
  const searchWithin = (room: number): BeamSearch => {
    const known = searches.get(room) ??
      beamSearch(model, { ...generateOptions(settings, room), ...beams });
    searches.set(room, known);
    return known;
  };
  const roomOf = ({ length }: readonly number[]) =>
    Math.min(settings.values.max_new_tokens, model.config.maxPositions - length);
  return async (prompts, _number, signal) => {
    const found = new Map<number, Completing[]>();
    for (const [room, numbers] of Map.groupBy(prompts.keys(), (i) => roomOf(prompts[i]!))) {
      const search = searchWithin(room);
      const answers = await untilAborted(
        signal,
        () => search(params, numbers.map((i) => prompts[i]!), completions, signal),
      );
      if (answers === null) return null;
      for (const { prompt, tokens } of answers) {
        const number = numbers[prompt]!;
        const finished = eosTokenIds.includes(tokens.at(-1)!)
          ? "eos"
          : settings.stop?.(tokens, prompts[number]!)
          ? "stop"
          : "length";
        found.set(number, [...found.get(number) ?? [], { tokens: [...tokens], room, finished }]);
      }
    }
    return prompts.flatMap((_, i) => found.get(i)!);
  };
}

/** What work gives; null where it ended by throwing the reason of an aborted signal. */
async function untilAborted<T>(
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (!signal?.aborted || error !== signal.reason) throw error;
    return null;
  }
}

/** What a generator is made of, given the settings. */
export function generateOptions(
  { sampling, stop, eosTokenIds }: GenerationSettings,
  maxNewTokens: number,
): GenerateOptions {
  return { ...sampling, maxNewTokens, eosTokenIds, ...(stop ? { stop } : {}) };
}

/** A completion under way. */
interface Completing {
  readonly tokens: number[];
  readonly room: number;
  finished: FinishReason | null;
}

function open(room: number): Completing {
  return { tokens: [], room, finished: null };
}

function extend(
  completing: Completing,
  tokens: readonly number[],
  finished: FinishReason | null,
): void {
  if (completing.finished !== null) return;
  const fitting = tokens.slice(0, completing.room - completing.tokens.length);
  completing.tokens.push(...fitting);
  const isFull = completing.tokens.length === completing.room;
  completing.finished = fitting.length === tokens.length && finished
    ? finished
    : isFull
    ? "length"
    : null;
}

function completedRow(
  { row, conversational }: Prompt,
  { tokens, finished }: Completing,
  tokenizer: Tokenizer,
): Row {
  const reason = finished ?? "length";
  const text = textOf(tokenizer, withoutEnd(tokenizer, tokens, reason));
  return {
    ...withoutAdded(row),
    completion: conversational ? [{ role: "assistant", content: text }] : text,
    finish_reason: reason,
    completion_tokens: tokens.length,
  };
}

/** The row with its own columns of the added ones' names under names that are free. */
function withoutAdded(row: Row): Row {
  const names = new Set(Object.keys(row));
  const nameOf = (name: string): string => {
    if (!added.some((other) => other === name)) return name;
    let free = `original_${name}`;
    while (names.has(free)) free = `original_${free}`;
    return free;
  };
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [nameOf(name), value]));
}
