/** From flags to groups of answers: what `grpo` and `rloo` share. @module */

import type { PromptExample } from "../../../data/prepare/prepare_prompts.ts";
import type { GroupPlan } from "../../sampling/group_rollout.ts";
import type { GroupSettings } from "../../tasks/grpo.ts";
import type { TaskContext } from "../recipe_spec.ts";
import { type GroupValues, stepsPerGeneration } from "../../settings/grpo_checks.ts";
import { answeringOf, onlineReference } from "./answering.ts";

/** How answers come about, how they are cut into batches, and what the policy is held near. */
export async function groupSettings(
  { opened, values, examples, evaluation, say }: TaskContext<PromptExample, GroupValues>,
): Promise<GroupSettings> {
  const notice = evaluation ? undefined : say;
  return {
    answering: await answeringOf(values, {
      opened,
      examples,
      evaluation,
      notice,
      maxCompletionLength: values.max_completion_length,
    }),
    plan: groupPlan(values, evaluation),
    reference: values.beta === 0 ? undefined : await onlineReference(opened, values, notice),
    gradientCheckpointing: values.gradient_checkpointing,
    maskTruncated: values.mask_truncated_completions,
  };
}

/** How generations are cut, in training and in evaluation. */
function groupPlan(
  values: GroupValues,
  evaluation: boolean,
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
