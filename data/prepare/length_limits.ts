/** Limits on tokens, and what preparations say of rows that do not keep them. @module */

import { UserError } from "../../core/errors.ts";
import type { PreferenceCommand } from "./preference_formats.ts";
import type { PromptedCompletion } from "./preference_tokens.ts";

/** Checks a limit on tokens. @throws {UserError} if it is neither null nor a positive integer */
export function checkMaxLength(maxLength: number | null, name = "max_length"): void {
  if (maxLength === null || (Number.isInteger(maxLength) && maxLength > 0)) return;
  throw new UserError(`${name} is ${maxLength}: expected a positive integer or none.`);
}

/** Refuses a preparation that left no row. */
export function requireSome(left: number, maxLength: number | null): void {
  if (left > 0) return;
  throw new UserError(
    `No row of the data set has a token to learn within max_length = ${maxLength}: the prompts ` +
      `alone fill it. Give a larger --max_length.`,
  );
}

/** What TRL's older trainers take where `max_length` is none. */
export function defaultLimit(warn: (message: string) => void): number {
  warn("max_length is not set: as in TRL it is 512 for this command. Set --max_length.");
  return 512;
}

/** The warning about tools that are not passed on. */
export function toolsWarning(command: PreferenceCommand): string {
  return `The rows have tools, which ${command} does not pass to the chat template, as in TRL. ` +
    `dpo, kto, tpo and reward do.`;
}

/** Warns of sequences that the rules of the older trainers leave too long. */
export function warnTooLong(
  sequences: readonly PromptedCompletion[],
  limit: number,
  warn: (message: string) => void,
): void {
  const lengths = sequences.map((s) => s.promptIds.length + s.completionIds.length);
  const tooLong = lengths.filter((length) => length > limit);
  if (tooLong.length === 0) return;
  const longest = tooLong.reduce((a, b) => Math.max(a, b));
  warn(
    `${tooLong.length} of ${lengths.length} sequences are longer than max_length = ${limit}, the ` +
      `longest has ${longest} tokens: as in TRL, this command cuts answers but never prompts. ` +
      `Remove rows with long prompts if memory is short.`,
  );
}

/** The warning about prompts whose tokens depend on what follows them. */
export function mismatchWarning(mismatches: number, rows: number): string {
  return `Mismatch between the tokenized prompt and the start of the tokenized prompt with its ` +
    `answer in ${mismatches} of ${rows} rows: tokens at the border belong to both, or the chat ` +
    `template writes the prompt differently. Answers start where the prompt alone would end.`;
}
