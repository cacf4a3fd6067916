/** What is reported of sampled answers. @module */

import type { Answer } from "./answers.ts";

/** `completions/…`: lengths of the answers, and of those that ended by themselves. */
export function lengthMetrics(
  answers: readonly Pick<Answer, "ids" | "ended">[],
): Readonly<Record<string, number>> {
  const all = answers.map(({ ids }) => ids.length);
  const ended = answers.filter((answer) => answer.ended).map(({ ids }) => ids.length);
  return {
    ...summary(all, ""),
    "completions/clipped_ratio": 1 - ended.length / all.length,
    // As TRL has it, 0 where none ended.
    ...summary(ended.length === 0 ? [0] : ended, "terminated_"),
  };
}

function summary(lengths: readonly number[], kind: string): Readonly<Record<string, number>> {
  return {
    [`completions/mean_${kind}length`]: lengths.reduce((a, b) => a + b, 0) / lengths.length,
    [`completions/min_${kind}length`]: Math.min(...lengths),
    [`completions/max_${kind}length`]: Math.max(...lengths),
  };
}
