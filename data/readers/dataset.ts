/**
 * Datasets from local files or the Hub: JSON Lines, JSON, CSV, TSV and plain text, a file or a directory, with
 * the split names and slices of Hugging Face datasets.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import type { NamedAccess } from "../hub/opened.ts";
import { nearNames } from "../files/local_paths.ts";
import { typeRows } from "./column_types.ts";
import { readCsvRows } from "./csv.ts";
import { type DataFile, resolveDataFiles } from "./data_files.ts";
import { type OnUneven, readJsonLinesRows, readJsonRows } from "./json.ts";
import type { Row } from "./row.ts";
import { parseSplitSpec, resolveSlice, rowsNeeded } from "./split_spec.ts";
import { readTextRows } from "./text.ts";

export type { Row } from "./row.ts";

const readersByFormat = {
  jsonl: readJsonLinesRows,
  json: readJsonRows,
  csv: readCsvRows,
  tsv: readCsvRows,
  text: readTextRows,
} as const;

/** The names of the splits of a dataset, train, validation and test first. */
export async function datasetSplits(path: string): Promise<string[]> {
  return [...(await resolveDataFiles(path)).splits.keys()];
}

/**
 * The files that the rows of a split come from.
 *
 * @throws {UserError} as `readDataset`, but for their contents and splits that are not there
 */
export async function datasetFiles(
  path: string,
  split: string,
  config?: string,
): Promise<string[]> {
  const { splits, bring } = await resolveDataFiles(path, { config });
  const names = new Set(parseSplitSpec(split).map((slice) => slice.split));
  const files = await bring([...names].flatMap((name) => splits.get(name) ?? []));
  return files.map((file) => file.path);
}

/**
 * Reads the rows of one split of a dataset.
 *
 * `path` is a file (`.jsonl`, `.ndjson`, `.json`, `.csv`, `.tsv`, `.txt`, also with `.gz`), which is
 * the split "train", a directory, whose README.md or file and directory names say the splits, or
 * the name of a dataset on the Hub, of which the files of the split are downloaded. `split` is a
 * name with an optional slice: `train`, `train[:100]`, `train[10%:20%]`, `train+test[-5:]`. A file
 * of JSON Lines or text is read no further than a slice needs.
 *
 * Throws a `UserError` for a path that is missing, of an unsupported format, a split
 * that is not there (naming those that are), broken contents (naming file and line), and a split
 * without rows.
 */
export async function readDataset(
  path: string,
  { split = "train", config, access = {} }: {
    readonly split?: string;
    readonly config?: string | undefined;
    readonly access?: NamedAccess;
  } = {},
): Promise<Row[]> {
  const slices = parseSplitSpec(split);
  const { isFile, splits, bring } = await resolveDataFiles(path, { access, config });
  for (const slice of slices) {
    if (!splits.has(slice.split)) {
      throw missingSplitError(path, { isFile, split: slice.split, splits: [...splits.keys()] });
    }
  }
  const rowsOf = new Map<string, Row[]>();
  for (const [name, terms] of Map.groupBy(slices, (slice) => slice.split)) {
    const files = await bring(splits.get(name)!);
    const rows = await readRows(files, Math.max(...terms.map(rowsNeeded)));
    const names = files.map((file) => file.path);
    if (rows.length === 0) {
      throw new UserError(
        `The split "${name}" of the dataset ${path} has no rows: ${names.join(", ")} ` +
          `${names.length === 1 ? "is" : "are"} empty.`,
      );
    }
    if (Object.keys(rows[0]!).length === 0) {
      throw new UserError(
        `The rows of ${names.join(", ")} have no columns: every one is an empty object, {}.`,
      );
    }
    rowsOf.set(name, rows);
  }
  const selected = slices.flatMap((slice) => {
    const rows = rowsOf.get(slice.split)!;
    return rows.slice(...resolveSlice(slice, rows.length));
  });
  if (selected.length === 0) {
    const counts = [...rowsOf].map(([name, rows]) => `"${name}" has ${rows.length}`).join(", ");
    throw new UserError(
      `The split "${split}" of the dataset ${path} selects no rows (${counts}). Widen the slice.`,
    );
  }
  return selected;
}

async function readRows(files: readonly DataFile[], needed: number): Promise<Row[]> {
  let uneven: string | undefined;
  const rows = await readUntyped(files, needed, (what) => uneven ??= what);
  return files.some(({ format }) => format === "json" || format === "jsonl")
    ? typeRows(rows, uneven)
    : rows;
}

async function readUntyped(
  files: readonly DataFile[],
  needed: number,
  onUneven: OnUneven,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const file of files) {
    for await (const batch of readersByFormat[file.format](file, onUneven)) {
      for (const row of batch) rows.push(row);
      if (rows.length >= needed) return rows;
    }
  }
  return rows;
}

function missingSplitError(
  path: string,
  { isFile, split, splits }: {
    readonly isFile: boolean;
    readonly split: string;
    readonly splits: readonly string[];
  },
): UserError {
  if (isFile) {
    return new UserError(
      `The dataset ${path} is a single file, which is the split "train"; it has no split ` +
        `"${split}". For a test set, put train and test files (train.jsonl, test.jsonl) into one ` +
        `directory and give the directory, or slice this file: "train[:90%]" and "train[90%:]".`,
    );
  }
  const near = nearNames(split, splits)[0];
  return new UserError(
    `The dataset ${path} has no split "${split}"` +
      `${near === undefined ? "" : ` (did you mean "${near}"?)`}. Its splits are: ` +
      `${splits.join(", ")}. Name one of them, or add a file with the word "${split}" in its name.`,
  );
}
