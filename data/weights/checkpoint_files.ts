/**
 * The weight files of a Hugging Face checkpoint directory: one safetensors file, or shards with an
 * index; or the same as PyTorch's own files.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { readTextFile } from "../files/json_files.ts";
import { basePath, joinPath, missingPathError, statIfPresent } from "../files/local_paths.ts";
import { openSafetensors, type TensorToStore, writeSafetensors } from "./safetensors.ts";
import { findDuplicateKey, storedByteLength } from "./safetensors_header.ts";
import type { StoredTensor, TensorFile } from "./stored_tensor.ts";
import { openTorchFile } from "../torch/torch_file.ts";

/** The open weight files of a checkpoint. Close them when the tensors have been read. */
export type CheckpointFiles = {
  readonly directory: string;
  /** All tensors by name. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly close: () => void;
  readonly [Symbol.dispose]: () => void;
};

type Open = (path: string) => Promise<TensorFile>;

/** Names of a checkpoint's weights, in the order in which transformers looks for them. */
function weightNames(stem: string): readonly { readonly name: string; readonly open: Open }[] {
  // PyTorch's files of whole models have a name of their own.
  const torch = `${stem === "model" ? "pytorch_model" : stem}.bin`;
  return [
    { name: `${stem}.safetensors`, open: openSafetensors },
    { name: `${stem}.safetensors.index.json`, open: openSafetensors },
    { name: torch, open: openTorchFile },
    { name: `${torch}.index.json`, open: openTorchFile },
  ];
}

/** Names that a checkpoint's weights, or the index of their shards, may have; the first that is there is read. */
export function weightFileNames(
  { stem = "model" }: { readonly stem?: string } = {},
): readonly string[] {
  return weightNames(stem).map(({ name }) => name);
}

/** The first of a checkpoint's weight files that is there, if any. */
async function findWeights(directory: string, stem: string) {
  for (const { name, open } of weightNames(stem)) {
    const path = joinPath(directory, name);
    if (await statIfPresent(path) !== undefined) return { path, open };
  }
  return undefined;
}

/** Whether a directory has weights that {@linkcode openCheckpointFiles} would open. */
export async function hasCheckpointFiles(
  directory: string,
  { stem = "model" }: { readonly stem?: string } = {},
): Promise<boolean> {
  return await findWeights(directory, stem) !== undefined;
}

/**
 * Opens the weights of a checkpoint directory: `model.safetensors`, or else the shards listed by
 * `model.safetensors.index.json`, or else `pytorch_model.bin` or its shards (the order in which
 * transformers looks). `stem` names other weights, such as `adapter_model`.
 *
 * Throws a `UserError` if the directory or its weights are missing, if they are only there in
 * another format, if a shard or a tensor the index promises is missing, and for broken files.
 */
export async function openCheckpointFiles(
  directory: string,
  { stem = "model" }: { readonly stem?: string } = {},
): Promise<CheckpointFiles> {
  const present = await statIfPresent(directory);
  if (present === undefined) throw await missingPathError(directory, "model");
  if (!present.isDirectory) {
    throw new UserError(
      `Cannot open the checkpoint "${directory}": it is a file. Give the directory that holds ` +
        `config.json and ${stem}.safetensors.`,
    );
  }
  const found = await findWeights(directory, stem);
  if (found === undefined) throw await missingWeightsError(directory, stem);
  const { path, open } = found;
  if (path.endsWith(".json")) return await openShards(directory, path, open);
  const file = await open(path);
  return checkpoint(directory, file.tensors, [file]);
}

function checkpoint(
  directory: string,
  tensors: ReadonlyMap<string, StoredTensor>,
  files: readonly TensorFile[],
): CheckpointFiles {
  const close = () => files.forEach((file) => file.close());
  return { directory, tensors, close, [Symbol.dispose]: close };
}

async function openShards(
  directory: string,
  index: string,
  open: Open,
): Promise<CheckpointFiles> {
  const weightMap = await readWeightMap(index);
  const files = new Map<string, TensorFile>();
  try {
    for (const [tensor, shard] of weightMap) {
      if (files.has(shard)) continue;
      const path = joinPath(directory, shard);
      if (await statIfPresent(path) === undefined) {
        const shards = new Set(weightMap.values());
        throw new UserError(
          `The checkpoint ${directory} is incomplete: ${index} lists ${shards.size} shards, and ` +
            `"${shard}" (which holds "${tensor}") is not there. Copy or download it again.`,
        );
      }
      files.set(shard, await open(path));
    }
    const tensors = new Map<string, StoredTensor>();
    for (const [name, shard] of weightMap) {
      const tensor = files.get(shard)!.tensors.get(name);
      if (tensor === undefined) {
        throw new UserError(
          `The checkpoint ${directory} is inconsistent: ${index} says that "${shard}" holds the ` +
            `tensor "${name}", but it does not. Copy or download both files again.`,
        );
      }
      tensors.set(name, tensor);
    }
    return checkpoint(directory, tensors, [...files.values()]);
  } catch (error) {
    for (const file of files.values()) file.close();
    throw error;
  }
}

async function readWeightMap(index: string): Promise<ReadonlyMap<string, string>> {
  const text = await readTextFile(index);
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch (error) {
    throw new UserError(
      `Cannot read ${index}: it is not valid JSON (${(error as Error).message}).`,
    );
  }
  const repeated = findDuplicateKey(text);
  if (repeated !== undefined) {
    throw new UserError(`Cannot read ${index}: the key "${repeated}" occurs twice in it.`);
  }
  const map = typeof root === "object" && root !== null && "weight_map" in root
    ? root.weight_map
    : undefined;
  if (typeof map !== "object" || map === null || Array.isArray(map)) {
    throw new UserError(
      `Cannot read ${index}: it has no "weight_map" object from tensor names to file names.`,
    );
  }
  if (!hasMetadata(root)) {
    throw new UserError(
      `Cannot read ${index}: it has no object "metadata" beside "weight_map". If the rest is whole, write ` +
        '"metadata": {} into it.',
    );
  }
  return new Map(
    Object.entries(map).map(([name, shard]: [string, unknown]) => {
      // An index comes with the weights, from anywhere: it must not reach outside its directory.
      if (
        typeof shard !== "string" || shard === "" ||
        /^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)/.test(shard)
      ) {
        throw new UserError(
          `Cannot read ${index}: it maps the tensor "${name}" to ${
            JSON.stringify(shard)
          }; the name ` +
            `of a file in the same directory was expected.`,
        );
      }
      return [name, shard];
    }),
  );
}

function hasMetadata(root: unknown): boolean {
  return typeof root === "object" && root !== null && "metadata" in root &&
    typeof root.metadata === "object" && root.metadata !== null &&
    !Array.isArray(root.metadata);
}

async function missingWeightsError(directory: string, stem: string): Promise<UserError> {
  const names = (await Array.fromAsync(Deno.readDir(directory), (entry) => entry.name)).sort();
  const other = names.filter((name) => /\.(pt|pth|ckpt|h5|msgpack|gguf)$/.test(name));
  const expected = `${stem}.safetensors or ${stem}.safetensors.index.json`;
  if (other.length > 0) {
    return new UserError(
      `The checkpoint ${directory} has its weights only as ${shortList(other)}; ${expected} was ` +
        `expected. Convert it to safetensors, for example in Python: ` +
        `AutoModelForCausalLM.from_pretrained("${directory}").save_pretrained("<new dir>").`,
    );
  }
  const shards = names.filter((name) => name.endsWith(".safetensors"));
  if (shards.length > 0) {
    return new UserError(
      `The checkpoint ${directory} has ${
        shortList(shards)
      }, but neither of ${expected}. If these ` +
        `are shards, fetch the index file that belongs to them too.`,
    );
  }
  return new UserError(
    `There are no weights in ${directory}: ${expected} was expected. ` +
      (names.length === 0 ? "The directory is empty." : `It holds ${shortList(names)}.`),
  );
}

function shortList(names: readonly string[]): string {
  const shown = names.slice(0, 8).join(", ");
  return names.length > 8 ? `${shown} and ${names.length - 8} more` : shown;
}

/** Options of `writeCheckpointFiles`. */
export type CheckpointFilesOptions = {
  /**
   * The largest shard in bytes, or as text with KB, MB, GB or TB (powers of 1000). A single tensor
   * beyond it gets a shard of its own. Default "50GB", as in transformers 5.
   */
  readonly maxShardSize?: number | string;
  /** The first part of the file names. Default `model`. */
  readonly stem?: string;
  /** The `__metadata__` of each file. Default `{ format: "pt" }`. */
  readonly metadata?: Readonly<Record<string, string>>;
};

/**
 * Writes weights in the layout of transformers' `save_pretrained`: `model.safetensors` if they fit
 * into one shard, else `model-00001-of-0000N.safetensors` and so on, filled in the order given,
 * with `model.safetensors.index.json`. Tensors are written one at a time. Weight files of an
 * earlier write that do not belong to the new ones are removed.
 *
 * @returns the names of the files written
 */
export async function writeCheckpointFiles(
  directory: string,
  tensors: Iterable<TensorToStore> | AsyncIterable<TensorToStore>,
  { maxShardSize = "50GB", stem = "model", metadata = { format: "pt" } }: CheckpointFilesOptions =
    {},
): Promise<string[]> {
  const all = await Array.fromAsync(tensors);
  const names = new Set<string>();
  for (const { name } of all) {
    if (names.has(name)) {
      throw new UserError(`Cannot write ${directory}: two tensors are named "${name}".`);
    }
    names.add(name);
  }
  const shards = splitIntoShards(all, parseByteSize(maxShardSize));
  const written: string[] = [];
  const weightMap: [string, string][] = [];
  for (const [i, shard] of shards.entries()) {
    const file = shards.length === 1
      ? `${stem}.safetensors`
      : `${stem}-${pad(i + 1)}-of-${pad(shards.length)}.safetensors`;
    await writeSafetensors(joinPath(directory, file), shard, metadata);
    for (const { name } of shard) weightMap.push([name, file]);
    written.push(file);
  }
  if (shards.length > 1) {
    const file = `${stem}.safetensors.index.json`;
    const index = {
      metadata: {
        total_parameters: all.reduce((sum, { shape }) => sum + storedByteLength("U8", shape), 0),
        total_size: all.reduce((sum, { dtype, shape }) => sum + storedByteLength(dtype, shape), 0),
      },
      weight_map: Object.fromEntries(weightMap.sort(([a], [b]) => a < b ? -1 : 1)),
    };
    await Deno.writeTextFile(joinPath(directory, file), JSON.stringify(index, null, 2) + "\n");
    written.push(file);
  }
  for await (const { name } of Deno.readDir(directory)) {
    if (isWeightFile(name, stem) && !written.includes(name)) {
      await Deno.remove(joinPath(directory, name));
    }
  }
  return written;
}

function pad(number: number): string {
  return String(number).padStart(5, "0");
}

function isWeightFile(name: string, stem: string): boolean {
  const rest = basePath(name).startsWith(stem) ? name.slice(stem.length) : "";
  return /^(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?$/.test(rest);
}

/** The rule of huggingface_hub's `split_state_dict_into_shards_factory`. */
function splitIntoShards(tensors: readonly TensorToStore[], limit: number): TensorToStore[][] {
  const shards: TensorToStore[][] = [];
  let current: TensorToStore[] = [];
  let currentBytes = 0;
  for (const tensor of tensors) {
    const bytes = storedByteLength(tensor.dtype, tensor.shape);
    if (bytes > limit) {
      shards.push([tensor]);
      continue;
    }
    if (currentBytes + bytes > limit) {
      shards.push(current);
      current = [];
      currentBytes = 0;
    }
    current.push(tensor);
    currentBytes += bytes;
  }
  if (current.length > 0 || shards.length === 0) shards.push(current);
  return shards;
}

/**
 * A size in bytes from a number or from text such as "5GB" (KB, MB, GB, TB, powers of 1000).
 *
 * Throws a `UserError` for anything else.
 */
export function parseByteSize(size: number | string): number {
  if (typeof size === "number") {
    if (size > 0) return size;
  } else {
    const match = /^\s*(\d+(?:\.\d*)?)\s*(KB|MB|GB|TB)\s*$/i.exec(size);
    const power = { KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 }[match?.[2]?.toUpperCase() ?? ""];
    const bytes = match !== null && power !== undefined ? Math.trunc(Number(match[1]) * power) : 0;
    if (bytes > 0) return bytes;
  }
  throw new UserError(
    `"${size}" is not a size: a positive number of bytes or text such as "500MB" or "5GB" was ` +
      `expected.`,
  );
}
