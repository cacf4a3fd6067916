/**
 * Which files of a dataset path, or of a dataset on the Hub, make up which split, by the rules of Hugging Face datasets
 * (`datasets/data_files.py`): the configs of its README.md say it, or else a file name or a directory name with the word train, validation
 * (valid, val, dev) or test (testing, eval, evaluation) in it says the split, as does
 * `data/<split>-00000-of-00001.*`; where nothing says anything, all is "train".
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import type { NamedAccess } from "../hub/opened.ts";
import { fetchDatasetFiles, listDatasetFiles, refuseDatasetScript } from "../hub/dataset_files.ts";
import { meansRepository } from "../hub/names.ts";
import { chosenConfig, matchingNames } from "./data_configs.ts";
import { basePath, joinPath, missingPathError, statIfPresent } from "../files/local_paths.ts";

/** The formats the readers understand. */
export type DataFormat = "jsonl" | "json" | "csv" | "tsv" | "text";

/** One file of a split. */
export type DataFile = {
  readonly path: string;
  readonly format: DataFormat;
  readonly gzip: boolean;
};

const formatOfExtension: Readonly<Record<string, DataFormat>> = {
  jsonl: "jsonl",
  ndjson: "jsonl",
  json: "json",
  csv: "csv",
  tsv: "tsv",
  txt: "text",
};

/** Extensions of data files that other tools read: named in errors, not skipped in silence. */
const knownUnsupported: ReadonlySet<string> = new Set([
  "parquet",
  "arrow",
  "zip",
  "tar",
  "zst",
  "bz2",
  "xz",
  "lz4",
  "xml",
  "pkl",
  "h5",
  "hdf5",
  "xlsx",
  "yaml",
  "yml",
]);

const supportedText =
  "Supported are .jsonl (.ndjson), .json, .csv, .tsv and .txt, each also with .gz";

/** `datasets` does not take these for data either. */
const ignoredNames: ReadonlySet<string> = new Set([
  "README.md",
  "config.json",
  "dataset_info.json",
  "dataset_infos.json",
  "dataset_dict.json",
]);

function classify(path: string): DataFile | undefined {
  const extensions = basePath(path).toLowerCase().split(".").slice(1);
  const gzip = extensions.at(-1) === "gz";
  const format = formatOfExtension[extensions.at(gzip ? -2 : -1) ?? ""];
  return format === undefined ? undefined : { path, format, gzip };
}

function unsupportedExtension(path: string): string | undefined {
  return basePath(path).toLowerCase().split(".").slice(1).findLast((e) => knownUnsupported.has(e));
}

function unsupportedError(path: string): UserError {
  const extension = unsupportedExtension(path) ?? /\.[^.]+$/.exec(basePath(path))?.[0].slice(1);
  const remedy = extension === "parquet" || extension === "arrow"
    ? ` Convert it, for example in Python: datasets.load_dataset(…)["train"].to_json("train.jsonl").`
    : "";
  return new UserError(
    `Cannot read the dataset ${path}: ` +
      (extension === undefined
        ? "its name has no extension that says the format. "
        : `.${extension} files are not supported${extension === "parquet" ? " yet" : ""}. `) +
      `${supportedText}.${remedy}`,
  );
}

/** The splits of a dataset and how to come by their files. */
export interface ResolvedDataset {
  /** Whether the path is a single file. */
  readonly isFile: boolean;
  /** The files of each split; of a dataset on the Hub they are not here yet. */
  readonly splits: ReadonlyMap<string, readonly DataFile[]>;
  /** Makes files of a split local, in their order: those of the Hub are downloaded. */
  readonly bring: (files: readonly DataFile[]) => Promise<readonly DataFile[]>;
}

const alreadyHere = (files: readonly DataFile[]) => Promise.resolve(files);

/**
 * Finds the files of each split of a dataset: a file (which is the split "train"), a directory, or the name of a
 * dataset on the Hub, `organisation/name` or `organisation/name@revision`.
 *
 * Throws a `UserError` if nothing is there, if nothing there can be read, and for a dataset made by a script.
 */
export async function resolveDataFiles(
  path: string,
  { access = {}, config }: { readonly access?: NamedAccess; readonly config?: string | undefined } =
    {},
): Promise<ResolvedDataset> {
  const present = await statIfPresent(path);
  if (present === undefined) {
    if (await meansRepository(path)) return await resolveHubFiles(path, access, config);
    throw await missingPathError(path, "dataset");
  }
  if (!present.isDirectory) {
    const file = classify(path);
    if (file === undefined) throw unsupportedError(path);
    refuseConfig(path, config);
    return { isFile: true, splits: new Map([["train", [file]]]), bring: alreadyHere };
  }
  const names = await listFiles(path);
  if (names.some((name) => name.endsWith(".arrow"))) {
    throw new UserError(
      `Cannot read the dataset ${path}: it holds Arrow files, as Dataset.save_to_disk writes ` +
        `them. ${supportedText}. Convert it in Python: ` +
        `datasets.load_from_disk("${path}").to_json("train.jsonl").`,
    );
  }
  const readme = joinPath(path, "README.md");
  const text = (await statIfPresent(readme))?.isFile ? await Deno.readTextFile(readme) : "";
  const splits = splitsOf(names, { dataset: path, readme: text, root: path, config });
  return { isFile: false, splits, bring: alreadyHere };
}

async function resolveHubFiles(
  name: string,
  access: NamedAccess,
  config?: string,
): Promise<ResolvedDataset> {
  const listing = await listDatasetFiles(name, undefined, access);
  await refuseDatasetScript(listing, access);
  const paths = listing.files.map((file) => file.path);
  const fetchLocal = (wanted: readonly string[]) =>
    fetchDatasetFiles(name, undefined, wanted, access);
  const [readme] = paths.includes("README.md") ? await fetchLocal(["README.md"]) : [];
  const names = paths.filter((path) => !isLeftOut(path)).sort();
  return {
    isFile: false,
    splits: splitsOf(names, {
      dataset: name,
      readme: readme === undefined ? "" : await Deno.readTextFile(readme),
      root: "",
      config,
    }),
    bring: async (files) => {
      const local = await fetchLocal(files.map((file) => file.path));
      return files.map((file, index) => ({ ...file, path: local[index]! }));
    },
  };
}

function isLeftOut(path: string): boolean {
  const parts = path.split("/");
  return parts.some((part) => part.startsWith(".")) || ignoredNames.has(basePath(path)) ||
    parts.slice(0, -1).some((part) => part.startsWith("__"));
}

/** Where nothing declares configs there is only the one that `datasets` calls "default". */
function refuseConfig(dataset: string, wanted: string | undefined): void {
  if (wanted === undefined || wanted === "default") return;
  throw new UserError(
    `The dataset ${dataset} has no config "${wanted}": no README.md there declares any. Leave dataset_config out.`,
  );
}

/** The splits of a directory or a repository with the files `names`. */
function splitsOf(
  names: readonly string[],
  { dataset, readme, root, config: wanted }: {
    readonly dataset: string;
    readonly readme: string;
    readonly root: string;
    readonly config: string | undefined;
  },
): Map<string, readonly DataFile[]> {
  const config = chosenConfig(readme, dataset, wanted);
  if (config === undefined) refuseConfig(dataset, wanted);
  const under = config === undefined || config.directory === "" ? "" : `${config.directory}/`;
  const inside = names.filter((name) => name.startsWith(under)).map((n) => n.slice(under.length));
  const whole = (name: string) => root === "" ? under + name : joinPath(root, under + name);
  const readable = (members: readonly string[]): DataFile[] => {
    const files = members.map((name) => classify(whole(name))).filter((file) => file !== undefined);
    if (files.length > 0) return files;
    const other = members.find((name) => unsupportedExtension(name) !== undefined);
    if (other !== undefined) throw unsupportedError(joinPath(dataset, under + other));
    throw new UserError(
      `There are no data files in ${root === "" ? "the dataset" : "the directory"} ${
        joinPath(dataset, under)
      }. ${supportedText}; ` +
        (members.length === 0 ? "it is empty." : `it holds ${members.slice(0, 8).join(", ")}.`),
    );
  };
  if (config?.patterns !== undefined) {
    return new Map([...config.patterns].map(([split, patterns]) => {
      const members = patterns.flatMap((pattern) => {
        const found = matchingNames(pattern, inside);
        if (found.length > 0) return found;
        throw new UserError(
          `The README.md of the dataset ${dataset} says that the split "${split}" is in "${pattern}", but no file ` +
            `there has such a path.`,
        );
      });
      return [split, oneFamily(readable([...new Set(members)]))];
    }));
  }
  readable(inside);
  const understood = inside.filter((name) => classify(name) !== undefined);
  return new Map(
    [...assignSplits(understood)].map(([split, members]) => [split, oneFamily(readable(members))]),
  );
}

/** All files below `root`, as paths relative to it, sorted; hidden and ignored ones left out. */
async function listFiles(root: string, under = ""): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of Deno.readDir(joinPath(root, under))) {
    const name = joinPath(under, entry.name);
    if (entry.name.startsWith(".") || ignoredNames.has(entry.name)) continue;
    if (entry.isDirectory) {
      if (!entry.name.startsWith("__")) names.push(...await listFiles(root, name));
    } else if (entry.isFile || (await statIfPresent(joinPath(root, name)))?.isFile) {
      names.push(name);
    }
  }
  return names.sort();
}

const splitKeywords: Readonly<Record<string, readonly string[]>> = {
  train: ["train", "training"],
  validation: ["validation", "valid", "dev", "val"],
  test: ["test", "testing", "eval", "evaluation"],
};

/**
 * Maps each split to its files, given as relative paths. The first rule that finds anything holds:
 * `data/<split>-00000-of-00001.*`, then directory names, then file names, then all is "train". A file
 * may be in two splits (`train-test.jsonl`), but, unlike in `datasets`, never twice in one.
 */
export function assignSplits(names: readonly string[]): Map<string, string[]> {
  const sharded = new Map<string, string[]>();
  for (const name of names) {
    const split = /^data\/(\w+(?:\.\w+)*)-\d{5}-of-\d{5}[^/]*\.[^/]*$/.exec(name)?.[1];
    if (split !== undefined) sharded.set(split, [...sharded.get(split) ?? [], name]);
  }
  if (sharded.size > 0) {
    const known = Object.keys(splitKeywords).filter((split) => sharded.has(split));
    const others = [...sharded.keys()].filter((split) => !known.includes(split)).sort();
    return new Map([...known, ...others].map((split) => [split, sharded.get(split)!]));
  }
  const directoriesOf = (name: string) => name.split("/").slice(0, -1);
  const fileOf = (name: string) => [basePath(name)];
  for (const [partsOf, isFile] of [[directoriesOf, false], [fileOf, true]] as const) {
    const result = new Map<string, string[]>();
    for (const [split, keywords] of Object.entries(splitKeywords)) {
      // The order of `datasets`: by keyword, names that begin with it before those that hold it.
      const found = keywords.flatMap((keyword) =>
        ["^", ".*[-._ 0-9]"].flatMap((before) => {
          const pattern = new RegExp(
            `${before}${keyword}${isFile ? "" : "(?:$|"}[-._ 0-9]${isFile ? "" : ")"}`,
          );
          return names.filter((name) => partsOf(name).some((part) => pattern.test(part)));
        })
      );
      if (found.length > 0) result.set(split, [...new Set(found)]);
    }
    if (result.size > 0) return result;
  }
  return new Map([["train", [...names]]]);
}

/** A split in mixed formats is read from its most common one, as `datasets` does. */
function oneFamily(files: readonly DataFile[]): readonly DataFile[] {
  const familyOf = ({ format }: DataFile) => format === "jsonl" ? "json" : format;
  const families = Map.groupBy(files, familyOf);
  return (["json", "csv", "text", "tsv"] as const)
    .map((family) => families.get(family) ?? [])
    .reduce((best, candidate) => candidate.length > best.length ? candidate : best);
}
