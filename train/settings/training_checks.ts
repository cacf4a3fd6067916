/**
 * What no single training argument can check: contradictions, and values one takes from another.
 *
 * @module
 */

import type { DeviceName } from "../../core/device/choice.ts";
import { UserError } from "../../core/errors.ts";
import { followsMetric, startMetricSchedule } from "../loop/metric_schedule.ts";
import { lrSchedule } from "../loop/schedule.ts";
import type { Values } from "./option.ts";
import type { commandOptions } from "./script.ts";
import type { trainingOptions } from "./training.ts";

/** The values every training command has. */
export type TrainingValues = Values<typeof trainingOptions & typeof commandOptions>;

/** Steps between evaluations, or a share of all steps: `eval_steps`, else `logging_steps`. */
export function evalInterval(values: Pick<TrainingValues, "eval_steps" | "logging_steps">): number {
  return values.eval_steps || values.logging_steps;
}

/** The metric that decides which evaluation is best, with its `eval_` prefix, and its direction. */
export function bestMetric(
  values: Pick<TrainingValues, "metric_for_best_model" | "greater_is_better">,
): { readonly metric: string; readonly greaterIsBetter: boolean } {
  const given = values.metric_for_best_model ?? "loss";
  return {
    metric: given.startsWith("eval_") ? given : `eval_${given}`,
    greaterIsBetter: values.greater_is_better ?? !given.endsWith("loss"),
  };
}

/** Where to compute, from `device` and `use_cpu`. */
export function deviceName(
  values: Pick<TrainingValues, "device" | "use_cpu">,
): DeviceName {
  return values.use_cpu ? "cpu" : values.device;
}

/**
 * Checks the training arguments against each other, as transformers' TrainingArguments does.
 *
 * @throws {UserError} When two contradict each other or one needs another.
 */
export function checkTraining(values: TrainingValues): void {
  if (values.use_cpu && values.device.startsWith("webgpu")) {
    throw new UserError(
      `--use_cpu asks for the CPU and --device ${values.device} for the GPU. Leave one of them out.`,
    );
  }
  if (values.bf16 && values.fp16) {
    throw new UserError("--bf16 and --fp16 exclude each other. Leave one of them out.");
  }
  if (values.fp16_full_eval && values.bf16_full_eval) {
    throw new UserError(
      "--fp16_full_eval and --bf16_full_eval exclude each other. Leave one of them out.",
    );
  }
  checkBest(values);
  checkSchedule(values);
}

function checkBest(values: TrainingValues): void {
  const { eval_strategy, save_strategy, save_steps } = values;
  if (save_strategy === "best" && eval_strategy === "no") {
    throw new UserError(
      "--save_strategy best saves after the best evaluation, but --eval_strategy is no, so there " +
        "is none. Set --eval_strategy to steps or epoch.",
    );
  }
  if (!values.load_best_model_at_end || save_strategy === "best") return;
  if (eval_strategy === "no" || eval_strategy !== save_strategy) {
    throw new UserError(
      "--load_best_model_at_end needs a checkpoint for each evaluation: --eval_strategy and " +
        `--save_strategy must be the same, but they are ${eval_strategy} and ${save_strategy}. ` +
        "Set both to steps or both to epoch, or --save_strategy to best.",
    );
  }
  const evalSteps = evalInterval(values);
  if (eval_strategy !== "steps") return;
  const mixed = (evalSteps < 1) !== (save_steps < 1);
  // Shares are compared as whole millionths, as transformers does, to be free of rounding.
  const scale = evalSteps < 1 ? 1e6 : 1;
  if (mixed || Math.round(save_steps * scale) % Math.round(evalSteps * scale) !== 0) {
    throw new UserError(
      `--load_best_model_at_end needs save_steps to be a multiple of eval_steps, but they are ` +
        `${save_steps} and ${evalSteps}. Set --save_steps to a multiple of --eval_steps.`,
    );
  }
}

function checkSchedule(values: TrainingValues): void {
  const { lr_scheduler_type: name, eval_strategy } = values;
  if (followsMetric(name)) {
    if (eval_strategy === "no") {
      throw new UserError(
        `--lr_scheduler_type ${name} follows the evaluation's metric, but --eval_strategy is no. ` +
          "Set --eval_strategy to steps or epoch.",
      );
    }
    startMetricSchedule(name, values.learning_rate, values.lr_scheduler_kwargs);
    return;
  }
  // Building the schedule checks its settings before anything is loaded.
  lrSchedule(name, {
    warmupSteps: 0,
    totalSteps: 1,
    learningRate: values.learning_rate,
    kwargs: values.lr_scheduler_kwargs ?? {},
  });
}
