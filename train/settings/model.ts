/**
 * TRL's ModelConfig, and the options that say where the model comes from and where it runs.
 *
 * @module
 */

import { bool, choice, float, int, model, string, strings } from "./builders.ts";
import { type Options, section, type Values } from "./option.ts";
import { onlyWith } from "./when.ts";

const heldInF32 =
  "weights that are trained are held in float32, and saved so unless save_dtype says otherwise; frozen ones under " +
  "an adapter are held so";

const source = section("Model", {
  model_name_or_path: model({
    help:
      "A model of the Hub by its name (Qwen/Qwen2.5-0.5B, also with @revision), or the directory of a Hugging Face " +
      "checkpoint: config.json, *.safetensors, tokenizer files.",
    aliases: ["model_name"],
  }),
  init_from_config: string({
    shown: "FILE",
    help: "Train from scratch: a config.json whose model is initialised at random. " +
      "Not in TRL.",
  }),
  model_revision: string({
    default: "main",
    help: "Branch, tag or commit of model_name_or_path, where that is a name.",
  }),
  dtype: choice({
    choices: ["float32", "auto", "bfloat16", "float16"],
    synonyms: {
      "torch.float32": "float32",
      "torch.bfloat16": "bfloat16",
      "torch.float16": "float16",
      fp32: "float32",
      bf16: "bfloat16",
      fp16: "float16",
    },
    default: "float32",
    aliases: ["torch_dtype"],
    help: "Type of frozen weights under an adapter. What is trained is held in float32.",
    valueNotices: { auto: heldInF32, bfloat16: heldInF32, float16: heldInF32 },
  }),
  save_dtype: choice({
    choices: ["float32", "auto", "bfloat16", "float16"],
    default: "float32",
    help:
      "Type of the weights saved at the end; auto: the checkpoint's. Steps' checkpoints are in float32. Not in TRL.",
  }),
  attn_implementation: string({
    help: "Attention kernel.",
    notice: "there is one attention here: exact, block-wise, and packed documents never mix",
  }),
  model_init_kwargs: string({
    help: "Arguments of from_pretrained.",
    refused: "the model is built from its config.json alone; use dtype, init_from_config or an " +
      "edited config.json",
  }),
  trust_remote_code: bool({
    default: false,
    help: "Run code that comes with a checkpoint.",
    notice: "code that comes with a checkpoint is never run; the families built in are used",
  }),
  tokenizer_name: model({
    names: "tokenizer",
    aliases: ["tokenizer_name_or_path", "tokenizer", "processing_class"],
    help:
      "Model whose tokenizer is taken; unset: the model's, or the config's with init_from_config.",
  }),
});

const adapter = section("Adapters and quantisation", {
  use_peft: bool({ default: false, help: "Train a LoRA adapter over frozen weights." }),
  lora_r: int({ when: onlyWith("use_peft"), default: 16, min: 1, help: "LoRA rank." }),
  lora_alpha: int({
    when: onlyWith("use_peft"),
    default: 32,
    min: 1,
    help: "LoRA α: updates are scaled by α/r.",
  }),
  lora_dropout: float({
    when: onlyWith("use_peft"),
    default: 0.05,
    min: 0,
    below: 1,
    help: "LoRA dropout.",
  }),
  lora_target_modules: strings({
    when: onlyWith("use_peft"),
    help: "Layers that get LoRA: all-linear, names, or a regular expression. Unset: the family's.",
  }),
  lora_target_parameters: strings({
    help: "Parameters of expert layers that get LoRA.",
    refused: "no model family of this version has expert layers",
  }),
  lora_modules_to_save: strings({
    when: onlyWith("use_peft"),
    help: "Layers trained whole beside the adapter.",
  }),
  lora_exclude_modules: strings({
    when: onlyWith("use_peft"),
    help: "Layers that get no LoRA: names, or a regular expression. Not in TRL.",
  }),
  lora_bias: choice({
    when: onlyWith("use_peft"),
    choices: ["none", "all", "lora_only"],
    default: "none",
    help: "Biases that are trained along: all, or those of the layers with LoRA. Not in TRL.",
  }),
  init_lora_weights: choice({
    when: onlyWith("use_peft"),
    choices: [
      "true",
      "false",
      "gaussian",
      "pissa",
      "pissa_niter_4",
      "pissa_niter_16",
      "olora",
    ],
    synonyms: { false: "false" },
    default: "true",
    help: "How LoRA begins; all but false and the last four leave the model as it is. Not in TRL.",
  }),
  lora_task_type: string({
    when: onlyWith("use_peft"),
    default: "CAUSAL_LM",
    help: "PEFT task type.",
    notice: "the command decides it",
  }),
  use_rslora: bool({ when: onlyWith("use_peft"), default: false, help: "Scale by α/√r." }),
  use_dora: bool({
    when: onlyWith("use_peft"),
    default: false,
    help: "DoRA: magnitudes and directions apart.",
  }),
  initial_adapter: model({
    names: "adapter",
    when: onlyWith("use_peft"),
    help: "An adapter whose weights the fresh one takes; the reference stays the base. Not in TRL.",
  }),
  load_in_8bit: bool({ default: false, help: "Keep the frozen weights in 8 bit." }),
  load_in_4bit: bool({ default: false, help: "Keep the frozen weights in 4 bit (QLoRA)." }),
  bnb_4bit_quant_type: choice({
    when: onlyWith("load_in_4bit"),
    choices: ["nf4", "fp4"],
    default: "nf4",
    help: "4-bit code.",
  }),
  use_bnb_nested_quant: bool({
    when: onlyWith("load_in_4bit"),
    aliases: ["bnb_4bit_use_double_quant"],
    default: false,
    help: "Quantise the 4-bit code's scales too.",
  }),
  bnb_4bit_quant_storage: string({
    help: "Type that packed codes are declared as.",
    notice: "codes are bytes here",
  }),
});

/** The model: where it comes from and how its weights are held. */
export const modelOptions = { ...source, ...adapter } satisfies Options;

/** The values of {@link modelOptions}. */
export type ModelValues = Values<typeof modelOptions>;

/** The revision that is asked for; `main` is what there is without asking. */
export function revisionOf(
  { model_revision: revision }: { readonly model_revision?: string },
): string | undefined {
  return revision === "main" ? undefined : revision;
}
