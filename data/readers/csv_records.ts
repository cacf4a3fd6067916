/**
 * The records of comma-separated text, as pandas' reader splits them (its C tokenizer, of which this has the states):
 * quotes open a field at its beginning only, and what follows the closing quote still belongs to the field.
 *
 * @module
 */

import type { UserError } from "../../core/errors.ts";

/** A record's fields, and the line it begins in, from 1. */
export interface CsvRecord {
  /** Its fields' text. */
  readonly fields: readonly string[];
  /** Where it begins. */
  readonly line: number;
}

/** Characters that separate fields, with what they are called. */
export const separatorsOf: Readonly<Record<string, string>> = {
  ";": 'semicolons (";")',
  "\t": "tabs",
  "|": 'vertical bars ("|")',
  ",": 'commas (",")',
};

/**
 * Splits a text into records. Lines end with LF, CR LF or CR; those without anything but blanks are skipped.
 *
 * @param refuse Makes the error of what follows the file's name.
 * @throws {UserError} for a quote that does not close and for characters that are no text
 */
export function splitCsv(
  text: string,
  separator: string,
  refuse: (why: string) => UserError,
): CsvRecord[] {
  const records: CsvRecord[] = [];
  const unquoted = new RegExp(`[^${separator}\\r\\n]*`, "y");
  const blank = separator === "\t" ? / *(?:\r\n|\n|\r|$)/y : /[ \t]*(?:\r\n|\n|\r|$)/y;
  const nul = text.indexOf("\0");
  if (nul >= 0) {
    const line = lineBreaks(text, 0, nul) + 1;
    throw refuse(`, line ${line}: it holds a character of no text (NUL). Save the file anew.`);
  }
  let [at, line] = [0, 1];
  while (at < text.length) {
    blank.lastIndex = at;
    if (blank.test(text)) {
      at = blank.lastIndex;
      line++;
      continue;
    }
    const first = line;
    const fields: string[] = [];
    for (let more = true; more;) {
      let field = "";
      if (text[at] === '"') {
        const [inner, end] = quotedPart(text, at);
        if (end < 0) throw refuse(`, line ${line}: a quote opens there that does not close.`);
        line += lineBreaks(text, at, end);
        [field, at] = [inner, end];
      }
      unquoted.lastIndex = at;
      field += unquoted.exec(text)![0];
      at = unquoted.lastIndex;
      fields.push(field);
      more = text[at] === separator;
      if (more) at++;
    }
    if (text[at] === "\r" && text[at + 1] === "\n") at++;
    at++;
    line++;
    records.push({ fields, line: first });
  }
  return records;
}

/** The text between quotes, doubled ones in it standing for one, and where it ends; -1 if nowhere. */
function quotedPart(text: string, start: number): [inner: string, end: number] {
  let inner = "";
  for (let at = start + 1;;) {
    const end = text.indexOf('"', at);
    if (end < 0) return ["", -1];
    inner += text.slice(at, end);
    if (text[end + 1] !== '"') return [inner, end + 1];
    inner += '"';
    at = end + 2;
  }
}

function lineBreaks(text: string, from: number, to: number): number {
  return text.slice(from, to).match(/\r\n|\n|\r/g)?.length ?? 0;
}
