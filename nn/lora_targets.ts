/** Which modules an adapter changes: PEFT's rules. @module */

import { type Path, UserError } from "../core/mod.ts";
import type { LoraConfig } from "./lora_config.ts";
import { isEmbedding, isOutputHead, isTokenEmbedding } from "./module_names.ts";
import { pythonRegExp } from "./python_regexp.ts";
import { isValueHeadParameter } from "./value_head.ts";
import { isLoraEmbedding, type Weight, weightShape } from "./weight.ts";
import { mapParameters, parametersOf } from "./weight_trees.ts";

/** A module of a model: a node of its parameter tree. */
export interface ModelModule {
  /** As in `model.layers.0.self_attn.q_proj`. */
  readonly path: Path;
  /** What its `weight` is: a matrix to multiply by, a matrix to read rows of, or neither. */
  readonly kind: "linear" | "embedding" | "other";
}

/**
 * The modules of a parameter tree, in its order. A head that is the embedding matrix is a module too,
 * as in transformers.
 */
export function modulesOf(params: unknown): ModelModule[] {
  const kinds = new Map<Path, ModelModule["kind"]>();
  for (const [path, weight] of parametersOf(params)) {
    // A value head is beside the model that PEFT sees, and trained whole.
    if (isValueHeadParameter(path)) continue;
    const parts = path.split(".");
    for (let depth = 1; depth < parts.length; depth++) {
      const module = parts.slice(0, depth).join(".");
      if (!kinds.has(module)) kinds.set(module, "other");
    }
    const module = parts.slice(0, -1).join(".");
    if (parts.at(-1) !== "weight" || weightShape(weight).length !== 2) continue;
    kinds.set(
      module,
      isEmbedding(module) || isLoraEmbedding(weight) ? "embedding" : "linear",
    );
  }
  const heads = [...kinds].filter(([path]) => isOutputHead(path));
  if (heads.every(([, kind]) => kind === "other")) kinds.set("lm_head", "linear");
  return [...kinds].map(([path, kind]) => ({ path, kind }));
}

/** Whether a parameter is quantised when a model is: a matrix of a linear layer that is not the output head. */
export function isQuantizable(path: Path, shape: readonly number[]): boolean {
  const module = path.replace(/\.weight$/, "");
  return shape.length === 2 && module !== path && !isEmbedding(module) && !isOutputHead(module) &&
    !isValueHeadParameter(path);
}

/** Targets of families without a choice by the user, as in PEFT's table. */
const familyTargets: Readonly<Record<string, readonly string[]>> = {
  t5: ["q", "v"],
  gpt2: ["c_attn"],
  opt: ["q_proj", "v_proj"],
  gptj: ["q_proj", "v_proj"],
  gpt_neox: ["query_key_value"],
  gpt_neo: ["q_proj", "v_proj"],
  bert: ["query", "value"],
  roberta: ["query", "value"],
  llama: ["q_proj", "v_proj"],
  mistral: ["q_proj", "v_proj"],
  stablelm: ["q_proj", "v_proj"],
  phi: ["q_proj", "v_proj", "fc1", "fc2"],
  gemma: ["q_proj", "v_proj"],
  gemma2: ["q_proj", "v_proj"],
  gemma3_text: ["q_proj", "v_proj"],
  qwen2: ["q_proj", "v_proj"],
  qwen3: ["q_proj", "v_proj"],
};

function endsWithName(path: Path, names: readonly string[]): boolean {
  return names.some((name) => path === name || path.endsWith(`.${name}`));
}

/**
 * Options with `target_modules` as PEFT writes it: the family's choice, or the names that `all-linear` stands
 * for. Twenty names or more are shortened to the ends that tell them from other modules. Sorted.
 *
 * @throws UserError if there is no choice for the family.
 */
export function resolveTargets(
  modules: readonly ModelModule[],
  config: LoraConfig,
  modelType?: string,
): LoraConfig {
  const { target_modules: targets } = config;
  if (targets === null) {
    const family = modelType !== undefined && Object.hasOwn(familyTargets, modelType)
      ? familyTargets[modelType]
      : undefined;
    if (family) return { ...config, target_modules: family };
    throw new UserError(
      `LoRA has no default target_modules for models of type ${modelType ?? "unknown"}. ` +
        `Name them, or give "all-linear".`,
    );
  }
  let list = targets;
  if (typeof list === "string") {
    if (list.toLowerCase() !== "all-linear") return config;
    list = modules.filter(({ path, kind }) => kind === "linear" && !isOutputHead(path))
      .map(({ path }) => path);
  }
  if (list.length >= 20) list = shortestEnds(list, modules.map(({ path }) => path));
  return { ...config, target_modules: [...new Set(list)].sort() };
}

/** The rule of PEFT's `_find_minimal_target_modules`. */
function shortestEnds(targets: readonly string[], modules: readonly string[]): readonly string[] {
  const ends = (path: string) => {
    const parts = path.split(".");
    return parts.map((_, i) => parts.slice(parts.length - 1 - i).join("."));
  };
  const others = new Set(
    modules.filter((path) => !endsWithName(path, targets)).flatMap((path) => ends(path)),
  );
  const found = new Set<string>();
  for (const target of [...new Set(targets)].sort((a, b) => compareLists(ends(a), ends(b)))) {
    for (const end of ends(target)) {
      if (found.has(end) || others.has(end)) continue;
      if (!ends(target).slice(0, -1).some((shorter) => found.has(shorter))) {
        found.add(end);
        break;
      }
    }
  }
  return found.size > 0 && found.size < targets.length ? [...found] : targets;
}

function compareLists(a: readonly string[], b: readonly string[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    if (a[i] !== b[i]) return a[i]! < b[i]! ? -1 : 1;
  }
  return a.length - b.length;
}

function isExcluded(path: Path, config: LoraConfig): boolean {
  const { exclude_modules: excluded, modules_to_save: saved } = config;
  if (excluded !== null && excluded.length > 0) {
    if (typeof excluded === "string") {
      if (pythonRegExp(excluded, "exclude_modules").test(path)) return true;
    } else if (endsWithName(path, excluded)) return true;
  }
  return (saved ?? []).some((name) =>
    pythonRegExp(`(^|.*\\.)${name}($|\\..*)`, "modules_to_save").test(path)
  );
}

function isTarget(path: Path, config: LoraConfig): boolean {
  const { target_modules: targets, layers_to_transform: layers, layers_pattern: pattern } = config;
  if (typeof targets === "string") return pythonRegExp(targets, "target_modules").test(path);
  if (targets === null) return false;
  if (targets.includes(path)) return true;
  if (!endsWithName(path, targets)) return false;
  const chosen = typeof layers === "number" ? [layers] : layers ?? [];
  if (layers === null || (typeof layers !== "number" && layers.length === 0)) return true;
  const lists = typeof pattern === "string" ? [pattern] : pattern ?? [];
  // The first number is the layer's; later ones, as of experts, are not.
  const found = lists.length === 0
    ? /^.*?\.[^.]*\.(\d+)\./.exec(path)
    : lists.map((name) => new RegExp(`^(?:.*?\\.)?(?:${name})\\.(\\d+)\\.`).exec(path))
      .find((match) => match !== null);
  return found ? chosen.includes(Number(found[1])) : false;
}

/**
 * The modules that get a low-rank update.
 *
 * @param config With `target_modules` resolved.
 * @throws UserError if there are none, or if one is neither a linear layer nor an embedding.
 */
export function loraTargets(modules: readonly ModelModule[], config: LoraConfig): ModelModule[] {
  const wanted = modules.filter(({ path }) => isTarget(path, config));
  const found = wanted.filter(({ path }) => !isExcluded(path, config));
  const shown = JSON.stringify(config.target_modules);
  if (found.length === 0) {
    const linear = modules.filter(({ kind }) => kind === "linear").map(({ path }) => path);
    throw new UserError(
      wanted.length > 0
        ? `All modules that target_modules = ${shown} finds are excluded, by exclude_modules or ` +
          `modules_to_save: ${wanted.slice(0, 3).map(({ path }) => path).join(", ")}.`
        : `target_modules = ${shown} finds no module of the model. Its linear layers are ` +
          `${linear.slice(0, 7).join(", ")}${linear.length > 7 ? ", …" : ""}.`,
    );
  }
  const other = found.find(({ kind }) => kind === "other");
  if (other) {
    throw new UserError(
      `target_modules = ${shown} finds ${other.path}, which is neither a linear layer nor an ` +
        `embedding, and so has no low-rank update.`,
    );
  }
  return found;
}

/**
 * The modules of which single rows are trained, with the ids of the rows.
 *
 * @param tied Whether the output head is the embedding matrix, which then has the rows of that one.
 * @throws UserError if a module is not there, is trained in another way too, or contradicts the one it is tied to.
 */
export function tokenTargets(
  modules: readonly ModelModule[],
  config: LoraConfig,
  tied: boolean,
): ReadonlyMap<Path, readonly number[]> {
  const { trainable_token_indices: indices, ensure_weight_tying: ensured } = config;
  if (indices === null) return new Map();
  const refuse = (reason: string): never => {
    throw new UserError(`trainable_token_indices ${reason}.`);
  };
  const embedding = modules.find(({ path }) => isTokenEmbedding(path))?.path ?? "";
  const named: [string, readonly number[]][] = isIdList(indices)
    ? [[embedding, indices]]
    : Object.entries(indices);
  const found = new Map<Path, readonly number[]>();
  for (const [name, ids] of named) {
    const paths = modules.map(({ path }) => path).filter((path) => endsWithName(path, [name]));
    if (paths.length === 0) refuse(`names ${name}, which the model does not have`);
    for (const path of paths) found.set(path, ids);
  }
  const others = new Set([
    ...modules.filter(({ path }) => isTarget(path, config)).map(({ path }) => path),
    ...savedModules(modules, config),
  ]);
  const twice = [...found.keys()].find((path) => others.has(path));
  if (twice !== undefined) {
    refuse(`has rows of ${twice}, which target_modules or modules_to_save name too: choose one`);
  }
  const [own, head] = [found.get(embedding), found.get("lm_head")];
  if (tied && own && head) {
    if (own.join() === head.join()) found.delete("lm_head");
    else if (ensured) refuse("has other rows for the head than for the embeddings it is tied to");
  }
  return found;
}

function isIdList(
  indices: NonNullable<LoraConfig["trainable_token_indices"]>,
): indices is readonly number[] {
  return Array.isArray(indices);
}

/** Paths of the modules that are trained whole. */
export function savedModules(modules: readonly ModelModule[], config: LoraConfig): Path[] {
  // PEFT compares ends of names here, not whole parts.
  return modules.map(({ path }) => path)
    .filter((path) => (config.modules_to_save ?? []).some((name) => path.endsWith(name)));
}

/** The value of a module in a pattern such as `rank_pattern`: of the first key that the module's name ends with. */
export function patternValue(
  pattern: Readonly<Record<string, number>>,
  path: Path,
  otherwise: number,
): number {
  const key = Object.keys(pattern)
    .find((key) => pythonRegExp(`(.*\\.)?(${key})`, "rank_pattern or alpha_pattern").test(path));
  return key === undefined ? otherwise : pattern[key]!;
}

/** Modules: `all-linear`, ends of names, a regular expression on whole names, or a predicate. */
export type ModuleTarget = string | readonly string[] | ((module: Path) => boolean);

/** The tree with `f` applied to the matrices of the modules that are targets, by PEFT's rules. */
export function mapWeights<P>(
  params: P,
  target: ModuleTarget,
  f: (weight: Weight, module: Path) => Weight,
): P {
  const modules = modulesOf(params);
  const chosen = typeof target === "function"
    ? target
    : typeof target === "string" && target.toLowerCase() === "all-linear"
    ? (path: Path) =>
      modules.some((module) => module.path === path && module.kind === "linear") &&
      !isOutputHead(path)
    : typeof target === "string"
    ? (path: Path) => pythonRegExp(target, "the target").test(path)
    : (path: Path) => endsWithName(path, target);
  return mapParameters(params, (weight, path) => {
    const module = path.replace(/\.?[^.]*$/, "");
    const isMatrix = path.endsWith(".weight") && weightShape(weight).length === 2;
    return isMatrix && chosen(module) ? f(weight, module) : weight;
  });
}
