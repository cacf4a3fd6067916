/** Looking at the values of rows, with errors that name them. @module */

import { UserError } from "../../core/errors.ts";
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
  if (value === undefined || value === null) return "missing";
  if (typeof value === "string") return "a text";
  if (isMessageList(value)) return "a list of messages";
  if (Array.isArray(value)) return "a list";
  return isRecord(value) ? "an object" : JSON.stringify(value);
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
      JSON.stringify(value)?.slice(0, 60) ?? "nothing"
    } in its column "${column}": expected a list of whole numbers.`,
  );
}

/** The margin of a row. @param index the row's number from 0 @throws {UserError} if it is no number */
export function readMargin(row: DatasetRow, index: number): number {
  const margin = row["margin"];
  if (typeof margin === "number") return margin;
  throw new UserError(
    `Row ${index + 1} of the data set has ${JSON.stringify(margin) ?? "nothing"} as its margin: ` +
      `expected a number, by how much the chosen answer is better.`,
  );
}
