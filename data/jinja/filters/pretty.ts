/** Python's `pprint.pformat`. */

import { compare } from "../compare.ts";
import { Dictionary } from "../dictionary.ts";
import { TemplateError } from "../errors.ts";
import { represent, representText } from "../represent.ts";
import { BLANKS, countCharacters, splitLines } from "../unicode.ts";
import { Group, Tuple, typeName, type Value } from "../values.ts";

const WIDTH = 80;

/** A value on one line if it fits in 80 characters, else on several; keys sorted. */
export function prettyPrint(value: Value): string {
  return format(value, 0, 0, 0);
}

function format(value: Value, indent: number, allowance: number, level: number): string {
  const line = onOneLine(value);
  if (countCharacters(line) <= WIDTH - indent - allowance) return line;
  if (typeof value === "string") return formatText(value, indent, allowance, level + 1);
  if (value instanceof Dictionary) {
    return value.size === 0
      ? "{}"
      : `{${formatEntries(value, indent + 1, allowance + 1, level + 1)}}`;
  }
  if (!Array.isArray(value) || value instanceof Group) return line;
  const [open, close] = value instanceof Tuple
    ? ["(", value.length === 1 ? ",)" : ")"]
    : ["[", "]"];
  const items = Array.from(value, (item, i) => {
    const isLast = i === value.length - 1;
    return format(item, indent + 1, isLast ? allowance + close.length : 1, level + 1);
  });
  return open + items.join(nextLine(indent + 1)) + close;
}

function nextLine(indent: number): string {
  return `,\n${" ".repeat(indent)}`;
}

function formatEntries(value: Dictionary, indent: number, allowance: number, level: number) {
  return sortedEntries(value).map(([key, item], i) => {
    const shown = onOneLine(key);
    const after = i === value.size - 1 ? allowance : 1;
    return `${shown}: ${format(item, indent + countCharacters(shown) + 2, after, level)}`;
  }).join(nextLine(indent));
}

/** As `repr`, with keys sorted. */
function onOneLine(value: Value): string {
  if (value instanceof Dictionary) {
    const parts = sortedEntries(value)
      .map(([key, item]) => `${onOneLine(key)}: ${onOneLine(item)}`);
    return `{${parts.join(", ")}}`;
  }
  if (!Array.isArray(value) || value instanceof Group) return represent(value);
  const items = Array.from(value, onOneLine).join(", ");
  if (!(value instanceof Tuple)) return `[${items}]`;
  return `(${items}${value.length === 1 ? "," : ""})`;
}

/** Entries by their keys; keys that cannot be compared by the names of their types. */
function sortedEntries(value: Dictionary): [Value, Value][] {
  return [...value.entries()].sort(([a], [b]) => {
    try {
      return compare(a, b);
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      const [x, y] = [typeName(a), typeName(b)];
      return x < y ? -1 : x > y ? 1 : 0;
    }
  });
}

/** A long text in several literals, cut at line ends and blanks. */
function formatText(text: string, indent: number, allowance: number, level: number): string {
  const isOuter = level === 1;
  const from = isOuter ? indent + 1 : indent;
  const after = isOuter ? allowance + 1 : allowance;
  const width = WIDTH - from;
  const chunks: string[] = [];
  const lines = splitLines(text, true);
  lines.forEach((line, i) => {
    const isLastLine = i === lines.length - 1;
    const shown = representText(line);
    if (countCharacters(shown) <= (isLastLine ? width - after : width)) chunks.push(shown);
    else chunks.push(...cutLine(line, width, isLastLine ? after : 0));
  });
  if (chunks.length === 1) return representText(lines.at(-1)!);
  const joined = chunks.join(`\n${" ".repeat(from)}`);
  return isOuter ? `(${joined})` : joined;
}

const PARTS = new RegExp(`[^${BLANKS}]+[${BLANKS}]*|[${BLANKS}]+`, "g");

function cutLine(line: string, width: number, allowance: number): string[] {
  const chunks: string[] = [];
  const parts = line.match(PARTS) ?? [];
  let current = "";
  parts.forEach((part, j) => {
    const most = j === parts.length - 1 ? width - allowance : width;
    if (countCharacters(representText(current + part)) > most) {
      if (current !== "") chunks.push(representText(current));
      current = part;
    } else current += part;
  });
  if (current !== "") chunks.push(representText(current));
  return chunks;
}
