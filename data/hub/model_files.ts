/** Which files of a model's repository are needed: one set of weights, and what belongs to it. @module */

import { UserError } from "../../core/errors.ts";
import { isRecord, readJsonFile } from "../files/json_files.ts";
import { joinPath } from "../files/local_paths.ts";
import { weightFileNames } from "../weights/checkpoint_files.ts";
import type { RemoteFile } from "./listing.ts";
import type { HubAccess, OpenRepository } from "./snapshot.ts";

const tokenizerNames: ReadonlySet<string> = new Set([
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "tokenizer.model",
  "spiece.model",
  "sentencepiece.bpe.model",
  "vocab.json",
  "vocab.txt",
  "merges.txt",
  "chat_template.jinja",
  "chat_template.json",
]);

const configNames: ReadonlySet<string> = new Set([
  "config.json",
  "generation_config.json",
  "adapter_config.json",
]);

/** A value head beside an adapter is a file of its own, and small; a whole model beside one is not needed. */
const mostValueHead = 16 * 2 ** 20;

/** Files of a tokenizer, with its chat templates. */
export function tokenizerFiles(files: readonly RemoteFile[]): readonly RemoteFile[] {
  return files.filter(({ path }) =>
    tokenizerNames.has(path) || /^additional_chat_templates\/[^/]+\.jinja$/.test(path)
  );
}

/** Files of a model but for its weights. */
export function describingFiles(files: readonly RemoteFile[]): readonly RemoteFile[] {
  return [...files.filter(({ path }) => configNames.has(path)), ...tokenizerFiles(files)];
}

/**
 * The files of a model's weights: of an adapter's, or those that are read of several forms. An index of shards is
 * fetched for it.
 *
 * @throws {UserError} if there are none that can be read
 */
export async function weightFiles(
  opened: OpenRepository,
  access: HubAccess,
): Promise<readonly RemoteFile[]> {
  const byPath = new Map(opened.files.map((file) => [file.path, file]));
  const isAdapter = byPath.has("adapter_config.json");
  const name = weightFileNames({ stem: isAdapter ? "adapter_model" : "model" })
    .find((name) => byPath.has(name));
  if (name === undefined) throw noWeights(opened, isAdapter);
  const first = byPath.get(name)!;
  const valueHead = isAdapter ? byPath.get("model.safetensors") : undefined;
  const beside = valueHead !== undefined && valueHead.size <= mostValueHead ? [valueHead] : [];
  if (!name.endsWith(".json")) return [first, ...beside];
  await opened.fetch([first], access);
  const index = await readJsonFile(joinPath(opened.directory, name));
  const map = index?.["weight_map"];
  const shards = new Set(isRecord(map) ? Object.values(map) : []);
  // What the index names and the repository lacks is told when the weights are opened.
  return [first, ...opened.files.filter(({ path }) => shards.has(path)), ...beside];
}

function noWeights({ repository, files }: OpenRepository, isAdapter: boolean): UserError {
  const expected = isAdapter
    ? "adapter_model.safetensors"
    : "model.safetensors, its shards with an index, or pytorch_model.bin";
  const other = files.map(({ path }) => path)
    .filter((path) => /\.(gguf|h5|msgpack|onnx|bin|pt|pth|ckpt|safetensors|pkl|npz)$/.test(path));
  const shown = (other.length > 0 ? other : files.map(({ path }) => path)).slice(0, 8).join(", ");
  return new UserError(
    `The model "${repository.id}" has no weights of a form that is read here (${expected}). It has ${
      shown || "no files at all"
    }.` + (other.some((path) =>
        path.endsWith(".gguf")
      )
      ? " GGUF files are made for running a model; give the repository that they were made from."
      : ""),
  );
}
