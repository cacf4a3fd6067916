/** `plumb rloo`: REINFORCE with leave-one-out baselines. @module */

import { UserError } from "../../core/errors.ts";
import { rlooTask } from "../../train/grpo.ts";
import type { Command } from "../finetune.ts";
import { answeringOf, describePrompt, onlineReference, promptsOf } from "../online/answering.ts";
import { onlineCommand } from "../online/command.ts";
import { checkGroups, rlooOptions } from "../options/grpo.ts";
import { groupPlan } from "./grpo.ts";

/** What `rloo` is called with. */
export const rlooCommand: Command = onlineCommand<typeof rlooOptions>({
  name: "rloo",
  summary: "REINFORCE leave-one-out: an answer's baseline is the mean of the others.",
  options: rlooOptions,
  check: (values) => {
    checkGroups(values);
    const range = values.reward_clip_range;
    if (range && !(range.length === 2 && range[0]! <= range[1]!)) {
      throw new UserError(
        `--reward_clip_range is ${range.join(" ")}; expected two numbers, the lower first.`,
      );
    }
  },
  prepare: (rows, context) => promptsOf(rows, context, context.values.max_completion_length),
  describe: describePrompt,
  task: async ({ opened, values, examples, evaluation }) =>
    rlooTask({
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
        epsilon: values.epsilon,
        ...(values.epsilon_high === undefined ? {} : { epsilonHigh: values.epsilon_high }),
      },
      advantages: {
        beta: values.beta,
        normalizeAdvantages: values.normalize_advantages,
        ...(values.reward_clip_range
          ? { rewardClipRange: [values.reward_clip_range[0]!, values.reward_clip_range[1]!] }
          : {}),
      },
    }),
});
