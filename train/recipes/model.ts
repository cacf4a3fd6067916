/** From settings to the model that is trained. @module */

import { UserError } from "../../core/mod.ts";
import { dropoutIn, type LoraConfig, type ModelHead, type QuantizeOptions } from "../../nn/mod.ts";
import type { ModelSource, OpenModel } from "../files/model_directory.ts";
import type { WeightStorage } from "../files/quantized_files.ts";
import { revisionOf } from "../settings/model.ts";
import type { FinetuneValues } from "./recipe_spec.ts";

/** What is to be said of a config that asks for dropout, where the reference trains with it. */
export function dropoutNotice({ config }: OpenModel, values: object): string[] {
  const asked = [...dropoutIn(config)].map(([name, probability]) => `${name} ${probability}`);
  if (asked.length === 0 || ("disable_dropout" in values && values.disable_dropout)) return [];
  return [`Models are trained without dropout of their own; config.json has ${asked.join(", ")}.`];
}

/** Where the model comes from, and how it is kept. @throws {UserError} on settings that exclude each other. */
export function modelSourceOf(values: FinetuneValues, head: ModelHead | undefined): ModelSource {
  const { eos_token, pad_token, chat_template_path } = values;
  return {
    storage: storageOf(values),
    lora: values.use_peft ? loraOf(values, head) : undefined,
    initialAdapter: values.initial_adapter,
    directory: values.model_name_or_path,
    revision: revisionOf(values),
    initFromConfig: values.init_from_config,
    head,
    seed: values.seed,
    tokenizer: values.tokenizer_name,
    overrides: {
      ...(eos_token === undefined ? {} : { eosToken: eos_token }),
      ...(pad_token === undefined ? {} : { padToken: pad_token }),
      ...(chat_template_path === undefined ? {} : { chatTemplatePath: chat_template_path }),
    },
  };
}

/** How the base's weights are kept in memory; undefined is f32. */
function storageOf(values: FinetuneValues): WeightStorage | undefined {
  if (values.load_in_4bit && values.load_in_8bit) {
    throw new UserError("Both --load_in_4bit and --load_in_8bit are given. Choose one of them.");
  }
  const quantize: QuantizeOptions | undefined = values.load_in_4bit
    ? { format: values.bnb_4bit_quant_type, nested: values.use_bnb_nested_quant }
    : values.load_in_8bit
    ? { format: "int8" }
    : undefined;
  const names = { float32: "f32", auto: "auto", bfloat16: "bf16", float16: "f16" } as const;
  const dtype = names[values.dtype];
  return quantize || dtype !== "f32" ? { quantize, dtype } : undefined;
}

function loraOf(values: FinetuneValues, head: ModelHead | undefined): Partial<LoraConfig> {
  const { init_lora_weights: init } = values;
  const tasks = { language: "CAUSAL_LM", sequence: "SEQ_CLS", token: "TOKEN_CLS" } as const;
  return {
    r: values.lora_r,
    lora_alpha: values.lora_alpha,
    lora_dropout: values.lora_dropout,
    target_modules: modulesOrPattern(values.lora_target_modules),
    exclude_modules: modulesOrPattern(values.lora_exclude_modules),
    bias: values.lora_bias,
    init_lora_weights: init === "true" || init === "false" ? init === "true" : init,
    modules_to_save: values.lora_modules_to_save ?? null,
    use_rslora: values.use_rslora,
    use_dora: values.use_dora,
    task_type: tasks[head?.kind ?? "language"],
  };
}

/** TRL takes a list of one for a regular expression; a plain name, which would find nothing, stays one. */
function modulesOrPattern(names: readonly string[] | undefined): string | readonly string[] | null {
  const [only] = names ?? [];
  const isPattern = names?.length === 1 && (only === "all-linear" || !/^[\w.]+$/.test(only!));
  return isPattern ? only! : names ?? null;
}
