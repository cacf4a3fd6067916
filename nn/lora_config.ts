/** Options of LoRA, as PEFT's `LoraConfig` names them. @module */

import { UserError } from "../core/mod.ts";
import { pythonRegExp } from "./python_regexp.ts";

/** How fresh low-rank updates begin; see {@link LoraConfig.init_lora_weights}. */
export type LoraInit = boolean | "gaussian" | "pissa" | `pissa_niter_${number}` | "olora";

/** Options of LoRA: those of PEFT 0.21's `LoraConfig` that change what is computed here. */
export interface LoraConfig {
  /** Rank. */
  readonly r: number;
  /** α: the update is scaled by α / r. */
  readonly lora_alpha: number;
  /** Probability of dropping an element of the update's input, in training. Embeddings and heads drop nothing. */
  readonly lora_dropout: number;
  /**
   * Modules that get an update: `all-linear` (all linear layers but the output head), a list of names or ends of
   * names, a regular expression (as Python's `re.fullmatch` takes it) on whole names, or null for the choice of
   * the model family.
   */
  readonly target_modules: string | readonly string[] | null;
  /** Modules that get none: ends of names, or a regular expression on whole names. */
  readonly exclude_modules: string | readonly string[] | null;
  /** Scale by α / √r instead (Kalajdzievski, "rsLoRA", arXiv:2312.03732). */
  readonly use_rslora: boolean;
  /** Magnitudes and directions apart (Liu et al., "DoRA", arXiv:2402.09353). */
  readonly use_dora: boolean;
  /** Which biases are trained, in place. */
  readonly bias: "none" | "all" | "lora_only";
  /** Ends of names of modules that are trained whole and saved with the adapter. */
  readonly modules_to_save: readonly string[] | null;
  /** Ranks of modules whose names end with (the regular expression of) a key. */
  readonly rank_pattern: Readonly<Record<string, number>>;
  /** The same for α. */
  readonly alpha_pattern: Readonly<Record<string, number>>;
  /** Layers, by index, that the list `target_modules` is limited to. */
  readonly layers_to_transform: readonly number[] | number | null;
  /** Names of the list of layers, where there are several. */
  readonly layers_pattern: readonly string[] | string | null;
  /**
   * `true`: A uniform as PyTorch's linear layers begin, B zero. `gaussian`: A normal with deviation 1/r, B zero.
   * `false`: both random. `pissa`: the principal singular vectors, which the base loses (Meng et al.,
   * arXiv:2404.02948); `pissa_niter_N` is the same here, without its approximation. `olora`: the first columns of
   * a QR decomposition, which the base loses (Büyükakyüz, arXiv:2406.01775).
   */
  readonly init_lora_weights: LoraInit;
  /**
   * Rows of the token embeddings, by token id, that are trained by themselves; or such rows by the end of a module's
   * name. A head that is the embedding matrix has the same.
   */
  readonly trainable_token_indices:
    | readonly number[]
    | Readonly<Record<string, readonly number[]>>
    | null;
  /** Whether a head that is the embedding matrix stays so where that one gets an update or is trained whole. */
  readonly ensure_weight_tying: boolean;
  /** What the model is for. Classifiers add their heads to `modules_to_save`. */
  readonly task_type: "CAUSAL_LM" | "SEQ_CLS" | "TOKEN_CLS" | null;
}

/** PEFT's defaults. */
export const loraDefaults: LoraConfig = {
  r: 8,
  lora_alpha: 8,
  lora_dropout: 0,
  target_modules: null,
  exclude_modules: null,
  use_rslora: false,
  use_dora: false,
  bias: "none",
  modules_to_save: null,
  rank_pattern: {},
  alpha_pattern: {},
  layers_to_transform: null,
  layers_pattern: null,
  init_lora_weights: true,
  trainable_token_indices: null,
  ensure_weight_tying: false,
  task_type: "CAUSAL_LM",
};

/** No matrix of a language model has more ranks. */
const mostRanks = 2 ** 20;

function refuse(name: string, value: unknown, expected: string): never {
  throw new UserError(`LoRA's ${name} is ${JSON.stringify(value)}; ${expected}.`);
}

/**
 * Options completed with PEFT's defaults.
 *
 * @throws UserError naming the option, if one has no sense or contradicts another.
 */
export function loraConfig(options: Partial<LoraConfig> = {}): LoraConfig {
  const given = Object.fromEntries(Object.entries(options).filter(([, v]) => v !== undefined));
  const config: LoraConfig = { ...loraDefaults, ...given };
  const ranks = { r: config.r, ...prefixed("rank_pattern", config.rank_pattern) };
  for (const [name, r] of Object.entries(ranks)) {
    if (!Number.isInteger(r) || r <= 0 || r > mostRanks) {
      refuse(name, r, `a rank is a positive integer, up to ${mostRanks}`);
    }
  }
  const alphas = {
    lora_alpha: config.lora_alpha,
    ...prefixed("alpha_pattern", config.alpha_pattern),
  };
  for (const [name, alpha] of Object.entries(alphas)) {
    if (!Number.isFinite(alpha)) refuse(name, alpha, "a finite number was expected");
  }
  const { trainable_token_indices: rows } = config;
  for (const ids of rows === null ? [] : Array.isArray(rows) ? [rows] : Object.values(rows)) {
    if (ids.every((id: number) => Number.isInteger(id) && id >= 0)) continue;
    refuse("trainable_token_indices", ids, "token ids are whole numbers from 0");
  }
  const { lora_dropout: dropout, target_modules: targets, init_lora_weights: init } = config;
  if (!(dropout >= 0 && dropout < 1)) {
    refuse("lora_dropout", dropout, "a probability from 0 to below 1 was expected");
  }
  if (!["none", "all", "lora_only"].includes(config.bias)) {
    refuse("bias", config.bias, "it is none, all or lora_only");
  }
  if (typeof init !== "boolean" && !/^(gaussian|pissa|pissa_niter_\d+|olora)$/i.test(init)) {
    refuse(
      "init_lora_weights",
      init,
      "supported are true, false, gaussian, pissa, pissa_niter_<n> and olora",
    );
  }
  if (typeof targets === "string") {
    for (const name of ["layers_to_transform", "layers_pattern"] as const) {
      if (config[name] !== null) {
        refuse(name, config[name], "it goes with a list of target_modules, not with a string");
      }
    }
    if (targets.toLowerCase() !== "all-linear") pythonRegExp(targets, "target_modules");
  }
  if (Array.isArray(targets) && targets.length === 0) {
    refuse("target_modules", targets, "a list of targets names one at least");
  }
  if (config.layers_pattern !== null && config.layers_to_transform === null) {
    refuse("layers_pattern", config.layers_pattern, "it needs layers_to_transform");
  }
  if (typeof config.exclude_modules === "string") {
    pythonRegExp(config.exclude_modules, "exclude_modules");
  }
  if (config.task_type !== "SEQ_CLS" && config.task_type !== "TOKEN_CLS") return config;
  const saved = new Set([...config.modules_to_save ?? [], "classifier", "score"]);
  return { ...config, modules_to_save: [...saved] };
}

function prefixed(name: string, pattern: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(pattern).map(([k, v]) => [`${name}["${k}"]`, v]));
}
