/** `plumb online-dpo`: DPO of sampled answers. @module */

import { onlineDpoTask } from "../tasks/online_dpo.ts";
import type { Recipe } from "./recipe.ts";
import { describePrompt, promptsOf } from "./online/answering.ts";
import { onlineRecipe } from "./online/recipe.ts";
import { preferenceSettings } from "./online/preferring.ts";
import { checkOnlineDpo, onlineDpoOptions } from "../settings/online_dpo.ts";
import { ownObjective } from "./own_loss.ts";

/** What `online-dpo` is called with. */
export const onlineDpoRecipe: Recipe = onlineRecipe<typeof onlineDpoOptions>({
  name: "online-dpo",
  options: onlineDpoOptions,
  check: checkOnlineDpo,
  prepare: (rows, context) => promptsOf(rows, context, context.values.max_new_tokens),
  describe: describePrompt,
  task: async (context) =>
    onlineDpoTask({
      ...await preferenceSettings(context),
      objective: await ownObjective(context),
      lossType: context.values.loss_type,
      maxLength: context.values.max_length,
    }),
});
