/**
 * How much work one rendering may do, so that no template and no row runs for ever or fills the
 * memory. Rendering is synchronous, so one budget is in force at a time.
 */

import { refuse } from "./errors.ts";

/** The limits of one rendering. */
export interface Limits {
  /** Statements run, items walked over and blocks of 16 characters handled. */
  readonly steps: number;
  /** Characters of the output or of any text on the way to it, and items of any list. */
  readonly size: number;
  /** Macros, recursive loops and blocks inside one another. */
  readonly depth: number;
  /** Bits of a whole number. */
  readonly bits: number;
}

/** Far above what conversations need: seconds of work, a text of tens of millions of characters. */
export const DEFAULT_LIMITS: Limits = {
  steps: 50_000_000,
  size: 50_000_000,
  depth: 200,
  bits: 1_000_000,
};

let limits: Limits = DEFAULT_LIMITS;
let stepsLeft = 0;
let depth = 0;

/** Runs `work` with a full budget. */
export function withBudget<T>(within: Limits, work: () => T): T {
  const before = [limits, stepsLeft, depth] as const;
  [limits, stepsLeft, depth] = [within, within.steps, 0];
  try {
    return work();
  } finally {
    [limits, stepsLeft, depth] = before;
  }
}

/** Takes steps from the budget. @throws {TemplateError} when it is used up */
export function spend(steps: number): void {
  stepsLeft -= steps;
  if (stepsLeft < 0) {
    refuse(
      `it did not end within ${limits.steps} steps, which is the limit (a loop without end, or ` +
        `loops inside loops over long lists)`,
    );
  }
}

/** Makes sure of the size of a text or list before it is made. */
export function room(size: number, what = "text"): void {
  if (size > limits.size) {
    refuse(
      `it makes a ${what} of ${size} items or characters, more than ${limits.size}, the limit`,
    );
  }
}

/** Makes sure of a whole number before it is made. */
export function roomForBits(bits: number): void {
  if (bits > limits.bits) {
    refuse(`it makes a number of ${Math.ceil(bits)} bits, more than ${limits.bits}, the limit`);
  }
  spend(bits / 16);
}

/** Runs `work` one level deeper. @throws {TemplateError} beyond the limit */
export function deeper<T>(what: string, work: () => T): T {
  if (depth >= limits.depth) {
    refuse(
      `${what} calls itself without end, or calls nest more than ${limits.depth} deep, which is ` +
        `the limit (recursion)`,
    );
  }
  depth++;
  try {
    return work();
  } finally {
    depth--;
  }
}

/** Names the limits of the JavaScript engine (its stack, its longest text) for what they are. */
export function withinEngine<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return refuse(
      error.message.includes("call stack")
        ? "the template, its calls or the data nest too deeply (recursion)"
        : `it makes a text, list or number beyond what can be held (${error.message})`,
    );
  }
}
