/** `gkd`: distillation from a teacher. @module */

import { UserError } from "../../core/mod.ts";
import { type DistillationExample, prepareGkd } from "../../data/prepare/prepare_gkd.ts";
import { gkdTask, sampledGkdTask } from "../tasks/gkd.ts";
import { openModel } from "../files/model_directory.ts";
import { type Recipe, recipe } from "./recipe.ts";
import { endingTokens } from "./online/answering.ts";
import { gkdOptions } from "../settings/gkd.ts";
import { checkPreference } from "../settings/preference_base.ts";
import { describeAnswers } from "./show_answers.ts";

/** How `gkd` is done. */
export const gkdRecipe: Recipe = recipe<typeof gkdOptions, DistillationExample>({
  name: "gkd",
  options: gkdOptions,
  check: checkPreference,
  prepare: (rows, { tokenizer, values, progress }) => {
    const { examples, description } = prepareGkd(rows, tokenizer, {
      maxLength: values.max_length ?? null,
      progress,
    });
    return { examples, description: `${description}; ${examples.length} examples` };
  },
  describe: (example, tokenizer) => describeAnswers({ answer: example }, tokenizer),
  task: async ({ opened, values, examples, evaluation, say }) => {
    const teacher = await openModel({
      directory: values.teacher_model_name_or_path,
      seed: values.seed,
      notice: evaluation ? undefined : say,
    });
    if (teacher.model.config.vocabularySize !== opened.model.config.vocabularySize) {
      throw new UserError(
        `The teacher's vocabulary has ${teacher.model.config.vocabularySize} tokens, the student's ` +
          `${opened.model.config.vocabularySize}. Distributions can only be compared over the same tokens.`,
      );
    }
    const settings = {
      model: opened.model,
      examples,
      teacher,
      divergence: { beta: values.beta },
      gradientCheckpointing: values.gradient_checkpointing,
    };
    // As in TRL, evaluation is of the answers in the data.
    if (evaluation || (values.lmbda === 0 && !values.seq_kd)) return gkdTask(settings);
    checkRoom(examples, values.max_new_tokens, opened.model.config.maxPositions);
    return sampledGkdTask({
      ...settings,
      batchSize: values.per_device_train_batch_size,
      lmbda: values.lmbda,
      sequenceLevel: values.seq_kd,
      sampling: {
        doSample: true,
        temperature: values.temperature,
        maxNewTokens: values.max_new_tokens,
        eosTokenIds: endingTokens(opened),
      },
      seed: values.seed,
    });
  },
});

/** Checks that sampled answers fit behind their prompts. */
function checkRoom(
  examples: readonly DistillationExample[],
  maxNewTokens: number,
  positions: number,
): void {
  const room = positions - maxNewTokens;
  const long = examples.find(({ promptIds }) => promptIds.length > room);
  if (!long) return;
  throw new UserError(
    `The prompt of row ${
      long.row + 1
    } has ${long.promptIds.length} tokens; with --max_new_tokens ${maxNewTokens} ` +
      `only ${room} fit into the positions the model was made for. Lower --max_new_tokens, or shorten or remove the row.`,
  );
}
