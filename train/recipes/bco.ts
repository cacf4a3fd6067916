/** `bco`: binary classifier optimisation. @module */

import { prepareBco, type UnpairedExample } from "../../data/prepare/prepare_unpaired.ts";
import { bco, type BcoLogProbs, type BcoOptions } from "../../rl/mod.ts";
import { bcoTask, unpairedSpec } from "../tasks/unpaired_tasks.ts";
import { type Recipe, recipe } from "./recipe.ts";
import { bcoOptions } from "../settings/preference.ts";
import { checkPreference } from "../settings/preference_base.ts";
import { objectiveOf } from "./own_loss.ts";
import { describeAnswers } from "./show_answers.ts";
import { preparedLine } from "./prepared_line.ts";
import { referenceOf } from "./reference.ts";

/** How `bco` is done. */
export const bcoRecipe: Recipe = recipe<typeof bcoOptions, UnpairedExample>({
  name: "bco",
  options: bcoOptions,
  check: checkPreference,
  prepare: (rows, { tokenizer, values, evaluation, say, progress }) =>
    preparedLine(
      prepareBco(rows, tokenizer, {
        maxLength: values.max_length ?? null,
        maxPromptLength: values.max_prompt_length ?? null,
        evaluation,
        warn: say,
        progress,
      }),
    ),
  describe: (example, tokenizer) =>
    describeAnswers({ [example.label ? "good" : "bad"]: example }, tokenizer),
  task: async ({ opened, values, options, examples, evaluation, say }) =>
    bcoTask({
      model: opened.model,
      examples,
      reference: await referenceOf({
        opened,
        spec: unpairedSpec(examples, false),
        options,
        evaluation,
        values,
        say,
      }),
      gradientCheckpointing: values.gradient_checkpointing,
      objective: await objectiveOf(
        { values, evaluation, say },
        (logProbs: BcoLogProbs, options: BcoOptions) =>
          bco(logProbs, { ...options, beta: values.beta }),
      ),
      padTokenId: opened.tokenizer.padTokenId ?? 0,
    }),
});
