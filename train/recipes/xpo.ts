/** `xpo`: exploratory preference optimisation. @module */

import { xpoTask } from "../tasks/xpo.ts";
import type { Recipe } from "./recipe.ts";
import { describePrompt, promptsOf } from "./online/answering.ts";
import { onlineRecipe } from "./online/recipe.ts";
import { preferenceSettings } from "./online/preferring.ts";
import { checkOnlineDpo, xpoOptions } from "../settings/online_dpo.ts";
import { ownObjective } from "./own_loss.ts";

/** How `xpo` is done. */
export const xpoRecipe: Recipe = onlineRecipe<typeof xpoOptions>({
  name: "xpo",
  options: xpoOptions,
  check: checkOnlineDpo,
  prepare: (rows, context) => promptsOf(rows, context, context.values.max_new_tokens),
  describe: describePrompt,
  task: async (context) =>
    xpoTask({
      ...await preferenceSettings(context),
      objective: await ownObjective(context),
      lossType: context.values.loss_type,
      alpha: context.values.alpha,
    }),
});
