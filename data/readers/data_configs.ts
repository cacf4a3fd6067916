/**
 * The `configs:` that a dataset's README.md declares: which files make up which split, as `datasets` reads them
 * (`datasets/utils/metadata.py`, `datasets/data_files.py`).
 *
 * @module
 */

import { parse } from "yaml";
import { UserError } from "../../core/errors.ts";
import { isRecord } from "../files/json_files.ts";

/** What the README of a dataset says of its files. */
export interface DataConfig {
  /** The folder that the patterns, or the rules by name, hold in; "" for the whole dataset. */
  readonly directory: string;
  /** The patterns of each split; undefined where the names of the files say the splits. */
  readonly patterns: ReadonlyMap<string, readonly string[]> | undefined;
}

/**
 * The config of a name, or else the one that a README makes the default one: the only one, the one with `default: true` or that named "default".
 *
 * @param readme The text of README.md.
 * @param dataset What errors call the dataset.
 * @param wanted The name of a config.
 * @returns undefined if the README declares no configs
 * @throws {UserError} if its YAML or a config is broken, if there is no such config, and if there are several and none is the default
 */
export function chosenConfig(
  readme: string,
  dataset: string,
  wanted?: string,
): DataConfig | undefined {
  const header = /^\uFEFF?---\s*\n(.*?\n)?---\s*(?:\n|$)/s.exec(readme.replaceAll("\r\n", "\n"))
    ?.[1];
  if (header === undefined) return undefined;
  const refuse = (what: string): never => {
    throw new UserError(`Cannot read the README.md of the dataset ${dataset}: ${what}.`);
  };
  const metadata = parsed(header, refuse);
  const configs = isRecord(metadata) ? metadata["configs"] : undefined;
  if (configs === undefined || configs === null) return undefined;
  if (!Array.isArray(configs)) return refuse("its configs are not a list");
  if (configs.length === 0) return undefined;
  const records = configs.map((config: unknown) =>
    isRecord(config) && typeof config["config_name"] === "string"
      ? config
      : refuse("one of its configs has no config_name")
  );
  const defaults = records.length === 1
    ? records
    : records.filter((config) => config["default"] === true || config["config_name"] === "default");
  const names = records.map((config) => config["config_name"]).join(", ");
  if (wanted === undefined && defaults.length > 1) {
    return refuse(`several of its configs (${names}) are the default one`);
  }
  const config = wanted === undefined
    ? defaults[0]
    : records.find((record) => record["config_name"] === wanted);
  if (config === undefined && wanted !== undefined) {
    throw new UserError(
      `The dataset ${dataset} has no config "${wanted}". Its configs are: ${names}.`,
    );
  }
  if (config === undefined) {
    throw new UserError(
      `The dataset ${dataset} has several configs (${names}) and none of them is its default. Name one of ` +
        `them with dataset_config.`,
    );
  }
  const directory = config["data_dir"] ?? "";
  if (typeof directory !== "string") return refuse("a data_dir is not a text");
  return {
    directory: directory.replace(/^(?:\.\/)+|\/+$/g, "").replace(/^\.$/, ""),
    patterns: config["data_files"] === undefined || config["data_files"] === null
      ? undefined
      : patternsOf(config["data_files"], refuse),
  };
}

function parsed(text: string, refuse: (what: string) => never): unknown {
  try {
    return parse(text, { logLevel: "error" });
  } catch (error) {
    return refuse(
      `its header is not YAML (${error instanceof Error ? error.message.split("\n")[0] : error})`,
    );
  }
}

function patternsOf(
  declared: unknown,
  refuse: (what: string) => never,
): ReadonlyMap<string, readonly string[]> {
  const list = (value: unknown): string[] => {
    const values: unknown[] = Array.isArray(value) ? value : [value];
    return values.map((item) =>
      typeof item === "string" ? item : refuse("its data_files are not patterns of paths")
    );
  };
  if (isRecord(declared)) {
    return new Map(Object.entries(declared).map(([split, value]) => [split, list(value)]));
  }
  if (!Array.isArray(declared) || !declared.some(isRecord)) {
    return new Map([["train", list(declared)]]);
  }
  const patterns = new Map<string, string[]>();
  for (const entry of declared as unknown[]) {
    if (!isRecord(entry) || typeof entry["split"] !== "string" || !("path" in entry)) {
      return refuse("each of its data_files needs a split and a path");
    }
    if (patterns.has(entry["split"])) {
      return refuse(`its data_files name the split "${entry["split"]}" twice`);
    }
    patterns.set(entry["split"], list(entry["path"]));
  }
  return patterns;
}

/**
 * The names that a pattern of paths matches: `*` and `?` within a part, `**` for any parts, `[a-z]` and `[!a-z]`.
 *
 * @throws {UserError} if `**` is only a piece of a part, as in `**.csv`
 */
export function matchingNames(pattern: string, names: readonly string[]): string[] {
  const parts = pattern.replace(/^(?:\.\/)+/, "").split("/");
  const source = parts.map((part, index) => {
    const last = index === parts.length - 1;
    if (part === "**") return last ? ".+" : "(?:[^/]+/)*";
    if (part.includes("**")) {
      throw new UserError(
        `Cannot use the pattern "${pattern}" of data files: ** must be a whole part of a path, as in data/**/*.csv.`,
      );
    }
    return partSource(part) + (last ? "" : "/");
  }).join("");
  const whole = new RegExp(`^${source}$`, "su");
  return names.filter((name) => whole.test(name));
}

function partSource(part: string): string {
  return part.replace(/\[(!?)([^\]/]+)\]|[\s\S]/gu, (text, not?: string, set?: string) => {
    if (set !== undefined) {
      return `[${not === "!" ? "^/" : ""}${set.replace(/[\\^[\]&~|{}()/]/g, "\\$&")}]`;
    }
    if (text === "*") return "[^/]*";
    if (text === "?") return "[^/]";
    return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  });
}
