/** `orpo`: odds ratio preference optimisation. @module */

import { type PreferenceExample, prepareOrpo } from "../../data/prepare/prepare_pairs.ts";
import { orpo, type PairLogProbs } from "../../rl/mod.ts";
import { orpoTask } from "../tasks/pair_tasks.ts";
import { type Recipe, recipe } from "./recipe.ts";
import { orpoOptions } from "../settings/preference.ts";
import { checkPreference } from "../settings/preference_base.ts";
import { objectiveOf } from "./own_loss.ts";
import { describeAnswers } from "./show_answers.ts";
import { preparedLine } from "./prepared_line.ts";

/** How `orpo` is done. */
export const orpoRecipe: Recipe = recipe<typeof orpoOptions, PreferenceExample>({
  name: "orpo",
  options: orpoOptions,
  check: checkPreference,
  prepare: (rows, { tokenizer, values, say, progress }) =>
    preparedLine(
      prepareOrpo(rows, tokenizer, {
        maxLength: values.max_length ?? null,
        maxPromptLength: values.max_prompt_length ?? null,
        warn: say,
        progress,
      }),
    ),
  describe: ({ chosen, rejected }, tokenizer) => describeAnswers({ chosen, rejected }, tokenizer),
  task: async ({ opened, values, examples, evaluation, say }) =>
    orpoTask({
      model: opened.model,
      examples,
      objective: await objectiveOf(
        { values, evaluation, say },
        (pairs: PairLogProbs) => orpo(pairs, { beta: values.beta }),
      ),
      gradientCheckpointing: values.gradient_checkpointing,
      padTokenId: opened.tokenizer.padTokenId ?? 0,
    }),
});
