/** `kto`: Kahneman–Tversky optimisation. @module */

import { UserError } from "../../core/mod.ts";
import { prepareKto, type UnpairedExample } from "../../data/prepare/prepare_unpaired.ts";
import { kto, type KtoLogProbs } from "../../rl/mod.ts";
import { ktoTask, unpairedSpec } from "../tasks/unpaired_tasks.ts";
import { type Recipe, recipe } from "./recipe.ts";
import { ktoOptions } from "../settings/preference.ts";
import { checkPreference } from "../settings/preference_base.ts";
import { objectiveOf } from "./own_loss.ts";
import { describeAnswers } from "./show_answers.ts";
import { preparedLine } from "./prepared_line.ts";
import { checkFollowing, followingOrFixed } from "./reference.ts";

/** How `kto` is done. */
export const ktoRecipe: Recipe = recipe<typeof ktoOptions, UnpairedExample>({
  name: "kto",
  options: ktoOptions,
  check: (values) => {
    checkPreference(values);
    checkFollowing(values);
    if (values.loss_type !== "kto") return;
    if (values.per_device_train_batch_size < 2) {
      throw new UserError(
        "--loss_type kto pairs each prompt with another one's answer, so --per_device_train_batch_size must be at " +
          "least 2; it is 1. Use gradient accumulation for memory, or --loss_type apo_zero_unpaired.",
      );
    }
    if (values.train_sampling_strategy !== "sequential") {
      throw new UserError(
        `--loss_type kto forms its mismatched pairs batch by batch in the order of the data, so ` +
          `--train_sampling_strategy must be sequential, not ${values.train_sampling_strategy}.`,
      );
    }
  },
  prepare: (rows, { tokenizer, values, evaluation, say, progress }) =>
    preparedLine(prepareKto(rows, tokenizer, {
      klBatchSize: values.loss_type === "kto" ? values.per_device_train_batch_size : null,
      maxLength: values.max_length ?? null,
      maxPromptLength: values.max_prompt_length ?? null,
      evaluation,
      desirableWeight: values.desirable_weight,
      undesirableWeight: values.undesirable_weight,
      warn: say,
      progress,
    })),
  describe: (example, tokenizer) =>
    describeAnswers({ [example.label ? "good" : "bad"]: example }, tokenizer),
  task: async ({ opened, values, options, examples, evaluation, say }) => {
    const spec = unpairedSpec(examples, values.loss_type === "kto");
    return ktoTask({
      model: opened.model,
      examples,
      ...await followingOrFixed({ opened, spec, options, evaluation, values, say }),
      gradientCheckpointing: values.gradient_checkpointing,
      objective: await objectiveOf(
        { values, evaluation, say },
        (logProbs: KtoLogProbs) =>
          kto(logProbs, {
            lossType: values.loss_type,
            beta: values.beta,
            desirableWeight: values.desirable_weight,
            undesirableWeight: values.undesirable_weight,
          }),
      ),
      mismatched: values.loss_type === "kto",
    });
  },
});
