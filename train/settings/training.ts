/**
 * The training arguments every command shares, as transformers' TrainingArguments with the
 * defaults TRL's configurations set over them.
 *
 * @module
 */

import {
  bool,
  choice,
  choices,
  dict,
  float,
  int,
  pathOrTrue,
  readBoolean,
  string,
} from "./builders.ts";
import { optimizerNames } from "../../nn/mod.ts";
import { type Options, section } from "./option.ts";
import { inertOptions } from "./training_inert.ts";
import { anyOf, evaluating, matching, notFor, notPositive, onlyFor, onlyWith } from "./when.ts";

const steps = ["no", "steps", "epoch"] as const;

/** The other names of transformers' `report_to`. */
const otherTrackers = (
  "azure_ml clearml codecarbon comet_ml dagshub dvclive flyte kubeflow mlflow neptune swanlab " +
  "tensorboard trackio wandb"
).split(" ");

/** The other names of transformers' `optim`, and Muon. */
const otherOptimisers = (
  "adamw_anyprecision adamw_torch_4bit ademamix ademamix_8bit lion_8bit " +
  "paged_ademamix_32bit paged_ademamix_8bit paged_lion_8bit rmsprop_bnb " +
  "rmsprop_bnb_8bit rmsprop_bnb_32bit galore_adamw galore_adamw_8bit galore_adafactor " +
  "galore_adamw_layerwise galore_adamw_8bit_layerwise galore_adafactor_layerwise lomo " +
  "adalomo grokadamw schedule_free_radam schedule_free_adamw schedule_free_sgd " +
  "apollo_adamw apollo_adamw_layerwise stable_adamw"
).split(" ");

/** Optimisers with moments that have decays. */
const adaptive = matching("optim", /^(?!sgd|adagrad|rmsprop|adafactor)/);

/** Where an evaluation may be the best. */
const choosing = anyOf(
  onlyWith("load_best_model_at_end"),
  onlyFor("save_strategy", "best"),
  onlyFor("lr_scheduler_type", "reduce_lr_on_plateau", "greedy"),
);

const run = section("Training", {
  output_dir: string({
    shown: "DIR",
    default: "trainer_output",
    help: "Where checkpoints, logs and the final model go.",
  }),
  num_train_epochs: float({
    when: notPositive("max_steps"),
    default: 3,
    above: 0,
    help: "Passes over the rows.",
  }),
  max_steps: int({ default: -1, min: -1, help: "Optimiser steps; -1: by num_train_epochs." }),
  per_device_train_batch_size: int({
    default: 8,
    min: 1,
    aliases: ["per_gpu_train_batch_size"],
    help: "Rows (or packs) of one forward and backward pass.",
  }),
  gradient_accumulation_steps: int({
    default: 1,
    min: 1,
    help: "Passes whose gradients make one optimiser step.",
  }),
  seed: int({ default: 42, min: 0, help: "Seed of the order of rows, noise and initial weights." }),
  data_seed: int({ min: 0, help: "Seed of the order of rows; unset: seed." }),
  train_sampling_strategy: choice({
    choices: ["random", "sequential", "group_by_length"],
    unavailable: {
      batch_rebalance: "it balances batches over several devices, and there is one here",
    },
    default: "random",
    help: "Order of rows. random is TRL's own order for the seed.",
    aliases: [{
      name: "group_by_length",
      bare: true,
      translate: (raw) => oldFlag(raw) ? "group_by_length" : undefined,
    }],
  }),
  neftune_noise_alpha: float({
    min: 0,
    help: "NEFTune: uniform noise on the embeddings, of scale alpha / sqrt(tokens * width).",
  }),
  resume_from_checkpoint: pathOrTrue({
    help: "Go on from a checkpoint directory, or, as a bare flag, from the newest in output_dir.",
  }),
  ignore_data_skip: bool({
    when: onlyWith("resume_from_checkpoint"),
    default: false,
    help: "On resuming, start the rows from the beginning instead of where they stopped.",
  }),
});

const optimiser = section("Optimiser and schedule", {
  learning_rate: float({ default: 5e-5, min: 0, help: "Highest learning rate." }),
  lr_scheduler_type: choice({
    choices: [
      "linear",
      "cosine",
      "cosine_with_restarts",
      "polynomial",
      "constant",
      "constant_with_warmup",
      "inverse_sqrt",
      "reduce_lr_on_plateau",
      "cosine_with_min_lr",
      "cosine_warmup_with_min_lr",
      "warmup_stable_decay",
      "greedy",
    ],
    default: "linear",
    help: "Course of the learning rate.",
  }),
  lr_scheduler_kwargs: dict({
    help: `Settings of the schedule, such as '{"min_lr_rate": 0.1}'.`,
  }),
  warmup_steps: float({
    default: 0,
    min: 0,
    aliases: [{ name: "warmup_ratio", bare: false, translate: oldWarmupRatio }],
    help: "Steps over which the rate rises; below 1 a share of all steps.",
  }),
  optim: choice({
    choices: optimizerNames,
    default: "adamw_torch_fused",
    help: "Optimiser, by its name in transformers; muon too.",
    unavailable: Object.fromEntries(
      otherOptimisers.map((name) => [name, "this version does not have it"]),
    ),
  }),
  optim_args: string({
    shown: "K=V,…",
    help: "Settings of the optimiser that have no flag, such as momentum=0.9.",
  }),
  weight_decay: float({
    default: 0,
    min: 0,
    help: "Decoupled weight decay; biases and norms are spared.",
  }),
  adam_beta1: float({
    when: adaptive,
    default: 0.9,
    min: 0,
    below: 1,
    help: "Decay of the first moment.",
  }),
  adam_beta2: float({
    when: adaptive,
    default: 0.999,
    min: 0,
    below: 1,
    help: "Decay of the second moment.",
  }),
  adam_epsilon: float({
    when: adaptive,
    default: 1e-8,
    min: 0,
    help: "Added to the root of the second moment.",
  }),
  max_grad_norm: float({
    default: 1,
    min: 0,
    help: "Gradients are scaled down to this global L2 norm; 0: never.",
  }),
});

const evaluation = section("Evaluation", {
  eval_strategy: choice({
    choices: steps,
    default: "no",
    aliases: ["evaluation_strategy"],
    help: "When to evaluate on dataset_test_split.",
  }),
  eval_steps: float({
    when: onlyFor("eval_strategy", "steps"),
    min: 0,
    ratioOrWhole: true,
    help: "Steps between evaluations, below 1 a share of all steps; unset or 0: logging_steps.",
  }),
  eval_delay: float({
    when: notFor("eval_strategy", "no"),
    default: 0,
    min: 0,
    help: "Steps (or epochs, as eval_strategy) before the first evaluation.",
  }),
  eval_on_start: bool({ default: false, help: "Evaluate before the first step." }),
  per_device_eval_batch_size: int({
    when: evaluating,
    default: 8,
    min: 1,
    aliases: ["per_gpu_eval_batch_size"],
    help: "Rows (or packs) of one evaluation pass.",
  }),
});

const logging = section("Logging", {
  logging_strategy: choice({ choices: steps, default: "steps", help: "When to log." }),
  logging_steps: float({
    when: onlyFor("logging_strategy", "steps"),
    default: 10,
    above: 0,
    ratioOrWhole: true,
    help: "Steps between logged rows, below 1 a share of all steps.",
  }),
  logging_first_step: bool({ default: false, help: "Log the first step too." }),
  report_to: choices({
    choices: ["none", "console", "jsonl", "all"],
    unavailable: Object.fromEntries(
      otherTrackers.map((name) => [name, "this version logs to the console and to log.jsonl only"]),
    ),
    default: ["none"],
    help: "Where rows go beside the console: jsonl is log.jsonl in output_dir; all is jsonl.",
  }),
  run_name: string({ help: "Name of the run in the logs." }),
  disable_tqdm: bool({ help: "Plain lines instead of a bar, also on a terminal." }),
  profile: bool({
    default: false,
    help:
      "Show where the time of steps goes, kernel by kernel and beside what the machine can do, " +
      "for all but the first two; writes trace.json into output_dir. Not in TRL.",
  }),
  log_level: choice({
    choices: ["debug", "info", "warning", "error", "critical", "passive"],
    default: "passive",
    help: "error and critical hide notices; the others show them.",
  }),
});

const saving = section("Checkpoints", {
  save_strategy: choice({
    choices: [...steps, "best"],
    default: "steps",
    help: "When to write a checkpoint; best: when an evaluation is the best so far.",
  }),
  save_steps: float({
    when: onlyFor("save_strategy", "steps"),
    default: 500,
    above: 0,
    ratioOrWhole: true,
    help: "Steps between checkpoints, below 1 a share of all steps.",
  }),
  save_total_limit: int({
    when: notFor("save_strategy", "no"),
    min: 1,
    help: "Checkpoints kept; the oldest go, the best one stays. Unset: all.",
  }),
  save_only_model: bool({
    when: notFor("save_strategy", "no"),
    default: false,
    help: "Leave the optimiser out of checkpoints; they cannot be resumed from.",
  }),
  load_best_model_at_end: bool({
    default: false,
    help: "End with the weights of the best evaluation.",
  }),
  metric_for_best_model: string({
    when: choosing,
    help: "Metric that decides which is best, with or without eval_; unset: loss.",
  }),
  greater_is_better: bool({
    when: choosing,
    help: "Whether more of it is better; unset: unless its name ends in loss.",
  }),
});

const f32 = "computation stays in float32 in this version, which is at least as precise";

const memory = section("Memory and precision", {
  gradient_checkpointing: bool({
    default: true,
    help: "Recompute each layer in the backward pass instead of keeping its activations.",
  }),
  bf16: bool({
    help: "TRL computes under bf16 autocast unless this is false. Here unset and true alike " +
      "compute in float32, which is at least as precise and the same on every device.",
    valueNotices: { true: f32 },
  }),
  fp16: bool({
    default: false,
    help: "Half precision; computed in float32 all the same.",
    valueNotices: { true: f32 },
  }),
});

/** Every training argument, for spreading into a command's options. */
export const trainingOptions = {
  ...run,
  ...optimiser,
  ...evaluation,
  ...logging,
  ...saving,
  ...memory,
  ...inertOptions,
} satisfies Options;

function oldFlag(raw: unknown): boolean {
  const value = readBoolean(raw);
  if (value === undefined) throw new Error("true or false");
  return value;
}

/** `warmup_ratio` of transformers 4; its 0 asked for nothing. */
function oldWarmupRatio(raw: unknown): unknown {
  const ratio = typeof raw === "string" ? Number(raw) : raw;
  if (typeof ratio !== "number" || !(ratio >= 0 && ratio < 1)) {
    throw new Error("a share of the steps, at least 0 and below 1");
  }
  return ratio === 0 ? undefined : ratio;
}
