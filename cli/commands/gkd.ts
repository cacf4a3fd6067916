/** `plumb gkd`: distillation from a teacher. @module */

import { UserError } from "../../core/mod.ts";
import { type DistillationExample, prepareGkd } from "../../data/prepare_gkd.ts";
import { gkdTask } from "../../train/gkd.ts";
import { openModel } from "../../train/model_directory.ts";
import { type Command, finetuningCommand } from "../finetune.ts";
import { checkPreference, gkdOptions } from "../options/preference.ts";
import { describeAnswers } from "../show_answers.ts";

/** What `gkd` is called with. */
export const gkdCommand: Command = finetuningCommand<typeof gkdOptions, DistillationExample>({
  name: "gkd",
  summary: "Generalised knowledge distillation: a student takes on its teacher's distributions.",
  options: gkdOptions,
  check: (values) => {
    checkPreference(values);
    if (values.lmbda !== 0) {
      throw new UserError(
        `--lmbda is ${values.lmbda}: the share of batches whose answers the student samples. Answers are not sampled ` +
          "in this version; give --lmbda 0 to distil on the answers in the data.",
      );
    }
  },
  prepare: (rows, { tokenizer, values }) => {
    const { examples, description } = prepareGkd(rows, tokenizer, {
      maxLength: values.max_length ?? null,
    });
    return { examples, description: `${description}; ${examples.length} examples` };
  },
  describe: (example, tokenizer) => describeAnswers({ answer: example }, tokenizer),
  task: async ({ opened, values, examples }) => {
    const teacher = await openModel({
      directory: values.teacher_model_name_or_path,
      seed: values.seed,
    });
    if (teacher.model.config.vocabularySize !== opened.model.config.vocabularySize) {
      throw new UserError(
        `The teacher's vocabulary has ${teacher.model.config.vocabularySize} tokens, the student's ` +
          `${opened.model.config.vocabularySize}. Distributions can only be compared over the same tokens.`,
      );
    }
    return gkdTask({
      model: opened.model,
      examples,
      teacher,
      divergence: { beta: values.beta },
      gradientCheckpointing: values.gradient_checkpointing,
    });
  },
});
