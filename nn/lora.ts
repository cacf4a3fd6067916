/** Putting low-rank updates over the weights of a parameter tree, as PEFT does. @module */

import {
  foldKey,
  type Key,
  type Path,
  randomNormal,
  randomUniform,
  realize,
  Tensor,
  tensor,
  UserError,
  zeros,
} from "../core/mod.ts";
import { type LoraConfig, loraConfig } from "./lora_config.ts";
import {
  loraTargets,
  type ModelModule,
  modulesOf,
  patternValue,
  resolveTargets,
  savedModules,
  tokenTargets,
} from "./lora_targets.ts";
import { isLanguageHead, isOutputHead, isTokenEmbedding } from "./module_names.ts";
import { truncatedQr } from "./qr.ts";
import { quantizeMatrix } from "./quantize.ts";
import { truncatedSvd } from "./svd.ts";
import {
  denseWeight,
  isQuantized,
  loraEmbeddingNorms,
  loraNorms,
  type Retrained,
  type TokenRows,
  type Weight,
  weightShape,
} from "./weight.ts";
import {
  copyTensor,
  hasAdapters,
  headIsTied,
  mapParameters,
  parametersOf,
  trainedBiases,
} from "./weight_trees.ts";

/** Settings of one low-rank update. */
export interface LoraSettings {
  /** Rank. */
  readonly r: number;
  /** α / r or α / √r. */
  readonly scaling: number;
  /** Probability of dropping an element of the input. */
  readonly dropout: number;
  /** Whether magnitudes and directions are apart. */
  readonly dora: boolean;
  /** How it begins. */
  readonly init: LoraConfig["init_lora_weights"];
}

/** A parameter tree with adapters, and the options as PEFT would write them. */
export interface Adapted<P> {
  /** The tree. */
  readonly params: P;
  /** With `target_modules` resolved. */
  readonly config: LoraConfig;
}

/**
 * Puts adapters over a parameter tree: low-rank updates over the target modules, whole copies over
 * `modules_to_save`. The result differs in nothing from the base until it is trained, but for
 * `init_lora_weights: false`. Where the output head is the embedding matrix and one of them is adapted, the tree
 * gets a head of its own, as PEFT's wrappers have that effect; not so with `ensure_weight_tying`, and where single
 * rows are trained.
 *
 * @param key Randomness of the beginnings.
 * @param modelType The `model_type` of the config, for targets by family.
 * @throws UserError for options without sense, targets that are not there, and trees with adapters.
 */
export async function applyLora<P>(
  params: P,
  options: Partial<LoraConfig>,
  key: Key,
  { modelType }: { readonly modelType?: string } = {},
): Promise<Adapted<P>> {
  if (hasAdapters(params)) {
    throw new UserError(
      "The model has an adapter already, so it cannot be given a fresh one. Train the adapter it " +
        "has, or merge it into the weights first.",
    );
  }
  const modules = modulesOf(params);
  const config = resolveTargets(modules, loraConfig(options), modelType);
  const targets = new Map(loraTargets(modules, config).map((target) => [target.path, target]));
  const tied = headIsTied(params);
  const staysTied = tied && config.ensure_weight_tying;
  const saved = savedModules(modules, config);
  if (staysTied) tieToEmbedding(modules, targets, saved);
  const isSaved = (path: Path) => saved.some((module) => path.startsWith(`${module}.`));
  const rows = tokenTargets(modules, config, tied);
  const tree = staysTied ? params : withOwnHead(
    params,
    (path) => targets.has(path) || saved.includes(path) || (isLanguageHead(path) && rows.has(path)),
  );

  const adapted = new Map<Path, unknown>();
  let index = 0;
  for (const [path, weight] of parametersOf(tree)) {
    const target = targets.get(path.replace(/\.weight$/, ""));
    const ids = path.endsWith(".weight") && rows.get(path.replace(/\.weight$/, ""));
    if (isSaved(path)) adapted.set(path, await retrained(weight));
    else if (ids) adapted.set(path, await tokenRows(weight, ids, path));
    else if (target && path.endsWith(".weight")) {
      const settings = settingsOf(target, config);
      adapted.set(path, await withUpdate(weight, target, settings, foldKey(key, index++)));
    }
  }
  const mapped = mapParameters(tree, (weight, path) => adapted.get(path) ?? weight);
  // What is trained is f32, whatever the base is stored in.
  const biases = new Set(trainedBiases(mapped, config.bias));
  const widened = mapParameters(
    mapped,
    (weight, path) => biases.has(path) && weight instanceof Tensor ? weight.cast("f32") : weight,
  );
  return { params: await realize(widened), config };
}

function withOwnHead<P>(params: P, changes: (module: Path) => boolean): P {
  const matrices = parametersOf(params)
    .map(([path, weight]) => ({ module: path.replace(/\.weight$/, ""), weight }));
  const embedding = matrices.find(({ module }) => isTokenEmbedding(module));
  const hasHead = matrices.some(({ module }) => isOutputHead(module));
  if (!embedding || hasHead) return params;
  if (!changes("lm_head") && !changes(embedding.module)) return params;
  const { lm_head } = params as { readonly lm_head?: object };
  return { ...params, lm_head: { ...lm_head, weight: embedding.weight } };
}

/** What is asked for a head that is to stay the embedding matrix is done to that one. */
function tieToEmbedding(
  modules: readonly ModelModule[],
  targets: Map<Path, ModelModule>,
  saved: Path[],
): void {
  const embedding = modules.find(({ path }) => isTokenEmbedding(path));
  if (!embedding) return;
  if (saved.includes("lm_head") && !saved.includes(embedding.path)) saved.push(embedding.path);
  if (targets.has("lm_head")) targets.set(embedding.path, embedding);
}

/** The settings of a module's update. */
export function settingsOf({ path, kind }: ModelModule, config: LoraConfig): LoraSettings {
  const r = patternValue(config.rank_pattern, path, config.r);
  const alpha = patternValue(config.alpha_pattern, path, config.lora_alpha);
  return {
    r,
    scaling: config.use_rslora ? alpha / Math.sqrt(r) : alpha / r,
    dropout: kind === "linear" && !isLanguageHead(path) ? config.lora_dropout : 0,
    dora: config.use_dora,
    init: config.init_lora_weights,
  };
}

async function retrained(weight: Weight): Promise<Retrained> {
  return {
    base: weight,
    modules_to_save: await copyTensor(weight instanceof Tensor ? weight : denseWeight(weight)),
  };
}

async function tokenRows(weight: Weight, ids: readonly number[], path: Path): Promise<TokenRows> {
  const count = weightShape(weight)[0]!;
  const beyond = ids.find((id) => id >= count);
  if (beyond !== undefined) {
    throw new UserError(
      `trainable_token_indices has ${beyond}, but ${path} has rows for ${count} tokens only.`,
    );
  }
  const token_indices = tensor(Int32Array.from(ids));
  const rows = denseWeight(weight).gather(token_indices);
  return { base: weight, trainable_tokens_delta: await copyTensor(rows), token_indices };
}

async function withUpdate(
  weight: Weight,
  { kind, path }: ModelModule,
  settings: LoraSettings,
  key: Key,
): Promise<Weight> {
  if (kind === "embedding") return loraEmbedding(weight, settings, key);
  const { init } = settings;
  if (typeof init === "string" && /^(pissa|olora)/i.test(init)) {
    return await principalLora(weight, settings, path);
  }
  return lora(weight, settings, key);
}

/** A fresh low-rank update over the matrix [out, in] of a linear layer. Beginnings: `true`, `false`, `gaussian`. */
export function lora(
  base: Weight,
  { r, scaling, dropout, dora, init }: LoraSettings,
  key: Key,
): Weight {
  const [outputs, inputs] = weightShape(base) as [number, number];
  const uniform = (part: number, rows: number, columns: number) => {
    const bound = 1 / Math.sqrt(columns);
    return randomUniform(foldKey(key, part), [rows, columns]).mul(2 * bound).sub(bound);
  };
  const gaussian = typeof init === "string" && init.toLowerCase() === "gaussian";
  const fresh = {
    base,
    lora_A: gaussian
      ? randomNormal(foldKey(key, 0), [r, inputs]).mul(1 / r)
      : uniform(0, r, inputs),
    lora_B: init === false ? uniform(1, outputs, r) : zeros([outputs, r]),
    scaling,
    ...(dropout > 0 ? { dropout } : {}),
  };
  return dora ? { ...fresh, lora_magnitude_vector: loraNorms(fresh) } : fresh;
}

/** A fresh low-rank update over an embedding matrix [V, D]. All beginnings but `false` are PEFT's `true`. */
export function loraEmbedding(
  base: Weight,
  { r, scaling, dora, init }: LoraSettings,
  key: Key,
): Weight {
  const [count, width] = weightShape(base) as [number, number];
  const fresh = {
    base,
    lora_embedding_A: init === false
      ? randomNormal(foldKey(key, 0), [r, count])
      : zeros([r, count]),
    lora_embedding_B: randomNormal(foldKey(key, 1), [width, r]),
    scaling,
  };
  return dora ? { ...fresh, lora_magnitude_vector: loraEmbeddingNorms(fresh) } : fresh;
}

/** An update that begins as the principal part of the base, which loses it: PiSSA or OLoRA. */
async function principalLora(
  weight: Weight,
  settings: LoraSettings,
  path: Path,
): Promise<Weight> {
  const { r, scaling, dora } = settings;
  const shape = weightShape(weight) as [number, number];
  const [outputs, inputs] = shape;
  if (r > Math.min(outputs, inputs)) {
    throw new UserError(
      `init_lora_weights = ${settings.init} takes r = ${r} principal vectors of ${path}, whose ` +
        `weight [${outputs}, ${inputs}] has ${Math.min(outputs, inputs)}. Lower r, or leave the ` +
        `module out.`,
    );
  }
  const values = await denseWeight(weight).data();
  const { a, b } = String(settings.init).toLowerCase() === "olora"
    ? firstQr(values, shape, r)
    : principal(values, shape, r, scaling);
  const rest = Float32Array.from(values);
  for (let i = 0; i < outputs; i++) {
    for (let k = 0; k < r; k++) {
      const factor = scaling * b[i * r + k]!;
      for (let j = 0; j < inputs; j++) rest[i * inputs + j]! -= factor * a[k * inputs + j]!;
    }
  }
  const fresh = {
    base: sameStorage(weight, rest, shape),
    lora_A: tensor(a, { shape: [r, inputs] }),
    lora_B: tensor(b, { shape: [outputs, r] }),
    scaling,
    ...(settings.dropout > 0 ? { dropout: settings.dropout } : {}),
  };
  return dora ? { ...fresh, lora_magnitude_vector: loraNorms(fresh) } : fresh;
}

interface Factors {
  readonly a: Float32Array;
  readonly b: Float32Array;
}

/** √(S/s)·Vᵀ and U·√(S/s), of the largest singular values. */
function principal(
  values: ArrayLike<number>,
  shape: readonly [number, number],
  r: number,
  scaling: number,
): Factors {
  const { left, values: singular, right } = truncatedSvd(values, shape, r);
  const roots = singular.map((s) => Math.sqrt(s / scaling));
  const a = new Float32Array(r * shape[1]);
  const b = new Float32Array(shape[0] * r);
  for (let k = 0; k < r; k++) {
    right[k]!.forEach((x, j) => a[k * shape[1] + j] = x * roots[k]!);
    left[k]!.forEach((x, i) => b[i * r + k] = x * roots[k]!);
  }
  return { a, b };
}

function firstQr(
  values: ArrayLike<number>,
  shape: readonly [number, number],
  r: number,
): Factors {
  const { q, r: upper } = truncatedQr(values, shape, r);
  return { a: Float32Array.from(upper), b: Float32Array.from(q) };
}

/** New numbers in the storage of a weight: its dtype, or its code. */
function sameStorage(
  weight: Weight,
  values: Float32Array,
  shape: readonly [number, number],
): Weight {
  if (isQuantized(weight)) {
    const nested = !(weight.absmax instanceof Tensor);
    return quantizeMatrix(values, shape, { format: weight.format, nested });
  }
  const dense = tensor(values, { shape });
  return weight instanceof Tensor ? dense.cast(weight.dtype) : dense;
}
