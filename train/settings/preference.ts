/** Options of the preference, reward and distillation commands: TRL's configs over the shared blocks. @module */

import { UserError } from "../../core/errors.ts";
import { bool, choice, choices, dict, float, int, string, strings } from "./builders.ts";
import { modelOptions } from "./model.ts";
import { type Options, section } from "./option.ts";
import { commandOptions, datasetOptions } from "./script.ts";
import { sftOptions } from "./sft.ts";
import { trainingOptions } from "./training.ts";
import { checkTraining, type TrainingValues } from "./training_checks.ts";
import { ownLoss } from "./own_loss.ts";
import { anyOf, notFor, onlyFor, onlyWith, onlyWithout } from "./when.ts";

const rows = section("Data", {
  max_length: int({
    default: 1024,
    optional: true,
    min: 1,
    help: "Tokens of prompt and answer together. none: no limit.",
  }),
  eos_token: sftOptions.eos_token,
  pad_token: sftOptions.pad_token,
  chat_template_path: sftOptions.chat_template_path,
  dataset_num_proc: sftOptions.dataset_num_proc,
  pad_to_multiple_of: int({
    min: 1,
    help: "Round lengths up to a multiple.",
    notice: "there is no padding here, and the numbers do not depend on it",
  }),
  generate_during_eval: bool({
    default: false,
    help: "Sample answers while evaluating.",
    refused: "answers are not sampled while evaluating in this version",
  }),
});

const quiet = section("Without effect here", {
  disable_dropout: bool({
    default: true,
    help: "Turn off dropout.",
    notice: "models are trained without dropout of their own",
  }),
  router_aux_loss_coef: sftOptions.router_aux_loss_coef,
  activation_offloading: sftOptions.activation_offloading,
  is_encoder_decoder: bool({ help: "Model type.", notice: "the model is what its config says" }),
});

const paddingFree = section("Without effect here", { padding_free: sftOptions.padding_free });

const truncation = section("Data", { truncation_mode: sftOptions.truncation_mode });

const completionLength = section("Data", {
  max_completion_length: int({
    min: 1,
    help: "Tokens of an answer, of encoder-decoder models.",
    notice: "it concerns encoder-decoder models only, in TRL too",
  }),
});

const compared = onlyWithout("reference_free");

const reference = section("Reference", {
  precompute_ref_log_probs: bool({
    when: compared,
    default: false,
    help: "Keep the reference's log-probs in a file beside the dataset and reuse them. They are " +
      "computed once ahead in any case.",
  }),
  precompute_ref_batch_size: int({
    when: compared,
    min: 1,
    help: "Batch size of that pass; unset: the training one.",
  }),
  ref_model_name_or_path: string({
    when: compared,
    shown: "DIR",
    help:
      "Checkpoint of the reference model; unset: the policy as it begins. Not in TRL's command.",
  }),
});

const builtIn = onlyWithout("loss");

const following = section("Reference", {
  sync_ref_model: bool({
    when: compared,
    default: false,
    help: "Let the reference follow the policy (TR-DPO).",
  }),
  ref_model_mixup_alpha: float({
    when: [compared, onlyWith("sync_ref_model")],
    default: 0.6,
    min: 0,
    max: 1,
    help: "The policy's share in an update of it.",
  }),
  ref_model_sync_steps: int({
    when: [compared, onlyWith("sync_ref_model")],
    default: 512,
    min: 1,
    help: "Optimiser steps between two updates.",
  }),
});

const base = {
  ...modelOptions,
  ...datasetOptions,
  ...rows,
  ...trainingOptions,
  ...quiet,
  ...commandOptions,
};

const rate = <D extends number>(value: D) => ({ ...trainingOptions.learning_rate, default: value });

const strength = (value: number) =>
  float({ when: onlyWithout("loss"), default: value, above: 0, help: "Scale of the rewards (β)." });

const smoothing = (...losses: readonly string[]) =>
  float({
    when: [builtIn, onlyFor("loss_type", ...losses)],
    default: 0,
    min: 0,
    max: 1,
    help: "Share of labels taken to be wrong (ε).",
  });

/** The names of DPO's losses. */
export const dpoLossNames = [
  "sigmoid",
  "hinge",
  "ipo",
  "exo_pair",
  "nca_pair",
  "robust",
  "bco_pair",
  "sppo_hard",
  "aot",
  "aot_unpaired",
  "apo_zero",
  "apo_down",
  "discopop",
  "sft",
  "sigmoid_norm",
  "sigmoid_cdpo",
] as const;

/** Every option of `dpo`. */
export const dpoOptions = {
  ...base,
  ...paddingFree,
  ...truncation,
  ...reference,
  ...following,
  ...section("Loss", {
    loss_type: choices({
      when: builtIn,
      choices: dpoLossNames,
      default: ["sigmoid"],
      help: "The loss, or several that are added (MPO).",
    }),
    loss_weights: strings({ when: builtIn, help: "A factor for each loss; 1 by default." }),
    beta: strength(0.1),
    label_smoothing: smoothing("sigmoid_cdpo", "exo_pair", "robust", "aot", "aot_unpaired"),
    f_divergence_type: choice({
      when: builtIn,
      choices: ["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"],
      default: "reverse_kl",
      help: "What holds the policy near the reference.",
    }),
    f_alpha_divergence_coef: float({
      when: [builtIn, onlyFor("f_divergence_type", "alpha_divergence")],
      default: 0.5,
      help: "α of alpha_divergence.",
    }),
    use_weighting: bool({
      default: false,
      help: "Weigh pairs by the policy's own probability (WPO).",
    }),
    ld_alpha: float({
      min: 0,
      max: 1,
      help: "Factor of tokens beyond the shorter answer's length (LD-DPO).",
    }),
    discopop_tau: float({
      when: [builtIn, onlyFor("loss_type", "discopop")],
      default: 0.05,
      above: 0,
      help: "Temperature of discopop.",
    }),
    rpo_alpha: float({
      when: builtIn,
      min: 0,
      help: "Weight of the chosen answers' negative log-likelihood (RPO).",
    }),
    reference_free: bool({ default: false, help: "Take a uniform reference." }),
  }),
  ...ownLoss("pairs' log-probs", "(pairs: PairLogProbs) => Objective"),
  learning_rate: rate(1e-6),
} satisfies Options;

/** Every option of `cpo`. */
export const cpoOptions = {
  ...base,
  ...completionLength,
  ...section("Loss", {
    loss_type: choice({
      when: builtIn,
      choices: ["sigmoid", "hinge", "ipo", "simpo", "alphapo"],
      default: "sigmoid",
      help: "simpo with cpo_alpha 0 is SimPO.",
    }),
    beta: strength(0.1),
    label_smoothing: smoothing("sigmoid", "simpo", "alphapo"),
    cpo_alpha: float({
      when: [builtIn, notFor("loss_type", "alphapo")],
      default: 1,
      min: 0,
      help: "Weight of the chosen answers' negative log-likelihood.",
    }),
    simpo_gamma: float({
      when: [builtIn, onlyFor("loss_type", "simpo", "alphapo")],
      default: 0.5,
      help: "SimPO's target margin.",
    }),
    alpha: float({ when: builtIn, default: 0, help: "AlphaPO's α; 0 is log-probs as they are." }),
  }),
  ...ownLoss("pairs' log-probs", "(pairs: PairLogProbs) => Objective"),
  learning_rate: rate(1e-6),
} satisfies Options;

/** Every option of `orpo`. */
export const orpoOptions = {
  ...base,
  ...completionLength,
  ...section("Loss", { beta: strength(0.1) }),
  ...section("Without effect here", {
    padding_value: int({
      help: "Padding token.",
      notice: "there is no padding here; give pad_token",
    }),
  }),
  ...ownLoss("pairs' log-probs", "(pairs: PairLogProbs) => Objective"),
  learning_rate: rate(1e-6),
} satisfies Options;

/** Every option of `tpo`. */
export const tpoOptions = {
  ...base,
  ...truncation,
  ...section("Loss", {
    loss_type: choice({
      when: builtIn,
      choices: ["sigmoid", "hinge", "ipo", "tpo-l"],
      default: "sigmoid",
      help: "The loss.",
    }),
    beta: strength(0.01),
    label_smoothing: smoothing("sigmoid", "tpo-l"),
    tpo_alpha: float({
      when: builtIn,
      default: 1,
      min: 0,
      help: "Weight of the gold answers' negative log-likelihood.",
    }),
    tpo_l_gamma: float({
      when: [builtIn, onlyFor("loss_type", "tpo-l")],
      default: 0.5,
      help: "Target margin of tpo-l.",
    }),
  }),
  learning_rate: rate(5e-7),
  ...ownLoss("pairs' and gold answers' log-probs", "(triples: TpoLogProbs) => Objective"),
} satisfies Options;

/** Every option of `kto`. */
export const ktoOptions = {
  ...base,
  ...reference,
  ...following,
  ...section("Loss", {
    loss_type: choice({
      when: builtIn,
      choices: ["kto", "apo_zero_unpaired"],
      default: "kto",
      help: "The loss.",
    }),
    beta: strength(0.1),
    desirable_weight: float({
      when: builtIn,
      default: 1,
      min: 0,
      help: "Factor of good answers' losses.",
    }),
    undesirable_weight: float({
      when: builtIn,
      default: 1,
      min: 0,
      help: "Factor of bad answers' losses.",
    }),
  }),
  learning_rate: rate(1e-6),
  train_sampling_strategy: {
    ...trainingOptions.train_sampling_strategy,
    default: "sequential" as const,
  },
  ...ownLoss("answers' log-probs and labels", "(logProbs: KtoLogProbs) => Objective"),
} satisfies Options;

/** Every option of `bco`. */
export const bcoOptions = {
  ...base,
  ...completionLength,
  ...reference,
  ...section("Loss", {
    beta: strength(0.1),
    prompt_sample_size: int({
      default: 1024,
      help: "Prompts of the density model.",
      notice: densityNotice(),
    }),
    min_density_ratio: float({
      default: 0.5,
      help: "Least density ratio.",
      notice: densityNotice(),
    }),
    max_density_ratio: float({
      default: 10,
      help: "Largest density ratio.",
      notice: densityNotice(),
    }),
  }),
  learning_rate: rate(5e-7),
  ...ownLoss("answers' log-probs and labels", "(logProbs: BcoLogProbs) => Objective"),
} satisfies Options;

function densityNotice(): string {
  return "prompt embeddings, which it needs, cannot be given on the command line, in TRL either";
}

/** Every option of `reward`. */
export const rewardOptions = {
  ...base,
  ...section("Loss", {
    center_rewards_coefficient: float({
      when: builtIn,
      min: 0,
      help: "Weight of (r₁ + r₂)², which keeps scores near 0.",
    }),
  }),
  learning_rate: rate(1e-4),
  ...ownLoss("pairs' scores", "(rewards: PairRewards) => Objective"),
} satisfies Options;

/** Every option of `prm`. */
export const prmOptions = {
  ...base,
  ...section("Data", {
    max_completion_length: int({ min: 1, help: "Tokens of a solution." }),
    step_separator: string({ default: "\n", help: "What stands behind each step." }),
    train_on_last_step_only: bool({ default: false, help: "Learn the last step's label only." }),
  }),
  learning_rate: rate(1e-5),
  ...ownLoss("the steps' logits and labels", "(steps: TokenClasses) => Objective"),
} satisfies Options;

const unusedByGkd = "a conversation's last answer is distilled, in TRL too";

/** Options that TRL's GKD takes over from SFT, whose rows it does not prepare. */
const notDistilled = section("Without effect here", {
  ...withoutEffect(unusedByGkd, {
    dataset_text_field: sftOptions.dataset_text_field,
    dataset_kwargs: sftOptions.dataset_kwargs,
    truncation_mode: sftOptions.truncation_mode,
    shuffle_dataset: sftOptions.shuffle_dataset,
    packing: sftOptions.packing,
    packing_strategy: sftOptions.packing_strategy,
    eval_packing: sftOptions.eval_packing,
    completion_only_loss: sftOptions.completion_only_loss,
    assistant_only_loss: sftOptions.assistant_only_loss,
  }),
  ...withoutEffect("the loss is the divergence from the teacher", {
    loss_type: sftOptions.loss_type,
  }),
});

function withoutEffect<const O extends Options>(text: string, options: O): O {
  const status = { kind: "notice", text, quiet: [] } as const;
  const entries = Object.entries(options).map(([name, option]) => [name, { ...option, status }]);
  return Object.fromEntries(entries) as O;
}

/** Every option of `gkd`. */
export const gkdOptions = {
  ...base,
  ...paddingFree,
  ...notDistilled,
  ...section("Model", {
    teacher_model_name_or_path: string({
      required: true,
      shown: "DIR",
      help: "Checkpoint of the teacher.",
    }),
    teacher_model_init_kwargs: dict({
      help: "Arguments of the teacher's from_pretrained.",
      refused: "the teacher is built from its config.json alone",
    }),
  }),
  ...section("Loss", {
    beta: float({
      when: builtIn,
      default: 0.5,
      min: 0,
      max: 1,
      help: "0: KL(teacher‖student); 1: KL(student‖teacher).",
    }),
    lmbda: float({
      default: 0.5,
      min: 0,
      max: 1,
      help: "Share of batches whose answers the student samples, in place of the data's.",
    }),
    temperature: float({
      when: anyOf(onlyWith("lmbda"), onlyWith("seq_kd")),
      default: 0.9,
      above: 0,
      help: "Divisor of the logits where answers are sampled.",
    }),
    max_new_tokens: int({
      when: anyOf(onlyWith("lmbda"), onlyWith("seq_kd")),
      default: 128,
      min: 1,
      help: "The most tokens of a sampled answer.",
    }),
    seq_kd: bool({
      default: false,
      help: "Let the teacher sample the answers that the student does not, in place of the data's.",
    }),
  }),
  learning_rate: rate(2e-5),
} satisfies Options;

/** Checks what no single option can. */
export function checkPreference(
  values: TrainingValues & {
    model_name_or_path?: string | undefined;
    init_from_config?: string | undefined;
  },
): void {
  checkTraining(values);
  if (values.model_name_or_path === undefined && values.init_from_config === undefined) {
    throw new UserError(
      "No model was given. Name the directory of a checkpoint with --model_name_or_path.",
    );
  }
}
