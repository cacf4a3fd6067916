import assert from "node:assert/strict";
import { Pace } from "../../../train/report/pace.ts";

/** The times left that are told after each of these steps of so many seconds; 0 begins an evaluation of 20 seconds. */
function timesLeft(steps: readonly number[], totalSteps: number): number[] {
  let now = 0;
  let step = 0;
  const pace = new Pace(() => now);
  const told: number[] = [];
  for (const seconds of steps) {
    now += (seconds === 0 ? 20 : seconds) * 1000;
    if (seconds === 0) pace.pause();
    else {
      pace.add(100);
      const position = { step: ++step, totalSteps, epoch: 0, elapsedSeconds: 0 };
      told.push(pace.lap(position).remainingSeconds!);
    }
  }
  return told;
}

const close = (value: number, expected: number, share: number) =>
  assert.ok(Math.abs(value / expected - 1) <= share, `${value}, expected about ${expected}`);

Deno.test("the time left of an even run is exact from the first step on", () => {
  timesLeft(Array(50).fill(2), 100).forEach((left, i) => close(left, 2 * (99 - i), 1e-9));
});

Deno.test("a first step that compiles is soon forgotten", () => {
  const left = timesLeft([30, ...Array(49).fill(1)], 100);
  assert.ok(left[9]! < 2 * 90);
  close(left[49]!, 50, 0.03);
});

Deno.test("steps that differ by what was drawn leave the time left smooth", () => {
  // Real steps of a run on rows of all lengths, in seconds: told from the last alone it jumped threefold.
  const drawn = [2.1, 4.4, 1.2, 2.6, 0.9, 3.8, 2.2, 1.1, 4.9, 1.7];
  const steps = Array.from({ length: 100 }, (_, i) => drawn[(i * 7) % 10]!);
  const left = timesLeft(steps, 200);
  for (let i = 20; i < left.length; i++) {
    const mean = 2.49;
    close(left[i]!, mean * (199 - i), 0.15);
    assert.ok(
      Math.abs(left[i]! - left[i - 1]!) / left[i - 1]! < 0.15,
      `${left[i - 1]}, ${left[i]}`,
    );
  }
});

Deno.test("a lasting change of pace shows in the time left", () => {
  const left = timesLeft([...Array(50).fill(1), ...Array(100).fill(3)], 200);
  close(left[149]!, 150, 0.1);
});

Deno.test("evaluations count in the time left, and not in the pace", () => {
  const steps = Array.from({ length: 40 }, (_, i) => i % 10 === 9 ? [1, 0] : [1]).flat();
  const left = timesLeft(steps, 80);
  close(left[39]!, 40 * 3, 0.3);
});
