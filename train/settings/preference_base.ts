/** What the options of the preference, reward and distillation commands are made of: TRL's configs over the shared blocks. @module */

import { UserError } from "../../core/errors.ts";
import { bool, float, int, model } from "./builders.ts";
import { modelOptions } from "./model.ts";
import { section } from "./option.ts";
import { commandOptions, datasetOptions } from "./script.ts";
import { sftOptions } from "./sft.ts";
import { trainingOptions } from "./training.ts";
import { checkTraining, type TrainingValues } from "./training_checks.ts";
import { onlyFor, onlyWith, onlyWithout } from "./when.ts";

const rows = section("Data", {
  max_length: int({
    default: 1024,
    optional: true,
    min: 1,
    aliases: ["max_seq_length"],
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

/** Padding, which there is none of. */
export const paddingFree = section("Without effect here", {
  padding_free: sftOptions.padding_free,
});

/** Which end of a long row stays. */
export const truncation = section("Data", { truncation_mode: sftOptions.truncation_mode });

/** How older versions of TRL cut prompts. */
export const promptLength = section("Older names", {
  max_prompt_length: int({
    optional: true,
    min: 1,
    help: "Tokens of a prompt, its last ones. Removed from TRL; unset: prompts stay whole.",
  }),
});

/** A limit of encoder-decoder models. */
export const completionLength = section("Data", {
  max_completion_length: int({
    min: 1,
    aliases: ["max_target_length"],
    help: "Tokens of an answer, of encoder-decoder models.",
    notice: "it concerns encoder-decoder models only, in TRL too",
  }),
});

const compared = onlyWithout("reference_free");

/** The reference model, and when its log-probs are computed. */
export const reference = section("Reference", {
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
  ref_model_name_or_path: model({
    when: compared,
    aliases: ["ref_model", "ref_model_path"],
    help: "The reference model; unset: the policy as it begins. Not in TRL's command.",
  }),
});

/** Only where the loss is a built-in one. */
export const builtIn = onlyWithout("loss");

/** A reference that follows the policy. */
export const following = section("Reference", {
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

/** What all these commands take. */
export const base = {
  ...modelOptions,
  ...datasetOptions,
  ...rows,
  ...trainingOptions,
  ...quiet,
  ...commandOptions,
};

/** The learning rate with another default. */
export const rate = <D extends number>(value: D) => ({
  ...trainingOptions.learning_rate,
  default: value,
});

/** β. */
export const strength = (value: number) =>
  float({ when: onlyWithout("loss"), default: value, above: 0, help: "Scale of the rewards (β)." });

/** Label smoothing, of some losses. */
export const smoothing = (...losses: readonly string[]) =>
  float({
    when: [builtIn, onlyFor("loss_type", ...losses)],
    default: 0,
    min: 0,
    max: 1,
    help: "Share of labels taken to be wrong (ε).",
  });

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
