/** Adapters and quantised weights in whole parameter trees. @module */

import { foldKey, isBranch, type Key, leavesOf, type Path, Tensor, tensor } from "../core/mod.ts";
import {
  denseWeight,
  isLora,
  isLoraEmbedding,
  isQuantized,
  isRetrained,
  isTokenRows,
  type Lora,
  type LoraEmbedding,
  type Retrained,
  type TokenRows,
  type Weight,
} from "./weight.ts";
import type { Quantized } from "./quantized.ts";
import { isLanguageHead, isTokenEmbedding } from "./module_names.ts";
import { isValueHeadParameter } from "./value_head.ts";

/** A weight that is not a tensor. */
export type CompositeWeight = Quantized | Lora | LoraEmbedding | Retrained | TokenRows;

/** Whether a value of a parameter tree is a weight that is not a tensor. */
export function isCompositeWeight(value: unknown): value is CompositeWeight {
  return isQuantized(value) || isLora(value) || isLoraEmbedding(value) || isRetrained(value) ||
    isTokenRows(value);
}

/** The tree with `f` applied to every parameter: tensors and composite weights, which are not entered. */
export function mapParameters<P>(
  params: P,
  f: (parameter: Weight, path: Path) => unknown,
): P {
  const visit = (value: unknown, path: Path): unknown => {
    if (value instanceof Tensor || isCompositeWeight(value)) return f(value, path);
    if (!isBranch(value)) return value;
    const below = (key: string) => path === "" ? key : `${path}.${key}`;
    if (Array.isArray(value)) return value.map((child, i) => visit(child, below(String(i))));
    return Object.fromEntries(
      Object.entries(value).map(([key, child]) => [key, visit(child, below(key))]),
    );
  };
  return visit(params, "") as P;
}

/** The parameters of a tree with their paths; composite weights count as one. */
export function parametersOf(params: unknown): [Path, Weight][] {
  const found: [Path, Weight][] = [];
  mapParameters(params, (parameter, path) => found.push([path, parameter]));
  return found;
}

/** The tree with the adapters off: what each of them was put over. */
export function withoutAdapters<P>(params: P): P {
  return mapParameters(params, (weight) => baseOf(weight));
}

function baseOf(weight: Weight): Weight {
  return weight instanceof Tensor || isQuantized(weight) ? weight : baseOf(weight.base);
}

/**
 * The tree with every adapter folded in and every quantised matrix in full: f32 tensors alone, not yet computed.
 * Where an adapter parted a tied head from the embeddings, the head stays a parameter of its own: a config to go
 * with the tree says `tie_word_embeddings: false` then (see {@link headIsTied}).
 */
export function mergeAdapters<P>(params: P): P {
  const tied = headIsTied(params);
  const merged = mapParameters(
    params,
    (weight) => weight instanceof Tensor ? weight : denseWeight(weight),
  );
  if (!tied || !isBranch(merged) || Array.isArray(merged)) return merged;
  const { lm_head, ...rest } = merged as Record<string, Record<string, unknown> | undefined>;
  const { weight: _, ...others } = lm_head ?? {};
  return (Object.keys(others).length > 0 ? { ...rest, lm_head: others } : rest) as P;
}

/** Whether the output head of a tree is its embedding matrix: not there, or the same tensor. */
export function headIsTied(params: unknown): boolean {
  const matrices = parametersOf(params);
  const find = (named: (module: Path) => boolean) =>
    matrices.find(([path]) => path.endsWith(".weight") && named(path.slice(0, -".weight".length)))
      ?.[1];
  const head = find(isLanguageHead);
  return head === undefined || head === find(isTokenEmbedding);
}

/** Whether a tree has adapters. */
export function hasAdapters(params: unknown): boolean {
  return parametersOf(params).some(([, weight]) =>
    !(weight instanceof Tensor) && !isQuantized(weight)
  );
}

/**
 * The tree with a dropout key in each low-rank update that drops, another in each: for one forward pass in
 * training. Trees without keys, as for evaluation and generation, drop nothing.
 */
export function seedDropout<P>(params: P, key: Key): P {
  let index = 0;
  return mapParameters(params, (weight) => {
    if (!isLora(weight) || weight.dropout === undefined || weight.dropout === null) return weight;
    return { ...weight, dropoutKey: foldKey(key, index++) };
  });
}

const adapterLeaf =
  /(^|\.)(lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector|modules_to_save|trainable_tokens_delta)$/;

/** Whether a leaf of a parameter tree belongs to an adapter; biases are not told (see {@link adapterParameters}). */
export function isAdapterParameter(path: Path, leaf: unknown): boolean {
  return leaf instanceof Tensor && adapterLeaf.test(path);
}

/**
 * The predicate of what is trained of a tree with adapters, for `partition`: their leaves, a value head, and biases
 * by PEFT's option `bias`: none, all, or those of the layers with a low-rank update.
 */
export function adapterParameters(
  params: unknown,
  bias: "none" | "all" | "lora_only" = "none",
): (path: Path, leaf: unknown) => boolean {
  const biases = new Set(trainedBiases(params, bias));
  return (path, leaf) =>
    isAdapterParameter(path, leaf) ||
    (leaf instanceof Tensor && (biases.has(path) || isValueHeadParameter(path)));
}

/** Paths of the biases that PEFT's option `bias` trains in place. A value head's is none of them. */
export function trainedBiases(params: unknown, bias: "none" | "all" | "lora_only"): Path[] {
  if (bias === "none") return [];
  const parameters = new Map(parametersOf(params));
  return [...parameters].filter(([path, value]) => {
    if (!/(^|\.)bias$/.test(path) || !(value instanceof Tensor)) return false;
    if (isValueHeadParameter(path)) return false;
    const weight = parameters.get(path.replace(/bias$/, "weight"));
    return bias === "all" || isLora(weight);
  }).map(([path]) => path);
}

/**
 * A tree whose tensors are copies in memory of their own: for a frozen reference of what is trained in place.
 */
export async function copyTensors<P>(tree: P): Promise<P> {
  const copies = new Map<unknown, Tensor>();
  for (const [, leaf] of leavesOf(tree)) {
    if (leaf instanceof Tensor && !copies.has(leaf)) copies.set(leaf, await copyTensor(leaf));
  }
  const visit = (value: unknown): unknown => {
    if (value instanceof Tensor) return copies.get(value);
    if (Array.isArray(value)) return value.map(visit);
    if (!isBranch(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, visit(child)]));
  };
  return visit(tree) as P;
}

/** The tensor's numbers in memory of its own; f16 and bf16 are widened to f32. */
export async function copyTensor(x: Tensor): Promise<Tensor> {
  const values = await x.data();
  return tensor(values.slice(), {
    shape: x.shape,
    dtype: x.dtype === "bf16" || x.dtype === "f16" ? "f32" : x.dtype,
  });
}
