/** `adapter_config.json`, as PEFT 0.21 writes it. @module */

import { UserError } from "../../core/mod.ts";
import { isRecord } from "../../data/files/json_files.ts";
import { type LoraConfig, loraConfig, loraDefaults } from "../../nn/mod.ts";
import type { AdapterDescription } from "./adapter_files.ts";

/** PEFT's other options, with values that change nothing. */
const otherOptions: Readonly<Record<string, unknown>> = {
  alora_invocation_tokens: null,
  arrow_config: null,
  auto_mapping: null,
  corda_config: null,
  eva_config: null,
  inference_mode: true,
  kasa_config: null,
  layer_replication: null,
  loftq_config: {},
  lora_bias: false,
  lora_ga_config: null,
  megatron_config: null,
  megatron_core: "megatron.core",
  monteclora_config: null,
  peft_type: "LORA",
  // Whose format this is.
  peft_version: "0.21.0",
  qalora_group_size: 16,
  target_parameters: null,
  use_bdlora: null,
  use_qalora: false,
  velora_config: null,
};

/** Options that change what an adapter computes, and are not supported. */
const unsupported = [
  "alora_invocation_tokens",
  "arrow_config",
  "kasa_config",
  "layer_replication",
  "lora_bias",
  "megatron_config",
  "monteclora_config",
  "target_parameters",
  "use_bdlora",
  "use_qalora",
  "velora_config",
];

/** Options of how an adapter began, which say nothing of what it computes. */
const initialisations = ["corda_config", "eva_config", "loftq_config", "lora_ga_config"];

/** PEFT's tasks. */
const tasks: readonly unknown[] = [
  "CAUSAL_LM",
  "SEQ_CLS",
  "SEQ_2_SEQ_LM",
  "TOKEN_CLS",
  "QUESTION_ANS",
  "FEATURE_EXTRACTION",
];

/** The contents of `adapter_config.json`, keys in order. */
export function adapterConfigJson(
  { config, base, revision = null, fanInFanOut = false }: AdapterDescription,
): Readonly<Record<string, unknown>> {
  const all = {
    ...otherOptions,
    ...config,
    base_model_name_or_path: base,
    revision,
    fan_in_fan_out: fanInFanOut,
  };
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => a < b ? -1 : 1));
}

/**
 * Reads the contents of `adapter_config.json`. Keys that are not there have PEFT's defaults.
 *
 * @param path For messages.
 * @throws UserError for other kinds of adapters, options that are not supported, and values of the wrong type.
 */
export function parseAdapterConfig(
  json: Readonly<Record<string, unknown>>,
  path: string,
): AdapterDescription {
  const kind = json["peft_type"];
  if (kind !== "LORA") {
    throw new UserError(
      `${path} describes an adapter of type ${JSON.stringify(kind ?? null)}; LORA is supported.`,
    );
  }
  for (const name of unsupported) {
    const value = json[name];
    const unset = value === undefined || value === null || value === false ||
      (Array.isArray(value) && value.length === 0) ||
      (isRecord(value) && Object.keys(value).length === 0);
    if (!unset) {
      throw new UserError(
        `${path} has ${name} = ${JSON.stringify(value)}, which is not supported. Adapters ` +
          `without it are.`,
      );
    }
  }
  for (const name of initialisations) {
    const value = json[name] ?? null;
    if (value === null || isRecord(value)) continue;
    throw new UserError(
      `${path} has ${name} = ${JSON.stringify(value)}; an object or null was expected.`,
    );
  }
  const given: Record<string, unknown> = {};
  for (const name of Object.keys(loraDefaults)) {
    if (json[name] === undefined) continue;
    const type = types[name as keyof LoraConfig];
    // Before they had values of their own, PEFT wrote null for switches; a number it always had.
    if (json[name] === null && !type.null && type !== number) continue;
    if (!type.fits(json[name])) {
      throw new UserError(
        `${path} has ${name} = ${JSON.stringify(json[name])}; ${type.name} was expected.`,
      );
    }
    given[name] = json[name];
  }
  const base = json["base_model_name_or_path"];
  const revision = json["revision"];
  return {
    config: loraConfig(given),
    base: typeof base === "string" ? base : null,
    revision: typeof revision === "string" ? revision : null,
  };
}

interface OptionType {
  readonly name: string;
  readonly null?: true;
  readonly fits: (value: unknown) => boolean;
}

const isText = (value: unknown) => typeof value === "string";
const isNumber = (value: unknown) => typeof value === "number";
const isList = (value: unknown, of: (item: unknown) => boolean) =>
  Array.isArray(value) && value.every(of);

const number: OptionType = { name: "a number", fits: isNumber };
const flag: OptionType = { name: "true or false", fits: (value) => typeof value === "boolean" };
const text: OptionType = { name: "text", fits: isText };
const names: OptionType = {
  name: "text or a list of texts",
  null: true,
  fits: (value) => value === null || isText(value) || isList(value, isText),
};
const pattern: OptionType = {
  name: "an object of numbers",
  fits: (value) => isRecord(value) && Object.values(value).every(isNumber),
};

const types: Readonly<Record<keyof LoraConfig, OptionType>> = {
  r: number,
  lora_alpha: number,
  lora_dropout: number,
  target_modules: names,
  exclude_modules: names,
  use_rslora: flag,
  use_dora: flag,
  bias: text,
  modules_to_save: {
    name: "a list of texts",
    null: true,
    fits: (value) => value === null || isList(value, isText),
  },
  rank_pattern: pattern,
  alpha_pattern: pattern,
  layers_to_transform: {
    name: "an index or a list of them",
    null: true,
    fits: (value) => value === null || isNumber(value) || isList(value, isNumber),
  },
  layers_pattern: names,
  init_lora_weights: {
    name: "true, false or text",
    fits: (value) => typeof value === "boolean" || isText(value),
  },
  trainable_token_indices: {
    name: "a list of token ids, or such lists by the names of modules",
    null: true,
    fits: (value) =>
      value === null || isList(value, isNumber) ||
      (isRecord(value) && Object.values(value).every((ids) => isList(ids, isNumber))),
  },
  ensure_weight_tying: flag,
  task_type: {
    name: `one of ${tasks.join(", ")}, or null,`,
    null: true,
    fits: (value) => value === null || tasks.includes(value),
  },
};
