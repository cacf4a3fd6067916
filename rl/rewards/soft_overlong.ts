/** The penalty for completions that run up to their limit. @module */

import { UserError } from "../../core/errors.ts";
import type { RewardArguments, Rewards } from "./types.ts";

/** Options of {@link softOverlongPunishment}, in tokens. */
export interface SoftOverlongOptions {
  /** The longest completion without the full penalty, L. */
  readonly maxCompletionLen: number;
  /** Length of the ramp before it, C; 0 for a step. */
  readonly softPunishCache: number;
}

/**
 * 0 up to L − C tokens, (L − C − length) / C up to L, −1 beyond (Yu et al., "DAPO", 2025, equation 13; TRL's
 * `get_soft_overlong_punishment`).
 *
 * @throws UserError unless 0 ≤ C ≤ L.
 */
export function softOverlongPunishment(
  { maxCompletionLen, softPunishCache }: SoftOverlongOptions,
): (args: Pick<RewardArguments, "completionIds">) => Rewards {
  if (!(softPunishCache >= 0 && softPunishCache <= maxCompletionLen)) {
    throw new UserError(
      `soft_punish_cache is ${softPunishCache} and max_completion_len ${maxCompletionLen}; the ramp has to lie between 0 and the longest completion.`,
    );
  }
  const free = maxCompletionLen - softPunishCache;
  return ({ completionIds }) =>
    completionIds.map(({ length }) => {
      if (length <= free) return 0;
      return length <= maxCompletionLen ? (free - length) / softPunishCache : -1;
    });
}
