/** The reward for right answers that shrinks with length. @module */

import { UserError } from "../../core/errors.ts";
import { accuracyReward } from "./accuracy.ts";
import type { RewardFunction } from "./types.ts";

/** Options of {@link cosineScaledReward}. */
export interface CosineScaledOptions {
  /** Tokens at which the schedule ends; longer completions get what it ends at. */
  readonly maxLen: number;
  /** The reward of the shortest wrong completion; −1 by default. */
  readonly minValueWrong?: number;
  /** The reward of the longest wrong completion; −0.5 by default. */
  readonly maxValueWrong?: number;
  /** The reward of the longest right completion; 0.5 by default. */
  readonly minValueCorrect?: number;
  /** The reward of the shortest right completion; 1 by default. */
  readonly maxValueCorrect?: number;
}

/**
 * long + ½ (short − long)(1 + cos(π · min(length / maxLen, 1))), between the rewards of the longest and the shortest
 * completion: a right answer is worth more when short, a wrong one less, which keeps the model exploring (Yeo et al.,
 * "Demystifying Long Chain-of-Thought Reasoning", 2025, C.1; TRL's `get_cosine_scaled_reward`). Right is what
 * `accuracyReward` calls so; null where that is null.
 *
 * @throws UserError unless maxLen is positive.
 */
export function cosineScaledReward(options: CosineScaledOptions): RewardFunction {
  const { maxLen, minValueWrong = -1, maxValueWrong = -0.5 } = options;
  const { minValueCorrect = 0.5, maxValueCorrect = 1 } = options;
  if (!(maxLen > 0)) {
    throw new UserError(`max_len is ${maxLen}; it is a number of tokens above 0.`);
  }
  return (args) =>
    accuracyReward({ ...args, logExtra: () => {} }).map((correct, row) => {
      if (correct === null) return null;
      const [long, short] = correct === 1
        ? [minValueCorrect, maxValueCorrect]
        : [maxValueWrong, minValueWrong];
      const progress = Math.min(args.completionIds[row]!.length / maxLen, 1);
      return long + 0.5 * (short - long) * (1 + Math.cos(progress * Math.PI));
    });
}
