/** Looking at the values of rows, with errors that name them. @module */

import { UserError } from "../../core/errors.ts";
import { plainJson } from "../../core/terminal.ts";
import type { Message } from "../chat/chat_template.ts";
import type { DatasetRow } from "./formats.ts";
import { isRecord } from "../files/json_files.ts";

/** Whether a column holds anything: a data set's table has null where a row had no such column. */
export function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** Whether a value is a list of messages with roles. */
export function isMessageList(value: unknown): value is readonly Message[] {
  return Array.isArray(value) && isRecord(value[0]) && "role" in value[0];
}

/** How a value of a row is called in messages. */
export function kindOf(value: unknown): string {
  if (value === undefined) return "missing";
  if (typeof value === "string") return "a text";
  if (isMessageList(value)) return "a list of messages";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  return isRecord(value) ? "an object" : plainJson(value);
}

/** What a column should hold, to be named where it does not. */
export interface Expected {
  /** In words. */
  readonly what: string;
  /** Whether a value is that. */
  readonly fits: (value: unknown) => boolean;
}

/** Columns that are a format together, with what each should hold. */
export type ColumnSet = Readonly<Record<string, Expected>>;

const isText = (value: unknown) => typeof value === "string";
const isFilled = (value: unknown) => Array.isArray(value) && value.length > 0;

/** What columns hold. */
export const holds = {
  text: { what: "a text", fits: isText },
  messages: { what: "a list of messages, each with a role", fits: isMessageList },
  content: {
    what: "a text or a list of messages",
    fits: (value) => isText(value) || isMessageList(value),
  },
  list: { what: "a list", fits: isFilled },
  ids: { what: "a list of token ids", fits: isFilled },
  truth: { what: "true or false", fits: (value) => typeof value === "boolean" },
} as const satisfies Readonly<Record<string, Expected>>;

/**
 * Refuses the first row of a data set that has the columns of a format, one of which does not hold what it should.
 *
 * @throws {UserError} naming the row, the column and what it holds, if one of the sets is there and does not fit
 */
export function refuseMisfit(first: DatasetRow, sets: readonly ColumnSet[]): void {
  for (const set of sets) {
    const columns = Object.keys(set);
    if (!columns.every((column) => Object.hasOwn(first, column))) continue;
    const wrong = columns.find((column) => !set[column]!.fits(first[column]));
    if (wrong === undefined) continue;
    throw new UserError(
      `Row 1 of the data set has the columns ${columns.join(", ")}, but its "${wrong}" is ${
        kindOf(first[wrong])
      }: ${set[wrong]!.what} was expected. Mend or remove the row.`,
    );
  }
}

/** Does what concerns a row; errors then name it. */
export function inRow<T>(index: number, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`Row ${index + 1} of the data set: ${error.message}`, { cause: error });
  }
}

/** The first row, if there is any. @throws {UserError} if there are none */
export function firstRow(rows: readonly DatasetRow[]): DatasetRow {
  const first = rows[0];
  if (first !== undefined) return first;
  throw new UserError("The data set has no rows: there is nothing to train or evaluate on.");
}

/** The whole numbers in a column. @param index the row's number from 0 @throws {UserError} if it holds anything else */
export function idList(row: DatasetRow, column: string, index: number): Int32Array {
  const value = row[column];
  if (Array.isArray(value) && value.every((item) => Number.isInteger(item))) {
    return Int32Array.from(value);
  }
  throw new UserError(
    `Row ${index + 1} of the data set has ${
      plainJson(value).slice(0, 60)
    } in its column "${column}": expected a list of whole numbers.`,
  );
}

/** The margin of a row. @param index the row's number from 0 @throws {UserError} if it is no number */
export function readMargin(row: DatasetRow, index: number): number {
  const margin = row["margin"];
  if (typeof margin === "number") return margin;
  throw new UserError(
    `Row ${index + 1} of the data set has ${plainJson(margin)} as its margin: ` +
      `expected a number, by how much the chosen answer is better.`,
  );
}
