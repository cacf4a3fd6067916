/** Reward functions by TRL's names. @module */

import { variantOf } from "../variants.ts";
import { accuracyReward } from "./accuracy.ts";
import { cosineScaledReward } from "./cosine_scaled.ts";
import { reasoningAccuracyReward } from "./reasoning_accuracy.ts";
import { repetitionPenaltyReward } from "./repetition_penalty.ts";
import type { NamedReward } from "./run.ts";
import { softOverlongPunishment } from "./soft_overlong.ts";
import { thinkFormatReward } from "./think_format.ts";

/** What built-in rewards take from a run. */
export interface BuiltInRewardSettings {
  /** The longest completion in tokens, where the cosine schedule ends; TRL's default of 256 if absent. */
  readonly maxCompletionLength?: number;
}

const nullMeans =
  'it finds no answer in the column "solution". A solution is a number or a formula, has one in \\boxed{…}, between ' +
  "dollar signs or after ####, or names a number.";

const makers: Readonly<Record<string, (settings: BuiltInRewardSettings) => NamedReward>> = {
  accuracy_reward: () => ({ name: "accuracy_reward", reward: accuracyReward, nullMeans }),
  reasoning_accuracy_reward: () => ({
    name: "reasoning_accuracy_reward",
    reward: (args) => reasoningAccuracyReward(args),
    nullMeans,
  }),
  think_format_reward: () => ({ name: "think_format_reward", reward: thinkFormatReward }),
  get_soft_overlong_punishment: () => ({
    name: "soft_overlong_punishment_reward",
    // The numbers of TRL's command, whatever the run's longest completion.
    reward: softOverlongPunishment({ maxCompletionLen: 1280, softPunishCache: 256 }),
  }),
  get_repetition_penalty_reward: () => ({
    name: "repetition_penalty_reward",
    reward: repetitionPenaltyReward(),
  }),
  get_cosine_scaled_reward: ({ maxCompletionLength = 256 }) => ({
    name: "cosine_scaled_reward",
    reward: cosineScaledReward({ maxLen: maxCompletionLength }),
    nullMeans,
  }),
};

/** The names of {@link builtInReward}. */
export const builtInRewardNames: readonly string[] = Object.keys(makers);

/**
 * A built-in reward by the name `--reward_funcs` knows, called in metrics as TRL calls it.
 *
 * @throws UserError that lists the names if there is no such reward.
 */
export function builtInReward(name: string, settings: BuiltInRewardSettings = {}): NamedReward {
  return variantOf(makers, name, "reward_funcs")(settings);
}
