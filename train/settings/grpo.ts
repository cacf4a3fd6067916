/** Options of `grpo` and `rloo`: TRL's configs over the shared blocks. @module */

import { anything, bool, choice, float, floats, int, model, string } from "./builders.ts";
import { type Options, section } from "./option.ts";
import { promptLength } from "./preference_base.ts";
import { onlineBase, rolloutOptions } from "./sampling.ts";
import { trainingOptions } from "./training.ts";
import { ownLoss } from "./own_loss.ts";
import { evaluating, notFor, onlyFor, onlyWith, onlyWithout } from "./when.ts";

const generations = (numGenerations: number, ...aliases: readonly string[]) =>
  section("Sampling", {
    num_generations: int({
      aliases,
      default: numGenerations,
      min: 2,
      help: "Answers to each prompt.",
    }),
    num_generations_eval: int({
      when: evaluating,
      min: 1,
      help: "The same in evaluation; unset: num_generations.",
    }),
    max_completion_length: int({ default: 512, min: 1, help: "The most tokens of an answer." }),
    shuffle_dataset: bool({ default: true, help: "Take prompts in random order." }),
    generation_batch_size: int({
      min: 1,
      help: "Answers sampled at once; unset: batch size times steps_per_generation.",
    }),
    steps_per_generation: int({
      min: 1,
      help: "Micro-batches that a generation is cut into; unset: gradient_accumulation_steps.",
    }),
    num_iterations: int({ default: 1, min: 1, help: "How often a generation is learned from." }),
  });

/** There is a reference only where something holds the policy near it. */
const held = onlyWith("beta");

const builtIn = onlyWithout("loss");

const reference = section("Reference", {
  sync_ref_model: bool({
    when: held,
    default: false,
    help: "Let the reference follow the policy (TR-DPO).",
  }),
  ref_model_mixup_alpha: float({
    when: [held, onlyWith("sync_ref_model")],
    default: 0.6,
    min: 0,
    max: 1,
    help: "The policy's share in an update of it.",
  }),
  ref_model_sync_steps: int({
    when: [held, onlyWith("sync_ref_model")],
    default: 512,
    min: 1,
    help: "Optimiser steps between two updates.",
  }),
  ref_model_name_or_path: model({
    aliases: ["ref_model", "ref_model_path"],
    when: held,
    help: "The reference; unset: the policy as it begins. Not in TRL's command.",
  }),
});

const clipping = {
  epsilon: float({
    when: [builtIn, notFor("loss_type", "cispo", "sapo", "vespo")],
    default: 0.2,
    min: 0,
    help: "Ratios are clipped to 1 ± this.",
  }),
  epsilon_high: float({
    when: [builtIn, notFor("loss_type", "sapo", "vespo")],
    min: 0,
    help: "Upper bound of clipping; unset: epsilon.",
  }),
  mask_truncated_completions: bool({
    default: false,
    help: "Learn nothing from answers that were cut off.",
  }),
};

const paged = "there is one way of decoding here, on a cache of the size that is needed";

const inert = section("Without effect here", {
  log_multimodal: bool({ default: true, help: "Images.", notice: "there are no images here" }),
  use_transformers_paged: bool({ default: false, help: "Paged decoding.", notice: paged }),
  use_transformers_continuous_batching: bool({ default: false, help: "Batching.", notice: paged }),
  transformers_continuous_batching_config: anything({ help: "Batching.", notice: paged }),
  vllm_gpu_memory_utilization: float({ default: 0.3, help: "vLLM.", notice: paged }),
  vllm_max_model_length: int({ aliases: ["vllm_max_model_len"], help: "vLLM.", notice: paged }),
});

const rate = { ...trainingOptions.learning_rate, default: 1e-6 };

/** The names of GRPO's losses. */
export const grpoLossNames = [
  "grpo",
  "dr_grpo",
  "dapo",
  "bnpo",
  "cispo",
  "sapo",
  "luspo",
  "vespo",
  "gmpo",
] as const;

const correctionModes = [
  "token_truncate",
  "token_mask",
  "sequence_truncate",
  "sequence_mask",
] as const;

const corrected = [onlyWith("rollouts"), onlyWith("vllm_importance_sampling_correction")];

const correction = section("Sampling", {
  vllm_importance_sampling_correction: bool({
    when: onlyWith("rollouts"),
    default: true,
    help: "Correct for the sampler, where --rollouts gives its log-probs.",
  }),
  vllm_importance_sampling_mode: choice({
    when: corrected,
    choices: correctionModes,
    default: "sequence_mask",
    help: "How: of tokens or sequences; ratios out of range are cut, or count 0.",
  }),
  vllm_importance_sampling_clip_max: float({
    when: corrected,
    default: 3,
    optional: true,
    aliases: ["vllm_importance_sampling_cap"],
    help: "Largest ratio.",
  }),
  vllm_importance_sampling_clip_min: float({ when: corrected, help: "Smallest ratio." }),
});

/** Every option of `grpo`. */
export const grpoOptions = {
  ...generations(8),
  ...onlineBase,
  ...promptLength,
  ...rolloutOptions,
  ...reference,
  ...section("Loss", {
    loss_type: choice({
      when: builtIn,
      choices: grpoLossNames,
      default: "dapo",
      help: "The variant; gmpo is TRL's experimental one.",
    }),
    beta: float({ default: 0, min: 0, help: "Weight of the divergence from the reference." }),
    ...clipping,
    delta: float({
      when: [builtIn, notFor("loss_type", "gmpo", "cispo", "sapo", "vespo")],
      above: 0,
      help: "Upper bound of the ratio that is not clipped.",
    }),
    use_bias_correction_kl: bool({
      when: [builtIn, held, notFor("loss_type", "gmpo")],
      default: true,
      help: "Multiply the divergence by the ratio.",
    }),
    importance_sampling_level: choice({
      when: [builtIn, notFor("loss_type", "gmpo", "vespo")],
      choices: ["token", "sequence", "sequence_token"],
      default: "token",
      help: "What ratios are of; sequence is GSPO.",
    }),
    sapo_temperature_pos: float({
      when: [builtIn, onlyFor("loss_type", "sapo")],
      default: 1,
      above: 0,
      help: "SAPO's, of good answers.",
    }),
    sapo_temperature_neg: float({
      when: [builtIn, onlyFor("loss_type", "sapo")],
      default: 1.05,
      above: 0,
      help: "SAPO's, of bad answers.",
    }),
    vespo_k_pos: float({
      when: [builtIn, onlyFor("loss_type", "vespo")],
      default: 2,
      help: "VESPO's power, of good answers.",
    }),
    vespo_lambda_pos: float({
      when: [builtIn, onlyFor("loss_type", "vespo")],
      default: 3,
      help: "VESPO's decay, of good answers.",
    }),
    vespo_k_neg: float({
      when: [builtIn, onlyFor("loss_type", "vespo")],
      default: 3,
      help: "VESPO's power, of bad answers.",
    }),
    vespo_lambda_neg: float({
      when: [builtIn, onlyFor("loss_type", "vespo")],
      default: 2,
      help: "VESPO's decay, of bad answers.",
    }),
    top_entropy_quantile: float({
      when: builtIn,
      default: 1,
      min: 0,
      max: 1,
      help: "Share of the tokens that are learned from, those of largest entropy.",
    }),
    entropy_coef: float({
      when: [builtIn, notFor("loss_type", "gmpo")],
      default: 0,
      help: "Weight of the entropy bonus.",
    }),
    use_adaptive_entropy: bool({
      when: [builtIn, notFor("loss_type", "gmpo")],
      default: false,
      help: "Let this weight follow the entropy.",
    }),
    entropy_coef_min: float({
      when: [builtIn, onlyWith("use_adaptive_entropy")],
      default: 0,
      help: "Its least value.",
    }),
    entropy_coef_max: float({
      when: [builtIn, onlyWith("use_adaptive_entropy")],
      default: 1,
      help: "Its largest value.",
    }),
    entropy_coef_delta: float({
      when: [builtIn, onlyWith("use_adaptive_entropy")],
      default: 0.005,
      min: 0,
      help: "Its change at each step.",
    }),
    entropy_target: float({
      when: [builtIn, onlyWith("use_adaptive_entropy")],
      default: 0.2,
      help: "Entropy to stay above.",
    }),
    off_policy_mask_threshold: float({
      when: [builtIn, notFor("loss_type", "gmpo")],
      help: "Leave out bad answers that the policy has moved away from by more than this.",
    }),
  }),
  ...section("Rewards", {
    scale_rewards: choice({
      choices: ["group", "batch", "none"],
      synonyms: { true: "group", false: "none" },
      default: "group",
      help: "What advantages are divided by: a standard deviation, or nothing.",
    }),
    multi_objective_aggregation: choice({
      choices: ["sum_then_normalize", "normalize_then_sum"],
      default: "sum_then_normalize",
      help: "Add the rewards first, or compare each with the group first (GDPO).",
    }),
    max_tool_calling_iterations: int({
      help: "Tools.",
      refused: "answers call no tools in this version",
    }),
  }),
  ...correction,
  ...inert,
  ...section("Without effect here", {
    cast_lm_head_to_fp32: bool({ default: false, help: "f32 head.", notice: "it is always f32" }),
  }),
  ...section("Logging", {
    log_completions_hub_repo: string({
      help: "Upload of answers.",
      refused: "nothing is sent to the Hub in this version; see completions.jsonl",
    }),
  }),
  learning_rate: rate,
  ...ownLoss("answers' tokens and advantages", "(tokens: RolloutTokens) => OwnObjective"),
} satisfies Options;

/** Every option of `rloo`. */
export const rlooOptions = {
  ...generations(2, "rloo_k"),
  ...onlineBase,
  ...promptLength,
  ...rolloutOptions,
  ...reference,
  ...section("Loss", {
    beta: float({ default: 0.05, min: 0, help: "Weight of the divergence, in the reward." }),
    ...clipping,
  }),
  ...section("Rewards", {
    normalize_advantages: bool({
      aliases: ["normalize_advantage"],
      default: false,
      help: "Centre and scale advantages over the batch.",
    }),
    reward_clip_range: floats({ help: "Limits of the summed rewards, two numbers." }),
  }),
  ...inert,
  learning_rate: rate,
  ...ownLoss("answers' tokens and advantages", "(tokens: RolloutTokens) => OwnObjective"),
} satisfies Options;
