/** `cpo`: contrastive preference optimisation, SimPO and AlphaPO. @module */

import { type PreferenceExample, prepareCpo } from "../../data/prepare/prepare_pairs.ts";
import { cpo, type PairObjective } from "../../rl/mod.ts";
import { cpoTask } from "../tasks/pair_tasks.ts";
import { type Recipe, recipe } from "./recipe.ts";
import { cpoOptions } from "../settings/preference.ts";
import { checkPreference } from "../settings/preference_base.ts";
import { objectiveOf } from "./own_loss.ts";
import { describeAnswers } from "./show_answers.ts";
import { preparedLine } from "./prepared_line.ts";

/** How `cpo` is done. */
export const cpoRecipe: Recipe = recipe<typeof cpoOptions, PreferenceExample>({
  name: "cpo",
  options: cpoOptions,
  check: checkPreference,
  prepare: (rows, { tokenizer, values, say, progress }) =>
    preparedLine(
      prepareCpo(rows, tokenizer, {
        maxLength: values.max_length ?? null,
        maxPromptLength: values.max_prompt_length ?? null,
        warn: say,
        progress,
      }),
    ),
  describe: ({ chosen, rejected }, tokenizer) => describeAnswers({ chosen, rejected }, tokenizer),
  task: async ({ opened, values, examples, evaluation, say }) => {
    const builtIn: PairObjective = (pairs) =>
      cpo(pairs, {
        lossType: values.loss_type,
        beta: values.beta,
        labelSmoothing: values.label_smoothing,
        cpoAlpha: values.cpo_alpha,
        simpoGamma: values.simpo_gamma,
        alpha: values.alpha,
      });
    return cpoTask({
      model: opened.model,
      examples,
      objective: await objectiveOf({ values, evaluation, say }, builtIn),
      gradientCheckpointing: values.gradient_checkpointing,
      padTokenId: opened.tokenizer.padTokenId ?? 0,
    });
  },
});
