/** Options of the commands that learn from answers they sample: prompts, sampling, rewards, what is shown. @module */

import { builtInRewardNames } from "../../rl/mod.ts";
import { bool, codes, dict, float, floats, int, model, string } from "./builders.ts";
import { constraintOptions } from "./constraints.ts";
import { modelOptions } from "./model.ts";
import { type Options, section } from "./option.ts";
import { commandOptions, datasetOptions } from "./script.ts";
import { sftOptions } from "./sft.ts";
import { trainingOptions } from "./training.ts";
import { onlyWith } from "./when.ts";

const oneEngine = "the sampler and the trainer are one engine here";

/** Options of an engine beside the trainer, which there is none of. */
const otherEngines = section("Without effect here", {
  use_vllm: bool({ default: false, help: "Sample with vLLM.", notice: oneEngine }),
  vllm_mode: string({ default: "colocate", help: "vLLM.", notice: oneEngine }),
  vllm_model_impl: string({ default: "vllm", help: "vLLM.", notice: oneEngine }),
  vllm_enable_sleep_mode: bool({ default: false, help: "vLLM.", notice: oneEngine }),
  vllm_structured_outputs_regex: string({
    aliases: ["vllm_guided_decoding_regex"],
    help: "vLLM: answers that match a pattern.",
    refused: "sampling is not constrained by patterns in this version; give a reward for the form",
  }),
  vllm_server_base_url: string({ help: "vLLM.", notice: oneEngine }),
  vllm_server_host: string({ default: "0.0.0.0", help: "vLLM.", notice: oneEngine }),
  vllm_server_port: int({ default: 8000, help: "vLLM.", notice: oneEngine }),
  vllm_server_timeout: float({ default: 240, help: "vLLM.", notice: oneEngine }),
  vllm_group_port: int({ default: 51216, help: "vLLM.", notice: oneEngine }),
  vllm_tensor_parallel_size: int({ default: 1, help: "vLLM.", notice: oneEngine }),
  ds3_gather_for_generation: bool({ default: true, help: "DeepSpeed.", notice: oneEngine }),
  cache_implementation: string({
    help: "Kind of key/value cache.",
    notice: "there is one kind here, of the size that is needed",
  }),
  disable_dropout: bool({
    default: false,
    help: "Turn off dropout.",
    notice: "models are trained without dropout of their own, and adapters have --lora_dropout",
  }),
  router_aux_loss_coef: sftOptions.router_aux_loss_coef,
  remove_unused_columns: bool({
    default: false,
    help: "Drop columns the model does not read.",
    notice: "reward functions see every column",
  }),
});

/** How tokens are drawn. */
export const samplingOptions = section("Sampling", {
  temperature: float({
    default: 1,
    above: 0,
    help: "Divisor of the logits.",
    instead: "answers to a prompt are compared, so they have to be drawn",
  }),
  top_p: float({
    default: 1,
    above: 0,
    max: 1,
    help: "Draw from the likeliest tokens up to this.",
  }),
  top_k: int({ default: 0, min: 0, help: "Draw from so many of the likeliest tokens; 0: all." }),
  min_p: float({ min: 0, max: 1, help: "Least share of the likeliest token's probability." }),
  repetition_penalty: float({ default: 1, above: 0, help: "Penalty of tokens that occurred." }),
  ...constraintOptions("Sampling"),
  generation_kwargs: dict({
    help: "Further settings of sampling, by the names of generation_config.json.",
  }),
});

/** What judges answers. */
export const judgingOptions = section("Rewards", {
  reward_funcs: codes({
    signature: "(args: RewardArguments) => Rewards | Promise<Rewards>",
    shown: "TEXT …",
    help: `What judges answers. Built-in names: ${builtInRewardNames.join(", ")}. Also functions ` +
      "of modules (./file.ts:function) and directories of reward models, whose one score is the " +
      "reward; of a classifier with several labels, DIR:LABEL, the score of this label with the special tokens its tokenizer adds.",
  }),
  reward_model_name_or_path: model({
    aliases: ["reward_model"],
    names: "reward model",
    help: "A reward model (or MODEL:LABEL), the first reward.",
  }),
  reward_weights: floats({ help: "A factor for each reward; 1 by default." }),
});

/** Answers from elsewhere. */
export const rolloutOptions = section("Sampling", {
  rollouts: string({
    shown: "FILE",
    help:
      "Answers and rewards to take in place of sampled ones: JSON, by generation and row. Not " +
      "in TRL's command.",
  }),
});

/** What is shown of answers. */
export const showingOptions = section("Logging", {
  log_completions: bool({
    default: false,
    help: "Show answers with their rewards when logging, and write them to completions.jsonl.",
  }),
  num_completions_to_print: int({
    when: onlyWith("log_completions"),
    min: 1,
    help: "The most answers shown; unset: all.",
  }),
  log_unique_prompts: bool({
    aliases: ["wandb_log_unique_prompts"],
    when: onlyWith("log_completions"),
    default: false,
    help: "Show one answer of each prompt.",
  }),
});

/** What all online commands take. */
export const onlineBase = {
  ...modelOptions,
  ...datasetOptions,
  ...section("Data", {
    eos_token: sftOptions.eos_token,
    pad_token: sftOptions.pad_token,
    chat_template_path: sftOptions.chat_template_path,
    dataset_num_proc: sftOptions.dataset_num_proc,
    chat_template_kwargs: dict({ help: "Variables of the chat template." }),
    pad_to_multiple_of: int({
      min: 1,
      help: "Round lengths up to a multiple.",
      notice: "there is no padding here, and the numbers do not depend on it",
    }),
  }),
  ...samplingOptions,
  ...judgingOptions,
  ...showingOptions,
  ...trainingOptions,
  train_sampling_strategy: {
    ...trainingOptions.train_sampling_strategy,
    status: {
      kind: "notice",
      text: "prompts come as --shuffle_dataset says, in TRL too",
      quiet: ["sequential"],
    },
  },
  ...otherEngines,
  ...commandOptions,
} satisfies Options;
