/** The reward for the right answer after the reasoning. @module */

import { judge, judged } from "./accuracy.ts";
import type { RewardArguments, Rewards } from "./types.ts";

/** Options of {@link reasoningAccuracyReward}. */
export interface ReasoningAccuracyOptions {
  /** What ends the reasoning; the first of these that occurs counts. `</think>` by default. */
  readonly reasoningDelimiters?: readonly string[];
}

/**
 * `accuracyReward` of the text after the last delimiter; 0 where none occurs, so that unfinished reasoning is
 * discouraged and an answer inside of it does not count (TRL's `reasoning_accuracy_reward`).
 *
 * @throws UserError if the column `solution` is missing or a completion has no text.
 */
export function reasoningAccuracyReward(
  args: RewardArguments,
  { reasoningDelimiters = ["</think>"] }: ReasoningAccuracyOptions = {},
): Rewards {
  return judged(args, (text, solution) => {
    const delimiter = reasoningDelimiters.find((candidate) => text.includes(candidate));
    if (delimiter !== undefined) return judge(text.split(delimiter).at(-1)!, solution);
    return { reward: 0, gold: "[incomplete reasoning]", answer: "[incomplete reasoning]" };
  });
}
