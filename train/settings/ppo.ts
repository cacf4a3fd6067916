/** Options of `ppo`: TRL's PPOConfig over the shared blocks, and a few of the classic PPOTrainer's. @module */

import { UserError } from "../../core/errors.ts";
import { bool, choice, float, int, model, string } from "./builders.ts";
import { checkJudges, judges } from "./grpo_checks.ts";
import { type Options, section, type Values } from "./option.ts";
import { checkPreference } from "./preference_base.ts";
import { onlineBase, rolloutOptions } from "./sampling.ts";
import { ownLoss } from "./own_loss.ts";
import { onlyFor, onlyWith, onlyWithout } from "./when.ts";

const derived = "it follows from the batch size, the accumulation steps and num_mini_batches";
const oneAdapter = "a model has one adapter here, and the reference is the model without it";

const sampling = section("Sampling", {
  response_length: int({
    default: 53,
    min: 1,
    aliases: ["max_completion_length"],
    help: "The most tokens of an answer.",
  }),
  stop_token: choice({
    choices: ["eos"],
    help:
      "eos: answers end at the end-of-sequence token. Unset: they go on to their full length, " +
      "as TRL's do.",
  }),
  stop_token_id: int({ min: 0, help: "A token id that ends answers, instead." }),
  local_rollout_forward_batch_size: int({
    default: 64,
    min: 1,
    aliases: ["forward_batch_size"],
    help: "Answers that are scored at once, without a gradient.",
  }),
});

const updates = section("Training", {
  num_ppo_epochs: int({
    default: 4,
    min: 1,
    aliases: ["ppo_epochs"],
    help: "How often the answers of a generation are learned from.",
  }),
  num_mini_batches: int({
    default: 1,
    min: 1,
    help: "Optimiser steps that this takes each time; a generation has as many times more answers.",
  }),
  total_episodes: int({
    min: 1,
    help: "Answers to sample in all, instead of num_train_epochs or max_steps.",
  }),
  train_sampling_strategy: choice({
    choices: ["random", "sequential"],
    unavailable: { group_by_length: "prompts are not padded to each other" },
    default: "random",
    help: "Order of the prompts.",
  }),
});

const rewards = section("Rewards", {
  reward_model_name_or_path: {
    ...onlineBase.reward_model_name_or_path,
    aliases: ["reward_model_path", "reward_model"].map((name) => ({
      name,
      bare: false,
      translate: (raw: unknown) => raw,
    })),
  },
  missing_eos_penalty: float({
    above: 0,
    help: "What an answer without an end token loses.",
  }),
  whiten_rewards: bool({ default: false, help: "Scale the rewards of tokens to unit variance." }),
  kl_coef: float({
    default: 0.05,
    min: 0,
    help: "Weight of the divergence from the reference, in the reward.",
  }),
  kl_estimator: choice({
    choices: ["k1", "k3", "abs", "mse"],
    synonyms: { kl: "k1", k2: "mse" },
    unavailable: { full: "the divergence of whole distributions is not computed in this version" },
    default: "k1",
    aliases: ["kl_penalty"],
    help: "How it is estimated from a token's log-probs.",
  }),
  adap_kl_ctrl: bool({ default: false, help: "Let this weight follow the divergence." }),
  init_kl_coef: float({ min: 0, help: "Its first value; unset: kl_coef." }),
  target: float({
    when: onlyWith("adap_kl_ctrl"),
    default: 6,
    above: 0,
    help: "Divergence of an answer to aim at.",
  }),
  horizon: float({
    when: onlyWith("adap_kl_ctrl"),
    default: 10000,
    above: 0,
    help: "Answers after which it may change by 20 %.",
  }),
});

const loss = section("Loss", {
  cliprange: float({
    when: onlyWithout("loss"),
    default: 0.2,
    min: 0,
    help: "Ratios are clipped to 1 ± this.",
  }),
  vf_coef: float({
    when: onlyWithout("loss"),
    default: 0.1,
    min: 0,
    help: "Weight of the value loss.",
  }),
  cliprange_value: float({
    when: onlyWithout("loss"),
    default: 0.2,
    min: 0,
    help: "Values are clipped to the old ones ± this.",
  }),
  gamma: float({ default: 1, min: 0, max: 1, help: "Discount of a token." }),
  lam: float({ default: 0.95, min: 0, max: 1, help: "λ of the advantages." }),
});

const values = section("Value function", {
  value_model_name_or_path: model({
    aliases: ["value_model_path", "value_model"],
    help:
      "A sequence classifier with one label, trained along; unset: a value head on the policy. " +
      "Not in TRL's command.",
  }),
  v_head_init_strategy: choice({
    when: onlyWithout("value_model_name_or_path"),
    choices: ["normal"],
    help: "How a value head begins; unset: uniform, as PyTorch's linear layers.",
  }),
  v_head_initializer_range: float({
    when: [onlyWithout("value_model_name_or_path"), onlyFor("v_head_init_strategy", "normal")],
    default: 0.2,
    min: 0,
    help: "Standard deviation of a normal beginning.",
  }),
  summary_dropout_prob: float({
    when: onlyWithout("value_model_name_or_path"),
    default: 0.1,
    min: 0,
    below: 1,
    help: "Dropout under the value head, in training.",
  }),
});

const inert = section("Without effect here", {
  num_sample_generations: int({
    default: 10,
    help: "Answers shown on the way.",
    notice: "--log_completions shows the answers that are learned from",
  }),
  exp_name: string({ default: "ppo_config", help: "A name.", notice: "see --run_name" }),
  world_size: int({ help: "Processes.", notice: "there is one process" }),
  num_total_batches: int({ help: "Generations.", notice: derived }),
  micro_batch_size: int({ help: "Size.", notice: derived }),
  local_batch_size: int({ help: "Size.", notice: derived }),
  batch_size: int({ help: "Size.", notice: derived }),
  local_mini_batch_size: int({ help: "Size.", notice: derived }),
  mini_batch_size: int({ help: "Size.", notice: derived }),
  model_adapter_name: string({ help: "Name of the adapter.", notice: oneAdapter }),
  ref_adapter_name: string({
    help: "An adapter as the reference.",
    refused: `${oneAdapter}; name another model with --ref_model_name_or_path`,
  }),
});

/** Every option of `ppo`. */
export const ppoOptions = {
  ...sampling,
  ...onlineBase,
  ...rolloutOptions,
  ...section("Model", {
    sft_model_path: model({
      help: "The policy; model_name_or_path is then where the tokenizer is.",
    }),
  }),
  ...section("Reference", {
    ref_model_name_or_path: model({
      aliases: ["ref_model", "ref_model_path"],
      help: "The reference; unset: the policy as it begins. Not in TRL's command.",
    }),
  }),
  ...updates,
  ...rewards,
  ...loss,
  ...values,
  ...inert,
  temperature: { ...onlineBase.temperature, default: 0.7 },
  learning_rate: { ...onlineBase.learning_rate, default: 3e-6 },
  ...ownLoss(
    "answers' tokens, advantages and values",
    "(tokens: PpoTokens, values: PpoValues) => OwnObjective",
  ),
} satisfies Options;

/** The values of {@link ppoOptions}. */
export type PpoValues = Values<typeof ppoOptions>;

/** Answers of a generation. */
export function episodesPerGeneration(values: PpoValues): number {
  return values.per_device_train_batch_size * values.gradient_accumulation_steps *
    values.num_mini_batches;
}

/** The policy under its one name, and the run's length in optimiser steps. */
export function settlePpo(given: PpoValues): PpoValues {
  const { sft_model_path: policy, total_episodes: episodes } = given;
  const generations = Math.ceil((episodes ?? 0) / episodesPerGeneration(given));
  return {
    ...given,
    ...(policy === undefined ? {} : {
      sft_model_path: undefined,
      model_name_or_path: policy,
      tokenizer_name: given.tokenizer_name ?? given.model_name_or_path,
    }),
    ...(episodes === undefined
      ? {}
      : { max_steps: generations * given.num_ppo_epochs * given.num_mini_batches }),
  };
}

/**
 * Checks what no single option can.
 *
 * @throws {UserError} When options exclude each other, or nothing judges the answers.
 */
export function checkPpo(given: PpoValues): void {
  checkPreference(settlePpo(given));
  checkJudges(given);
  if (given.stop_token !== undefined && given.stop_token_id !== undefined) {
    throw new UserError(
      "--stop_token and --stop_token_id both say what ends an answer. Leave one of them out.",
    );
  }
  if (given.total_episodes !== undefined && given.max_steps > 0) {
    throw new UserError(
      `--total_episodes ${given.total_episodes} and --max_steps ${given.max_steps} both say how long the run is. Leave ` +
        "one of them out.",
    );
  }
  if (given.whiten_rewards && episodesPerGeneration(given) < 8) {
    throw new UserError(
      `--whiten_rewards takes mean and variance over a generation, which has ${
        episodesPerGeneration(given)
      } answers (batch size × accumulation steps × num_mini_batches); at least 8 are needed. Raise ` +
        "--per_device_train_batch_size, or leave it out.",
    );
  }
  const evaluates = given.eval_strategy !== "no" || given.eval_on_start;
  if (evaluates && given.rollouts !== undefined && !judges(given)) {
    throw new UserError(
      "Evaluation samples answers, which --rollouts has none of: name what judges them with --reward_funcs, or leave " +
        "--eval_strategy out.",
    );
  }
}
