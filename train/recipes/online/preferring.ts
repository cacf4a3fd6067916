/** From flags to tasks that prefer one of two answers: what `online-dpo`, `nash-md` and `xpo` share. @module */

import type { PromptExample } from "../../../data/prepare/prepare_prompts.ts";
import type { PreferenceSettings } from "../../sampling/preference_rollout.ts";
import type { TaskContext } from "../recipe_spec.ts";
import { type OnlineDpoValues, withRewardModel } from "../../settings/online_dpo.ts";
import { answeringOf, onlineReference } from "./answering.ts";

/** How answers come about and what they are compared with. */
export async function preferenceSettings(
  { opened, values, examples, evaluation, say }: TaskContext<PromptExample, OnlineDpoValues>,
): Promise<PreferenceSettings> {
  const notice = evaluation ? undefined : say;
  const reference = await onlineReference(opened, values, notice);
  if (reference.kind !== "fixed") {
    throw new Error("These commands have no flag that lets the reference follow");
  }
  return {
    answering: await answeringOf(withRewardModel(values), {
      opened,
      examples,
      evaluation,
      notice,
      maxCompletionLength: values.max_new_tokens,
    }),
    reference,
    gradientCheckpointing: values.gradient_checkpointing,
    batchSize: evaluation ? values.per_device_eval_batch_size : values.per_device_train_batch_size,
    beta: values.beta,
    missingEosPenalty: values.missing_eos_penalty,
  };
}
