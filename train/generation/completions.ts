/** Prompts completed in batches, in order. @module */

import { UserError } from "../../core/errors.ts";
import type { Row } from "../../data/readers/dataset.ts";
import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";
import { type FinishReason, type GenerateOptions, generator } from "../../nn/mod.ts";
import type { GenerationModel } from "./open.ts";
import type { Prompt } from "./prompts.ts";
import { drawSeed } from "./seeds.ts";
import type { GenerationSettings } from "./settings.ts";
import { textOf, withoutEnd } from "./text_stream.ts";

/** How prompts are completed. */
export interface CompletionOptions {
  /** How tokens are chosen. */
  readonly settings: GenerationSettings;
  /** Completions of each prompt. */
  readonly completions: number;
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
  { model, params, tokenizer }: GenerationModel,
  prompts: readonly Prompt[],
  options: CompletionOptions,
): AsyncGenerator<CompletedBatch, void, void> {
  const { settings, completions, batchSize, seed, signal } = options;
  if (completions > 1 && !settings.values.do_sample) {
    throw new UserError(
      `num_return_sequences is ${completions}, but do_sample is false, so that all completions of a prompt would be ` +
        "the same. Give --do_sample, or ask for one.",
    );
  }
  const positions = model.config.maxPositions;
  const maxNewTokens = Math.min(settings.values.max_new_tokens, positions);
  const generate = generator(model, generateOptions(settings, maxNewTokens));
  for (let start = 0; start < prompts.length; start += batchSize) {
    const batch = prompts.slice(start, start + batchSize);
    const found = batch.flatMap(({ ids }) =>
      Array.from({ length: completions }, () => open(positions - ids.length))
    );
    const call = {
      completions,
      seed: drawSeed(seed, start / batchSize),
      eosTokenIds: batch.map(() => settings.eosTokenIds),
    };
    const blocks = generate.stream(params, batch.map(({ ids }) => ids), call);
    for await (const { sequence, tokens, finished } of blocks) {
      extend(found[sequence]!, tokens, finished);
      if (signal?.aborted) return;
      // An end that lies beyond the model's positions is not worth waiting for.
      if (found.every((completion) => completion.finished !== null)) break;
    }
    yield {
      rows: found.map((completion, i) =>
        completedRow(batch[Math.floor(i / completions)]!, completion, tokenizer)
      ),
      prompts: start + batch.length,
      tokens: found.reduce((sum, { tokens }) => sum + tokens.length, 0),
    };
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
