/** Contests held, and ratios of what came out. @module */

import { median } from "../measure.ts";
import type { Contest, Setting } from "./contests.ts";
import { type Figures, figuresOf } from "./figures.ts";
import { runSeen } from "./process.ts";

/** What a contest gave: for each contestant that took part, its figures round by round. */
export type Outcome = Readonly<Record<string, readonly Figures[]>>;

/**
 * Lets the contestants take turns (A B A B …), each run a process of its own, so that a machine whose speed drifts
 * is unfair to nobody.
 *
 * @throws Error if they did not see the same number of tokens.
 */
export async function hold(contest: Contest, setting: Setting, rounds: number): Promise<Outcome> {
  const figures: Record<string, Figures[]> = {};
  for (let round = 0; round < rounds; round++) {
    for (const { name, command } of contest.contestants) {
      const ready = command(setting);
      if (ready === null) continue;
      try {
        (figures[name] ??= []).push(figuresOf(await runSeen(ready)));
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        throw new Error(`${contest.title}, ${name}: ${message}`);
      }
      checkTokens(contest.title, figures);
    }
  }
  return figures;
}

/** Refuses to compare work that is not the same. */
export function checkTokens(title: string, outcome: Outcome): void {
  const counts = Object.entries(outcome).flatMap(([name, runs]) =>
    runs.map(({ tokens }) => ({ name, tokens }))
  ).filter(({ tokens }) => tokens !== null);
  const [first] = counts;
  const other = counts.find(({ tokens }) => tokens !== first!.tokens);
  if (first && other) {
    throw new Error(
      `${title}: ${first.name} has ${first.tokens} tokens a step and ${other.name} ${other.tokens}; ` +
        "different work is not compared.",
    );
  }
}

/** The median of a figure over the rounds; null where somebody did not take part or it is not known. */
export function medianOf(
  outcome: Outcome | undefined,
  name: string,
  of: (figures: Figures) => number | null,
): number | null {
  const values = outcome?.[name]?.map(of).filter((value) => value !== null) ?? [];
  return values.length === 0 ? null : median(values);
}

/** The median over the rounds of a figure of A over that of B in the same round. */
export function ratioOf(
  outcome: Outcome | undefined,
  [a, b]: readonly [string, string],
  of: (figures: Figures) => number | null,
): number | null {
  const [ours, theirs] = [outcome?.[a], outcome?.[b]];
  if (!ours || !theirs) return null;
  const ratios = ours.flatMap((figures, round) => {
    const other = theirs[round];
    const [x, y] = [of(figures), other ? of(other) : null];
    return x === null || y === null ? [] : [x / y];
  });
  return ratios.length === 0 ? null : median(ratios);
}
