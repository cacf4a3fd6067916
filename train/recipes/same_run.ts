/** Whether a resumed run is the one that wrote the checkpoint: what differs is told, or refused where it makes no sense. @module */

import { createHash } from "node:crypto";
import { UserError } from "../../core/mod.ts";
import { toColumns } from "../../data/files/columns.ts";
import { digest, digestOfFile } from "../../data/prepare/prepared_cache.ts";
import { readsTheMoment, type Tokenizer } from "../../data/tokenizer/tokenizer.ts";
import { version } from "../../core/version.ts";
import { isSameOptimizer } from "../../nn/mod.ts";
import type { Fingerprint, RowsPrint } from "../files/fingerprint.ts";
import type { Options, Section } from "../settings/option.ts";
import type { PreparedData } from "./preparing.ts";

type Settings = Readonly<Record<string, unknown>>;

/** Settings that decide no number of a run: what is shown, when it is saved, where it is computed. */
const idleSections: readonly (Section | "")[] = [
  "Logging",
  "Checkpoints",
  "Command",
  "Without effect here",
  "Not in this version",
  "Older names",
];

/** Among these, the ones that decide what a run ends with. */
const choosing = ["load_best_model_at_end", "metric_for_best_model", "greater_is_better"];

/** Where things are; what is there is looked at itself. */
const places = [
  "output_dir",
  "resume_from_checkpoint",
  "ignore_data_skip",
  "dataset_name",
  "dataset_train_split",
  "dataset_test_split",
];

/** Settings whose change makes the rows that are left other ones. */
const ordering = ["seed", "data_seed", "train_sampling_strategy", "shuffle_dataset"];

/** Settings whose change leaves the checkpoint's optimiser or parameters without meaning. */
const founding = ["optim", "use_peft"];

/** What a run is made of. */
export interface RunParts<E> {
  /** The recipe's name, and its settings' declarations. */
  readonly recipe: { readonly name: string; readonly options: Options };
  /** The settings. */
  readonly values: Settings;
  /** What makes tokens of text. */
  readonly tokenizer: Tokenizer;
  /** The prepared rows. */
  readonly data: PreparedData<E>;
}

/** The fingerprint of a run. */
export async function fingerprintOf<E>(
  { recipe, values, tokenizer, data }: RunParts<E>,
): Promise<() => Fingerprint> {
  const settings = decidingSettings(recipe.options, values);
  // Now, as files may change while the run lasts; what is in memory, which may be much, when it is asked for.
  const files = await filesNamedIn(settings);
  let made: Fingerprint | undefined;
  return () =>
    made ??= {
      version,
      recipe: recipe.name,
      rows: rowsPrint(data.train),
      evaluationRows: data.evaluation && rowsPrint(data.evaluation),
      tokenizer: tokenizerPrint(tokenizer),
      settings,
      files,
    };
}

function tokenizerPrint(tokenizer: Tokenizer): Fingerprint["tokenizer"] {
  const { library, definition, specialTokens, chatTemplates, overrides } = tokenizer;
  const { chatTemplatePath: _, ...tokens } = overrides;
  return {
    library,
    vocabulary: digest(JSON.stringify([definition, specialTokens, tokens])),
    templates: digest(JSON.stringify(chatTemplates)),
    now: readsTheMoment(tokenizer) ? tokenizer.now.toISOString() : null,
  };
}

function decidingSettings(options: Options, values: Settings): Settings {
  const deciding = Object.entries(options).filter(([name, { group, status }]) =>
    status.kind === "works" && !places.includes(name) &&
    (choosing.includes(name) || !idleSections.includes(group))
  );
  const settings = Object.fromEntries(deciding.map(([name]) => [name, values[name] ?? null]));
  // Unset means seed.
  return { ...settings, data_seed: values["data_seed"] ?? values["seed"] ?? null };
}

/** Hashes of the files that settings name: code, templates, answers. */
async function filesNamedIn(settings: Settings): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  for (const [name, value] of Object.entries(settings)) {
    for (const path of [value].flat()) {
      if (typeof path === "string" && path !== "" && await isReadableFile(path)) {
        digests[name] = digest((digests[name] ?? "") + await digestOfFile(path));
      }
    }
  }
  return digests;
}

/** Without asking for permission: most settings name no file. */
async function isReadableFile(path: string): Promise<boolean> {
  const { state } = await Deno.permissions.query({ name: "read", path });
  return state === "granted" &&
    await Deno.stat(path).then((found) => found.isFile, () => false);
}

function rowsPrint(rows: readonly unknown[]): RowsPrint {
  const hash = createHash("sha256");
  const columns = toColumns(rows);
  hash.update(JSON.stringify(columns?.layout ?? "rows"));
  const pieces = columns?.pieces ?? rows.map((row) => JSON.stringify(row));
  for (const piece of pieces) hash.update(piece);
  return { count: rows.length, digest: hash.digest("hex") };
}

/** What differs between two runs, as sentences. */
export interface Differences {
  /** The checkpoint is of another run. */
  readonly refused: readonly string[];
  /** The same run under other settings. */
  readonly told: readonly string[];
}

/**
 * Compares the run that wrote a checkpoint with the one that is to go on from it.
 *
 * @param freshRows Whether rows begin anew, so that it does not matter which were seen.
 */
export function differencesOf(
  before: Fingerprint,
  now: Fingerprint,
  { options, freshRows }: { readonly options: Options; readonly freshRows: boolean },
): Differences {
  const refused: string[] = [];
  const told: string[] = [];
  const rowsMatter = freshRows ? told : refused;
  if (before.recipe !== now.recipe) {
    refused.push(
      `The checkpoint was written by ${before.recipe}, another way to learn than ${now.recipe}.`,
    );
  }
  if (before.rows.digest !== now.rows.digest) {
    rowsMatter.push(
      before.rows.count === now.rows.count
        ? "The rows of the data set, as they are prepared, or their order have changed since the checkpoint."
        : `The rows of the data set have changed since the checkpoint: ${before.rows.count} → ${now.rows.count} ` +
          "as they are prepared.",
    );
  }
  const [evaluated, evaluation] = [before.evaluationRows, now.evaluationRows];
  if (evaluated && evaluation && evaluated.digest !== evaluation.digest) {
    told.push(
      "The rows it is evaluated on have changed since the checkpoint: evaluations before and after do not compare.",
    );
  }
  for (const name of ["vocabulary", "templates", "library"] as const) {
    const [was, is] = [before.tokenizer[name], now.tokenizer[name]];
    if (was === is) continue;
    const what =
      { vocabulary: "tokenizer", templates: "chat template", library: "tokenizer's library" }[name];
    told.push(
      `The ${what} has changed since the checkpoint${
        name === "library" ? `: ${was} → ${is}` : ""
      }.`,
    );
  }
  for (const name of changedSettings(before.settings, now.settings, options)) {
    const [was, is] = [before.settings[name], now.settings[name]];
    const same = name === "optim" && isSameOptimizer(String(was), String(is));
    const list = founding.includes(name) && !same
      ? refused
      : ordering.includes(name)
      ? rowsMatter
      : told;
    list.push(`${name} has changed since the checkpoint: ${shown(was)} → ${shown(is)}.`);
  }
  for (const name of Object.keys(now.files)) {
    const was = before.files[name];
    if (was !== undefined && was !== now.files[name]) {
      told.push(`The contents of the file that ${name} names have changed since the checkpoint.`);
    }
  }
  if (before.version !== now.version) {
    told.push(
      `The version of plumb has changed since the checkpoint: ${before.version} → ${now.version}.`,
    );
  }
  return { refused, told };
}

/** Settings that both know, that differ, and that have an effect in one of the runs. */
function changedSettings(before: Settings, now: Settings, options: Options): string[] {
  const applies = (name: string, settings: Settings) =>
    (options[name]?.when ?? []).every(({ holds }) => holds(settings));
  return Object.keys(now).filter((name) =>
    Object.hasOwn(before, name) && JSON.stringify(before[name]) !== JSON.stringify(now[name]) &&
    (applies(name, before) || applies(name, now))
  );
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return "unset";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/**
 * Tells what has changed since a checkpoint.
 *
 * @throws {UserError} Where the checkpoint is of another run, naming what differs and what to do.
 */
export function checkSameRun(
  path: string,
  before: Fingerprint | undefined,
  now: () => Fingerprint,
  { say, ...how }: {
    readonly options: Options;
    readonly freshRows: boolean;
    readonly say: (text: string) => void;
  },
): void {
  if (!before) {
    say(
      `${path} does not say which rows and settings it was written with, so whether they are still those is not known.`,
    );
    return;
  }
  const { refused, told } = differencesOf(before, now(), how);
  if (refused.length > 0) {
    throw new UserError(
      `${path} is a checkpoint of another run. ${
        refused.join(" ")
      } Resume with what it was begun with, or begin anew: ` +
        "give another output_dir, or set resume_from_checkpoint to false. With ignore_data_skip, other rows are " +
        "taken from their beginning.",
    );
  }
  told.forEach(say);
}
