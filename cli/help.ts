/**
 * The text of `--help`, from the same declarations the parser reads.
 *
 * @module
 */

import { type Option, type Options, sections } from "../train/settings/option.ts";

/** What {@linkcode renderHelp} is told beside the options. */
export interface HelpSettings {
  /** How the command is called, such as `plumb sft`. */
  readonly command: string;
  /** What it does, in a sentence or two. */
  readonly summary: string;
  /** Columns of the terminal; 80 by default. */
  readonly width?: number;
  /** Whether options without effect and options not offered are listed too. */
  readonly all?: boolean;
}

/** Whether an argument list asks for help: `--help` (or `-h`), or `--help all`. */
export function wantsHelp(argv: readonly string[]): "brief" | "all" | undefined {
  const at = argv.findIndex((token) => /^(-h|--help(=.*)?)$/.test(token));
  if (at < 0) return undefined;
  return argv[at] === "--help=all" || argv[at + 1] === "all" ? "all" : "brief";
}

/**
 * Renders the help of a command: sections in their one order, required options first, each option
 * with its values, help and default. Without `all`, only options that have an effect are listed.
 */
export function renderHelp(options: Options, settings: HelpSettings): string {
  const { command, summary, all = false } = settings;
  const width = Math.max(40, Math.min(settings.width ?? 80, 120));
  const bySection = Map.groupBy(Object.entries(options), ([, option]) => option.group);
  const blocks: string[] = [];
  let hidden = 0;
  for (const title of sections) {
    const entries = bySection.get(title) ?? [];
    const shown = entries.filter(([, option]) => all || option.status.kind === "works")
      .sort(([, a], [, b]) => Number(b.required) - Number(a.required));
    hidden += entries.length - shown.length;
    if (shown.length === 0) continue;
    blocks.push(
      [title, ...shown.flatMap(([name, option]) => row(name, option, width, all))].join("\n"),
    );
  }
  const intro = [
    `Usage: ${command} [--option value | --option=value | --flag | --no_flag] …`,
    ...wrap(summary, width),
    ...wrap("Names may be written with dashes. A settings file takes the same names.", width),
  ];
  const rest = hidden === 0 ? [] : wrap(
    `${hidden} more of TRL's options are accepted without effect or not available here; ` +
      "--help all lists them with the reason.",
    width,
  );
  return [intro.join("\n"), ...blocks, ...(hidden === 0 ? [] : [rest.join("\n")])].join("\n\n") +
    "\n";
}

const COLUMN = 34;

function row(name: string, option: Option<unknown>, width: number, all: boolean): string[] {
  const flag = `  --${name} ${option.shown}`;
  const narrow = width < 72;
  const indent = narrow ? 6 : COLUMN;
  const words = [option.help, defaultText(option), ...(all ? [statusText(option)] : [])];
  const lines = wrap(words.filter((part) => part !== "").join(" "), width - indent)
    .map((line) => line.replaceAll(KEPT, " "));
  const padded = lines.map((line) => " ".repeat(indent) + line);
  const fits = !narrow && flag.length + 2 <= COLUMN;
  if (!fits) return [...wrapFlag(flag, width), ...padded];
  return [flag.padEnd(COLUMN) + (lines[0] ?? ""), ...padded.slice(1)];
}

/** A long list of choices breaks after a bar. */
function wrapFlag(flag: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const piece of flag.split(/(?<=\|)/)) {
    if (line !== "" && line.length + piece.length > width) {
      lines.push(line);
      line = " ".repeat(8);
    }
    line += piece;
  }
  return [...lines, line];
}

const KEPT = "\u00a0";

function defaultText(option: Option<unknown>): string {
  if (option.required) return "(required)";
  const { default: value } = option;
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return "";
  // A no-break space, which wrap() keeps.
  return `(default:${KEPT}${formatDefault(value)})`;
}

function formatDefault(value: unknown): string {
  if (Array.isArray(value)) return value.join(" ");
  const small = typeof value === "number" && value !== 0 && Math.abs(value) < 1e-3;
  return small ? value.toExponential() : String(value);
}

function statusText(option: Option<unknown>): string {
  const names = option.aliases.map((alias) => `--${alias.name}`);
  const older = names.length === 0 ? "" : `[older name: ${names.join(", ")}]`;
  const { status } = option;
  const effect = status.kind === "notice"
    ? `[no effect: ${status.text}]`
    : status.kind === "refused"
    ? `[not available: ${status.reason}]`
    : "";
  return [effect, older].filter((part) => part !== "").join(" ");
}

/** Breaks text at spaces into lines of at most `width` columns; longer words stay whole. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/[ \n]+/)) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return line === "" ? lines : [...lines, line];
}
