/** Commands as a shell completes them. @module */

import type { Command } from "../command.ts";
import type { CommandEntry } from "../commands.ts";
import type { Option } from "../../train/settings/option.ts";

/** An option as a shell completes it. */
export interface DescribedOption {
  /** With its dashes: `--learning_rate`. */
  readonly flag: string;
  /** The first sentence of its help. */
  readonly help: string;
  /** Whether something stands behind it: a value, or one that may be left out. */
  readonly takes: "value" | "maybe" | "nothing";
  /** The values that it has; none where it takes a number, a text or a path. */
  readonly values: readonly string[];
}

/** A command as a shell completes it. */
export interface DescribedCommand {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly DescribedOption[];
}

/** What a shell offers for a command: the options that have an effect, and `--help`. */
export function describeCommand(
  { name, summary }: CommandEntry,
  command: Command,
): DescribedCommand {
  const options = Object.entries(command.options)
    .filter(([, { status }]) => status.kind === "works")
    .flatMap(([name, option]): DescribedOption[] => {
      const help = firstSentence(option.help);
      const values = valuesOf(option);
      const takes = option.arity === "optional" ? "maybe" : "value";
      const positive = { flag: `--${name}`, help, takes, values } as const;
      return option.negatable && option.default === true
        ? [positive, { flag: `--no_${name}`, help: `Not: ${help}`, takes: "nothing", values: [] }]
        : [positive];
    });
  const help = {
    flag: "--help",
    help: "Lists the options.",
    takes: "maybe",
    values: ["all"],
  } as const;
  return { name, summary, options: [...options, help] };
}

/** The values of a choice, which the help separates by bars. */
function valuesOf({ shown }: Option<unknown>): readonly string[] {
  if (shown === "BOOL") return ["true", "false"];
  const words = shown.replace(/ …$/, "").split("|");
  const names = words.filter((word) => /^[\w.-]+$/.test(word));
  return words.length > 1 ? names : [];
}

function firstSentence(text: string): string {
  return text.match(/^.*?[.;:](?= |$)/)?.[0].replace(/[.;:]$/, "") ?? text;
}
