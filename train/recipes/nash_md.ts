/** `plumb nash-md`: Nash mirror descent. @module */

import { nashMdTask } from "../tasks/nash_md.ts";
import type { Recipe } from "./recipe.ts";
import { describePrompt, promptsOf } from "./online/answering.ts";
import { onlineRecipe } from "./online/recipe.ts";
import { preferenceSettings } from "./online/preferring.ts";
import { checkCoefficients, checkOnlineDpo, nashMdOptions } from "../settings/online_dpo.ts";
import { ownObjective } from "./own_loss.ts";

/** What `nash-md` is called with. */
export const nashMdRecipe: Recipe = onlineRecipe<typeof nashMdOptions>({
  name: "nash-md",
  options: nashMdOptions,
  check: (values) => {
    checkOnlineDpo(values);
    checkCoefficients("mixture_coef", values.mixture_coef, { max: 1 });
  },
  prepare: (rows, context) => promptsOf(rows, context, context.values.max_new_tokens),
  describe: describePrompt,
  task: async (context) =>
    nashMdTask({
      ...await preferenceSettings(context),
      objective: await ownObjective(context),
      mixtureCoef: context.values.mixture_coef,
    }),
});
