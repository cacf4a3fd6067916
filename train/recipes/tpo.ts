/** `tpo`: triple preference optimisation. @module */

import { type PreferenceExample, prepareTpo } from "../../data/prepare/prepare_pairs.ts";
import { tpo, type TpoLogProbs } from "../../rl/mod.ts";
import { tpoTask } from "../tasks/pair_tasks.ts";
import { type Recipe, recipe } from "./recipe.ts";
import { tpoOptions } from "../settings/preference.ts";
import { checkPreference } from "../settings/preference_base.ts";
import { objectiveOf } from "./own_loss.ts";
import { describeAnswers } from "./show_answers.ts";
import { preparedLine } from "./prepared_line.ts";

/** How `tpo` is done. */
export const tpoRecipe: Recipe = recipe<typeof tpoOptions, PreferenceExample>({
  name: "tpo",
  options: tpoOptions,
  check: checkPreference,
  prepare: (rows, { tokenizer, values, say, progress }) =>
    preparedLine(prepareTpo(rows, tokenizer, {
      maxLength: values.max_length ?? null,
      truncationMode: values.truncation_mode,
      warn: say,
      progress,
    })),
  describe: ({ chosen, rejected, reference }, tokenizer) =>
    describeAnswers({ chosen, rejected, reference }, tokenizer),
  task: async ({ opened, values, examples, evaluation, say }) =>
    tpoTask({
      model: opened.model,
      examples,
      objective: await objectiveOf({ values, evaluation, say }, (triples: TpoLogProbs) =>
        tpo(triples, {
          lossType: values.loss_type,
          beta: values.beta,
          labelSmoothing: values.label_smoothing,
          tpoAlpha: values.tpo_alpha,
          tpoLGamma: values.tpo_l_gamma,
        })),
      gradientCheckpointing: values.gradient_checkpointing,
    }),
});
