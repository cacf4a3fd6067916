/**
 * The command line: `deno run -A cli/main.ts <command> …`.
 *
 * @module
 */

import { UserError } from "../core/errors.ts";
import configuration from "../deno.json" with { type: "json" };
import { bcoCommand } from "./commands/bco.ts";
import { chatCommand } from "./commands/chat.ts";
import { cpoCommand } from "./commands/cpo.ts";
import { dpoCommand } from "./commands/dpo.ts";
import { envCommand } from "./commands/env.ts";
import { generateCommand } from "./commands/generate.ts";
import { gkdCommand } from "./commands/gkd.ts";
import { grpoCommand } from "./commands/grpo.ts";
import { ktoCommand } from "./commands/kto.ts";
import { mergeCommand } from "./commands/merge.ts";
import { nashMdCommand } from "./commands/nash_md.ts";
import { onlineDpoCommand } from "./commands/online_dpo.ts";
import { orpoCommand } from "./commands/orpo.ts";
import { ppoCommand } from "./commands/ppo.ts";
import { prmCommand } from "./commands/prm.ts";
import { rewardCommand } from "./commands/reward.ts";
import { rlooCommand } from "./commands/rloo.ts";
import { sftCommand } from "./commands/sft.ts";
import { tpoCommand } from "./commands/tpo.ts";
import { xpoCommand } from "./commands/xpo.ts";
import { renderHelp, wantsHelp } from "./help.ts";
import { nearest } from "./nearest.ts";
import type { Command } from "./finetune.ts";
import type { Options } from "./options/option.ts";
import { parse, UnknownOption } from "./parse.ts";

/** All commands. */
export const commands: readonly Command[] = [
  sftCommand,
  dpoCommand,
  ktoCommand,
  bcoCommand,
  orpoCommand,
  cpoCommand,
  tpoCommand,
  rewardCommand,
  prmCommand,
  gkdCommand,
  grpoCommand,
  rlooCommand,
  ppoCommand,
  onlineDpoCommand,
  nashMdCommand,
  xpoCommand,
  chatCommand,
  generateCommand,
  mergeCommand,
  envCommand,
];

/** Runs a command; gives the process's exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    say(overview());
    return name === undefined ? 1 : 0;
  }
  if (name === "version" || name === "--version" || name === "-V") {
    say(`plumb ${configuration.version}`);
    return 0;
  }
  const command = commands.find((c) => c.name === name);
  if (!command) {
    const near = nearest(name, commands.map((c) => c.name));
    complain(
      `There is no command "${name}"${near ? `; did you mean "${near}"?` : "."} Commands: ` +
        `${commands.map((c) => c.name).join(", ")}.`,
    );
    return 1;
  }
  const help = wantsHelp(rest);
  if (help) {
    say(renderHelp(command.options, {
      command: `plumb ${command.name}`,
      summary: command.summary,
      all: help === "all",
      width: columns(),
    }));
    return 0;
  }
  try {
    return await command.run(rest);
  } catch (error) {
    complain(explain(elsewhere(error, command), wantsDebug(rest, command.options)));
    return 1;
  }
}

/** What `--debug` says, also where a settings file says it; the command line may be what is wrong. */
function wantsDebug(argv: readonly string[], options: Options): boolean {
  try {
    return parse(argv, options).values["debug"] === true;
  } catch {
    return argv.includes("--debug");
  }
}

/** An option that this command lacks and others have is no typing error. */
function elsewhere(error: unknown, command: Command): unknown {
  if (!(error instanceof UnknownOption)) return error;
  const names = new Set([error.option, error.option.replace(/^no_/, "")]);
  const owners = commands.filter(({ options }) =>
    Object.entries(options).some(([name, { aliases }]) =>
      names.has(name) || aliases.some((alias) => names.has(alias.name))
    )
  );
  if (owners.length === 0) return error;
  const [few, more] = [owners.slice(0, 6).map(({ name }) => name), owners.length - 6];
  return new UserError(
    `${error.label} is an option of ${few.join(", ")}${more > 0 ? ` and ${more} more` : ""}; ` +
      `${command.name} has no such option. ${command.name} --help lists what it has.`,
    { cause: error },
  );
}

function explain(error: unknown, debug: boolean): string {
  if (!(error instanceof Error)) return String(error);
  if (debug) return withCauses(error);
  if (error instanceof UserError) return error.message;
  return `${error.message} (This looks like a defect of plumb; --debug shows where it happened.)`;
}

/** The stack of an error, and those of what caused it. */
function withCauses(error: Error): string {
  const stack = error.stack ?? error.message;
  return error.cause instanceof Error ? `${stack}\nCaused by: ${withCauses(error.cause)}` : stack;
}

function overview(): string {
  const width = Math.max(...commands.map((c) => c.name.length));
  return [
    "plumb fine-tunes and aligns language models.",
    "",
    "Usage: deno run -A cli/main.ts <command> [options]",
    "",
    ...commands.map((c) => `  ${c.name.padEnd(width)}  ${c.summary}`),
    "",
    "<command> --help lists a command's options.",
  ].join("\n");
}

function columns(): number {
  try {
    return Deno.consoleSize().columns;
  } catch {
    return 80;
  }
}

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

function complain(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`Error: ${text}\n`));
}

if (import.meta.main) Deno.exit(await main(Deno.args));
