/**
 * Answers to mathematical problems and whether two are the same: numbers, formulas, lists, sets, points, intervals,
 * equations and words, as plain text or simple LaTeX.
 *
 * @module
 */

import { type Formula, parseFormula } from "./math_expression.ts";
import { splitOutside, tidyItem, tidyLatex } from "./math_notation.ts";

/** What an answer is made of. */
export type MathValue =
  | {
    readonly kind: "formula";
    readonly value: Formula;
    /** Whether a percent sign follows. */
    readonly percent: boolean;
    /** Whether it contains a decimal fraction, which may be rounded. */
    readonly decimal: boolean;
  }
  | { readonly kind: "tuple"; readonly brackets: string; readonly items: readonly MathAnswer[] }
  | { readonly kind: "set"; readonly items: readonly MathAnswer[] }
  | { readonly kind: "union"; readonly items: readonly MathAnswer[] }
  | { readonly kind: "relation"; readonly operator: string; readonly difference: Formula }
  | { readonly kind: "words" };

/** An answer. */
export interface MathAnswer {
  /** As it is compared where all else fails: without layout, units and spaces. */
  readonly text: string;
  /** What it is made of. */
  readonly content: MathValue;
}

/** Longest answer in characters; what models write beyond it is no answer, and not worth the time. */
const longest = 4000;

/**
 * Reads an answer in plain text or LaTeX, without what surrounds it; null if nothing is left of it, or it has over 4000
 * characters.
 */
export function parseMathAnswer(text: string): MathAnswer | null {
  if (text.length > longest) return null;
  const tidy = tidyLatex(text);
  return tidy === "" ? null : parsed(tidy);
}

const operators: Readonly<Record<string, string>> = {
  "\\leq": "\\le",
  "\\geq": "\\ge",
  "\\neq": "\\ne",
};
const mirrored: Readonly<Record<string, string>> = {
  "<": ">",
  ">": "<",
  "\\le": "\\ge",
  "\\ge": "\\le",
};

function parsed(source: string): MathAnswer {
  const { text, percent } = tidyItem(source);
  const answer = (content: MathValue): MathAnswer => ({
    text: text.replace(/\s+/g, "") + (percent ? "%" : ""),
    content,
  });
  const parts = splitOutside(text, /^\\cup(?![a-zA-Z])/);
  if (parts.length > 1) return answer({ kind: "union", items: parts.map(parsed) });
  const members = splitOutside(text, /^,/);
  if (members.length > 1) return answer({ kind: "set", items: members.map(parsed) });
  const sides = splitOutside(text, /^(?:\\(?:leq?|geq?|neq?|in)(?![a-zA-Z])|[=<>])/);
  if (sides.length > 1) return related(text, sides, answer);
  const bracketed = /^(\\\{|[(\[])(.*?)(\\\}|[)\]])$/s.exec(text);
  if (bracketed !== null) {
    const [open, inside, close] = [bracketed[1]!, bracketed[2]!, bracketed[3]!];
    const items = splitOutside(inside, /^,/);
    if (open === "\\{" && items.length === 1) return parsed(inside);
    if (items.length > 1 && items.every((item) => item !== "")) {
      return open === "\\{"
        ? answer({ kind: "set", items: items.map(parsed) })
        : answer({ kind: "tuple", brackets: open + close, items: items.map(parsed) });
    }
  }
  if (/\\pm(?![a-zA-Z])/.test(text)) {
    const signs = ["+", "-"].map((sign) => parsed(text.replace(/\\pm(?![a-zA-Z])/g, sign)));
    return answer({ kind: "set", items: signs });
  }
  const value = isWord(text) ? null : parseFormula(text);
  if (value === null) return answer({ kind: "words" });
  return answer({ kind: "formula", value, percent, decimal: /\.\d/.test(text) });
}

/** `x = 5`, `5 = x` and `2 + 3 = 5` say 5, and `x \in S` says S; any other equation or inequality stands for itself. */
function related(
  text: string,
  sides: readonly string[],
  answer: (content: MathValue) => MathAnswer,
): MathAnswer {
  const [left, right] = [sides[0]!, sides.at(-1)!];
  const found = operatorsBetween(text, sides);
  if (found.every((operator) => operator === "=") && sides.length > 2) return parsed(right);
  if (sides.length > 2) {
    const pairs = found.map((operator, i) => parsed(`${sides[i]} ${operator} ${sides[i + 1]}`));
    return answer({ kind: "set", items: pairs });
  }
  const operator = found[0]!;
  if (operator === "\\in") return parsed(right);
  if (operator === "=") {
    if (isName(left) || (isArithmetic(left) && isArithmetic(right))) {
      return parsed(right);
    }
    if (isName(right) && isArithmetic(left)) return parsed(left);
  }
  const [a, b] = [parseFormula(left), parseFormula(right)];
  if (a === null || b === null) return answer({ kind: "words" });
  return answer({ kind: "relation", operator, difference: (s) => a(s) - b(s) });
}

/** What stands between the sides of equations and inequalities, in one spelling each. */
function operatorsBetween(text: string, sides: readonly string[]): readonly string[] {
  let end = sides[0]!.length;
  return sides.slice(1).map((side) => {
    const operator = /^\s*(\\[a-zA-Z]+|[=<>])/.exec(text.slice(end))?.[1] ?? "";
    end = text.indexOf(side, end + text.slice(end).indexOf(operator) + operator.length) +
      side.length;
    return operators[operator] ?? operator;
  });
}

/** Whether one side of an equation only names the other: a symbol, f(x), or words. */
function isName(side: string): boolean {
  const bare = side.replace(/\\[a-zA-Z]+/g, "x");
  return /^[a-zA-Zα-ωΑ-Ω](_(\{[^{}]*\}|\w))?'?\s*(\([^()]*\))?$/.test(bare) || isWord(side);
}

/** Whether a side of an equation has no symbols. */
function isArithmetic(side: string): boolean {
  return !/[a-zA-Zα-ωΑ-Ω]/.test(side.replace(/\\(?:frac|sqrt|pi|cdot|times|div)(?![a-zA-Z])/g, ""));
}

/** Whether a text holds a word rather than a product of symbols. */
function isWord(text: string): boolean {
  return /\\text|[a-zA-Z]{4,}/.test(text.replace(/\\(?!text)[a-zA-Z]+/g, " "));
}

/**
 * Whether an answer is the same as the right one.
 *
 * - Formulas are the same if their values are, at a few values of their symbols; where one has a decimal point, if
 *   their values are after rounding to six decimals.
 * - 28 % is the same as 0.28, and a right answer of 28 % also as 28.
 * - Lists and sets are the same in any order, points and intervals with their brackets and in their order.
 * - Anything else is the same if it is written the same, spaces, units, layout and the case of words aside.
 */
export function sameMathAnswer(gold: MathAnswer, answer: MathAnswer): boolean {
  const [a, b] = [gold.content, answer.content];
  if (a.kind === "formula" && b.kind === "formula") {
    return gold.text === answer.text || sameFormula(gold, answer, a, b);
  }
  if (a.kind === "tuple" && b.kind === "tuple") {
    return a.brackets === b.brackets && a.items.length === b.items.length &&
      a.items.every((item, i) => sameMathAnswer(item, b.items[i]!));
  }
  if ((a.kind === "set" || a.kind === "union") && a.kind === b.kind) {
    const left = [...b.items];
    return a.items.length === left.length && a.items.every((item) => {
      const at = left.findIndex((other) => sameMathAnswer(item, other));
      if (at >= 0) left.splice(at, 1);
      return at >= 0;
    });
  }
  if (a.kind === "relation" && b.kind === "relation") {
    const negated: Formula = (s) => -b.difference(s);
    return (a.operator === b.operator && equalValues(a.difference, b.difference, sameNumber)) ||
      ((mirrored[a.operator] ?? a.operator) === b.operator &&
        equalValues(a.difference, negated, sameNumber));
  }
  return asWords(gold) === asWords(answer);
}

function asWords({ text }: MathAnswer): string {
  const plain = text.replace(/\\text\{([^{}]*)\}/g, "$1").replace(/\{(\w)\}/g, "$1");
  return plain.length > 1 ? plain.toLowerCase() : plain;
}

type FormulaValue = Extract<MathValue, { kind: "formula" }>;

function sameFormula(
  gold: MathAnswer,
  answer: MathAnswer,
  a: FormulaValue,
  b: FormulaValue,
): boolean {
  // Doubles cannot tell whole numbers of more than 15 digits apart.
  if (/^-?\d{16,}$/.test(gold.text) && /^-?\d+$/.test(answer.text)) {
    return BigInt(gold.text) === BigInt(answer.text);
  }
  const same = a.decimal || b.decimal ? sameRounded : sameNumber;
  const scaled = ({ value, percent }: FormulaValue): Formula =>
    percent ? (s) => value(s) / 100 : value;
  return equalValues(scaled(a), scaled(b), same) ||
    (a.percent && !b.percent && equalValues(a.value, b.value, same));
}

const rounds = [0, 1, 2, 3];

/** Compares two formulas where both have values; at least somewhere they must. */
function equalValues(a: Formula, b: Formula, same: (a: number, b: number) => boolean): boolean {
  const pairs = rounds.map((round) => {
    const symbol = (name: string): number => sample(name, round);
    return [a(symbol), b(symbol)] as const;
  });
  const valued = pairs.filter(([x, y]) => !(Number.isNaN(x) && Number.isNaN(y)));
  return valued.length > 0 && valued.every(([x, y]) => same(x, y));
}

/** A value between 0.3 and 1.7 that depends on the name, in odd rounds of either sign (FNV-1a). */
function sample(name: string, round: number): number {
  let hash = 0x811c9dc5 ^ round;
  for (const character of name + round) {
    hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193) >>> 0;
  }
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0;
  const size = 0.3 + 1.4 * (hash / 2 ** 32);
  return round % 2 === 1 && (hash & 1) === 1 ? -size : size;
}

function sameNumber(a: number, b: number): boolean {
  if (a === b) return true;
  const [difference, size] = [Math.abs(a - b), Math.max(Math.abs(a), Math.abs(b))];
  if (!Number.isFinite(size)) return false;
  return a === 0 || b === 0 ? difference < 1e-12 : difference <= 1e-9 * size;
}

/** Six decimals, as math_verify rounds; of small numbers at least three digits have to agree. */
function sameRounded(a: number, b: number): boolean {
  if (sameNumber(a, b)) return true;
  const size = Math.max(Math.abs(a), Math.abs(b));
  return Math.round(a * 1e6) === Math.round(b * 1e6) && Math.abs(a - b) <= 1e-3 * size;
}
