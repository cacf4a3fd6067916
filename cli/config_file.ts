/**
 * The YAML file of `--config`: option names with values that become the defaults of the command
 * line, and an `env` mapping for the environment, as TRL's TrlParser reads it.
 *
 * @module
 */

import { isScalar, type LineCounter, YAMLMap } from "yaml";
import { UserError } from "../core/errors.ts";
import { decodeText } from "../data/files/json_files.ts";
import { parseYaml, type YamlDocument } from "./yaml.ts";

/** One key of the file. */
export interface ConfigEntry {
  /** The key as written. */
  readonly key: string;
  /** The value as YAML reads it. */
  readonly value: unknown;
  /** Line of the key, from 1. */
  readonly line: number;
}

/** A settings file, parsed but not yet held against the options of a command. */
export interface ConfigFile {
  /** Where the file is, for messages. */
  readonly path: string;
  /** The keys in the order of the file, without `env`. */
  readonly entries: readonly ConfigEntry[];
  /** Variables for the environment, from the key `env`. */
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * Parses the text of a settings file; `path` is for messages.
 *
 * @throws {UserError} On a YAML error, with its line; when the file is not a mapping; when `env` is
 *   not a mapping of plain values.
 */
export function parseConfig(text: string, path: string): ConfigFile {
  const { document, lines } = parseYaml(text, path);
  const root = document.contents;
  if (root === null || (isScalar(root) && root.value === null)) {
    return { path, entries: [], environment: {} };
  }
  if (!(root instanceof YAMLMap)) {
    throw new UserError(
      `${path} must be a mapping of option names to values, such as "learning_rate: 2e-5", but it ` +
        "holds something else.",
    );
  }
  const entries = new Map<string, ConfigEntry>();
  const merged = root.items.filter(isMerge);
  for (const entry of merged.flatMap((item) => itemsOf(item, lines, document))) {
    entries.set(entry.key, entry);
  }
  for (const item of root.items) {
    if (isMerge(item)) continue;
    const key = keyOf(item, path, lines);
    entries.set(key, { key, value: plainOf(item.value, document), line: lineOf(item, lines) });
  }
  const environment = entries.get("env");
  entries.delete("env");
  return {
    path,
    entries: [...entries.values()],
    environment: environment
      ? readEnvironment(environment.value, `${path}, line ${environment.line}`)
      : {},
  };
}

type Item = YAMLMap["items"][number];

/** Whether an item is `<<`, which stands for the keys of other mappings. */
function isMerge({ key }: Item): boolean {
  return isScalar(key) && typeof key.value === "symbol";
}

/** The keys that `<<` brings, those of the first mapping last, as they count. */
function itemsOf(item: Item, lines: LineCounter, document: YamlDocument): ConfigEntry[] {
  const line = lineOf(item, lines);
  const sources = [plainOf(item.value, document)].flat().reverse();
  return sources.flatMap((source) =>
    Object.entries(source as object).map(([key, value]) => ({ key, value, line }))
  );
}

/** Words that YAML 1.1 means by truth values and nothing. */
const meaningWords = /^(?:yes|no|on|off|true|false|null|~)$/i;

function keyOf(item: Item, path: string, lines: LineCounter): string {
  const { key } = item;
  const isText = isScalar(key) && typeof key.value === "string" &&
    !(key.type === "PLAIN" && key.tag === undefined && meaningWords.test(key.value));
  if (isText) return key.value as string;
  throw new UserError(
    `${path}, line ${lineOf(item, lines)}: the key ${
      isScalar(key) && key.source || "that is not there"
    } is no name but a value. Options are called by their names; put it into quotes if it is one.`,
  );
}

function lineOf({ key }: Item, lines: LineCounter): number {
  return isScalar(key) ? lines.linePos(key.range?.[0] ?? 0).line : 0;
}

function plainOf(node: unknown, document: YamlDocument): unknown {
  return hasToJs(node) ? node.toJS(document) : node;
}

interface YamlNode {
  readonly toJS: (document: unknown) => unknown;
}

function hasToJs(node: unknown): node is YamlNode {
  return typeof node === "object" && node !== null && "toJS" in node;
}

function readEnvironment(value: unknown, where: string): Record<string, string> {
  const wrong = new UserError(
    `${where}: env must be a mapping of variable names to text, such as ` +
      `"env: {OMP_NUM_THREADS: "2"}".`,
  );
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]: [string, unknown]) => {
      if (typeof item === "object" || item === undefined) throw wrong;
      return [name, String(item)];
    }),
  );
}

/**
 * Variables that a settings file may set: of libraries' own settings. It is data, often someone else's: what loads code
 * (loaders, drivers, paths) is for the command line alone.
 */
const settableVariables =
  /^((HF|HUGGINGFACE|HUGGING_FACE|TRANSFORMERS|DATASETS|TOKENIZERS|WANDB|TRACKIO|MLFLOW|TENSORBOARD|COMET|CLEARML|NEPTUNE|TRL|ACCELERATE)_[A-Z0-9_]+|CUDA_VISIBLE_DEVICES|CUDA_DEVICE_ORDER|(OMP|MKL|OPENBLAS|NUMEXPR|VECLIB_MAXIMUM|RAYON)_NUM_THREADS|NO_COLOR|TQDM_DISABLE)$/;

function notSettable(name: string, path: string): UserError {
  return new UserError(
    `${path}: env sets ${name}, which a settings file may not: it takes settings of known libraries (HF_*, WANDB_*, ` +
      "TRACKIO_*, MLFLOW_*, OMP_NUM_THREADS, CUDA_VISIBLE_DEVICES and their like). If you want it, set it yourself " +
      "when you start the command.",
  );
}

/**
 * Reads a settings file and puts its `env` mapping into the environment.
 *
 * @throws {UserError} When the file cannot be read, and as {@linkcode parseConfig}.
 */
export function readConfigFile(path: string): ConfigFile {
  let text: string;
  try {
    text = decodeText(Deno.readFileSync(path), path);
  } catch (error) {
    if (error instanceof UserError) throw error;
    const missing = error instanceof Deno.errors.NotFound;
    const why = missing ? "there is no such file" : error instanceof Error ? error.message : error;
    throw new UserError(`Cannot read the settings file --config ${path}: ${why}.`);
  }
  const config = parseConfig(text, path);
  const variables = Object.entries(config.environment);
  for (const [name] of variables) if (!settableVariables.test(name)) throw notSettable(name, path);
  for (const [name, value] of variables) Deno.env.set(name, value);
  return config;
}
