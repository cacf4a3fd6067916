/**
 * Rows of JSON Lines files and JSON documents.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import type { DataFile } from "./data_files.ts";
import { type Line, readLines, readText } from "./lines.ts";
import type { Row } from "./row.ts";

function isRow(value: unknown): value is Row {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array" : `a ${typeof value}`;
}

function beginning(text: string): string {
  const trimmed = text.trimStart();
  return trimmed.length > 80 ? `${trimmed.slice(0, 80)}…` : trimmed;
}

/** The parser's reason; within one line only the column is news. */
function reasonOf(error: unknown): string {
  return (error as SyntaxError).message.replace(
    / at position \d+ \(line 1 column (\d+)\)/,
    " at column $1",
  );
}

function parseLine({ text, number }: Line, path: string): Row {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UserError(
      `Cannot read ${path}, line ${number}: ${reasonOf(error)}. Every line must hold one whole ` +
        `JSON object. The line begins: ${beginning(text)}`,
    );
  }
  if (!isRow(value)) {
    throw new UserError(
      `Cannot read ${path}, line ${number}: it holds ${
        kindOf(value)
      }, and a JSON object with the ` +
        `columns as keys was expected. The line begins: ${beginning(text)}`,
    );
  }
  return value;
}

/**
 * Rows of a JSON Lines file: one object per line, blank lines skipped. A file that begins with "["
 * is read as a JSON document.
 *
 * Throws a `UserError` naming file and line for lines that are not JSON objects.
 */
export async function* readJsonLinesRows(file: DataFile): AsyncGenerator<Row[], void, undefined> {
  let first = true;
  for await (const lines of readLines(file)) {
    const filled = lines.filter(({ text }) => text.trim() !== "");
    if (filled.length === 0) continue;
    if (first && filled[0]!.text.trimStart().startsWith("[")) {
      yield* readJsonRows(file);
      return;
    }
    first = false;
    yield filled.map((line) => parseLine(line, file.path));
  }
}

/**
 * Rows of a JSON document: an array of objects (or of strings, which become `{ text }`), an object
 * whose "data" is such an array, an object of equally long columns, or one object of other values,
 * which is one row. JSON Lines under the name .json are recognised.
 *
 * Throws a `UserError` naming the file, and the row where there is one, for anything else.
 */
export async function* readJsonRows(file: DataFile): AsyncGenerator<Row[], void, undefined> {
  const text = await readText(file);
  if (text.trim() === "") return;
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    const firstLine = /\S[^\n]*/.exec(text)?.[0] ?? "";
    if (file.format === "json" && isJsonObject(firstLine)) {
      yield* readJsonLinesRows(file);
      return;
    }
    throw new UserError(
      `Cannot read ${file.path}: it is not valid JSON: ${(error as SyntaxError).message}.`,
    );
  }
  yield rowsOfDocument(document, file.path);
}

function isJsonObject(text: string): boolean {
  try {
    return isRow(JSON.parse(text));
  } catch {
    return false;
  }
}

function rowsOfDocument(document: unknown, path: string): Row[] {
  if (Array.isArray(document)) return rowsOfArray(document, path);
  if (!isRow(document)) {
    throw new UserError(
      `Cannot read ${path}: it holds ${kindOf(document)}, and an array of objects was expected.`,
    );
  }
  const data = document["data"];
  if (Array.isArray(data) && data.every(isRow)) return rowsOfArray(data, path);
  const columns = Object.entries(document);
  if (columns.length === 0 || !columns.every(([, values]) => Array.isArray(values))) {
    return [document];
  }
  const lengths = columns.map(([, values]) => (values as unknown[]).length);
  if (new Set(lengths).size > 1) {
    throw new UserError(
      `Cannot read ${path}: it is an object of arrays, but they differ in length ` +
        `(${columns.map(([name], i) => `${name}: ${lengths[i]}`).join(", ")}), so they are not ` +
        `columns. Columns must be equally long; a list of rows goes into an array, or one row per ` +
        `line into a .jsonl file.`,
    );
  }
  return Array.from(
    { length: lengths[0]! },
    (_, i) => Object.fromEntries(columns.map(([name, values]) => [name, (values as unknown[])[i]])),
  );
}

function rowsOfArray(values: readonly unknown[], path: string): Row[] {
  if (values.length > 0 && values.every((value) => typeof value === "string")) {
    return values.map((text) => ({ text }));
  }
  return values.map((value, i) => {
    if (isRow(value)) return value;
    throw new UserError(
      `Cannot read ${path}: row ${i + 1} is ${kindOf(value)}, and a JSON object with the columns ` +
        `as keys was expected. It begins: ${beginning(JSON.stringify(value))}`,
    );
  });
}
