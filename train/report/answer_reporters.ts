/** Sampled answers for people: a table on the console, and a file. @module */

import { plain, plainJson } from "../../core/terminal.ts";
import type { Reporter } from "./reporters.ts";
import type { AnswerColumns } from "../sampling/rollout.ts";
import { openRunFile } from "../files/run_file.ts";
import { wrapped } from "./wrap.ts";

/** What of the answers is shown. */
export interface AnswerTableOptions {
  /** The most rows; all by default. */
  readonly rows?: number | undefined;
  /** One answer of each prompt. */
  readonly uniquePrompts?: boolean;
  /** Columns of the screen. */
  readonly width: number;
}

/** Lines of a cell at most: an answer of hundreds of words would push all else off the screen. */
const mostLines = 6;

/** A table of answers that fits the width: texts are wrapped at words, and long ones cut; numbers have three decimals. */
export function formatAnswers(table: AnswerColumns, options: AnswerTableOptions): string {
  const names = Object.keys(table);
  const rows = rowsOf(table, options);
  const cells = rows.map((row) => names.map((name) => cell(table[name]![row])));
  const natural = names.map((name, k) =>
    Math.max(name.length, ...cells.map((row) => row[k]!.length))
  );
  const room = options.width - 3 * (names.length - 1);
  const widths = fitted(natural, room);
  const lines = (values: readonly string[]): string[] => {
    const parts = values.map((value, k) => cellLines(value, widths[k]!));
    return Array.from(
      { length: Math.max(...parts.map(({ length }) => length)) },
      (_, i) => parts.map((part, k) => (part[i] ?? "").padEnd(widths[k]!)).join(" │ ").trimEnd(),
    );
  };
  const rule = widths.map((width) => "─".repeat(width)).join("─┼─");
  const bodies = cells.map(lines);
  // Rows of one line need no rule between them.
  const between = bodies.some(({ length }) => length > 1) ? [rule] : [];
  return [
    ...lines(names),
    rule,
    ...bodies.flatMap((body, i) => i === 0 ? body : [...between, ...body]),
  ].join("\n");
}

/**
 * Writes every answer to a JSONL file, with the step it was learned from first. A run that begins anew replaces the file,
 * a resumed one the answers of the steps that it does again.
 *
 * @throws {UserError} When the file cannot be opened for writing.
 */
export function answersFile(path: string): Reporter {
  const file = openRunFile(path, "leave out --log_completions");
  return {
    report: (record) => {
      if (record.kind === "begin") file.begin(record);
      if (record.kind !== "answers") return;
      const names = Object.keys(record.table);
      const count = record.table[names[0]!]?.length ?? 0;
      file.append(Array.from({ length: count }, (_, row) => {
        const values = names.map((name) => [name, record.table[name]![row]]);
        return plainJson({ step: record.step, ...Object.fromEntries(values) });
      }));
    },
    close: file.close,
  };
}

/** Shows the newest answers behind each logged row. */
export function answersOnConsole(
  inner: Reporter,
  options: Omit<AnswerTableOptions, "width"> & { readonly width: () => number },
): Reporter {
  let newest: AnswerColumns | undefined;
  return {
    report: (record) => {
      inner.report(record);
      if (record.kind === "answers") newest = record.table;
      if (record.kind !== "train" || !newest) return;
      const { kind: _, values: __, ...position } = record;
      // The last column stays free, as behind every other line.
      const text = formatAnswers(newest, { ...options, width: options.width() - 1 });
      inner.report({ ...position, kind: "notice", text });
      newest = undefined;
    },
    close: inner.close,
  };
}

function rowsOf(table: AnswerColumns, { rows = Infinity, uniquePrompts }: AnswerTableOptions) {
  const [first] = Object.values(table);
  const prompts = table["prompt"] ?? [];
  const all = Array.from({ length: first?.length ?? 0 }, (_, i) => i);
  const shown = uniquePrompts ? all.filter((i) => prompts.indexOf(prompts[i]) === i) : all;
  return shown.slice(0, rows);
}

function cell(value: unknown): string {
  if (typeof value === "number") return Number.isNaN(value) ? "–" : value.toFixed(3);
  const text = typeof value === "string" ? value : JSON.stringify(value) ?? "";
  // A tab would break the columns.
  return plain(text).replaceAll(/\s*\n\s*/g, " ⏎ ").replaceAll("\t", " ");
}

/** Widths that fit: the widest columns share what the others leave. */
function fitted(natural: readonly number[], room: number): number[] {
  let limit = Math.max(...natural);
  const total = () => natural.reduce((sum, width) => sum + Math.min(width, limit), 0);
  while (limit > 8 && total() > room) limit--;
  return natural.map((width) => Math.min(width, limit));
}

function cellLines(text: string, width: number): string[] {
  const lines = wrapped(text, width);
  if (lines.length <= mostLines) return lines;
  const last = lines[mostLines - 1]!;
  return [...lines.slice(0, mostLines - 1), `${last.slice(0, width - 1)}…`];
}
