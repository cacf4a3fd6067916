/** The reward of `task demo:grpo`: 1 for the right answer, else 0. @module */

import type { RewardArguments } from "../../rl/mod.ts";

/** Compares with the column `answer`. */
export function exactAnswer({ completions, columns }: RewardArguments): number[] {
  const answers = columns["answer"]!;
  return completions.map((text, i) =>
    typeof text === "string" && text.trim() === answers[i] ? 1 : 0
  );
}
