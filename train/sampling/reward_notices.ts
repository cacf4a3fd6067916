/** What is said of rewards from which nothing can be learned. @module */

import type { NamedReward, RewardScores } from "../../rl/mod.ts";

/** Takes the scores of each generation, by its number in the run; gives what the user should know of them. */
export type RewardNotices = (scores: RewardScores, generation: number) => readonly string[];

/** So many generations without any reward but 0 are worth a word. */
const silentGenerations = 5;

/**
 * Notices where a function applies to none of the run's first answers, with what that means for it, and once where none
 * of the functions applies to an answer, or to any of a generation. And once where a function has given 0 to every answer for
 * several generations.
 */
export function rewardNotices(rewards: readonly NamedReward[]): RewardNotices {
  let [saidOfAll, saidOfSome] = [false, false];
  const zeros = rewards.map(() => 0);
  return ({ table, names, unscored }, generation) => {
    const idle = (k: number) => generation === 0 && table.every((row) => Number.isNaN(row[k]));
    const notices = names.flatMap((name, k) => {
      const meaning = rewards[k]?.nullMeans;
      const text =
        `The reward ${name} applies to none of the first ${table.length} answers (all are null)`;
      return idle(k) ? [meaning === undefined ? `${text}.` : `${text}: ${meaning}`] : [];
    });
    names.forEach((name, k) => {
      const onlyZeros = table.length > 0 && table.every((row) => row[k] === 0);
      zeros[k] = onlyZeros ? zeros[k]! + 1 : -Infinity;
      if (zeros[k] !== silentGenerations) return;
      notices.push(
        `The reward ${name} was 0 for every answer of the first ${silentGenerations} generations: it teaches nothing ` +
          "as long as that is so. Check on some answers what it looks for; an easier prompt, a longer answer or a " +
          "reward that gives part of the points may help.",
      );
    });
    if (unscored.length < table.length) {
      if (unscored.length === 0 || saidOfSome) return notices;
      saidOfSome = true;
      return [
        ...notices,
        `No reward applies to ${unscored.length} of the ${table.length} answers of a generation (all are null): such ` +
        "answers are left out of the rewards' mean, and nothing is learned from them.",
      ];
    }
    if (saidOfAll) return notices;
    saidOfAll = true;
    return [
      ...notices,
      "No reward applies to any of the answers (all are null): nothing is learned from them.",
    ];
  };
}
