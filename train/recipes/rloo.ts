/** `rloo`: REINFORCE with leave-one-out baselines. @module */

import { UserError } from "../../core/errors.ts";
import { rlooTask } from "../tasks/grpo.ts";
import type { Recipe } from "./recipe.ts";
import { describePrompt, promptsOf } from "./online/answering.ts";
import { onlineRecipe } from "./online/recipe.ts";
import { groupSettings } from "./online/groups.ts";
import { rlooOptions } from "../settings/grpo.ts";
import { checkGroups } from "../settings/grpo_checks.ts";
import { ownObjective } from "./own_loss.ts";
import type { GroupObjective } from "../tasks/group_task.ts";

/** How `rloo` is done. */
export const rlooRecipe: Recipe = onlineRecipe<typeof rlooOptions>({
  name: "rloo",
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
  task: async (context) => {
    const { values } = context;
    return rlooTask({
      ...await groupSettings(context),
      objective: await ownObjective<Parameters<GroupObjective>>(context),
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
    });
  },
});
