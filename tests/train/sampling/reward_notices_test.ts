/** What is said of rewards from which nothing can be learned. */

import assert from "node:assert/strict";
import { rewardNotices } from "../../../train/sampling/reward_notices.ts";

/** Scores of answers by one function; null where it does not apply. */
function scoresOf(...rewards: readonly (number | null)[]) {
  const table = rewards.map((reward) => [reward ?? NaN]);
  return {
    table,
    names: ["polite"],
    weights: [1],
    extras: {},
    metrics: {},
    unscored: rewards.flatMap((reward, i) => reward === null ? [i] : []),
  };
}

const notices = () => rewardNotices([{ name: "polite", reward: () => [] }]);

Deno.test("answers that no reward applies to are told once", () => {
  const tell = notices();
  assert.deepEqual(tell(scoresOf(1, 2, 3), 0), []);
  assert.match(
    tell(scoresOf(null, 1, 2), 1).join(),
    /^No reward applies to 1 of the 3 answers of a generation \(all are null\)/,
  );
  assert.deepEqual(tell(scoresOf(null, null, 2), 2), []);
  assert.match(tell(scoresOf(null, null), 3).join(), /^No reward applies to any of the answers/);
  assert.deepEqual(tell(scoresOf(null, null), 4), []);
});

Deno.test("a reward of 0 for every answer over many generations is told once", () => {
  const tell = notices();
  const said = Array.from({ length: 10 }, (_, n) => tell(scoresOf(0, 0), n));
  assert.deepEqual(said.map(({ length }) => length), [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
  assert.match(
    said[4]![0]!,
    /^The reward polite was 0 for every answer of the first 5 generations/,
  );
});
