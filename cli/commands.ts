/** All commands: what each is, and where. None is loaded before it is asked for. @module */

import { catalogue } from "../train/recipes/catalogue.ts";
import type { Command } from "./command.ts";

/** A command that can be loaded. */
export interface CommandEntry {
  readonly name: string;
  /** One sentence about it. */
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

/** All commands, those that train first. */
export const commands: readonly CommandEntry[] = [
  ...catalogue.map(({ name, summary, load }) => ({
    name,
    summary,
    load: async () => (await import("./training_command.ts")).trainingCommand(await load()),
  })),
  {
    name: "chat",
    summary:
      "Talks with a model at the terminal, or answers a prompt from a pipe. What no flag says, the checkpoint's " +
      "generation_config.json does.",
    load: async () => (await import("./commands/chat.ts")).chatCommand,
  },
  {
    name: "generate",
    summary:
      "Completes a file of prompts, to JSONL. What no flag says, the checkpoint's generation_config.json does.",
    load: async () => (await import("./commands/generate.ts")).generateCommand,
  },
  {
    name: "merge",
    summary:
      "Folds an adapter into the full-precision weights of its base, and writes a whole model.",
    load: async () => (await import("./commands/merge.ts")).mergeCommand,
  },
  {
    name: "env",
    summary:
      "Prints the platform, the versions and the devices, and how to mend what hides a card.",
    load: async () => (await import("./commands/env.ts")).envCommand,
  },
  {
    name: "completions",
    summary:
      "Prints what a shell needs to complete commands and options: plumb completions bash|zsh|fish.",
    load: async () => (await import("./commands/completions.ts")).completionsCommand,
  },
];

/** All commands, loaded. */
export async function loadCommands(): Promise<Command[]> {
  return await Promise.all(commands.map(({ load }) => load()));
}
