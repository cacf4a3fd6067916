/** The penalty for repeated n-grams. @module */

import { UserError } from "../../core/errors.ts";
import type { RewardArguments, Rewards } from "./types.ts";

/** Options of {@link repetitionPenaltyReward}. */
export interface RepetitionPenaltyOptions {
  /** Tokens of an n-gram; 3 by default. */
  readonly ngramSize?: number;
  /** The reward of nothing but repetition, not positive; −1 by default. */
  readonly maxPenalty?: number;
}

/**
 * (1 − distinct n-grams / n-grams) · maxPenalty over a completion's tokens, 0 for completions shorter than an n-gram
 * (Yeo et al., "Demystifying Long Chain-of-Thought Reasoning", 2025, C.2; TRL's `get_repetition_penalty_reward`).
 *
 * @throws UserError for a positive penalty or an n-gram that is not a positive whole number of tokens.
 */
export function repetitionPenaltyReward(
  { ngramSize = 3, maxPenalty = -1 }: RepetitionPenaltyOptions = {},
): (args: Pick<RewardArguments, "completionIds">) => Rewards {
  if (!(maxPenalty <= 0)) {
    throw new UserError(
      `max_penalty is ${maxPenalty}; it is the lowest reward and cannot be positive. −1 is usual.`,
    );
  }
  if (!Number.isInteger(ngramSize) || ngramSize < 1) {
    throw new UserError(`ngram_size is ${ngramSize}; it is a number of tokens, at least 1.`);
  }
  return ({ completionIds }) =>
    completionIds.map((ids) => {
      const count = ids.length - ngramSize + 1;
      if (count <= 0) return 0;
      const distinct = new Set<string>();
      for (let i = 0; i < count; i++) distinct.add(ids.slice(i, i + ngramSize).join());
      const repeated = 1 - distinct.size / count;
      return repeated === 0 ? 0 : repeated * maxPenalty; // never −0
    });
}
