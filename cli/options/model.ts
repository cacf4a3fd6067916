/**
 * TRL's ModelConfig, and the options that say where the model comes from and where it runs.
 *
 * @module
 */

import { bool, choice, float, int, string, strings } from "./builders.ts";
import { type Options, section, type Values } from "./option.ts";

const adapters = "LoRA and other adapters come with a later version; this one trains all weights";
const quantisation = "quantised base weights come with a later version, together with LoRA";

const heldInF32 = "weights are held, computed and saved in float32 in this version";

const source = section("Model", {
  model_name_or_path: string({
    shown: "DIR",
    help: "Directory of a Hugging Face checkpoint: config.json, *.safetensors, tokenizer files.",
    aliases: ["model_name"],
  }),
  init_from_config: string({
    shown: "FILE",
    help: "Train from scratch: a config.json whose model is initialised at random. " +
      "Not in TRL.",
  }),
  model_revision: string({
    default: "main",
    help: "Branch, tag or commit of a Hub model.",
    notice: "a local directory has no revisions, so it is read as it is",
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
    help: "Type of the weights. They are held, computed and saved in float32 whatever is given.",
    valueNotices: { auto: heldInF32, bfloat16: heldInF32, float16: heldInF32 },
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
  tokenizer_name: string({
    shown: "DIR",
    aliases: ["tokenizer_name_or_path"],
    help: "Directory of the tokenizer; unset: the model's, or the config's with init_from_config.",
  }),
});

const adapter = section("Adapters and quantisation", {
  use_peft: bool({ default: false, help: "Train a LoRA adapter.", refused: adapters }),
  lora_r: int({ default: 16, help: "LoRA rank.", refused: adapters }),
  lora_alpha: int({ default: 32, help: "LoRA alpha.", refused: adapters }),
  lora_dropout: float({ default: 0.05, help: "LoRA dropout.", refused: adapters }),
  lora_target_modules: strings({ help: "Layers that get LoRA.", refused: adapters }),
  lora_target_parameters: strings({ help: "Parameters that get LoRA.", refused: adapters }),
  lora_modules_to_save: strings({ help: "Layers trained in full.", refused: adapters }),
  lora_task_type: string({ default: "CAUSAL_LM", help: "PEFT task type.", refused: adapters }),
  use_rslora: bool({ default: false, help: "Rank-stabilised LoRA.", refused: adapters }),
  use_dora: bool({ default: false, help: "DoRA.", refused: adapters }),
  load_in_8bit: bool({ default: false, help: "8-bit base weights.", refused: quantisation }),
  load_in_4bit: bool({ default: false, help: "4-bit base weights.", refused: quantisation }),
  bnb_4bit_quant_type: choice({
    choices: ["nf4", "fp4"],
    default: "nf4",
    help: "4-bit code.",
    refused: quantisation,
  }),
  use_bnb_nested_quant: bool({
    default: false,
    help: "Quantised quantisation constants.",
    refused: quantisation,
  }),
  bnb_4bit_quant_storage: string({ help: "4-bit storage type.", refused: quantisation }),
});

/** The model: where it comes from and how its weights are held. */
export const modelOptions = { ...source, ...adapter } satisfies Options;

/** The values of {@link modelOptions}. */
export type ModelValues = Values<typeof modelOptions>;
