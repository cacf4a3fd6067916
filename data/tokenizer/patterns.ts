/** Regular expressions in a tokenizer's definition: those that may never end are refused. @module */

import { isRecord } from "../files/json_files.ts";

/**
 * The first pattern in which something that repeats without bound is repeated without bound, as in `(a+)+`: on some
 * texts it takes exponential time. Patterns of tokenizers have no use for it.
 */
export function findEndlessPattern(value: unknown): string | undefined {
  if (Array.isArray(value)) return firstOf(value);
  if (!isRecord(value)) return undefined;
  const pattern = value["Regex"];
  if (typeof pattern === "string" && repeatsRepetitions(pattern)) return pattern;
  return firstOf(Object.values(value));
}

function firstOf(values: readonly unknown[]): string | undefined {
  for (const value of values) {
    const found = findEndlessPattern(value);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A character class with classes inside, an escape, a bracket, or a repetition without an upper bound. */
const pieces =
  /\\[pP]\{[^}]*\}|\\.|\[\^?\]?(?:\\.|\[[^\]]*\]|[^\]\\])*\]|\(\??|\)|[*+]|\{\d*,\}/gsu;

function repeatsRepetitions(pattern: string): boolean {
  /** Whether each open group holds a repetition. */
  const open: boolean[] = [false];
  /** Where a group that holds one was closed. */
  let closedAt = -1;
  for (const { 0: piece, index } of pattern.matchAll(pieces)) {
    if (piece.startsWith("(")) open.push(false);
    else if (piece === ")") {
      const holds = open.length > 1 ? open.pop()! : false;
      if (holds) {
        open[open.length - 1] = true;
        closedAt = index + 1;
      }
    } else if (piece === "*" || piece === "+" || piece.startsWith("{")) {
      if (index === closedAt) return true;
      open[open.length - 1] = true;
    }
  }
  return false;
}
