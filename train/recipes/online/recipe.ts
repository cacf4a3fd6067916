/** What the commands that learn from sampled answers have in common. @module */

import { screenColumns } from "../../../core/terminal.ts";
import type { PromptExample } from "../../../data/prepare/prepare_prompts.ts";
import { answersFile, answersOnConsole } from "../../report/answer_reporters.ts";
import { allReporters, type Reporter } from "../../report/reporters.ts";
import type { RolloutFunction } from "../../sampling/rollout.ts";
import { type Recipe, recipe } from "../recipe.ts";
import type { FinetuneValues, RecipeSpec } from "../recipe_spec.ts";
import type { Options, Values } from "../../settings/option.ts";
import { type SamplingValues, settingNotices } from "./answering.ts";
import { findJudges, type JudgeNames } from "./judges.ts";
import { rolloutsFile } from "./rollouts_file.ts";

/** Flags of what is shown and given. */
export interface OnlineValues extends FinetuneValues, JudgeNames, SamplingValues {
  readonly log_completions: boolean;
  readonly num_completions_to_print: number | undefined;
  readonly log_unique_prompts: boolean;
  readonly rollouts?: string | undefined;
}

/** What an online recipe is particular about. */
export type OnlineSpec<O extends Options> = Omit<
  RecipeSpec<O, PromptExample>,
  "checkFiles" | "rollout" | "report"
>;

/** Makes a recipe of it. */
export function onlineRecipe<O extends Options>(
  spec: Values<O> extends OnlineValues ? OnlineSpec<O> : never,
): Recipe {
  const particular: OnlineSpec<O> = spec;
  const whole: RecipeSpec<O, PromptExample> = {
    ...particular,
    caution: (values) => [
      ...particular.caution?.(values) ?? [],
      ...settingNotices(values as Values<O> & OnlineValues),
    ],
    checkFiles: (values) => findJudges(values as Values<O> & OnlineValues),
    rollout: (values) => givenAnswers(values as Values<O> & OnlineValues),
    report: (reporter, values) => withAnswers(reporter, values as Values<O> & OnlineValues),
  };
  return recipe<O, PromptExample>(
    whole as Parameters<typeof recipe<O, PromptExample>>[0],
  );
}

async function givenAnswers({ rollouts }: OnlineValues): Promise<RolloutFunction | undefined> {
  return rollouts === undefined ? undefined : await rolloutsFile(rollouts);
}

/** The reporters, with those that show answers if they are wanted. */
function withAnswers(reporter: Reporter, values: OnlineValues): Reporter {
  if (!values.log_completions || values.dry_run) return reporter;
  const shown = answersOnConsole(reporter, {
    rows: values.num_completions_to_print,
    uniquePrompts: values.log_unique_prompts,
    width: screenColumns,
  });
  return allReporters([shown, answersFile(`${values.output_dir}/completions.jsonl`)]);
}
