/** What the tensors of adapter files are called, now and in older files, and which parameters they are. @module */

import { type Path, Tensor } from "../../core/mod.ts";
import type { CheckpointFiles } from "../../data/weights/checkpoint_files.ts";
import type { StoredTensor } from "../../data/weights/stored_tensor.ts";
import {
  isLanguageHead,
  isLora,
  isLoraEmbedding,
  isRetrained,
  isTokenEmbedding,
  isTokenRows,
  parametersOf,
  trainedBiases,
  type Weight,
} from "../../nn/mod.ts";

/** What PEFT's wrapper puts before the names of a model's parameters. */
export const adapterPrefix = "base_model.model.";

/** The tensors of an adapter's files under the names that PEFT 0.21 gives them, without the prefix. */
export function adapterFileTensors({ tensors }: CheckpointFiles): Map<string, StoredTensor> {
  return new Map([...tensors].map(([name, stored]) => [plainName(name), stored]));
}

function plainName(name: string): string {
  return (name.startsWith(adapterPrefix) ? name.slice(adapterPrefix.length) : name)
    // Files that were not written by `save_pretrained` have the adapter's own name in them.
    .replace(
      /\.(lora_[AB]|lora_embedding_[AB]|lora_magnitude_vector|modules_to_save|trainable_tokens_delta)\.default(?=\.|$)/,
      ".$1",
    )
    .replace(/\.lora_magnitude_vector\.weight$/, ".lora_magnitude_vector")
    // Beside a grown vocabulary, PEFT writes what its wrappers hold as it is.
    .replace(/\.modules_to_save(?=\.)/, "")
    .replace(/\.(token_adapter\.base_layer|original_module)(?=\.)/, ".base_layer");
}

/** A part of an adapter. */
export interface NamedTensor {
  /** Under PEFT's name, without the prefix. */
  readonly name: string;
  /** Its numbers. */
  readonly tensor: Tensor;
}

/** What the adapters of a tree consist of: what is trained, under PEFT's names. */
export function namedTensors(
  params: unknown,
  bias: "none" | "all" | "lora_only",
): NamedTensor[] {
  const parameters = parametersOf(params);
  const composite = new Map(parameters);
  const inPlace = new Set(trainedBiases(params, bias));
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
    if (isTokenRows(weight)) {
      const name = `${module}.token_adapter.trainable_tokens_delta`;
      return [{ name, tensor: weight.trainable_tokens_delta }];
    }
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
 * What an adapter's file may hold of the base besides: the base of everything that is trained, and whole layers that
 * nothing lies over, as PEFT's `save_embedding_layers` writes them. Later names win over earlier ones for one weight.
 */
export function baseTensors(params: unknown): Map<string, Weight> {
  const parameters = parametersOf(params);
  const found = new Map<string, Weight>();
  for (const [path, weight] of parameters) {
    if (weight instanceof Tensor || !("base" in weight)) found.set(path, weight);
    else found.set(path.replace(/(weight|bias)$/, "base_layer.$1"), weight.base);
  }
  const embedding = parameters.find(([path]) => isTokenEmbedding(path.replace(/\.weight$/, "")));
  if (!embedding || parameters.some(([path]) => path === "lm_head.weight")) return found;
  // The head is the embedding matrix, which PEFT writes under both names.
  const [, weight] = embedding;
  const wrapped = !(weight instanceof Tensor) && "base" in weight;
  return found.set(
    wrapped ? "lm_head.base_layer.weight" : "lm_head.weight",
    wrapped ? weight.base : weight,
  );
}

/** Whether a tensor belongs to the wrapper of a head that a tree does not have: it says what the embeddings' says. */
export function isTiedCopy(name: string, params: unknown): boolean {
  const [module] = name.split(".");
  return isLanguageHead(module!) &&
    !parametersOf(params).some(([path]) => path === "lm_head.weight");
}

/** Whether an adapter's tensor is the whole matrix of a layer with a row for every token. */
export function isVocabularyMatrix(name: string): boolean {
  const module = name.replace(/(\.base_layer)?\.weight$/, "");
  return module !== name && (isTokenEmbedding(module) || isLanguageHead(module));
}

/** The path of a base's tensor in the tree, from its name in an adapter. */
export function basePathOf(name: string): Path {
  return name.replace(/\.base_layer(?=\.)/, "");
}
