/**
 * From answers in steps to tokens with a label at the end of each step, as TRL 1.13's `PRMTrainer`
 * prepares them.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { plainJson } from "../../core/terminal.ts";
import type { DatasetRow } from "./formats.ts";
import { checkMaxLength } from "./length_limits.ts";
import { detectPreferenceFormat } from "./preference_formats.ts";
import { mapRows, type Prepared, type Progress } from "./prepared.ts";
import { IGNORED } from "./prepare_sft.ts";
import { firstRow, idList, kindOf } from "./row_values.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** An answer in steps. */
export interface StepwiseExample {
  /** Prompt and steps, each followed by the separator. */
  readonly inputIds: Int32Array;
  /** At the last token of each step 1 if it is right, 0 if not; elsewhere −100. Not shifted. */
  readonly labels: Int32Array;
  /** The number, from 0, of the data set's row. */
  readonly row: number;
}

/** Options of `preparePrm`, named after TRL's flags. */
export interface PreparePrmOptions {
  /** Told how far it is. */
  readonly progress?: Progress;
  /** Tokens in a row at most; null for no limit. Default 1024. */
  readonly maxLength?: number | null;
  /** Tokens in an answer at most; null, the default, for no limit. */
  readonly maxCompletionLength?: number | null;
  /** What stands behind each step. Default a line break. */
  readonly stepSeparator?: string;
  /** Whether only the last step has a label. Default false; pass false for evaluation rows. */
  readonly trainOnLastStepOnly?: boolean;
  /** Gets each warning. */
  readonly warn?: (message: string) => void;
}

/**
 * Tokens and labels of answers in steps. Prompt, steps and separator are encoded one by one, without
 * special tokens; a beginning-of-sequence token comes first if there is one. Rows with `input_ids`
 * and `labels` are taken as they are.
 *
 * @throws {UserError} on rows that do not fit, or if no label is left
 */
export function preparePrm(
  rows: readonly DatasetRow[],
  tokenizer: Tokenizer,
  options: PreparePrmOptions = {},
): Prepared<StepwiseExample> {
  const { maxLength = 1024, maxCompletionLength = null } = options;
  checkMaxLength(maxLength);
  checkMaxLength(maxCompletionLength, "max_completion_length");
  const format = detectPreferenceFormat(firstRow(rows), "prm");
  const examples = mapRows(
    rows,
    (row, index) =>
      format.kind === "tokenized"
        ? readTokenized(row, index)
        : tokenize(row, index, tokenizer, options),
    options.progress,
  );
  const bare = examples.filter(({ labels }) => labels.every((label) => label === IGNORED)).length;
  if (bare === examples.length) {
    throw new UserError(
      `No row of the data set has a label left within max_length = ${maxLength}: the prompts and ` +
        `first steps alone fill it. Give a larger --max_length.`,
    );
  }
  if (bare > 0) {
    options.warn?.(
      `${bare} of ${rows.length} rows have no label left within max_length and teach nothing. Give a ` +
        `larger --max_length, or remove them.`,
    );
  }
  return { examples, format, dropped: 0 };
}

function tokenize(
  stored: DatasetRow,
  row: number,
  tokenizer: Tokenizer,
  options: PreparePrmOptions,
): StepwiseExample {
  const { maxLength = 1024, maxCompletionLength = null, stepSeparator = "\n" } = options;
  const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
  const { prompt, steps, labels } = readStepwise(stored, row);
  const separator = encode(stepSeparator);
  const start = tokenizer.bosTokenId === undefined ? [] : [tokenizer.bosTokenId];
  const promptIds = [...start, ...encode(prompt)];
  const ids: number[] = [];
  const targets: number[] = [];
  steps.forEach((step, i) => {
    const tokens = [...encode(step), ...separator];
    if (tokens.length === 0) {
      throw new UserError(
        `Row ${
          row + 1
        } of the data set has an empty step, and the step_separator is empty too: there ` +
          `is no token to put its label on.`,
      );
    }
    const isLast = i === steps.length - 1;
    ids.push(...tokens);
    targets.push(...tokens.slice(1).map(() => IGNORED));
    targets.push(options.trainOnLastStepOnly && !isLast ? IGNORED : labels[i]!);
  });
  const answer = maxCompletionLength ?? ids.length;
  const whole = maxLength ?? Infinity;
  return {
    inputIds: Int32Array.from([...promptIds, ...ids.slice(0, answer)].slice(0, whole)),
    labels: Int32Array.from(
      [...promptIds.map(() => IGNORED), ...targets.slice(0, answer)].slice(0, whole),
    ),
    row,
  };
}

function readStepwise(stored: DatasetRow, row: number) {
  const { prompt, completions, labels } = stored;
  const problem = (what: string) =>
    new UserError(
      `Row ${
        row + 1
      } of the data set ${what}. Expected "prompt" (a text), "completions" (a list of ` +
        `steps) and "labels" (as many true and false).`,
    );
  if (typeof prompt !== "string") throw problem(`has ${kindOf(prompt)} in its column "prompt"`);
  if (!Array.isArray(completions) || !completions.every((step) => typeof step === "string")) {
    throw problem(`has ${kindsIn(completions)} in its column "completions"`);
  }
  if (!Array.isArray(labels)) throw problem(`has ${kindOf(labels)} in its column "labels"`);
  if (completions.length === 0) throw problem("has no steps");
  if (labels.length !== completions.length) {
    throw problem(`has ${completions.length} steps but ${labels.length} labels`);
  }
  // TRL takes the numbers 1 and 0 too.
  const wrong = labels.find((label) => typeof label !== "boolean" && label !== 0 && label !== 1);
  if (wrong !== undefined) throw problem(`has the label ${plainJson(wrong)}`);
  return {
    prompt,
    steps: completions.map(String),
    labels: labels.map(Number),
  };
}

/** What a column holds that should be a list of texts. */
function kindsIn(value: unknown): string {
  if (!Array.isArray(value)) return kindOf(value);
  const at = value.findIndex((step) => typeof step !== "string");
  return `${kindOf(value[at])} as step ${at + 1}`;
}

function readTokenized(stored: DatasetRow, row: number): StepwiseExample {
  const inputIds = idList(stored, "input_ids", row);
  const labels = idList(stored, "labels", row);
  if (inputIds.length === labels.length) return { inputIds, labels, row };
  throw new UserError(
    `Row ${
      row + 1
    } of the data set has ${inputIds.length} input_ids but ${labels.length} labels: ` +
      `they must be as many.`,
  );
}
