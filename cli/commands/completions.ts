/** `plumb completions`: what a shell needs to complete commands, options and values. @module */

import { UserError } from "../../core/mod.ts";
import { standardOutput } from "../../core/terminal.ts";
import type { Command } from "../command.ts";
import { commands } from "../commands.ts";
import { bashCompletions } from "../completions/bash.ts";
import { describeCommand, type DescribedCommand } from "../completions/described.ts";
import { fishCompletions } from "../completions/fish.ts";
import { zshCompletions } from "../completions/zsh.ts";

const shells: Readonly<Record<string, (commands: readonly DescribedCommand[]) => string>> = {
  bash: bashCompletions,
  zsh: zshCompletions,
  fish: fishCompletions,
};

/**
 * The script for a shell.
 * @throws {UserError} Of a shell that is none of `bash`, `zsh`, `fish`.
 */
export async function completionsFor(shell: string | undefined): Promise<string> {
  const script = shells[shell ?? ""];
  if (!script) {
    throw new UserError(
      `plumb completions takes the name of a shell: ${Object.keys(shells).join(", ")}` +
        (shell === undefined ? "." : `; "${shell}" is none of them.`),
    );
  }
  return script(
    await Promise.all(commands.map(async (entry) => describeCommand(entry, await entry.load()))),
  );
}

/** Prints the script for a shell. */
export const completionsCommand: Command = {
  name: "completions",
  options: {},
  run: async (argv) => {
    standardOutput.write(await completionsFor(argv.join(" ") || undefined));
    return 0;
  },
};
