/** What the lines of a contestant say. @module */

import { median } from "../measure.ts";
import type { Line, Seen } from "./process.ts";

/** Figures of one run of a contestant. */
export interface Figures {
  /** Milliseconds of a step in the steady state: the median after the first two. */
  readonly ms: number;
  /** Tokens of a step; null for work without tokens. */
  readonly tokens: number | null;
  /** Milliseconds from the command to the end of the first step. */
  readonly firstMs: number;
  /** The most memory held, in bytes; null where the system does not tell. */
  readonly peakBytes: number | null;
}

/** A step as its line tells it. */
interface StepLine {
  readonly step: number;
  /** When the line came, since the start. */
  readonly at: number;
  /** Milliseconds it took by the process's own clock, where it tells; of thin work, pipes would be most. */
  readonly ms: number | null;
  readonly tokens: number | null;
  /** Whether the tokens are those of all steps so far. */
  readonly cumulative: boolean;
}

/** Steps that are not counted: programs are compiled and memory becomes real in them. */
const unsteadySteps = 2;

/** Figures from lines of JSON, as the scripts beside this file print, or from the lines of our command line. */
export function figuresOf({ lines, peakBytes }: Seen): Figures {
  const steps = lines.flatMap((line) => jsonStep(line) ?? commandLineStep(line) ?? []);
  if (steps.length <= unsteadySteps) {
    throw new Error(`There are lines of ${steps.length} steps; more than two are needed.`);
  }
  const durations = steps.map(({ at, ms }, i) => ms ?? at - (steps[i - 1]?.at ?? 0));
  return {
    ms: median(durations.slice(unsteadySteps)) + aheadMs(lines) / steps.length,
    tokens: tokensOf(steps),
    firstMs: steps[0]!.at,
    peakBytes,
  };
}

/**
 * Milliseconds that a run of ours spent on log-probs of the reference model ahead of the first step, which others
 * compute in each step.
 */
function aheadMs(lines: readonly Line[]): number {
  const at = lines.findIndex(({ text }) => text.startsWith("Reference log-probs of"));
  const next = lines[at + 1];
  return at < 0 || next === undefined ? 0 : next.ms - lines[at]!.ms;
}

/** Tokens of a step, which must be the same in all. */
function tokensOf(steps: readonly StepLine[]): number | null {
  const counts = steps.map(({ tokens, cumulative }, i) => {
    const before = steps[i - 1]?.tokens ?? 0;
    return tokens === null ? null : cumulative ? tokens - before : tokens;
  });
  const [first] = counts;
  if (counts.some((count) => count !== first)) {
    throw new Error(`Steps are not alike: they have ${counts.join(", ")} tokens.`);
  }
  return first ?? null;
}

function jsonStep({ ms: at, text }: Line): StepLine | null {
  if (!text.startsWith('{"step"')) return null;
  const { step, ms, tokens, cumulative } = JSON.parse(text) as Record<string, unknown>;
  return {
    step: Number(step),
    at,
    ms: typeof ms === "number" ? ms : null,
    tokens: typeof tokens === "number" ? tokens : null,
    cumulative: cumulative === true,
  };
}

function commandLineStep({ ms: at, text }: Line): StepLine | null {
  const match = /^step +(\d+)\/\d+ .* num_tokens (\d+)/.exec(text);
  if (!match) return null;
  return { step: Number(match[1]), at, ms: null, tokens: Number(match[2]), cumulative: true };
}
