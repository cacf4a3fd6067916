/**
 * From single answers, good or bad, to tokens, as TRL 1.13's `KTOTrainer` and `BCOTrainer` prepare
 * them.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { applyChatTemplate, unpairedOrder, type UnpairedOrigin } from "./conversions.ts";
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
  type PreferenceFormat,
  readPreferenceRow,
  readUnpairedRow,
  type UnpairedRow,
} from "./preference_formats.ts";
import {
  endOfSequence,
  lastTokens,
  type PromptedCompletion,
  tokenizeMerged,
  tokenizePrompted,
  truncatePrompted,
  withBeginning,
  withEnd,
} from "./preference_tokens.ts";
import { mapRows, type Prepared, type PreparePreferencesOptions } from "./prepared.ts";
import { firstRow, inRow } from "./row_values.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** An answer, good or bad, in tokens. */
export interface UnpairedExample extends PromptedCompletion {
  /** Whether the answer is good. */
  readonly label: boolean;
  /**
   * The answer to another prompt of the batch, cut to fit this prompt: KTO estimates the KL
   * divergence from such pairs that do not belong together.
   */
  readonly klCompletionIds?: Int32Array;
  /** The number, from 0, of the data set's row. */
  readonly row: number;
}

/** Options of `prepareBco`, named after TRL's flags. */
export interface PrepareUnpairedOptions extends PreparePreferencesOptions {
  /** Whether the rows are for evaluation, where all may be good or all bad. Default false. */
  readonly evaluation?: boolean;
}

/** Options of `prepareKto`, named after TRL's flags. */
export interface PrepareKtoOptions extends PrepareUnpairedOptions {
  /**
   * Rows in each batch of the device (`per_device_train_batch_size`, for evaluation rows too), which
   * must come in this order; null for losses without KL term (`apo_zero_unpaired`).
   */
  readonly klBatchSize: number | null;
  /** The weight of good answers, for a warning if the weights do not fit their numbers. Default 1. */
  readonly desirableWeight?: number;
  /** The weight of bad answers. Default 1. */
  readonly undesirableWeight?: number;
}

/**
 * Tokens of KTO's answers. Pairs are taken apart, 1000 at a time, first what was chosen, then what
 * was rejected. Texts get the end-of-sequence token; answers are cut so that `maxLength` holds; rows
 * whose prompt alone fills it are left out. Then each answer is lent to the next prompt of its batch,
 * the last one's to the first.
 *
 * @throws {UserError} on rows that do not fit, batches of one with a KL term, only good or only bad
 * answers, or if nothing is left
 */
export function prepareKto(
  rows: readonly DatasetRow[],
  tokenizer: Tokenizer,
  options: PrepareKtoOptions,
): Prepared<UnpairedExample> {
  const { maxLength = 1024, maxPromptLength = null, klBatchSize } = options;
  checkMaxLength(maxLength);
  checkMaxLength(maxPromptLength, "max_prompt_length");
  if (klBatchSize !== null && !(Number.isInteger(klBatchSize) && klBatchSize > 1)) {
    throw new UserError(
      `KTO's KL term pairs each prompt with the answer to another one of its batch, and ` +
        `per_device_train_batch_size is ${klBatchSize}: expected 2 or more (accumulation does not ` +
        `count), or --loss_type apo_zero_unpaired, which has no KL term.`,
    );
  }
  let mismatches = 0;
  const { examples, format } = readUnpaired(rows, "kto", options, (answer, row) => {
    const tokens = tokenizePrompted(tokenizer, answer.prompt, [answer.completion], answer.chat);
    if (tokens.promptMismatch) mismatches++;
    const { promptIds, completions: [completionIds] } = tokens;
    const tooLong = promptIds.length + completionIds!.length > (maxLength ?? Infinity);
    return {
      promptIds: Int32Array.from(tooLong ? lastTokens(promptIds, maxPromptLength) : promptIds),
      completionIds: Int32Array.from(completionIds!),
      label: answer.label,
      row,
    };
  });
  if (mismatches > 0) options.warn?.(mismatchWarning(mismatches, examples.length));
  const kept = maxLength === null
    ? examples
    : examples.filter(({ promptIds }) => promptIds.length < maxLength);
  requireSome(kept.length, maxLength);
  if (!options.evaluation) {
    warnUnbalanced(kept, options);
    if (klBatchSize !== null && format.kind === "preference") {
      warnOneKind(kept, klBatchSize, options);
    }
  }

  const cut = kept.map((example, i): UnpairedExample => {
    const { promptIds } = example;
    const lender = klBatchSize === null ? undefined : kept[lenderOf(i, kept.length, klBatchSize)]!;
    const lent = lender &&
      truncatePrompted({ promptIds, completionIds: lender.completionIds }, maxLength);
    return {
      ...example,
      ...truncatePrompted(example, maxLength),
      ...(lent && { klCompletionIds: lent.completionIds }),
    };
  });
  return { examples: cut, format, dropped: examples.length - kept.length };
}

/** Whose answer an example is lent: the one before it in its batch, the last one for the first. */
function lenderOf(index: number, count: number, batchSize: number): number {
  const start = index - index % batchSize;
  const size = Math.min(batchSize, count - start);
  return start + (index - start + size - 1) % size;
}

/** Pairs are taken apart many at a time, and the KL term wants the rows in their order. */
function warnOneKind(
  examples: readonly UnpairedExample[],
  batchSize: number,
  options: PrepareKtoOptions,
): void {
  const batches = Math.floor(examples.findIndex(({ label }) => !label) / batchSize);
  if (batches < 1) return;
  options.warn?.(
    `The first ${
      batches === 1 ? "batch holds" : `${batches} batches hold`
    } good answers alone, for pairs are taken ` +
      "apart 1000 at a time: first what was chosen, then what was rejected. For batches of both kinds, give the " +
      "answers as rows with a label, shuffled.",
  );
}

/** Eq. (8) of "KTO: Model Alignment as Prospect Theoretic Optimization" (arXiv 2402.01306). */
function warnUnbalanced(examples: readonly UnpairedExample[], options: PrepareKtoOptions): void {
  const { desirableWeight = 1, undesirableWeight = 1 } = options;
  const good = examples.filter(({ label }) => label).length;
  const bad = examples.length - good;
  if (good === bad || good === 0 || bad === 0) return;
  const round = (value: number) => Number(value.toFixed(2));
  const balanced = bad * undesirableWeight / good;
  const desirable = [round(balanced), round(balanced * 1.33)] as const;
  const counterpart = good * desirableWeight / bad;
  const undesirable = [round(counterpart / 1.33), round(counterpart)] as const;
  const within = (weight: number, [low, high]: readonly [number, number]) =>
    low <= weight && weight <= high;
  if (within(desirableWeight, desirable) || within(undesirableWeight, undesirable)) return;
  options.warn?.(
    `There are ${good} good and ${bad} bad answers, but the weights do not balance them: set either ` +
      `--desirable_weight between ${desirable.join(" and ")}, or --undesirable_weight between ${
        undesirable.join(" and ")
      }, not both.`,
  );
}

/**
 * Tokens of BCO's answers. Pairs are taken apart as for KTO. Special tokens go in by id, a
 * beginning-of-sequence token too if there is one. Prompts are not cut but to `maxPromptLength`: where prompt and answer,
 * with the special tokens they lack, exceed `maxLength`, the answer is cut to what the prompt leaves
 * (if it leaves less than nothing, that much is cut off the answer's end, as in TRL); an
 * end-of-sequence token is put behind whatever is left. null is TRL's 512.
 *
 * @throws {UserError} on rows that do not fit, or only good or only bad answers
 */
export function prepareBco(
  rows: readonly DatasetRow[],
  tokenizer: Tokenizer,
  options: PrepareUnpairedOptions = {},
): Prepared<UnpairedExample> {
  const { maxLength = 1024, maxPromptLength = null, warn = () => {} } = options;
  checkMaxLength(maxLength);
  checkMaxLength(maxPromptLength, "max_prompt_length");
  const limit = maxLength ?? defaultLimit(warn);
  const end = endOfSequence(tokenizer);
  let hasTools = false;
  const { examples, format } = readUnpaired(rows, "bco", options, (answer, row) => {
    hasTools ||= (answer.chat.tools?.length ?? 0) > 0;
    const { prompt, completion } = templated(answer, tokenizer);
    const whole = tokenizeMerged(tokenizer, prompt, completion);
    const { completionIds } = whole;
    // A tokenizer without a beginning-of-sequence token pays for one all the same.
    const lacks =
      (whole.promptIds.length === 0 || whole.promptIds[0] !== tokenizer.bosTokenId ? 1 : 0) +
      (completionIds.at(-1) === end ? 0 : 1);
    const room = limit - lacks;
    const isWhole = whole.promptIds.length + completionIds.length <= room;
    const promptIds = isWhole ? whole.promptIds : lastTokens(whole.promptIds, maxPromptLength);
    const fits = promptIds.length + completionIds.length <= room;
    const kept = fits
      ? completionIds
      : completionIds.slice(0, room - (maxPromptLength ?? promptIds.length));
    return {
      promptIds: Int32Array.from(withBeginning(tokenizer, promptIds)),
      completionIds: Int32Array.from(withEnd(tokenizer, kept)),
      label: answer.label,
      row,
    };
  });
  if (hasTools) warn(toolsWarning("bco"));
  warnTooLong(examples, limit, warn);
  return { examples, format, dropped: 0 };
}

function templated(answer: UnpairedRow, tokenizer: Tokenizer) {
  const { prompt, completion } = typeof answer.prompt === "string" ? answer : applyChatTemplate({
    prompt: answer.prompt,
    completion: answer.completion,
    chat_template_kwargs: answer.chat.variables,
  }, tokenizer);
  return { prompt: String(prompt), completion: String(completion) };
}

function readUnpaired(
  rows: readonly DatasetRow[],
  command: "kto" | "bco",
  options: PrepareUnpairedOptions,
  tokenize: (answer: UnpairedRow, row: number) => UnpairedExample,
): { readonly examples: readonly UnpairedExample[]; readonly format: PreferenceFormat } {
  const format = detectPreferenceFormat(firstRow(rows), command);
  const answers = format.kind === "preference"
    ? takenApart(rows, format)
    : rows.map((row, index) => ({ row: index, answer: readUnpairedRow(row, format, index) }));
  if (!options.evaluation) requireBoth(answers.map(({ answer }) => answer.label), command);
  const examples = mapRows(
    answers,
    ({ row, answer }) => inRow(row, () => tokenize(answer, row)),
    options.progress,
  );
  return { examples, format };
}

function takenApart(rows: readonly DatasetRow[], format: PreferenceFormat) {
  const pairs = rows.map((row, index) => readPreferenceRow(row, format, index));
  return unpairedOrder(rows.length).map(({ row, label }: UnpairedOrigin) => {
    const { prompt, chosen, rejected, chat } = pairs[row]!;
    return { row, answer: { prompt, completion: label ? chosen : rejected, label, chat } };
  });
}

function requireBoth(labels: readonly boolean[], command: string): void {
  const good = labels.filter(Boolean).length;
  if (good > 0 && good < labels.length) return;
  throw new UserError(
    `All ${labels.length} rows of the data set have the label ${
      good > 0
    }: ${command} learns from ` +
      `good answers (true) and bad ones (false), and needs some of either. ` +
      (good > 0
        ? `Add bad answers, or train on the good ones with sft.`
        : `Add good answers to the bad ones.`),
  );
}
