import assert from "node:assert/strict";
import { timeLeftNotice } from "../../train/recipes/time_left.ts";

/** What is said of a run by its records: steps done, seconds so far, seconds left. */
function said(records: readonly (readonly [number, number, number?])[], begun = 0): string[] {
  const texts: string[] = [];
  const follow = timeLeftNotice((text) => texts.push(text));
  const at = { totalSteps: 1000, epoch: 0 };
  follow({ kind: "begin", ...at, step: begun, elapsedSeconds: 0, resumed: begun > 0 });
  for (const [step, elapsedSeconds, remainingSeconds] of records) {
    follow({
      kind: "progress",
      ...at,
      step,
      elapsedSeconds,
      ...(remainingSeconds === undefined ? {} : { remainingSeconds }),
    });
  }
  return texts;
}

Deno.test("a run that takes a while says how long, once, by its first steps", () => {
  assert.deepEqual(said([[1, 4, 4000], [5, 6, 110], [6, 7, 100]]), [
    "By the first 5 steps (00:06), the run takes about 01:56.",
  ]);
  assert.deepEqual(said([[104, 9, 99], [105, 10, 90]], 100), [
    "By the first 5 steps (00:10), the run takes about 01:40.",
  ]);
});

Deno.test("a run that is soon over does not", () => {
  assert.deepEqual(said([[5, 4, 9], [6, 5, 100]]), []);
  assert.deepEqual(said([[900, 2, 1]]), []);
});
