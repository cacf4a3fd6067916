/** What is said of rewards that apply to nothing. @module */

import type { NamedReward, RewardScores } from "../rl/mod.ts";

/** Takes the scores of each generation, by its number in the run; gives what the user should know of them. */
export type RewardNotices = (scores: RewardScores, generation: number) => readonly string[];

/**
 * Notices where a function applies to none of the run's first answers, with what that means for it, and once where none
 * of the functions applies to any answer of a generation.
 */
export function rewardNotices(rewards: readonly NamedReward[]): RewardNotices {
  let saidOfAll = false;
  return ({ table, names, unscored }, generation) => {
    const idle = (k: number) => generation === 0 && table.every((row) => Number.isNaN(row[k]));
    const notices = names.flatMap((name, k) => {
      const meaning = rewards[k]?.nullMeans;
      const text =
        `The reward ${name} applies to none of the first ${table.length} answers (all are null)`;
      return idle(k) ? [meaning === undefined ? `${text}.` : `${text}: ${meaning}`] : [];
    });
    if (unscored.length < table.length || saidOfAll) return notices;
    saidOfAll = true;
    return [
      ...notices,
      "No reward applies to any of the answers (all are null): nothing is learned from them.",
    ];
  };
}
