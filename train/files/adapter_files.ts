/**
 * Adapters as directories in PEFT's layout: `adapter_config.json` and `adapter_model.safetensors`.
 *
 * @module
 */

import { mapTree, type Path, randomKey, realize, Tensor, UserError } from "../../core/mod.ts";
import { type CheckpointFiles, openCheckpointFiles } from "../../data/weights/checkpoint_files.ts";
import { readJsonFile } from "../../data/files/json_files.ts";
import {
  joinPath,
  missingPathError,
  parentPath,
  statIfPresent,
} from "../../data/files/local_paths.ts";
import { localModel, type LocalModelOptions } from "../../data/hub/local_model.ts";
import { meansRepository } from "../../data/hub/names.ts";
import type { NamedAccess } from "../../data/hub/opened.ts";
import { type TensorToStore, writeSafetensors } from "../../data/weights/safetensors.ts";
import type { StoredTensor } from "../../data/weights/stored_tensor.ts";
import {
  type Adapted,
  applyLora,
  isLanguageHead,
  isLora,
  isLoraEmbedding,
  isQuantized,
  isRetrained,
  isTokenEmbedding,
  isValueHeadParameter,
  type LoraConfig,
  loraConfig,
  mapParameters,
  parametersOf,
  type Weight,
  weightShape,
} from "../../nn/mod.ts";
import { adapterConfigJson, parseAdapterConfig } from "./adapter_config.ts";
import {
  adapterFileTensors,
  adapterPrefix,
  baseTensors,
  isTiedCopy,
  type NamedTensor,
  namedTensors,
} from "./adapter_names.ts";
import { readWeight, type SavedDtype, storedIn, tensorsToStore } from "./model_files.ts";

const configName = "adapter_config.json";

/** An adapter's options, and the model it belongs to. */
export interface AdapterDescription {
  /** PEFT's options. */
  readonly config: LoraConfig;
  /** As it stands in `adapter_config.json`; see {@link resolveBaseModel}. */
  readonly base: string | null;
  /** The base's revision where it is on the Hub; null is `main`. */
  readonly revision?: string | null;
  /** Whether the base's files hold the matrices it updates transposed, which PEFT notes; false by default. */
  readonly fanInFanOut?: boolean;
  /** Names of whole tensors of the base that its file holds too, as in {@link baseTensors}; they are written again. */
  readonly whole?: readonly string[] | undefined;
}

/** Whether a directory holds an adapter: it has an `adapter_config.json`. */
export async function isAdapterDirectory(path: string): Promise<boolean> {
  return await statIfPresent(joinPath(path, configName)) !== undefined;
}

/**
 * Reads `adapter_config.json`.
 *
 * @throws UserError if it is missing or broken, or asks for what is not supported.
 */
export async function readAdapterConfig(directory: string): Promise<AdapterDescription> {
  const path = joinPath(directory, configName);
  const json = await readJsonFile(path);
  if (json !== undefined) return parseAdapterConfig(json, path);
  if (await statIfPresent(directory) === undefined) {
    throw await missingPathError(directory, "adapter");
  }
  throw new UserError(
    `There is no ${path}. An adapter directory has an ${configName} beside its ` +
      `adapter_model.safetensors.`,
  );
}

/** An adapter's base model. */
export interface BaseModel {
  /** Where its files are. */
  readonly directory: string;
  /** What leads there from anywhere: its name on the Hub, or its directory. */
  readonly name: string;
}

/**
 * Finds an adapter's base model. A relative path is looked up in the working directory, as PEFT does, then in the
 * adapter's directory and those above it; what is none of them and can be a name is looked for on the Hub.
 *
 * @throws UserError listing where it was looked for.
 */
export async function resolveBaseModel(
  directory: string,
  { base, revision }: Pick<AdapterDescription, "base" | "revision">,
  options: Pick<LocalModelOptions, "part" | keyof NamedAccess> = {},
): Promise<BaseModel> {
  if (base === null || base === "") {
    throw new UserError(
      `${joinPath(directory, configName)} does not say which model the adapter belongs to ` +
        `(base_model_name_or_path).`,
    );
  }
  const tried = base.startsWith("/") ? [base] : [base, ...await above(directory, base)];
  for (const path of tried) {
    if (await statIfPresent(joinPath(path, "config.json")) !== undefined) {
      return { directory: path, name: path };
    }
  }
  const whose = `The adapter in ${directory} belongs to the model ${base}, which was not found`;
  if (await meansRepository(base)) {
    try {
      const found = await localModel(base, { ...options, revision: revision ?? undefined });
      return { directory: found, name: base };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      throw new UserError(`${whose}. ${error.message}`, { cause: error });
    }
  }
  throw new UserError(
    `${whose}: there is no config.json in ${
      tried.slice(0, 3).join(", ")
    }. Put the model there, or write its path to ` +
      `base_model_name_or_path in ${joinPath(directory, configName)}.`,
  );
}

async function above(directory: string, base: string): Promise<string[]> {
  let at = await Deno.realPath(directory);
  const paths = [joinPath(at, base)];
  while (parentPath(at) !== at) {
    at = parentPath(at);
    paths.push(joinPath(at, base));
  }
  return paths;
}

/**
 * Puts the adapter of a directory over a model's parameters.
 *
 * @throws UserError naming what does not fit the model.
 */
export async function loadAdapter<P>(
  params: P,
  directory: string,
  options: { readonly modelType?: string } = {},
): Promise<Adapted<P> & Pick<AdapterDescription, "whole">> {
  const { config } = await readAdapterConfig(directory);
  const fresh = await applyLora(params, config, randomKey(0), options);
  return { config: fresh.config, ...await fillWhole(fresh.params, directory, fresh.config) };
}

/**
 * A parameter tree whose adapters have the weights of a saved one, which has the same shape. A value head stays as
 * it is.
 *
 * @throws UserError naming what is missing in the directory, has another shape, or has no place in the tree.
 */
export async function fillAdapter<P>(
  params: P,
  directory: string,
  config: Pick<LoraConfig, "bias"> = loraConfig(),
): Promise<P> {
  return (await fillWhole(params, directory, config)).params;
}

/** The same, and which tensors of the base the file had. */
async function fillWhole<P>(
  params: P,
  directory: string,
  { bias }: Pick<LoraConfig, "bias">,
): Promise<{ readonly params: P; readonly whole: readonly string[] }> {
  using files = await openCheckpointFiles(directory, { stem: "adapter_model" });
  const stored = adapterFileTensors(files);
  const wanted = new Map(
    namedTensors(params, bias).map(({ name, tensor }) => [name, tensor] as const),
  );
  const bases = [...baseTensors(params)]
    .filter(([name]) => stored.has(name) && !wanted.has(name) && !isValueHeadParameter(name));
  const known = new Set([...wanted.keys(), ...bases.map(([name]) => name)]);
  const extra = [...stored].find(([name]) =>
    !known.has(name) && !isValueHeadParameter(name) && !isTiedCopy(name, params)
  );
  if (extra !== undefined) {
    throw new UserError(
      `${directory} has ${extra[1].name}, for which the model with its adapter has no place. The ` +
        `adapter's options (${configName}, or the lora_ flags) and its weights do not belong together.`,
    );
  }
  const read = new Map<Tensor | Weight, Tensor>();
  for (const [name, like] of wanted) {
    read.set(like, await readShaped(files, stored.get(name), name, like.shape));
  }
  for (const [name, weight] of bases) {
    const own = await readShaped(files, stored.get(name), name, weightShape(weight));
    read.set(weight, weight instanceof Tensor ? own.cast(weight.dtype) : own);
  }
  const filled = (weight: Weight): Weight => {
    if (weight instanceof Tensor || isQuantized(weight)) return read.get(weight) ?? weight;
    const own = mapTree(
      { ...weight, base: null },
      (leaf) => leaf instanceof Tensor ? read.get(leaf) ?? leaf : leaf,
    ) as Exclude<typeof weight, Tensor>;
    return { ...own, base: read.get(weight.base) ?? weight.base };
  };
  return {
    params: await realize(mapParameters(params, filled)),
    whole: bases.map(([name]) => name),
  };
}

async function readShaped(
  files: CheckpointFiles,
  stored: StoredTensor | undefined,
  name: string,
  shape: readonly number[],
): Promise<Tensor> {
  if (!stored) {
    throw new UserError(
      `The adapter in ${files.directory} lacks ${adapterPrefix}${name}, which its options call for. It may be cut ` +
        `off, or belong to another model.`,
    );
  }
  if (stored.shape.join() !== shape.join()) {
    throw new UserError(
      `${stored.name} in ${stored.path} has shape [${
        stored.shape.join(", ")
      }], but the model with its ` +
        `adapter calls for [${shape.join(", ")}]. They do not belong together.`,
    );
  }
  return await readWeight(stored);
}

/**
 * Whether a tree's adapters update matrices that files hold transposed.
 *
 * @param transposed Paths of such matrices.
 * @throws UserError if one of them is retrained whole.
 */
export function updatesTransposed(params: unknown, transposed: ReadonlySet<Path>): boolean {
  const found = parametersOf(params).filter(([path]) => transposed.has(path));
  const whole = found.find(([, weight]) => isRetrained(weight));
  if (whole) {
    throw new UserError(
      `modules_to_save names ${
        whole[0].replace(/\.weight$/, "")
      }, a Conv1D. Linear layers, embeddings and norms can ` +
        "be trained whole beside an adapter; give this one a low-rank update (target_modules).",
    );
  }
  return found.some(([, weight]) => isLora(weight));
}

/**
 * The tensors of a tree's adapters under PEFT's names: what is trained, the base matrices of embeddings and heads if
 * these are among the targets, and those that the adapter came with.
 */
export function adapterTensors(
  params: unknown,
  { config, whole = [] }: Pick<AdapterDescription, "config" | "whole">,
): TensorToStore[] {
  const wanted = new Set([...whole, ...targetedBases(params, config)]);
  const bases = [...baseTensors(params)].flatMap(([name, weight]): NamedTensor[] =>
    wanted.has(name) && weight instanceof Tensor ? [{ name, tensor: weight }] : []
  );
  const own = namedTensors(params, config.bias);
  return [...bases, ...own, ...tiedCopies(params, config)].map(({ name, tensor }) => ({
    ...tensorsToStore({ tensor: tensor.cast("f32") })[0]!,
    name: adapterPrefix + name,
  }));
}

/** Names of the bases of embeddings and heads with an update, which PEFT saves by itself. */
function targetedBases(
  params: unknown,
  { target_modules: targets, ensure_weight_tying: tied }: LoraConfig,
): string[] {
  const updated = parametersOf(params).flatMap(([path, weight]) =>
    (isLora(weight) || isLoraEmbedding(weight)) &&
      /(^|\.)(embed_tokens|lm_head)\.weight$/.test(path)
      ? [
        path.replace(/weight$/, "base_layer.weight"),
        ...(tied ? ["lm_head.base_layer.weight"] : []),
      ]
      : []
  );
  const saved = typeof targets === "string" ||
    (targets ?? []).some((target) => target === "embed_tokens" || target === "lm_head");
  return saved ? updated : [];
}

/** What PEFT writes of the wrapper of a head that is tied to the embeddings (`ensure_weight_tying`). */
function tiedCopies(params: unknown, { ensure_weight_tying: tied }: LoraConfig): NamedTensor[] {
  const parameters = parametersOf(params);
  if (!tied || parameters.some(([path]) => isLanguageHead(path.replace(/\.weight$/, "")))) {
    return [];
  }
  return parameters.flatMap(([path, weight]): NamedTensor[] => {
    if (!isTokenEmbedding(path.replace(/\.weight$/, ""))) return [];
    if (isRetrained(weight)) return [{ name: "lm_head.weight", tensor: weight.modules_to_save }];
    if (!isLoraEmbedding(weight)) return [];
    return [
      { name: "lm_head.lora_A.weight", tensor: weight.lora_embedding_B.transpose() },
      { name: "lm_head.lora_B.weight", tensor: weight.lora_embedding_A.transpose() },
    ];
  });
}

/** Writes a tree's adapters as PEFT would: what they consist of, not the base, and no value head. */
export async function writeAdapter(
  directory: string,
  params: unknown,
  description: AdapterDescription,
  dtype: SavedDtype = "float32",
): Promise<void> {
  await Deno.mkdir(directory, { recursive: true });
  await writeSafetensors(
    joinPath(directory, "adapter_model.safetensors"),
    adapterTensors(params, description).map((tensor) => storedIn(dtype, tensor)),
    { format: "pt" },
  );
  await Deno.writeTextFile(
    joinPath(directory, configName),
    JSON.stringify(adapterConfigJson(description), null, 2),
  );
}
