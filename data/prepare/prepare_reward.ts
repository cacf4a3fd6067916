/**
 * From pairs to whole sequences to be scored, as TRL 1.13's `RewardTrainer` prepares them.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { tokenizeChat } from "../chat/chat_template.ts";
import type { Content } from "./conversions.ts";
import type { DatasetRow } from "./formats.ts";
import { checkMaxLength } from "./length_limits.ts";
import {
  detectPreferenceFormat,
  type PreferenceFormat,
  readPreferenceRow,
} from "./preference_formats.ts";
import { closed, joinContents } from "./preference_tokens.ts";
import { mapRows, type Prepared, type Progress } from "./prepared.ts";
import { firstRow, idList, inRow, isPresent, readMargin } from "./row_values.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** Two whole sequences, prompt and answer, of which the first deserves the higher score. */
export interface RewardPair {
  /** The better one. */
  readonly chosenIds: Int32Array;
  /** The worse one. */
  readonly rejectedIds: Int32Array;
  /** By how much its score should be higher, where the data set says so. */
  readonly margin?: number;
  /** The number, from 0, of the data set's row. */
  readonly row: number;
}

/** Options of `prepareReward`, named after TRL's flags. */
export interface PrepareRewardOptions {
  /** Told how far it is. */
  readonly progress?: Progress;
  /** Tokens in a sequence at most: pairs with a longer one are left out. null for no limit. Default 1024. */
  readonly maxLength?: number | null;
}

/**
 * Tokens of pairs to be scored. Texts get the end-of-sequence token; conversations are as their
 * template has them, with no start of another answer. Rows with `chosen_ids` and `rejected_ids` (or
 * `chosen_input_ids`, `rejected_input_ids`) are taken as they are.
 *
 * @throws {UserError} on rows that are no pairs, or if nothing is left
 */
export function prepareReward(
  rows: readonly DatasetRow[],
  tokenizer: Tokenizer,
  options: PrepareRewardOptions = {},
): Prepared<RewardPair> {
  const { maxLength = 1024 } = options;
  checkMaxLength(maxLength);
  const format = detectPreferenceFormat(firstRow(rows), "reward");
  const pairs = mapRows(
    rows,
    (row, index) =>
      format.kind === "tokenized"
        ? readTokenized(row, format, index)
        : tokenize(row, format, index, tokenizer),
    options.progress,
  );
  const limit = maxLength ?? Infinity;
  const kept = pairs.filter(({ chosenIds, rejectedIds }) =>
    chosenIds.length <= limit && rejectedIds.length <= limit
  );
  if (kept.length === 0) {
    const shortest = Math.min(
      ...pairs.map((pair) => Math.max(pair.chosenIds.length, pair.rejectedIds.length)),
    );
    throw new UserError(
      `All ${rows.length} rows of the data set are longer than max_length = ${maxLength}: the ` +
        `shortest pair has ${shortest} tokens in its longer half. Give a larger --max_length; pairs ` +
        `are never cut, since the score stands at their end.`,
    );
  }
  return { examples: kept, format, dropped: pairs.length - kept.length };
}

function tokenize(
  stored: DatasetRow,
  format: PreferenceFormat,
  row: number,
  tokenizer: Tokenizer,
): RewardPair {
  // What the prompt is does not matter to a score: the answers stay whole.
  const { prompt, chosen, rejected, margin, chat } = readPreferenceRow(
    stored,
    format.prompt === "explicit" ? format : { ...format, prompt: "inside" },
    row,
  );
  const encode = (answer: Content): Int32Array => {
    const whole = joinContents(
      prompt,
      typeof answer === "string" ? closed(tokenizer, answer) : answer,
    );
    return Int32Array.from(
      typeof whole === "string"
        ? tokenizer.encode(whole)
        : tokenizeChat(tokenizer, whole, chat).inputIds,
    );
  };
  return inRow(row, () => ({
    chosenIds: encode(chosen),
    rejectedIds: encode(rejected),
    ...(margin !== undefined && { margin }),
    row,
  }));
}

function readTokenized(stored: DatasetRow, format: PreferenceFormat, row: number): RewardPair {
  const read = (name: string, older: string) => {
    const column = isPresent(stored[name]) ? name : older;
    const ids = idList(stored, column, row);
    if (ids.length > 0) return ids;
    throw new UserError(
      `Row ${
        row + 1
      } of the data set has no tokens in its column "${column}": there is no last one ` +
        `to read a score at. Remove the row.`,
    );
  };
  return {
    chosenIds: read("chosen_ids", "chosen_input_ids"),
    rejectedIds: read("rejected_ids", "rejected_input_ids"),
    ...(format.margin && { margin: readMargin(stored, row) }),
    row,
  };
}
