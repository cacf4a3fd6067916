/** Finding the answer in the text of a solution or completion, as math_verify does for TRL. @module */

import { type MathAnswer, parseMathAnswer } from "./math_answer.ts";

/** A stretch of text with a formula in it. */
interface Span {
  readonly start: number;
  readonly end: number;
  readonly content: string;
}

const environment =
  /\$\$(.+?)\$\$|\\\[(.+?)\\\]|(?<![\\\d])\$((?:\\\$|[^$\n])+?)(?<!\\)\$|\\\(([^\n]+?)\\\)/gs;
const percentAfter = /^[\s$]*(\\?%|percent(?:age)?\b|pct\b)/i;
const joint = /^[\s$]*(?:,?\s*(?:and|or)\b|,)[\s$]*$/;

/** The answer of a completion: in the last `\boxed{…}`, or in the formula after "answer"; null if there is none. */
export function answerOf(text: string): MathAnswer | null {
  return boxedAnswer(text) ?? announcedAnswer(text);
}

/**
 * The answer of a solution, which may be as short as `4`: besides those of a completion, the last formula between
 * dollar signs, what follows `####` (GSM8K), the whole text, or the last number; null if there is none of these.
 */
export function solutionAnswer(text: string): MathAnswer | null {
  const last = environments(text).at(-1);
  return answerOf(text) ?? (last === undefined ? null : parseMathAnswer(last.content)) ??
    markedAnswer(text) ?? wholeAnswer(text) ?? lastNumber(text);
}

/** The last box, with those before it that only a comma, "and" or "or" keeps apart. */
function boxedAnswer(text: string): MathAnswer | null {
  return parsedRun(text, boxes(text));
}

/** Joins the last span with those right before it, and with a percent sign that follows. */
function parsedRun(text: string, spans: readonly Span[]): MathAnswer | null {
  const last = spans.at(-1);
  if (last === undefined) return null;
  let first = spans.length - 1;
  while (first > 0 && joint.test(text.slice(spans[first - 1]!.end, spans[first]!.start))) first--;
  const joined = spans.slice(first).map(({ content }) => content).join(", ");
  const sign = percentAfter.exec(text.slice(last.end)) === null ? "" : "%";
  return parseMathAnswer(joined + sign);
}

function boxes(text: string): readonly Span[] {
  const found: Span[] = [];
  for (const match of text.matchAll(/\\f?box(?:ed)?\s*\{/g)) {
    const from = match.index + match[0].length;
    let [at, depth] = [from, 1];
    for (; at < text.length && depth > 0; at++) {
      if (text[at] === "{") depth++;
      if (text[at] === "}") depth--;
    }
    const outer = found.at(-1);
    const nested = outer !== undefined && match.index < outer.end;
    if (depth === 0 && !nested) {
      found.push({ start: match.index, end: at, content: text.slice(from, at - 1) });
    }
  }
  return found;
}

function environments(text: string): readonly Span[] {
  return Array.from(text.matchAll(environment), (match) => ({
    start: match.index,
    end: match.index + match[0].length,
    content: match.slice(1).find((content) => content !== undefined) ?? "",
  }));
}

/** The formula after the last "final answer … is", else within 50 characters after "answer:" or "answer". */
function announcedAnswer(text: string): MathAnswer | null {
  const spans = environments(text);
  for (
    const [announcement, reach] of [
      [/final answer.{0,100}?\sis:?/gis, 2],
      [/answer:/gi, 50],
      [/answer/gi, 50],
    ] as const
  ) {
    for (const match of Array.from(text.matchAll(announcement)).reverse()) {
      const from = match.index + match[0].length;
      const first = spans.findIndex(({ start }) => start >= from);
      if (first < 0 || spans[first]!.start - from > reach) continue;
      let last = first;
      while (
        last + 1 < spans.length &&
        joint.test(text.slice(spans[last]!.end, spans[last + 1]!.start))
      ) last++;
      return parsedRun(text, spans.slice(first, last + 1));
    }
  }
  return null;
}

/** A text that is nothing but a formula, or LaTeX that is none but no prose either. */
function wholeAnswer(text: string): MathAnswer | null {
  const isSymbolic = /[-+*/^=<>!]/.test(text) && !/[a-zA-Z]{2,}/.test(text);
  if (!isSymbolic && !/\d|\\[a-zA-Z]|π/.test(text)) return null;
  const answer = parseMathAnswer(text);
  return answer !== null && (consistsOfFormulas(answer) || !isProse(text)) ? answer : null;
}

/** Whether a text has words outside of LaTeX's commands and their arguments. */
function isProse(text: string): boolean {
  return /[a-zA-Z]{2,}/.test(
    text.replace(/\\(?:text|begin|end)[a-z]*\s*\{[^{}]*\}|\\[a-zA-Z]+/g, " "),
  );
}

function consistsOfFormulas({ content }: MathAnswer): boolean {
  if ("items" in content) return content.items.every(consistsOfFormulas);
  return content.kind !== "words";
}

function markedAnswer(text: string): MathAnswer | null {
  const marked = /####\s*(.+)$/m.exec(text)?.[1];
  return marked === undefined ? null : parseMathAnswer(marked);
}

function lastNumber(text: string): MathAnswer | null {
  const number =
    /(?<![\w.,\\{])-?[$€£]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+|(?<=\d))(?:\s*\/\s*\d+)?(?:\s*(?:%|percent|pct))?/gi;
  const found = Array.from(text.matchAll(number)).at(-1)?.[0];
  return found === undefined ? null : parseMathAnswer(found);
}
