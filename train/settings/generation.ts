/**
 * The options of `chat` and `generate`: those of TRL's chat command, and what else the sampler can do.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { bool, choice, float, int, model, string } from "./builders.ts";
import { modelOptions } from "./model.ts";
import { type Options, section, type Values } from "./option.ts";
import { constraintOptions } from "./constraints.ts";
import { commandOptions } from "./script.ts";

const oneBeam =
  "an answer of a chat appears as it comes, token by token, and a search knows it at its end; generate has it";

/** Where the model comes from and how its weights are held. */
export const generationModelOptions = section("Model", {
  model_name_or_path: model({
    required: true,
    help: "A model or an adapter: its directory, or its name on the Hub, also with @revision.",
    aliases: ["model_name"],
  }),
  chat_template_path: model({
    names: "tokenizer",
    help: "A .jinja file, or a model whose chat template is taken. Unset: the model's own.",
  }),
  dtype: choice({
    choices: ["auto", "float32", "bfloat16", "float16"],
    synonyms: {
      "torch.float32": "float32",
      "torch.bfloat16": "bfloat16",
      "torch.float16": "float16",
      fp32: "float32",
      bf16: "bfloat16",
      fp16: "float16",
    },
    default: "auto",
    aliases: ["torch_dtype"],
    help: "Type the weights are held in; auto is that of the files. Sums are always in float32.",
  }),
  load_in_8bit: bool({ default: false, help: "Hold the weights of linear layers in 8 bit." }),
  load_in_4bit: bool({ default: false, help: "Hold the weights of linear layers in 4 bit." }),
  bnb_4bit_quant_type: modelOptions.bnb_4bit_quant_type,
  use_bnb_nested_quant: modelOptions.use_bnb_nested_quant,
  model_revision: modelOptions.model_revision,
  attn_implementation: modelOptions.attn_implementation,
  trust_remote_code: modelOptions.trust_remote_code,
}) satisfies Options;

/** How tokens are chosen, and when an answer ends. */
export const samplingFlags = section("Generation", {
  max_new_tokens: int({ default: 256, min: 1, help: "The most tokens of an answer." }),
  do_sample: bool({
    default: true,
    help: "Draw tokens; --no_do_sample takes the most probable one at each step.",
  }),
  num_beams: int({ default: 1, min: 1, help: "Beams of a beam search.", refused: oneBeam }),
  temperature: float({
    default: 1,
    above: 0,
    help: "Divisor of the logits: below 1 for likelier answers.",
    instead: "--do_sample false takes the most probable token at each step",
  }),
  top_k: int({ default: 50, min: 0, help: "Draw among the k likeliest tokens; 0: among all." }),
  top_p: float({
    default: 1,
    above: 0,
    max: 1,
    help: "Draw among the fewest likely tokens with this probability together.",
  }),
  min_p: float({
    default: 0,
    min: 0,
    max: 1,
    help: "Draw among tokens with this share of the likeliest one's probability.",
  }),
  typical_p: float({ default: 1, above: 0, max: 1, help: "Locally typical sampling." }),
  epsilon_cutoff: float({
    default: 0,
    min: 0,
    below: 1,
    help: "Draw among tokens of this probability.",
  }),
  repetition_penalty: float({
    default: 1,
    above: 0,
    help: "Above 1, tokens that occurred before are less likely.",
  }),
  no_repeat_ngram_size: int({
    default: 0,
    min: 0,
    help: "No run of so many tokens comes twice; 0 for no limit.",
  }),
  ...constraintOptions("Generation"),
  eos_tokens: string({
    help: "Tokens that end an answer, separated by commas. Unset: the checkpoint's.",
  }),
  eos_token_ids: string({
    help: "The same by their ids, such as 2,151645. Both flags may be given.",
  }),
}) satisfies Options;

/** Settings file, device, diagnosis. */
export const generationCommandOptions = section("Command", {
  config: commandOptions.config,
  device: commandOptions.device,
  threads: commandOptions.threads,
  debug: commandOptions.debug,
}) satisfies Options;

/** The values of {@link generationModelOptions}. */
export type GenerationModelValues = Values<typeof generationModelOptions>;

/** The values of {@link samplingFlags}. */
export type SamplingValues = Values<typeof samplingFlags>;

/** The values of {@link generationCommandOptions}. */
export type GenerationCommandValues = Values<typeof generationCommandOptions>;

/** Checks across options. @throws {UserError} if two contradict each other. */
export function checkGenerationModel(values: GenerationModelValues): void {
  if (values.load_in_4bit && values.load_in_8bit) {
    throw new UserError("Both --load_in_4bit and --load_in_8bit are given. Choose one of them.");
  }
}
