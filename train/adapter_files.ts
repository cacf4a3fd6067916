/**
 * Adapters as directories in PEFT's layout: `adapter_config.json` and `adapter_model.safetensors`.
 *
 * @module
 */

import { mapTree, type Path, randomKey, realize, Tensor, UserError } from "../core/mod.ts";
import { type CheckpointFiles, openCheckpointFiles } from "../data/checkpoint_files.ts";
import { readJsonFile } from "../data/json_files.ts";
import { joinPath, missingPathError, parentPath, statIfPresent } from "../data/local_paths.ts";
import { type TensorToStore, writeSafetensors } from "../data/safetensors.ts";
import {
  type Adapted,
  applyLora,
  isLora,
  isLoraEmbedding,
  isQuantized,
  isRetrained,
  isValueHeadParameter,
  type LoraConfig,
  loraConfig,
  mapParameters,
  parametersOf,
  trainedBiases,
  type Weight,
  weightShape,
} from "../nn/mod.ts";
import { adapterConfigJson, parseAdapterConfig } from "./adapter_config.ts";
import { readWeight, tensorsToStore } from "./model_files.ts";

const configName = "adapter_config.json";
const prefix = "base_model.model.";

/** An adapter's options, and the model it belongs to. */
export interface AdapterDescription {
  /** PEFT's options. */
  readonly config: LoraConfig;
  /** As it stands in `adapter_config.json`; see {@link resolveBaseModel}. */
  readonly base: string | null;
  /** Whether the base's files hold the matrices it updates transposed, which PEFT notes; false by default. */
  readonly fanInFanOut?: boolean;
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

/**
 * The directory of an adapter's base model. A relative path is looked up in the working directory, as PEFT does,
 * then in the adapter's directory and those above it.
 *
 * @throws UserError listing where it was looked for.
 */
export async function resolveBaseModel(
  directory: string,
  { base }: Pick<AdapterDescription, "base">,
): Promise<string> {
  if (base === null || base === "") {
    throw new UserError(
      `${joinPath(directory, configName)} does not say which model the adapter belongs to ` +
        `(base_model_name_or_path).`,
    );
  }
  const tried = base.startsWith("/") ? [base] : [base, ...await above(directory, base)];
  for (const path of tried) {
    if (await statIfPresent(joinPath(path, "config.json")) !== undefined) return path;
  }
  throw new UserError(
    `The adapter in ${directory} belongs to the model ${base}, which was not found: there is no ` +
      `config.json in ${tried.slice(0, 3).join(", ")}. Put the model there, or write its path to ` +
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
): Promise<Adapted<P>> {
  const { config } = await readAdapterConfig(directory);
  const fresh = await applyLora(params, config, randomKey(0), options);
  return {
    params: await fillAdapter(fresh.params, directory, fresh.config),
    config: fresh.config,
  };
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
  using files = await openCheckpointFiles(directory, { stem: "adapter_model" });
  const wanted = new Map<string, Tensor>(
    namedTensors(params, trainedBiases(params, config.bias)).map(({ name, tensor }) =>
      [prefix + name, tensor] as const
    ),
  );
  const bases = baseTensors(params, files);
  const extra = [...files.tensors.keys()].find((name) =>
    !wanted.has(name) && !bases.has(name) && !isValueHeadParameter(name)
  );
  if (extra !== undefined) {
    throw new UserError(
      `${directory} has ${extra}, for which the model with its adapter has no place. The ` +
        `adapter's options (${configName}, or the lora_ flags) and its weights do not belong together.`,
    );
  }
  const read = new Map<Tensor | Weight, Tensor>();
  for (const [name, like] of wanted) {
    read.set(like, await readShaped(files, name, like.shape));
  }
  for (const [name, weight] of bases) {
    read.set(weight, await readShaped(files, name, weightShape(weight)));
  }
  const filled = (weight: Weight): Weight => {
    if (weight instanceof Tensor) return read.get(weight) ?? weight;
    if (isQuantized(weight)) return weight;
    const own = mapTree(
      { ...weight, base: null },
      (leaf) => leaf instanceof Tensor ? read.get(leaf) ?? leaf : leaf,
    ) as Exclude<typeof weight, Tensor>;
    return { ...own, base: read.get(weight.base) ?? weight.base };
  };
  return await realize(mapParameters(params, filled));
}

async function readShaped(
  files: CheckpointFiles,
  name: string,
  shape: readonly number[],
): Promise<Tensor> {
  const stored = files.tensors.get(name);
  if (!stored) {
    throw new UserError(
      `The adapter in ${files.directory} lacks ${name}, which its options call for. It may be cut ` +
        `off, or belong to another model.`,
    );
  }
  if (stored.shape.join() !== shape.join()) {
    throw new UserError(
      `${name} in ${stored.path} has shape [${stored.shape.join(", ")}], but the model with its ` +
        `adapter calls for [${shape.join(", ")}]. They do not belong together.`,
    );
  }
  return await readWeight(stored);
}

interface NamedTensor {
  readonly name: string;
  readonly tensor: Tensor;
}

/** What an adapter consists of, under PEFT's names without their prefix. */
function namedTensors(params: unknown, biases: readonly Path[]): NamedTensor[] {
  const parameters = parametersOf(params);
  const composite = new Map(parameters);
  const inPlace = new Set(biases);
  return parameters.flatMap(([path, weight]): NamedTensor[] => {
    if (weight instanceof Tensor) {
      if (!inPlace.has(path)) return [];
      // PEFT wraps a layer with an update; its own parameters are one level deeper then.
      const module = path.replace(/\.bias$/, "");
      const wrapped = isLora(composite.get(`${module}.weight`));
      return [{ name: wrapped ? `${module}.base_layer.bias` : path, tensor: weight }];
    }
    const module = path.replace(/\.weight$/, "");
    if (isRetrained(weight)) return [{ name: path, tensor: weight.modules_to_save }];
    if (!isLora(weight) && !isLoraEmbedding(weight)) return [];
    const parts = isLora(weight)
      ? [
        { name: `${module}.lora_A.weight`, tensor: weight.lora_A },
        { name: `${module}.lora_B.weight`, tensor: weight.lora_B },
      ]
      : [
        { name: `${module}.lora_embedding_A`, tensor: weight.lora_embedding_A },
        { name: `${module}.lora_embedding_B`, tensor: weight.lora_embedding_B },
      ];
    const { lora_magnitude_vector: tensor } = weight;
    return tensor ? [...parts, { name: `${module}.lora_magnitude_vector`, tensor }] : parts;
  });
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

/** Base matrices of embeddings and heads that an adapter file holds beside their updates, by name. */
function baseTensors(params: unknown, files: CheckpointFiles): Map<string, Weight> {
  return new Map(
    parametersOf(params).flatMap(([path, weight]) => {
      if (!isLora(weight) && !isLoraEmbedding(weight)) return [];
      const name = `${prefix}${path.replace(/weight$/, "base_layer.weight")}`;
      return files.tensors.has(name) ? [[name, weight.base] as const] : [];
    }),
  );
}

/**
 * The tensors of a tree's adapters under PEFT's names: low-rank updates, retrained modules, biases by option, and
 * the base matrices of embeddings and heads if these are among the targets.
 */
export function adapterTensors(params: unknown, config: LoraConfig): TensorToStore[] {
  const tensors = namedTensors(params, trainedBiases(params, config.bias));
  const isEmbedding = (path: Path) => /(^|\.)(embed_tokens|lm_head)$/.test(path);
  const updated = parametersOf(params).flatMap(([path, weight]) =>
    (isLora(weight) || isLoraEmbedding(weight)) && isEmbedding(path.replace(/\.weight$/, ""))
      ? [{ path, base: weight.base }]
      : []
  );
  const { target_modules: targets } = config;
  const savesBases = typeof targets === "string"
    ? updated.length > 0
    : (targets ?? []).some((target) => target === "embed_tokens" || target === "lm_head");
  const bases = !savesBases
    ? []
    : updated.flatMap(({ path, base }) =>
      base instanceof Tensor
        ? [{ name: path.replace(/weight$/, "base_layer.weight"), tensor: base }]
        : []
    );
  return [...bases, ...tensors].map(({ name, tensor }) => ({
    ...tensorsToStore({ tensor: tensor.cast("f32") })[0]!,
    name: prefix + name,
  }));
}

/** Writes a tree's adapters as PEFT would: what they consist of, not the base, and no value head. */
export async function writeAdapter(
  directory: string,
  params: unknown,
  description: AdapterDescription,
): Promise<void> {
  await Deno.mkdir(directory, { recursive: true });
  await writeSafetensors(
    joinPath(directory, "adapter_model.safetensors"),
    adapterTensors(params, description.config),
    { format: "pt" },
  );
  await Deno.writeTextFile(
    joinPath(directory, configName),
    JSON.stringify(adapterConfigJson(description), null, 2),
  );
}
