/** Completions for fish. @module */

import type { DescribedCommand, DescribedOption } from "./described.ts";

/** A script for fish: `plumb completions fish | source`. */
export function fishCompletions(commands: readonly DescribedCommand[]): string {
  const names = commands.map(({ name, summary }) =>
    `complete -c plumb -n __fish_use_subcommand -f -a ${name} -d ${quoted(summary)}`
  );
  const options = commands.flatMap(({ name, options }) =>
    options.map((option) =>
      `complete -c plumb -n '__fish_seen_subcommand_from ${name}' ${specification(option)}`
    )
  );
  return ["# Completions of plumb for fish.", ...names, ...options, ""].join("\n");
}

function specification({ flag, help, takes, values }: DescribedOption): string {
  const offered = values.length > 0 ? [`-f -a ${quoted(values.join(" "))}`] : [];
  const required = takes === "value" ? ["-r"] : [];
  return [`-l ${flag.slice(2)}`, ...required, ...offered, `-d ${quoted(help)}`].join(" ");
}

function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
