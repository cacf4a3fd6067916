/** From the flags of TRL's `ModelConfig` to adapters over a model's weights, and what is trained of it. @module */

import { combine, foldKey, partition, type Path, randomKey, UserError } from "../core/mod.ts";
import {
  adapterParameters,
  applyLora,
  copyTensors,
  type LoraConfig,
  withoutAdapters,
} from "../nn/mod.ts";
import { fillAdapter, loadAdapter, readAdapterConfig, resolveBaseModel } from "./adapter_files.ts";
import type { WeightStorage } from "./quantized_files.ts";

/** Flags about adapters and storage, with TRL's names and defaults. */
export interface AdapterValues {
  /** Whether to train an adapter. */
  readonly use_peft: boolean;
  /** Rank. */
  readonly lora_r: number;
  /** α. */
  readonly lora_alpha: number;
  /** Probability of dropout. */
  readonly lora_dropout: number;
  /** Modules with an update; one is `all-linear` or a regular expression. */
  readonly lora_target_modules?: readonly string[] | undefined;
  /** Modules trained whole. */
  readonly lora_modules_to_save?: readonly string[] | undefined;
  /** What the model is for. */
  readonly lora_task_type: string;
  /** Scale by α / √r. */
  readonly use_rslora: boolean;
  /** Magnitudes and directions apart. */
  readonly use_dora: boolean;
  /** Store matrices in 4 bits. */
  readonly load_in_4bit: boolean;
  /** Store matrices in 8 bits. */
  readonly load_in_8bit: boolean;
  /** The 4-bit code. */
  readonly bnb_4bit_quant_type: "nf4" | "fp4";
  /** Store the scales of 4-bit codes in 8 bits. */
  readonly use_bnb_nested_quant: boolean;
  /** Storage of weights that are not trained and not quantised. */
  readonly dtype: "float32" | "bfloat16" | "float16" | "auto";
  /** A directory whose adapter a fresh one begins as. */
  readonly initial_adapter?: string | undefined;
}

const tasks = ["CAUSAL_LM", "SEQ_CLS", "TOKEN_CLS"] as const;

/**
 * LoRA's options, as TRL's `get_peft_config` gives them.
 *
 * @throws UserError for an unknown task type.
 */
export function loraOptionsOf(values: AdapterValues): Partial<LoraConfig> {
  const { lora_target_modules: targets } = values;
  const [only] = targets ?? [];
  const task = tasks.find((name) => name === values.lora_task_type);
  if (task === undefined) {
    throw new UserError(
      `--lora_task_type is ${values.lora_task_type}; ${tasks.join(", ")} are supported.`,
    );
  }
  // TRL takes a list of one for a regular expression; a plain name, which would find nothing, stays one.
  const isPattern = targets?.length === 1 && (only === "all-linear" || !/^[\w.]+$/.test(only!));
  return {
    r: values.lora_r,
    lora_alpha: values.lora_alpha,
    lora_dropout: values.lora_dropout,
    target_modules: isPattern ? only! : targets ?? null,
    modules_to_save: values.lora_modules_to_save ?? null,
    use_rslora: values.use_rslora,
    use_dora: values.use_dora,
    task_type: task,
  };
}

/**
 * How weights are stored, by the flags.
 *
 * @param adapted Whether there is an adapter to train: without one all weights are trained, which takes f32.
 * @throws UserError for flags that contradict each other.
 */
export function weightStorageOf(values: AdapterValues, adapted: boolean): WeightStorage {
  const { load_in_4bit: four, load_in_8bit: eight } = values;
  if (four && eight) {
    throw new UserError("Both --load_in_4bit and --load_in_8bit are given. Choose one of them.");
  }
  if (!adapted) {
    if (!four && !eight) return {};
    throw new UserError(
      `--load_in_${four ? 4 : 8}bit stores weights that cannot be trained themselves. Train an ` +
        `adapter over them: add --use_peft.`,
    );
  }
  const dtypes = { float32: "f32", bfloat16: "bf16", float16: "f16", auto: "auto" } as const;
  return {
    dtype: dtypes[values.dtype],
    quantize: four
      ? { format: values.bnb_4bit_quant_type, nested: values.use_bnb_nested_quant }
      : eight
      ? { format: "int8" }
      : undefined,
  };
}

/** A model with an adapter to train. */
export interface AdaptedModel<P> {
  /** Trained and frozen leaves in one tree. */
  readonly params: P;
  /** PEFT's options, for `writeAdapter`. */
  readonly config: LoraConfig;
  /** Whether the adapter was there before: then the reference is what it began as. */
  readonly continued: boolean;
  /** Which leaves are trained, for `partition`. */
  readonly isTrained: (path: Path, leaf: unknown) => boolean;
}

/**
 * Puts the adapter that the flags ask for over a model's weights.
 *
 * @param options `adapter` is the directory that `model_name_or_path` names, if that is one of an adapter.
 * @throws UserError for flags without sense, and adapters that do not fit.
 */
export async function adaptModel<P>(
  params: P,
  values: AdapterValues,
  options: {
    readonly adapter?: string | undefined;
    readonly modelType?: string;
    readonly seed: number;
  },
): Promise<AdaptedModel<P>> {
  const { adapter, modelType, seed } = options;
  const family = modelType === undefined ? {} : { modelType };
  if (adapter !== undefined && (values.use_peft || values.initial_adapter !== undefined)) {
    throw new UserError(
      `--model_name_or_path is ${adapter}, which has an adapter to go on with; ` +
        `${values.use_peft ? "--use_peft" : "--initial_adapter"} asks for a fresh one. Leave the ` +
        `flag out, or name the base model.`,
    );
  }
  const begun = adapter !== undefined
    ? await loadAdapter(params, adapter, family)
    : await applyLora(params, loraOptionsOf(values), foldKey(randomKey(seed), 0x10a), family);
  const filled = values.initial_adapter === undefined
    ? begun.params
    : await fillAdapter(begun.params, values.initial_adapter, begun.config);
  return {
    params: filled,
    config: begun.config,
    continued: adapter !== undefined,
    isTrained: adapterParameters(filled, begun.config.bias),
  };
}

/**
 * The reference that a policy with an adapter is compared to, as TRL has it: for a fresh adapter the same weights
 * with the adapter off, for one that is continued a frozen copy of it. Both share the base's memory.
 */
export async function referenceOf<P>(
  { params, continued, isTrained }: Omit<AdaptedModel<P>, "config">,
): Promise<P> {
  if (!continued) return withoutAdapters(params);
  const [trained, frozen] = partition(params, isTrained);
  return combine(await copyTensors(trained), frozen);
}

/** The directory of the base model of an adapter's directory. */
export async function baseOfAdapter(directory: string): Promise<string> {
  return await resolveBaseModel(directory, await readAdapterConfig(directory));
}
