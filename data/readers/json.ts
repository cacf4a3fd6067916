/**
 * Rows of JSON Lines files and JSON documents.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { plainJson } from "../../core/terminal.ts";
import { storeJson } from "./column_types.ts";
import type { DataFile } from "./data_files.ts";
import { type Line, readLines, readText } from "./lines.ts";
import { JsonError, parseJson, parseJsonSequence } from "./python_json.ts";
import type { Row } from "./row.ts";

function isRow(value: unknown): value is Row {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    (value instanceof Map || Object.getPrototypeOf(value) === Object.prototype);
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return `a ${typeof value === "string" || typeof value === "boolean" ? typeof value : "number"}`;
}

function beginning(text: string): string {
  const trimmed = text.trimStart();
  return trimmed.length > 80 ? `${trimmed.slice(0, 80)}…` : trimmed;
}

/** Lines that hold one value together, so far. */
interface Unfinished {
  readonly lines: string[];
  /** The number of the first of them. */
  readonly number: number;
  size: number;
  /** The size at which reading them is tried again; it doubles, so that long values take linear time. */
  tryAt: number;
}

/** Told of the first line that is not one row, and what it is instead. */
export type OnUneven = (what: string) => void;

/**
 * Rows of a JSON Lines file: objects one after the other, as a rule one per line; blank lines are skipped. As Hugging
 * Face datasets does, it takes several objects on a line and objects over several lines. A file that begins with "["
 * is read as a JSON document.
 *
 * @param onUneven Told of lines that are not one row.
 *
 * Throws a `UserError` naming file and line for what is not JSON or no object.
 */
export async function* readJsonLinesRows(
  file: DataFile,
  onUneven: OnUneven,
): AsyncGenerator<Row[], void, undefined> {
  const uneven = (number: number, what: string) => onUneven(`${file.path}, line ${number} ${what}`);
  let first = true;
  let unfinished: Unfinished | undefined;
  for await (const lines of readLines(file)) {
    const rows: Row[] = [];
    for (const line of lines) {
      if (first) {
        const start = line.text.trimStart();
        if (start === "") {
          uneven(line.number, "is blank");
          continue;
        }
        if (start.startsWith("[")) {
          yield* readJsonRows(file, onUneven);
          return;
        }
        first = false;
      }
      if (unfinished === undefined) {
        const before = rows.length;
        unfinished = readValues(line, file.path, rows);
        if (unfinished !== undefined) uneven(line.number, "holds a part of a row");
        else if (rows.length !== before + 1) reportUneven(line, uneven);
        continue;
      }
      unfinished.lines.push(line.text);
      unfinished.size += line.text.length + 1;
      if (unfinished.size >= unfinished.tryAt) unfinished = goOn(unfinished, file.path, rows);
    }
    if (rows.length > 0) yield rows;
  }
  if (unfinished === undefined) return;
  const rows: Row[] = [];
  const left = goOn(unfinished, file.path, rows);
  if (left !== undefined) {
    const text = left.lines.join("\n");
    const { message } = errorOf(text);
    throw notJson({ text, number: left.number }, file.path, message);
  }
  yield rows;
}

/** A lone CR ends a line too, though not for JSON. */
function reportUneven({ text, number }: Line, uneven: (line: number, what: string) => void): void {
  const parts = text.split("\r");
  if (parts.some((part) => part.trim() === "")) uneven(number, "is blank");
  else if (parts.length === 1) uneven(number, "holds several rows");
}

function goOn({ lines, number }: Unfinished, path: string, rows: Row[]): Unfinished | undefined {
  return readValues({ text: lines.join("\n"), number }, path, rows);
}

/** Reads the values of a text that begins in a line, and gives back what more lines must complete. */
function readValues(line: Line, path: string, rows: Row[]): Unfinished | undefined {
  const { text, number } = line;
  let read: ReturnType<typeof parseJsonSequence>;
  try {
    read = parseJsonSequence(text);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw notJson(line, path, error.message, error.position);
  }
  for (const value of read.values) {
    if (!isRow(value)) {
      throw new UserError(
        `Cannot read ${path}, line ${number}: it holds ${
          kindOf(value)
        }, and a JSON object with the ` +
          `columns as keys was expected. The line begins: ${beginning(text)}`,
      );
    }
    rows.push(asRow(value));
  }
  if (read.rest === text.length) return undefined;
  const rest = text.slice(read.rest);
  const before = text.slice(0, read.rest).split("\n").length - 1;
  const size = rest.length;
  return { lines: [rest], number: number + before, size, tryAt: 2 * size };
}

/** A row whose columns may be called by numbers: their order is of no account. */
function asRow(value: Row): Row {
  return value instanceof Map ? Object.fromEntries(value) : value;
}

/** What a text that ends inside a value lacks. */
function errorOf(text: string): JsonError {
  try {
    parseJson(text);
  } catch (error) {
    if (error instanceof JsonError) return error;
    throw error;
  }
  throw new Error("The text is JSON.");
}

function notJson({ text, number }: Line, path: string, reason: string, position?: number) {
  const before = text.slice(0, position ?? 0).split("\n");
  const column = position === undefined ? "" : ` (column ${before.at(-1)!.length + 1})`;
  const line = text.split("\n", before.length).at(-1)!;
  return new UserError(
    `Cannot read ${path}, line ${
      number + before.length - 1
    }: this is not JSON: ${reason}${column}. Every line ` +
      `must hold one whole JSON object. The line begins: ${beginning(line)}`,
  );
}

/**
 * Rows of a JSON document: an array of objects (or of texts, which become `{ text }`); objects that no array holds are
 * rows one after the other, as in JSON Lines. As for Hugging Face datasets, what is no number is null in an array.
 *
 * Throws a `UserError` naming the file, and the row where there is one, for anything else.
 */
export async function* readJsonRows(
  file: DataFile,
  onUneven: OnUneven,
): AsyncGenerator<Row[], void, undefined> {
  const text = await readText(file);
  const start = text.trimStart();
  if (start === "") return;
  if (!start.startsWith("[")) {
    if (start.startsWith("{")) return yield* readJsonLinesRows(file, onUneven);
    throw new UserError(
      `Cannot read ${file.path}: an array of objects was expected. It begins: ${
        beginning(firstLine(start))
      }`,
    );
  }
  let values: unknown;
  try {
    values = parseJson(text);
    if (/NaN|Inf|\d{19}/.test(text)) values = storeJson(values);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    const line = text.slice(0, error.position).split("\n");
    throw new UserError(
      `Cannot read ${file.path}: it is not valid JSON: ${error.message} (line ${line.length}, column ${
        line.at(-1)!.length + 1
      }).`,
    );
  }
  yield rowsOfArray(values, file.path);
}

function firstLine(text: string): string {
  return /^[^\r\n]*/.exec(text)![0];
}

function rowsOfArray(values: unknown, path: string): Row[] {
  if (!Array.isArray(values)) return [];
  if (values.length > 0 && values.every((value) => typeof value === "string")) {
    return values.map((text) => ({ text }));
  }
  return values.map((value: unknown, i) => {
    if (isRow(value)) return asRow(value);
    throw new UserError(
      `Cannot read ${path}: row ${i + 1} is ${kindOf(value)}, and a JSON object with the columns ` +
        `as keys was expected. It begins: ${beginning(plainJson(value))}`,
    );
  });
}
