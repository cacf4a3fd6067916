/**
 * The command line: `deno run -A cli/main.ts <command> …`.
 *
 * @module
 */

import { UserError } from "../core/errors.ts";
import { screenColumns, shortened, standardError, standardOutput } from "../core/terminal.ts";
import { version } from "../core/version.ts";
import type { Options } from "../train/settings/option.ts";
import { nearest } from "../train/settings/nearest.ts";
import { UnknownOption } from "../train/settings/read.ts";
import type { Command } from "./command.ts";
import { type CommandEntry, commands, loadCommands } from "./commands.ts";
import { renderHelp, wantsHelp } from "./help.ts";
import { otherCommands } from "./other_commands.ts";

/** Runs a command; gives the process's exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    say(overview());
    return name === undefined ? 1 : 0;
  }
  if (name === "version" || name === "--version" || name === "-V") {
    say(`plumb ${version}`);
    return 0;
  }
  const entry = commandNamed(name);
  if (!entry) {
    complain(noCommand(name));
    return 1;
  }
  const command = await entry.load();
  const help = wantsHelp(rest);
  if (help) {
    say(renderHelp(command.options, {
      command: `plumb ${command.name}`,
      summary: entry.summary,
      all: help === "all",
      width: screenColumns(),
    }));
    return 0;
  }
  try {
    return await command.run(rest);
  } catch (error) {
    complain(explain(await elsewhere(error, command), await wantsDebug(rest, command.options)));
    return 1;
  }
}

/** A command; the words of its name may be joined by underscores. */
function commandNamed(name: string): CommandEntry | undefined {
  return commands.find((command) => command.name === name.replaceAll("_", "-"));
}

function noCommand(name: string): string {
  const names = commands.map((command) => command.name);
  const elsewhere = otherCommands.get(name.replaceAll("-", "_"));
  const near = nearest(name, names);
  const hint = elsewhere ? `. ${elsewhere}` : near ? `; did you mean "${near}"?` : ".";
  return `There is no command "${name}"${hint} Commands: ${names.join(", ")}.`;
}

/** What `--debug` says, also where a settings file says it; the command line may be what is wrong. */
async function wantsDebug(argv: readonly string[], options: Options): Promise<boolean> {
  try {
    const { parse } = await import("./parse.ts");
    return parse(argv, options).values["debug"] === true;
  } catch {
    return argv.includes("--debug");
  }
}

/** An option that this command lacks and others have is no typing error. */
async function elsewhere(error: unknown, command: Command): Promise<unknown> {
  if (!(error instanceof UnknownOption) || error.explained) return error;
  const names = new Set([error.option, error.option.replace(/^no_/, "")]);
  const owners = (await loadCommands()).filter(({ options }) =>
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
  if (!(error instanceof Error)) return shortened(String(error));
  if (debug) return withCauses(error);
  if (error instanceof UserError) return shortened(error.message);
  return `${
    shortened(error.message)
  } (This looks like a defect of plumb; --debug shows where it happened.)`;
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

function say(text: string): void {
  standardOutput.write(`${text}\n`);
}

function complain(text: string): void {
  standardError.write(`Error: ${text}\n`);
}

if (import.meta.main) {
  // What nobody waited for, as in a reward of the user's, would else be printed as it is.
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    complain(explain(event.reason, Deno.args.includes("--debug")));
    Deno.exit(1);
  });
  Deno.exit(await main(Deno.args));
}
