/** `prm`: process reward modelling. @module */

import { preparePrm, type StepwiseExample } from "../../data/prepare/prepare_prm.ts";
import { tokenClassification } from "../../rl/mod.ts";
import { prmTask } from "../tasks/scoring_tasks.ts";
import { type Recipe, recipe } from "./recipe.ts";
import { prmOptions } from "../settings/scores.ts";
import { checkPreference } from "../settings/preference_base.ts";
import { objectiveOf } from "./own_loss.ts";
import { describeRow } from "./show_data.ts";
import { preparedLine } from "./prepared_line.ts";

/** How `prm` is done. */
export const prmRecipe: Recipe = recipe<typeof prmOptions, StepwiseExample>({
  name: "prm",
  options: prmOptions,
  check: checkPreference,
  head: { kind: "token", labels: 2 },
  prepare: (rows, { tokenizer, values, evaluation, say, progress }) =>
    preparedLine(preparePrm(rows, tokenizer, {
      maxLength: values.max_length ?? null,
      maxCompletionLength: values.max_completion_length ?? null,
      stepSeparator: values.step_separator,
      trainOnLastStepOnly: !evaluation && values.train_on_last_step_only,
      warn: say,
      progress,
    })),
  describe: ({ inputIds, labels, row }, tokenizer) =>
    describeRow({ inputIds, labels, rows: [row] }, tokenizer),
  task: async ({ opened, values, examples, evaluation, say }) =>
    prmTask({
      model: opened.model,
      examples,
      gradientCheckpointing: values.gradient_checkpointing,
      evaluation,
      objective: await objectiveOf({ values, evaluation, say }, tokenClassification),
    }),
});
