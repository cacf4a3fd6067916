/** `sft`: supervised fine-tuning. @module */

import type { Example } from "../../data/batches/packing.ts";
import { prepareSft, resolveCompletionOnlyLoss } from "../../data/prepare/prepare_sft.ts";
import { type Objective, sftObjectives, type TokenLogProbs } from "../../rl/mod.ts";
import { sftTask } from "../tasks/sft.ts";
import { type Recipe, recipe } from "./recipe.ts";
import { checkSft, sftOptions } from "../settings/sft.ts";
import { objectiveOf } from "./own_loss.ts";
import { describeRow } from "./show_data.ts";

/** How `sft` is done. */
export const sftRecipe: Recipe = recipe<typeof sftOptions, Example>({
  name: "sft",
  options: sftOptions,
  check: checkSft,
  prepare: (rows, { tokenizer, values, trainRows, evaluation, say, progress }) => {
    const { examples, format, dropped } = prepareSft(rows, tokenizer, {
      datasetTextField: values.dataset_text_field,
      maxLength: values.max_length ?? null,
      truncationMode: values.truncation_mode,
      packing: evaluation ? values.eval_packing ?? values.packing : values.packing,
      packingStrategy: values.packing_strategy,
      completionOnlyLoss: resolveCompletionOnlyLoss(trainRows, values.completion_only_loss),
      assistantOnlyLoss: values.assistant_only_loss,
      shuffleSeed: values.shuffle_dataset ? values.seed : undefined,
      warn: say,
      progress,
    });
    const tokens = examples.reduce((sum, { inputIds }) => sum + inputIds.length, 0);
    return {
      examples,
      description: `${format.description}; ${examples.length} examples of ${tokens} tokens` +
        (dropped > 0 ? `; ${dropped} dropped: nothing to learn within max_length` : ""),
    };
  },
  describe: describeRow,
  task: async ({ opened, values, examples, evaluation, say }) =>
    sftTask({
      model: opened.model,
      examples,
      objective: await objectiveOf<[TokenLogProbs], Objective>(
        { values, evaluation, say },
        sftObjectives[values.loss_type ?? "chunked_nll"],
      ),
      gradientCheckpointing: values.gradient_checkpointing,
      neftuneNoiseAlpha: values.neftune_noise_alpha,
      padToMultipleOf: values.pad_to_multiple_of,
      countsFirstLabels: opened.config["model_type"] === "gpt2" && !evaluation &&
        !values.padding_free,
    }),
});
