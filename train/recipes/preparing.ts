/** From rows to examples for a training command: shown while it lasts, and kept for the next run. @module */

import { UserError } from "../../core/mod.ts";
import {
  digest,
  digestOfFile,
  keepPreparation,
  type KeptPreparation,
  keptPreparation,
  type PreparedCache,
} from "../../data/prepare/prepared_cache.ts";
import { datasetFiles, readDataset, type Row } from "../../data/readers/dataset.ts";
import { readsTheMoment, type Tokenizer } from "../../data/tokenizer/tokenizer.ts";
import { version } from "../../core/version.ts";

/** What of a command prepares its rows. */
export interface Preparing<E, V> {
  readonly name: string;
  readonly prepare: (
    rows: readonly Row[],
    context: PrepareContext<V>,
  ) => { readonly examples: readonly E[]; readonly description: string };
  readonly describe: (example: E, tokenizer: Tokenizer) => string;
}

/** What a command prepares rows with. */
export interface PrepareContext<V> {
  readonly tokenizer: Tokenizer;
  readonly values: V;
  /** The training rows, of which evaluation rows take some settings; the same rows in training. */
  readonly trainRows: readonly Row[];
  readonly evaluation: boolean;
  /** Positions the model was made for. */
  readonly positions: number;
  readonly say: (text: string) => void;
  /** Told how many rows are done. */
  readonly progress: (done: number, total: number) => void;
}

/** The settings that say which rows there are. */
export interface DataValues {
  readonly dataset_name: string;
  readonly dataset_config?: string | null | undefined;
  readonly dataset_train_split: string;
  readonly dataset_test_split: string;
  readonly eval_strategy: string;
  readonly eval_on_start: boolean;
  readonly show_data: number;
  readonly dry_run: boolean;
}

/** Rows in place of files. */
export interface GivenRows {
  readonly train: readonly Row[];
  readonly evaluation: readonly Row[] | null;
}

/** What rows are prepared for. */
export interface PreparingFor<V> {
  readonly values: V;
  readonly tokenizer: Tokenizer;
  readonly positions: number;
  readonly say: (text: string) => void;
  readonly progress: (done: number, total: number) => void;
  /** Rows in place of the files that the settings name. */
  readonly rows?: GivenRows | undefined;
}

/** Examples to learn from, and to evaluate on if that is asked for. */
export interface PreparedData<E> {
  readonly train: readonly E[];
  readonly evaluation: readonly E[] | null;
}

/** Data smaller than this is prepared faster than looked up. */
const leastBytes = 1 << 20;

/** All kept preparations together. */
const mostBytes = 4 * 2 ** 30;

/** Prepares the rows that the flags name, or takes what an earlier run made of the same ones. */
export async function prepareData<E, V extends DataValues>(
  command: Preparing<E, V>,
  made: PreparingFor<V>,
): Promise<PreparedData<E>> {
  const { values, tokenizer, say } = made;
  const { dataset_name: name } = values;
  const { examples, description, rows } = await prepareSplit(command, made, false);
  say(`${name}: ${rows} rows, ${description}`);
  for (const example of examples.slice(0, values.show_data)) {
    say(command.describe(example, tokenizer));
  }
  if (values.eval_strategy === "no" && !values.eval_on_start) {
    return { train: examples, evaluation: null };
  }
  const { examples: evaluation } = await prepareSplit(command, made, true);
  if (evaluation.length === 0) {
    throw new UserError(`The split ${values.dataset_test_split} of ${name} has no usable rows.`);
  }
  return { train: examples, evaluation };
}

async function prepareSplit<E, V extends DataValues>(
  command: Preparing<E, V>,
  made: PreparingFor<V>,
  evaluation: boolean,
): Promise<KeptPreparation<E>> {
  const { values, say } = made;
  // Rows of a script have no files to be known by.
  const cache = made.rows ? null : cacheOf();
  const content = cache && await contentOf(command.name, made, evaluation);
  const valueOf = (name: string) => written(values[name as keyof V]);
  const kept = cache && content
    ? await keptPreparation<E>(cache, {
      content,
      fits: (settings) =>
        Object.entries(settings).every(([name, value]) => valueOf(name) === value),
    })
    : null;
  if (kept) {
    kept.notices.forEach(say);
    return kept;
  }
  const read = (split: string) =>
    readDataset(values.dataset_name, { split, config: values.dataset_config ?? undefined });
  const trainRows = made.rows?.train ?? await read(values.dataset_train_split);
  const rows = evaluation
    ? made.rows?.evaluation ?? await read(values.dataset_test_split)
    : trainRows;
  const notices: string[] = [];
  const looked = lookedAt(values);
  const prepared = command.prepare(rows, {
    ...made,
    values: looked.values,
    trainRows,
    evaluation,
    say: (text) => {
      notices.push(text);
      say(text);
    },
  });
  const result = { ...prepared, rows: rows.length, notices };
  if (cache && content && !values.dry_run) {
    const settings = Object.fromEntries(looked.names().map((name) => [name, valueOf(name)]));
    await keepPreparation(cache, content, settings, result).catch((error: unknown) =>
      say(`The prepared rows are not kept for the next run: ${messageOf(error)}`)
    );
  }
  return result;
}

/** Settings that note which of them are looked at: those alone decide whether a kept preparation fits. */
function lookedAt<V extends object>(values: V): {
  readonly values: V;
  readonly names: () => string[];
} {
  const names = new Set<string>();
  const note = (name: string | symbol) => void (typeof name === "string" && names.add(name));
  const watched = new Proxy(values, {
    get: (target, name, receiver) => {
      note(name);
      return Reflect.get(target, name, receiver);
    },
    has: (target, name) => {
      note(name);
      return Reflect.has(target, name);
    },
    ownKeys: (target) => {
      Object.keys(target).forEach(note);
      return Reflect.ownKeys(target);
    },
  });
  return { values: watched, names: () => [...names].sort() };
}

function written(value: unknown): string {
  return value === undefined ? "undefined" : JSON.stringify(value);
}

/** A hash of all that a preparation depends on but the settings; null where looking it up does not pay. */
async function contentOf<V extends DataValues>(
  command: string,
  { values, tokenizer, positions }: PreparingFor<V>,
  evaluation: boolean,
): Promise<string | null> {
  const { dataset_name, dataset_train_split: train, dataset_test_split: test } = values;
  const splits = evaluation ? [train, test] : [train];
  const parts: unknown[] = [code(), command, evaluation, positions, splits];
  let bytes = 0;
  try {
    for (const split of splits) {
      for (
        const path of await datasetFiles(dataset_name, split, values.dataset_config ?? undefined)
      ) {
        bytes += (await Deno.stat(path)).size;
        parts.push([path.slice(path.lastIndexOf("/") + 1), await digestOfFile(path)]);
      }
    }
  } catch {
    return null; // Reading the rows says what is wrong.
  }
  if (bytes < leastBytes) return null;
  const { library, definition, specialTokens, chatTemplates, overrides } = tokenizer;
  const moment = readsTheMoment(tokenizer) ? tokenizer.now : null;
  parts.push(
    digest(JSON.stringify([library, definition, specialTokens, chatTemplates, overrides, moment])),
  );
  return digest(JSON.stringify(parts)).slice(0, 32);
}

/** What tells versions of this code apart: from a clone, the files that prepare rows too. */
function code(): unknown {
  if (!import.meta.url.startsWith("file:")) return version;
  const stamps: unknown[] = [];
  const walk = (folder: URL) => {
    for (const { name, isDirectory } of Deno.readDirSync(folder)) {
      if (isDirectory) walk(new URL(`${name}/`, folder));
      else {
        const { size, mtime } = Deno.statSync(new URL(name, folder));
        stamps.push([name, size, mtime?.getTime()]);
      }
    }
  };
  for (const folder of ["../../data/", "./"]) {
    walk(new URL(folder, import.meta.url));
  }
  return [version, stamps.map((stamp) => JSON.stringify(stamp)).sort()];
}

/** Where preparations are kept; null where the environment may not be read, or files not be written. */
function cacheOf(): PreparedCache | null {
  const allowed = (variable: string) =>
    Deno.permissions.querySync({ name: "env", variable }).state === "granted"
      ? Deno.env.get(variable)
      : undefined;
  const home = allowed("HOME") ?? allowed("USERPROFILE");
  const cache = allowed("XDG_CACHE_HOME") || (home && `${home}/.cache`);
  if (!cache) return null;
  const directory = `${cache}/plumb/prepared`;
  const may = (["read", "write"] as const).every((name) =>
    Deno.permissions.querySync({ name, path: directory }).state === "granted"
  );
  return may ? { directory, mostBytes } : null;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
