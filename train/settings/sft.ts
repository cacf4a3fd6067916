/**
 * The options of `sft`: TRL's SFTConfig over the shared blocks.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { modelOptions } from "./model.ts";
import { anything, bool, choice, dict, float, int, model, string } from "./builders.ts";
import { type Options, section, type Values } from "./option.ts";
import { commandOptions, datasetOptions } from "./script.ts";
import { checkTraining } from "./training_checks.ts";
import { trainingOptions } from "./training.ts";
import { ownLoss } from "./own_loss.ts";
import { anyOf, evaluating, onlyWith, onlyWithout } from "./when.ts";

const rows = section("Data", {
  dataset_text_field: string({
    default: "text",
    help: "Column that holds the text of language-modelling rows.",
  }),
  dataset_num_proc: int({
    help: "Processes that prepare rows.",
    notice: "rows are prepared in this process",
  }),
  dataset_kwargs: dict({
    help: "Arguments of dataset preparation.",
    refused: "rows are always prepared here; give the columns input_ids and labels to skip it",
  }),
  chat_template_path: model({
    names: "tokenizer",
    help: "A .jinja chat template, or a model whose template is taken.",
  }),
  eos_token: string({ help: "End-of-sequence token, instead of the tokenizer's." }),
  pad_token: string({ help: "Padding token, instead of the tokenizer's." }),
  max_length: int({
    default: 1024,
    optional: true,
    min: 1,
    aliases: ["max_seq_length"],
    help: "Tokens of a row, or of a pack; longer rows are cut. none: no limit.",
  }),
  truncation_mode: choice({
    choices: ["keep_start", "keep_end"],
    default: "keep_start",
    help: "Which end of a row that is too long is kept.",
  }),
  shuffle_dataset: bool({ default: false, help: "Shuffle the rows before they are packed." }),
  packing: bool({ default: false, help: "Put several rows into one sequence of max_length." }),
  packing_strategy: choice({
    when: anyOf(onlyWith("packing"), onlyWith("eval_packing")),
    choices: ["bfd", "bfd_split", "wrapped"],
    synonyms: { "bfd-requeue": "bfd_split", bfd_requeue: "bfd_split" },
    default: "bfd",
    help: "bfd: best fit, long rows cut. bfd_split: best fit, long rows split. wrapped: cut " +
      "anywhere.",
  }),
  eval_packing: bool({ when: evaluating, help: "Pack the evaluation rows; unset: as packing." }),
  padding_free: bool({
    default: false,
    help: "Train without padding.",
    notice: "there is never padding here, with or without packing",
  }),
  pad_to_multiple_of: int({
    min: 1,
    help:
      "Round lengths up to a multiple; only NEFTune's scale depends on it, as nothing is padded.",
  }),
});

const objective = section("Loss", {
  loss_type: choice({
    when: onlyWithout("loss"),
    choices: ["chunked_nll", "nll", "dft"],
    help: "nll and chunked_nll are the same number here; dft weighs tokens by their probability. " +
      "Unset: chunked_nll.",
  }),
  completion_only_loss: bool({
    help: "Loss on the completion only. Unset: yes for prompt-completion rows.",
  }),
  assistant_only_loss: bool({
    default: false,
    help: "Loss on what the assistant says only; the chat template needs generation markers.",
  }),
  router_aux_loss_coef: float({
    default: 0.001,
    help: "Load-balancing loss of mixture-of-experts models.",
    notice: "no model family of this version is a mixture of experts",
  }),
});

const offload = section("Without effect here", {
  activation_offloading: bool({
    default: false,
    help: "Move activations to the host.",
    notice: "activations stay on the device; gradient_checkpointing saves memory",
  }),
});

const retired = section("Older names", {
  num_of_sequences: int({ help: "Removed from TRL.", notice: "no longer used, in TRL either" }),
  chars_per_token: float({ help: "Removed from TRL.", notice: "no longer used, in TRL either" }),
  dataset_batch_size: int({
    help: "Removed from TRL.",
    notice: "no longer used, in TRL either: rows are packed by the thousand",
  }),
  formatting_func: anything({
    help: "Function of Python's SFTTrainer.",
    refused: "write the rows in one of the accepted formats instead",
  }),
});

/** Every option of `sft`. */
export const sftOptions = {
  ...modelOptions,
  ...datasetOptions,
  ...rows,
  ...objective,
  ...trainingOptions,
  learning_rate: {
    ...trainingOptions.learning_rate,
    default: 2e-5,
  },
  ...offload,
  ...commandOptions,
  ...retired,
  ...ownLoss("tokens' log-probs", "(tokens: TokenLogProbs) => OwnObjective"),
} satisfies Options;

/** The values of the options of `sft`. */
export type SftValues = Values<typeof sftOptions>;

/**
 * Checks what no single option of `sft` can.
 *
 * @throws {UserError} When two options contradict each other or one needs another.
 */
export function checkSft(values: SftValues): void {
  checkTraining(values);
  if (values.model_name_or_path === undefined && values.init_from_config === undefined) {
    throw new UserError(
      "No model was given. Name the directory of a checkpoint with --model_name_or_path, or a " +
        "config.json with --init_from_config to train from scratch.",
    );
  }
  if (values.max_length === undefined && (values.packing || values.eval_packing)) {
    throw new UserError(
      "--packing needs a pack length, but --max_length is none. Give --max_length a number of " +
        "tokens, or turn packing off.",
    );
  }
}
