/** What the commands that learn from sampled answers have in common. @module */

import type { PromptExample } from "../../data/prepare/prepare_prompts.ts";
import { answersFile, answersOnConsole } from "../../train/report/answer_reporters.ts";
import { allReporters, type Reporter } from "../../train/report/reporters.ts";
import type { RolloutFunction } from "../../train/sampling/rollout.ts";
import {
  type Command,
  type FinetuneValues,
  type Finetuning,
  finetuningCommand,
} from "../finetune.ts";
import type { Options, Values } from "../options/option.ts";
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

/** What an online command is particular about. */
export type OnlineCommand<O extends Options> = Omit<
  Finetuning<O, PromptExample>,
  "checkFiles" | "rollout" | "report"
>;

/** Makes a command of it. */
export function onlineCommand<O extends Options>(
  command: Values<O> extends OnlineValues ? OnlineCommand<O> : never,
): Command {
  const particular: OnlineCommand<O> = command;
  const whole: Finetuning<O, PromptExample> = {
    ...particular,
    caution: (values) => [
      ...particular.caution?.(values) ?? [],
      ...settingNotices(values as Values<O> & OnlineValues),
    ],
    checkFiles: (values) => findJudges(values as Values<O> & OnlineValues),
    rollout: (values) => givenAnswers(values as Values<O> & OnlineValues),
    report: (reporter, values) => withAnswers(reporter, values as Values<O> & OnlineValues),
  };
  return finetuningCommand<O, PromptExample>(
    whole as Parameters<typeof finetuningCommand<O, PromptExample>>[0],
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
    width: columns,
  });
  return allReporters([shown, answersFile(`${values.output_dir}/completions.jsonl`)]);
}

function columns(): number {
  try {
    return Deno.consoleSize().columns;
  } catch {
    return 120;
  }
}
