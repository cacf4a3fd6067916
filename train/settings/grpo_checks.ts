/** What no single option of `grpo` and `rloo` can check. @module */

import { UserError } from "../../core/errors.ts";
import type { grpoOptions, rlooOptions } from "./grpo.ts";
import type { Values } from "./option.ts";
import { checkPreference } from "./preference_base.ts";

/** What both commands have. */
export type GroupValues = Pick<
  Values<typeof grpoOptions>,
  keyof typeof grpoOptions & keyof typeof rlooOptions
>;

/** How many micro-batches a generation is cut into. */
export function stepsPerGeneration(values: GroupValues): number {
  const { generation_batch_size: answers, per_device_train_batch_size: batch } = values;
  if (answers !== undefined) return answers / batch;
  return values.steps_per_generation ?? values.gradient_accumulation_steps;
}

/**
 * Checks what no single option can.
 *
 * @throws {UserError} When sizes do not fit together, or nothing judges the answers.
 */
export function checkGroups(values: GroupValues): void {
  checkPreference(values);
  const {
    generation_batch_size: answers,
    per_device_train_batch_size: batch,
    num_generations: group,
  } = values;
  if (answers !== undefined && values.steps_per_generation !== undefined) {
    throw new UserError(
      "--generation_batch_size and --steps_per_generation say the same in two ways. Leave one of them out.",
    );
  }
  if (answers !== undefined && answers % batch !== 0) {
    throw new UserError(
      `--generation_batch_size is ${answers}, which is no multiple of --per_device_train_batch_size ${batch}.`,
    );
  }
  const size = batch * stepsPerGeneration(values);
  if (size % group !== 0) {
    throw new UserError(
      `A generation has ${size} answers (--per_device_train_batch_size ${batch} × ${
        stepsPerGeneration(values)
      } micro-batches), which are not whole groups of --num_generations ${group}. Make the one a multiple of the ` +
        "other.",
    );
  }
  const evalGroup = values.num_generations_eval ?? group;
  const evaluates = values.eval_strategy !== "no" || values.eval_on_start;
  if (evaluates && values.per_device_eval_batch_size % evalGroup !== 0) {
    throw new UserError(
      `--per_device_eval_batch_size is ${values.per_device_eval_batch_size}, which is no multiple of ` +
        `${evalGroup} answers to each prompt. Change it, or --num_generations_eval.`,
    );
  }
  if (evaluates && values.rollouts !== undefined && !judges(values)) {
    throw new UserError(
      "Evaluation samples answers, which --rollouts has none of: name what judges them with --reward_funcs, or leave " +
        "--eval_strategy out.",
    );
  }
  checkJudges(values);
}

/** Checks of GRPO's correction for another sampler. @throws {UserError} As TRL does. */
export function checkCorrection(values: Values<typeof grpoOptions>): void {
  const {
    vllm_importance_sampling_mode: mode,
    vllm_importance_sampling_clip_min: min,
    vllm_importance_sampling_clip_max: max,
  } = values;
  if (min !== undefined && max !== undefined && min >= max) {
    throw new UserError(
      `--vllm_importance_sampling_clip_min ${min} must be below --vllm_importance_sampling_clip_max ${max}.`,
    );
  }
  if (min === undefined && max === undefined && mode.endsWith("_truncate")) {
    throw new UserError(
      `--vllm_importance_sampling_mode ${mode} cuts ratios off and needs --vllm_importance_sampling_clip_min or ` +
        "--vllm_importance_sampling_clip_max.",
    );
  }
  const corrects = values.vllm_importance_sampling_correction && values.rollouts !== undefined;
  if (values.loss_type === "vespo" && corrects && mode.startsWith("sequence")) {
    throw new UserError(
      `--loss_type vespo weighs sequences itself and needs --vllm_importance_sampling_mode token_truncate or ` +
        `token_mask, not ${mode}.`,
    );
  }
}

/** Lines about a loss and a level of ratios that are not meant for each other, as TRL warns. */
export function cautionGrpo(values: Values<typeof grpoOptions>): string[] {
  const { loss_type: loss, importance_sampling_level: level } = values;
  if (values.loss !== undefined) return [];
  if (loss === "luspo" && level !== "sequence") {
    return [
      `--loss_type luspo is meant for --importance_sampling_level sequence, as in its paper; it is ${level}.`,
    ];
  }
  if (level === "sequence" && ["bnpo", "dr_grpo", "dapo", "cispo"].includes(loss)) {
    return [
      `--importance_sampling_level sequence with --loss_type ${loss} adds up tokens, so that long answers count more. ` +
      "For GSPO as in its paper give --loss_type grpo.",
    ];
  }
  return [];
}

/** Whether anything judges answers. */
export function judges(
  values: Pick<GroupValues, "reward_funcs" | "reward_model_name_or_path">,
): boolean {
  return values.reward_funcs !== undefined || values.reward_model_name_or_path !== undefined;
}

/** Checks that answers are judged, with a weight for each reward. */
export function checkJudges(
  values: Pick<GroupValues, "reward_funcs" | "reward_model_name_or_path" | "reward_weights"> & {
    readonly rollouts?: string | undefined;
  },
): void {
  if (values.rollouts === undefined && !judges(values)) {
    throw new UserError(
      "Nothing judges the answers. Name rewards with --reward_funcs (a built-in name, ./file.ts:function, or the " +
        "directory of a reward model).",
    );
  }
  const count = (values.reward_funcs?.length ?? 0) +
    (values.reward_model_name_or_path === undefined ? 0 : 1);
  const weights = values.reward_weights?.length ?? count;
  if (count > 0 && weights !== count) {
    throw new UserError(
      `--reward_weights has ${weights} numbers for ${count} rewards. Give one for each.`,
    );
  }
}
