/** From flags to the loop's settings: what all training commands share. @module */

import { followsMetric } from "../loop/metric_schedule.ts";
import { standardError } from "../../core/terminal.ts";
import { isNorm, optimizerByName } from "../../nn/mod.ts";
import type { TrainOptions } from "../loop/options.ts";
import {
  allReporters,
  consoleReporter,
  jsonlReporter,
  type Reporter,
} from "../report/reporters.ts";
import { bestMetric, evalInterval, type TrainingValues } from "../settings/training_checks.ts";

/** The settings of the loop. */
export function trainOptionsOf(values: TrainingValues): TrainOptions {
  const judged = values.load_best_model_at_end || values.save_strategy === "best" ||
    values.metric_for_best_model !== undefined || followsMetric(values.lr_scheduler_type);
  return {
    numTrainEpochs: values.num_train_epochs,
    maxSteps: values.max_steps,
    batchSize: values.per_device_train_batch_size,
    evalBatchSize: values.per_device_eval_batch_size,
    gradientAccumulationSteps: values.gradient_accumulation_steps,
    learningRate: values.learning_rate,
    schedule: {
      name: values.lr_scheduler_type,
      kwargs: values.lr_scheduler_kwargs ?? {},
      warmup: values.warmup_steps,
    },
    optimizer: optimizerByName(values.optim, {
      beta1: values.adam_beta1,
      beta2: values.adam_beta2,
      epsilon: values.adam_epsilon,
      weightDecay: values.weight_decay,
      decays: (path) => !/bias(\.|$)/.test(path) && !isNorm(path.replace(/\.weight.*$/, "")),
    }, values.optim_args ?? ""),
    maxGradNorm: values.max_grad_norm,
    seed: values.seed,
    dataSeed: values.data_seed,
    ignoreDataSkip: values.ignore_data_skip,
    sampling: values.train_sampling_strategy,
    logging: {
      strategy: values.logging_strategy,
      steps: values.logging_steps,
      firstStep: values.logging_first_step,
    },
    evaluation: {
      strategy: values.eval_strategy,
      steps: evalInterval(values),
      delay: values.eval_delay,
      onStart: values.eval_on_start,
    },
    saving: { strategy: values.save_strategy, steps: values.save_steps },
    best: judged ? bestMetric(values) : null,
    loadBestAtEnd: values.load_best_model_at_end,
  };
}

/** The reporters that `report_to` names; the console always. */
export function openReporters(values: TrainingValues): Reporter {
  const quiet = values.log_level === "error" || values.log_level === "critical";
  const screen = consoleReporter({
    notices: !quiet,
    ...(values.disable_tqdm === true ? { bar: false, wrap: standardError.isScreen() } : {}),
  });
  const toFile = values.report_to.some((name) => name === "jsonl" || name === "all");
  if (!toFile) return screen;
  const run: Readonly<Record<string, string>> = values.run_name === undefined
    ? {}
    : { run_name: values.run_name };
  return allReporters([screen, jsonlReporter(`${values.output_dir}/log.jsonl`, run)]);
}
