/** `dpo`: direct preference optimisation. @module */

import { UserError } from "../../core/mod.ts";
import { type PreferenceExample, prepareDpo } from "../../data/prepare/prepare_pairs.ts";
import { checkDpo, dpo, type PairObjective } from "../../rl/mod.ts";
import { dpoTask, pairSpec } from "../tasks/pair_tasks.ts";
import { type Recipe, recipe } from "./recipe.ts";
import { dpoOptions } from "../settings/preference.ts";
import { checkPreference } from "../settings/preference_base.ts";
import { objectiveOf } from "./own_loss.ts";
import { describeAnswers } from "./show_answers.ts";
import { checkFollowing, followingOrFixed } from "./reference.ts";
import { preparedLine } from "./prepared_line.ts";

/** How `dpo` is done. */
export const dpoRecipe: Recipe = recipe<typeof dpoOptions, PreferenceExample>({
  name: "dpo",
  options: dpoOptions,
  check: (values) => {
    checkPreference(values);
    checkDpo(values.loss_type, {
      fDivergence: values.f_divergence_type,
      labelSmoothing: values.label_smoothing,
    }, values.use_weighting);
    checkFollowing(values);
    const { loss_type, loss_weights } = values;
    const weights = loss_weights?.map(Number);
    if (weights && !(weights.length === loss_type.length && weights.every(Number.isFinite))) {
      throw new UserError(
        `--loss_weights is ${
          loss_weights!.join(" ")
        }, but one number for each loss of --loss_type is needed, and ` +
          `these are ${loss_type.length}: ${loss_type.join(" ")}.`,
      );
    }
  },
  prepare: (rows, { tokenizer, values, say, progress }) =>
    preparedLine(prepareDpo(rows, tokenizer, {
      maxLength: values.max_length ?? null,
      maxPromptLength: values.max_prompt_length ?? null,
      maxCompletionLength: values.max_completion_length ?? null,
      truncationMode: values.truncation_mode,
      warn: say,
      progress,
    })),
  describe: ({ chosen, rejected }, tokenizer) => describeAnswers({ chosen, rejected }, tokenizer),
  task: async ({ opened, values, options, examples, evaluation, say }) => {
    const builtIn: PairObjective = (pairs) =>
      dpo(pairs, {
        lossType: values.loss_type,
        ...(values.loss_weights ? { lossWeights: values.loss_weights.map(Number) } : {}),
        beta: values.beta,
        labelSmoothing: values.label_smoothing,
        fDivergence: values.f_divergence_type,
        fAlphaDivergenceCoef: values.f_alpha_divergence_coef,
        discopopTau: values.discopop_tau,
        ...(values.rpo_alpha === undefined ? {} : { rpoAlpha: values.rpo_alpha }),
        referenceFree: values.reference_free,
      });
    const spec = pairSpec(examples);
    const reference = values.reference_free
      ? {}
      : await followingOrFixed({ opened, spec, options, evaluation, values, say });
    return dpoTask({
      model: opened.model,
      examples,
      objective: await objectiveOf({ values, evaluation, say }, builtIn),
      gradientCheckpointing: values.gradient_checkpointing,
      ldAlpha: values.ld_alpha,
      useWeighting: values.use_weighting,
      ...reference,
    });
  },
});
