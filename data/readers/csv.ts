/**
 * Rows of comma- and tab-separated files.
 *
 * @module
 */

import { CsvError, parse } from "csv-parse/sync";
import { UserError } from "../../core/errors.ts";
import type { DataFile } from "./data_files.ts";
import { readText } from "./lines.ts";
import type { Row } from "./row.ts";

/** What pandas takes for a missing value. */
const missingValues: ReadonlySet<string> = new Set(
  ("|#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|None|n/a|" +
    "nan|null").split("|"),
);

const integer = /^\s*[+-]?\d+\s*$/;
const decimal = /^\s*[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|(?:inf|infinity))\s*$/i;
const truth: ReadonlyMap<string, boolean> = new Map([
  ["True", true],
  ["TRUE", true],
  ["true", true],
  ["False", false],
  ["FALSE", false],
  ["false", false],
]);

function toNumber(text: string): number {
  const value = Number(text);
  return Number.isNaN(value) ? (text.trim().startsWith("-") ? -Infinity : Infinity) : value;
}

/**
 * The values of a column under the types pandas infers, which the CSV loader of Hugging Face
 * datasets uses: numbers if all present values are, booleans if all are True or False in the usual
 * spellings, else strings as they stand; missing values (empty, NA, NaN, null, None, …) are `null`.
 * Integers beyond 2⁵³, which a JavaScript number cannot hold, leave the column as strings.
 */
export function inferColumn(texts: readonly (string | undefined)[]): unknown[] {
  const isMissing = (text: string | undefined) => text === undefined || missingValues.has(text);
  const present = texts.filter((text): text is string => !isMissing(text));
  let convert: (text: string) => unknown = (text) => text;
  if (present.every((text) => truth.has(text))) {
    convert = (text) => truth.get(text);
  } else if (
    present.every((text) =>
      integer.test(text) ? Number.isSafeInteger(Number(text)) : decimal.test(text)
    )
  ) {
    convert = toNumber;
  }
  return texts.map((text) => text === undefined || isMissing(text) ? null : convert(text));
}

/** Names for the header's cells as pandas gives them: `Unnamed: 1` where empty, `a.1` for a repeat. */
function columnNames(header: readonly string[]): string[] {
  const taken = new Set<string>();
  return header.map((cell, i) => {
    const wanted = cell === "" ? `Unnamed: ${i}` : cell;
    let name = wanted;
    for (let count = 1; taken.has(name); count++) name = `${wanted}.${count}`;
    taken.add(name);
    return name;
  });
}

/**
 * Rows of a CSV or TSV file with a header line. Quoted fields may hold separators, quotes (doubled)
 * and line breaks; blank lines are skipped; short lines are filled with `null`. Column types as in
 * `inferColumn`.
 *
 * Throws a `UserError` naming file and line for quotes that do not close and lines with more fields
 * than the header.
 */
export async function* readCsvRows(file: DataFile): AsyncGenerator<Row[], void, undefined> {
  const text = await readText(file);
  const records = parseRecords(text, file);
  const header = records.shift();
  if (header === undefined || records.length === 0) return;
  const columns = columnNames(header.fields).map((name, j): [string, unknown[]] => [
    name,
    inferColumn(records.map(({ fields }) => fields[j])),
  ]);
  for (const { fields, line } of records) {
    if (fields.length > columns.length) {
      throw new UserError(
        `Cannot read ${file.path}, line ${line}: it has ${fields.length} fields, but the header ` +
          `has ${columns.length}. Put fields that contain the separator into double quotes.`,
      );
    }
  }
  yield records.map((_, i) =>
    Object.fromEntries(columns.map(([name, values]) => [name, values[i]]))
  );
}

type CsvRecord = { readonly fields: readonly string[]; readonly line: number };

function parseRecords(text: string, { path, format }: DataFile): CsvRecord[] {
  const records: CsvRecord[] = [];
  try {
    parse(text, {
      delimiter: format === "tsv" ? "\t" : ",",
      record_delimiter: ["\r\n", "\n", "\r"],
      relax_column_count: true,
      relax_quotes: true,
      skip_empty_lines: true,
      on_record: (fields: string[], { lines }: { lines: number }) => {
        const blank = fields.length === 1 && fields[0] !== "" && fields[0]!.trim() === "";
        if (!blank) records.push({ fields, line: lines });
        return null;
      },
    });
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw new UserError(`Cannot read ${path}: ${error.message}.`);
  }
  return records;
}
