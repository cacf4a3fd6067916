/** Options of the commands that learn from preferences: TRL's configs over the shared blocks. @module */

import { bool, choice, choices, float, int, strings } from "./builders.ts";
import { type Options, section } from "./option.ts";
import { ownLoss } from "./own_loss.ts";
import {
  base,
  builtIn,
  completionLength,
  following,
  paddingFree,
  promptLength,
  rate,
  reference,
  smoothing,
  strength,
  truncation,
} from "./preference_base.ts";
import { trainingOptions } from "./training.ts";
import { notFor, onlyFor } from "./when.ts";

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
  ...promptLength,
  ...section("Older names", {
    max_completion_length: int({
      optional: true,
      min: 1,
      aliases: ["max_target_length"],
      help: "Tokens of an answer, its first ones. Removed from TRL; unset: max_length alone.",
    }),
  }),
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
  ...ownLoss("pairs' log-probs", "(pairs: PairLogProbs) => OwnObjective"),
  learning_rate: rate(1e-6),
} satisfies Options;

/** Every option of `cpo`. */
export const cpoOptions = {
  ...base,
  ...promptLength,
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
  ...ownLoss("pairs' log-probs", "(pairs: PairLogProbs) => OwnObjective"),
  learning_rate: rate(1e-6),
} satisfies Options;

/** Every option of `orpo`. */
export const orpoOptions = {
  ...base,
  ...promptLength,
  ...completionLength,
  ...section("Loss", { beta: strength(0.1) }),
  ...section("Without effect here", {
    padding_value: int({
      help: "Padding token.",
      notice: "there is no padding here; give pad_token",
    }),
  }),
  ...ownLoss("pairs' log-probs", "(pairs: PairLogProbs) => OwnObjective"),
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
  ...ownLoss("pairs' and gold answers' log-probs", "(triples: TpoLogProbs) => OwnObjective"),
} satisfies Options;

/** Every option of `kto`. */
export const ktoOptions = {
  ...base,
  ...promptLength,
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
  ...ownLoss("answers' log-probs and labels", "(logProbs: KtoLogProbs) => OwnObjective"),
} satisfies Options;

/** Every option of `bco`. */
export const bcoOptions = {
  ...base,
  ...promptLength,
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
  ...ownLoss("answers' log-probs and labels", "(logProbs: BcoLogProbs) => OwnObjective"),
} satisfies Options;

function densityNotice(): string {
  return "prompt embeddings, which it needs, cannot be given on the command line, in TRL either";
}
