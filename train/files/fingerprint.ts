/** What a run is made of, in so far as it decides its numbers: a checkpoint names it, so that a resumed run can tell. @module */

import { count, fields, mapping, orNull, type Reader, record, text } from "./checked_json.ts";

/** Prepared rows, their content and their order. */
export interface RowsPrint {
  /** How many. */
  readonly count: number;
  /** A hash of all of them, in order. */
  readonly digest: string;
}

/** What a run is made of. Plain data. */
export interface Fingerprint {
  /** The version of plumb. */
  readonly version: string;
  /** How it learns: `sft`, `dpo`, …. */
  readonly recipe: string;
  /** What it learns from. */
  readonly rows: RowsPrint;
  /** What it is evaluated on, if it is. */
  readonly evaluationRows: RowsPrint | null;
  /** What makes tokens of text: the library with its version, and hashes of what the model's files say. */
  readonly tokenizer: {
    readonly library: string;
    readonly vocabulary: string;
    readonly templates: string;
    /** The moment that templates print, in ISO's form; null where none prints it. */
    readonly now: string | null;
  };
  /** The settings that decide numbers, by TRL's names; null for one that is not set. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Hashes of the files that settings name, such as a loss of one's own, by the setting's name. */
  readonly files: Readonly<Record<string, string>>;
}

const rows: Reader<RowsPrint> = fields({ count, digest: text });

/** Reads a fingerprint from JSON. */
export const fingerprint: Reader<Fingerprint> = fields({
  version: text,
  recipe: text,
  rows,
  evaluationRows: orNull(rows),
  tokenizer: fields({ library: text, vocabulary: text, templates: text, now: orNull(text) }),
  settings: record,
  files: mapping(text),
});
