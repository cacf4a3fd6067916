/** `reward`: reward modelling. @module */

import { prepareReward, type RewardPair } from "../../data/prepare/prepare_reward.ts";
import { bradleyTerry, type PairRewards } from "../../rl/mod.ts";
import { rewardTask } from "../tasks/scoring_tasks.ts";
import { type Recipe, recipe } from "./recipe.ts";
import { rewardOptions } from "../settings/scores.ts";
import { checkPreference } from "../settings/preference_base.ts";
import { objectiveOf } from "./own_loss.ts";
import { preparedLine } from "./prepared_line.ts";

/** How `reward` is done. */
export const rewardRecipe: Recipe = recipe<typeof rewardOptions, RewardPair>({
  name: "reward",
  options: rewardOptions,
  check: checkPreference,
  head: { kind: "sequence", labels: 1 },
  prepare: (rows, { tokenizer, values, progress }) =>
    preparedLine(
      prepareReward(rows, tokenizer, { maxLength: values.max_length ?? null, progress }),
      "longer than max_length",
    ),
  describe: ({ chosenIds, rejectedIds }, tokenizer) =>
    `chosen: ${tokenizer.decode([...chosenIds])}\nrejected: ${tokenizer.decode([...rejectedIds])}`,
  task: async ({ opened, values, examples, evaluation, say }) =>
    rewardTask({
      model: opened.model,
      examples,
      gradientCheckpointing: values.gradient_checkpointing,
      objective: await objectiveOf({ values, evaluation, say }, (rewards: PairRewards) =>
        bradleyTerry(
          rewards,
          values.center_rewards_coefficient === undefined
            ? {}
            : { centerRewardsCoefficient: values.center_rewards_coefficient },
        )),
    }),
});
