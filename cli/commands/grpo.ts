/** `plumb grpo`: group-relative policy optimisation. @module */

import type { GroupPlan } from "../../train/group_rollout.ts";
import type { GroupObjective } from "../../train/group_task.ts";
import { grpoTask } from "../../train/grpo.ts";
import type { Command, TaskContext } from "../finetune.ts";
import { answeringOf, describePrompt, onlineReference, promptsOf } from "../online/answering.ts";
import { onlineCommand } from "../online/command.ts";
import { checkGroups, type GroupValues, grpoOptions, stepsPerGeneration } from "../options/grpo.ts";
import { loadOwnLoss } from "../own_loss.ts";

/** How generations are cut, in training and in evaluation. */
export function groupPlan(
  values: GroupValues,
  { evaluation }: Pick<TaskContext<unknown, unknown>, "evaluation">,
): GroupPlan {
  const numGenerations = evaluation
    ? values.num_generations_eval ?? values.num_generations
    : values.num_generations;
  return evaluation
    ? {
      batchSize: values.per_device_eval_batch_size,
      numGenerations,
      stepsPerGeneration: 1,
      numIterations: 1,
      gradientAccumulationSteps: 1,
      shuffle: false,
    }
    : {
      batchSize: values.per_device_train_batch_size,
      numGenerations,
      stepsPerGeneration: stepsPerGeneration(values),
      numIterations: values.num_iterations,
      gradientAccumulationSteps: values.gradient_accumulation_steps,
      shuffle: values.shuffle_dataset,
    };
}

/** What `grpo` is called with. */
export const grpoCommand: Command = onlineCommand<typeof grpoOptions>({
  name: "grpo",
  summary: "Group-relative policy optimisation: answers are compared with others to the prompt.",
  options: grpoOptions,
  check: checkGroups,
  prepare: (rows, context) => promptsOf(rows, context, context.values.max_completion_length),
  describe: describePrompt,
  task: async ({ opened, values, examples, evaluation }) =>
    grpoTask({
      answering: await answeringOf(values, {
        opened,
        examples,
        evaluation,
        maxCompletionLength: values.max_completion_length,
      }),
      plan: groupPlan(values, { evaluation }),
      reference: values.beta === 0 ? undefined : await onlineReference(opened, values),
      gradientCheckpointing: values.gradient_checkpointing,
      maskTruncated: values.mask_truncated_completions,
      loss: {
        lossType: values.loss_type,
        importanceSamplingLevel: values.importance_sampling_level,
        beta: values.beta,
        epsilon: values.epsilon,
        epsilonHigh: values.epsilon_high,
        delta: values.delta,
        useBiasCorrectionKl: values.use_bias_correction_kl,
        sapoTemperaturePos: values.sapo_temperature_pos,
        sapoTemperatureNeg: values.sapo_temperature_neg,
        vespoKPos: values.vespo_k_pos,
        vespoLambdaPos: values.vespo_lambda_pos,
        vespoKNeg: values.vespo_k_neg,
        vespoLambdaNeg: values.vespo_lambda_neg,
        topEntropyQuantile: values.top_entropy_quantile,
        ...(values.off_policy_mask_threshold === undefined
          ? {}
          : { offPolicyMaskThreshold: values.off_policy_mask_threshold }),
      },
      advantages: {
        scaleRewards: values.scale_rewards,
        multiObjectiveAggregation: values.multi_objective_aggregation,
      },
      entropyCoef: values.entropy_coef,
      adaptiveEntropy: values.use_adaptive_entropy
        ? {
          target: values.entropy_target,
          delta: values.entropy_coef_delta,
          min: values.entropy_coef_min,
          max: values.entropy_coef_max,
        }
        : undefined,
      samplingCorrection: values.vllm_importance_sampling_correction
        ? {
          mode: values.vllm_importance_sampling_mode,
          clipMax: values.vllm_importance_sampling_clip_max ?? Infinity,
          ...(values.vllm_importance_sampling_clip_min === undefined
            ? {}
            : { clipMin: values.vllm_importance_sampling_clip_min }),
        }
        : undefined,
      objective: values.loss === undefined
        ? undefined
        : await loadOwnLoss<Parameters<GroupObjective>>(values.loss),
    }),
});
