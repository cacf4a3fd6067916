/**
 * Rows of comma- and tab-separated files.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { type CsvRecord, separatorsOf, splitCsv } from "./csv_records.ts";
import type { DataFile } from "./data_files.ts";
import { readText } from "./lines.ts";
import type { Row } from "./row.ts";

/** What pandas takes for a missing value. */
const missingValues: ReadonlySet<string> = new Set(
  ("|#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|None|n/a|" +
    "nan|null").split("|"),
);

const integer = /^[ \t-\r]*[+-]?\d+[ \t-\r]*$/;
const decimal =
  /^[ \t-\r]*[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|(?:inf|infinity))[ \t-\r]*$/i;
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

/** A whole number, as exact as JavaScript has it. */
function toWhole(text: string): number | bigint {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value + 0 : BigInt(text.trim().replace("+", ""));
}

const [leastSigned, mostSigned, mostUnsigned] = [-(2n ** 63n), 2n ** 63n - 1n, 2n ** 64n - 1n];

/**
 * Whether pandas leaves a column as the text that it is, missing values too, because of whole numbers that 64 bits with
 * a sign do not hold: it has no type for them beside negative or missing ones, nor for those that 64 bits do not hold at
 * all and that stand before the first value of another kind.
 *
 * @param present The values that are not missing.
 * @throws {UserError} if they are all whole numbers, and 64 bits do not hold one
 */
function staysText(present: readonly string[], hasMissing: boolean, column: string): boolean {
  const other = present.findIndex((text) => !integer.test(text));
  const first = other < 0 ? present : present.slice(0, other);
  // Fewer digits than the limits have, as a rule.
  const long = first.filter((text) => text.length > 18).map(toWhole);
  if (other >= 0) return long.some((value) => value > mostUnsigned);
  const beyond = long.find((value) => value > mostUnsigned || value < leastSigned);
  if (beyond !== undefined) {
    throw new UserError(
      `the column "${column}" holds the whole number ${
        String(beyond).slice(0, 40)
      }, which 64 bits do not hold. Put a letter ` +
        "before such numbers, if they are names.",
    );
  }
  return long.some((value) => value > mostSigned) &&
    (hasMissing || first.some((text) => toWhole(text) < 0));
}

/**
 * The values of a column under the types pandas infers, which the CSV loader of Hugging Face
 * datasets uses: numbers if all present values are, booleans if all are True or False in the usual
 * spellings, else strings as they stand; missing values (empty, NA, NaN, null, None, …) are `null`.
 * Whole numbers beyond 2⁵³ are `bigint`s, or rounded where a value of the column is missing.
 *
 * Throws a `UserError` for a whole number that 64 bits do not hold.
 */
export function inferColumn(texts: readonly (string | undefined)[], name = ""): unknown[] {
  const isMissing = (text: string | undefined) => text === undefined || missingValues.has(text);
  const present = texts.filter((text): text is string => !isMissing(text));
  const hasMissing = present.length < texts.length;
  if (staysText(present, hasMissing, name)) return texts.map((text) => text ?? "");
  let convert: (text: string) => unknown = (text) => text;
  if (present.every((text) => truth.has(text))) {
    convert = (text) => truth.get(text);
  } else if (present.every((text) => integer.test(text)) && !hasMissing) {
    convert = toWhole;
  } else if (present.every((text) => integer.test(text) || decimal.test(text))) {
    convert = toNumber;
  }
  return texts.map((text) => text === undefined || isMissing(text) ? null : convert(text));
}

/**
 * Names for the header's cells as pandas gives them: `Unnamed: 1` where empty, `a.1` for a repeat; given names are kept
 * before those that pandas makes.
 */
function columnNames(header: readonly string[]): string[] {
  const names = header.map((cell, i) => cell === "" ? `Unnamed: ${i}` : cell);
  const places = [...names.keys()];
  const order = [
    ...places.filter((i) => header[i] !== ""),
    ...places.filter((i) => header[i] === ""),
  ];
  const counts = new Map<string, number>();
  for (const i of order) {
    const wanted = names[i]!;
    let [name, count] = [wanted, counts.get(wanted) ?? 0];
    while (count > 0) {
      counts.set(wanted, count + 1);
      name = `${wanted}.${count}`;
      count = names.includes(name) ? count + 1 : counts.get(name) ?? 0;
    }
    names[i] = name;
    counts.set(name, count + 1);
  }
  return names;
}

/**
 * Rows of a CSV or TSV file with a header line. Quoted fields may hold separators, quotes (doubled)
 * and line breaks; blank lines are skipped; short lines are filled with `null`. Column types as in
 * `inferColumn`.
 *
 * Throws a `UserError` naming file and line for quotes that do not close, lines with more fields than the header, and a
 * file that another character separates.
 */
export async function* readCsvRows(file: DataFile): AsyncGenerator<Row[], void, undefined> {
  const { path } = file;
  const text = await readText(file);
  const separator = file.format === "tsv" ? "\t" : ",";
  const refuse = (why: string) => new UserError(`Cannot read ${path}${why}`);
  const records = splitCsv(text, separator, refuse);
  const header = records.shift();
  if (header === undefined || records.length === 0) return;
  const other = header.fields.length === 1
    ? otherSeparator(header.fields[0]!, records, separator)
    : undefined;
  if (other !== undefined) {
    throw refuse(
      `: its header is one field, ${
        JSON.stringify(header.fields[0]!.slice(0, 60))
      }, and looks separated by ${
        separatorsOf[other]
      }. Separate the fields of a .csv file by commas and those of a .tsv file by tabs.`,
    );
  }
  for (const { fields, line } of records) {
    if (fields.length > header.fields.length) {
      throw refuse(
        `, line ${line}: it has ${fields.length} fields, but the header ` +
          `has ${header.fields.length}. Put fields that contain the separator into double quotes.`,
      );
    }
  }
  const columns = columnNames(header.fields).map((name, j): [string, unknown[]] => {
    try {
      return [name, inferColumn(records.map(({ fields }) => fields[j]), name)];
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      throw refuse(`: ${error.message}`);
    }
  });
  yield records.map((_, i) =>
    Object.fromEntries(columns.map(([name, values]) => [name, values[i]]))
  );
}

/** A character that header and first rows have equally often, where the file's own separator is in none of them. */
function otherSeparator(
  header: string,
  records: readonly CsvRecord[],
  own: string,
): string | undefined {
  const count = (text: string, separator: string) => text.split(separator).length;
  return Object.keys(separatorsOf).find((separator) =>
    separator !== own && header.includes(separator) &&
    records.slice(0, 3).every(({ fields }) =>
      count(fields.join(), separator) === count(header, separator)
    )
  );
}
