/**
 * From pairs of answers to tokens, as TRL 1.13's `DPOTrainer`, `TPOTrainer`, `ORPOTrainer` and
 * `CPOTrainer` prepare them.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { applyChatTemplate } from "./conversions.ts";
import type { DatasetRow } from "./formats.ts";
import {
  checkMaxLength,
  defaultLimit,
  mismatchWarning,
  requireSome,
  toolsWarning,
  warnTooLong,
} from "./length_limits.ts";
import {
  detectPreferenceFormat,
  type PreferenceCommand,
  type PreferenceRow,
  readPreferenceRow,
} from "./preference_formats.ts";
import {
  lastTokens,
  type MergedAnswer,
  type PromptedCompletion,
  tokenizeMerged,
  tokenizePrompted,
  truncatePrompted,
  withBeginning,
  withEnd,
} from "./preference_tokens.ts";
import type { TruncationMode } from "./prepare_sft.ts";
import {
  mapRows,
  type Prepared,
  type PreparePreferencesOptions,
  type Progress,
} from "./prepared.ts";
import { firstRow, inRow } from "./row_values.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** A pair of answers, or a triple, in tokens. Prompts that are the same array are the same. */
export interface PreferenceExample {
  /** The better answer. */
  readonly chosen: PromptedCompletion;
  /** The worse answer. */
  readonly rejected: PromptedCompletion;
  /** TPO's gold answer. */
  readonly reference?: PromptedCompletion;
  /** The number, from 0, of the data set's row. */
  readonly row: number;
}

/** Options of `prepareDpo` and its like, named after TRL's flags. */
export interface PreparePairsOptions extends PreparePreferencesOptions {
  /** Which end of longer ones stays (DPO and TPO). Default `"keep_start"`. */
  readonly truncationMode?: TruncationMode;
  /** Tokens of an answer at most, the first ones of it (DPO). Default null. */
  readonly maxCompletionLength?: number | null;
}

/**
 * Tokens of DPO's pairs. Texts get the end-of-sequence token; prompt and answer are cut together;
 * with `keep_start`, rows whose prompt alone fills `maxLength` are left out.
 *
 * @throws {UserError} on rows that are no pairs, options that do not fit, or if nothing is left
 */
export function prepareDpo(
  rows: readonly DatasetRow[],
  tokenizer: Tokenizer,
  options: PreparePairsOptions = {},
): Prepared<PreferenceExample> {
  const { maxLength = 1024, truncationMode = "keep_start" } = options;
  const { examples, format } = preparePrompted(rows, tokenizer, "dpo", options);
  if (maxLength === null || truncationMode === "keep_end") return { examples, format, dropped: 0 };
  const kept = examples.filter(({ chosen }) => chosen.promptIds.length < maxLength);
  requireSome(kept.length, maxLength);
  return { examples: kept, format, dropped: examples.length - kept.length };
}

/**
 * Tokens of TPO's triples, as `prepareDpo`, with a third, gold answer; but no row is left out: an
 * answer that truncation took entirely stays as an empty one.
 *
 * @throws {UserError} as `prepareDpo`
 */
export function prepareTpo(
  rows: readonly DatasetRow[],
  tokenizer: Tokenizer,
  options: PreparePairsOptions = {},
): Prepared<PreferenceExample> {
  const { examples, format } = preparePrompted(rows, tokenizer, "tpo", options);
  const filled = examples.filter(({ chosen }) => chosen.completionIds.length === 0).length;
  if (filled === examples.length) requireSome(0, options.maxLength ?? 1024);
  if (filled > 0) {
    options.warn?.(
      `The prompt alone fills max_length in ${filled} of ${examples.length} rows: their answers are ` +
        `empty and teach nothing. Give a larger --max_length, or remove these rows.`,
    );
  }
  return { examples, format, dropped: 0 };
}

function preparePrompted(
  rows: readonly DatasetRow[],
  tokenizer: Tokenizer,
  command: "dpo" | "tpo",
  options: PreparePairsOptions,
) {
  const { maxLength = 1024, truncationMode, maxPromptLength = null, maxCompletionLength } = options;
  checkMaxLength(maxLength);
  checkMaxLength(maxPromptLength, "max_prompt_length");
  checkMaxLength(maxCompletionLength ?? null, "max_completion_length");
  let mismatches = 0;
  const prepared = readPairs(rows, command, (pair, row): PreferenceExample => {
    const { chosen, rejected, reference } = pair;
    const answers = [chosen, rejected, ...(reference === undefined ? [] : [reference])];
    const tokens = tokenizePrompted(tokenizer, pair.prompt, answers, pair.chat);
    if (tokens.promptMismatch) mismatches++;
    const promptIds = Int32Array.from(lastTokens(tokens.promptIds, maxPromptLength));
    const [first, second, third] = tokens.completions.map((ids) =>
      truncatePrompted(
        {
          promptIds,
          completionIds: Int32Array.from(ids.slice(0, maxCompletionLength ?? undefined)),
        },
        maxLength,
        truncationMode,
      )
    );
    return { chosen: first!, rejected: second!, ...(third && { reference: third }), row };
  }, options.progress);
  if (mismatches > 0) options.warn?.(mismatchWarning(mismatches, rows.length));
  return prepared;
}

function readPairs<T>(
  rows: readonly DatasetRow[],
  command: PreferenceCommand,
  tokenize: (pair: PreferenceRow, index: number) => T,
  progress: Progress | undefined,
) {
  const format = detectPreferenceFormat(firstRow(rows), command);
  const examples = mapRows(rows, (row, index) => {
    const pair = readPreferenceRow(row, format, index);
    return inRow(index, () => tokenize(pair, index));
  }, progress);
  return { examples, format };
}

/**
 * Tokens of ORPO's pairs. Special tokens go in by id, a beginning-of-sequence token too if there is
 * one. Prompts are not cut but to `maxPromptLength`: where prompt and the longer of the answers exceed `maxLength`, answers
 * are cut to `maxLength` less the length of that longer one (TRL's rule, which takes no notice of
 * how long the prompt is), or less `maxPromptLength`; null is TRL's 512.
 *
 * Unlike in TRL, rows in which nothing of an answer is left are left out: their average log-probs
 * are 0/0.
 *
 * @throws {UserError} on rows that are no pairs, prompts whose tokens depend on the answer, or if
 * nothing is left
 */
export function prepareOrpo(
  rows: readonly DatasetRow[],
  tokenizer: Tokenizer,
  options: PreparePairsOptions = {},
): Prepared<PreferenceExample> {
  return prepareMerged(rows, tokenizer, "orpo", options);
}

/** Tokens of CPO's and SimPO's pairs: the same as {@link prepareOrpo}. @throws {UserError} as it does */
export function prepareCpo(
  rows: readonly DatasetRow[],
  tokenizer: Tokenizer,
  options: PreparePairsOptions = {},
): Prepared<PreferenceExample> {
  return prepareMerged(rows, tokenizer, "cpo", options);
}

function prepareMerged(
  rows: readonly DatasetRow[],
  tokenizer: Tokenizer,
  command: "orpo" | "cpo",
  options: PreparePairsOptions,
): Prepared<PreferenceExample> {
  const { maxLength = 1024, maxPromptLength = null, warn = () => {} } = options;
  checkMaxLength(maxLength);
  checkMaxLength(maxPromptLength, "max_prompt_length");
  const limit = maxLength ?? defaultLimit(warn);
  let hasTools = false;
  const { examples, format } = readPairs(rows, command, (pair, row): PreferenceExample => {
    hasTools ||= (pair.chat.tools?.length ?? 0) > 0;
    const { prompt, chosen, rejected } = templated(pair, tokenizer);
    const first = tokenizeMerged(tokenizer, prompt, chosen);
    const second = tokenizeMerged(tokenizer, prompt, rejected);
    requireSamePrompt(first, second);
    const answers = [first, second].map(({ completionIds }) => withEnd(tokenizer, completionIds));
    const longer = Math.max(...answers.map((ids) => ids.length));
    const prompts = [first, second].map(({ promptIds }) => {
      const whole = withBeginning(tokenizer, promptIds);
      const tooLong = whole.length + longer > limit;
      return Int32Array.from(tooLong ? lastTokens(whole, maxPromptLength) : whole);
    });
    if (isSame(prompts[0]!, prompts[1]!)) prompts[1] = prompts[0]!;
    const [a, b] = prompts.map((promptIds, i): PromptedCompletion => {
      const fits = promptIds.length + longer <= limit;
      const kept = fits ? answers[i]! : answers[i]!.slice(0, limit - (maxPromptLength ?? longer));
      return { promptIds, completionIds: Int32Array.from(kept) };
    });
    return { chosen: a!, rejected: b!, row };
  }, options.progress);
  if (hasTools) warn(toolsWarning(command));
  const kept = examples.filter(({ chosen, rejected }) =>
    chosen.completionIds.length > 0 && rejected.completionIds.length > 0
  );
  requireSome(kept.length, limit);
  warnTooLong(kept.flatMap(({ chosen, rejected }) => [chosen, rejected]), limit, warn);
  return { examples: kept, format, dropped: examples.length - kept.length };
}

function templated(pair: PreferenceRow, tokenizer: Tokenizer) {
  const { prompt, chosen, rejected } = typeof pair.prompt === "string" ? pair : applyChatTemplate({
    prompt: pair.prompt,
    chosen: pair.chosen,
    rejected: pair.rejected,
    chat_template_kwargs: pair.chat.variables,
  }, tokenizer);
  return { prompt: String(prompt), chosen: String(chosen), rejected: String(rejected) };
}

function requireSamePrompt(chosen: MergedAnswer, rejected: MergedAnswer): void {
  const [a, b] = [chosen.promptIds, rejected.promptIds];
  const shorter = Math.min(a.length, b.length);
  const differing = a.slice(0, shorter).filter((id, i) => id !== b[i]).length;
  if (differing <= 1 && Math.abs(a.length - b.length) <= 1) return;
  throw new UserError(
    `The tokens of the prompt depend on the answer in more than the last one: ${a.length} before ` +
      `"chosen", ${b.length} before "rejected", ${differing} of them different. The tokenizer merges ` +
      `text over the border; end the prompt with a blank or a line break, or remove the row.`,
  );
}

function isSame(a: Int32Array, b: Int32Array): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}
