/** Timing. @module */

import { type Device, showProfile, startProfile } from "../core/mod.ts";

/** Options of {@link timeSteady}. */
export interface TimingOptions {
  /** Samples to take the median of; fewer (one at least) if `budgetMs` is spent before. */
  readonly samples: number;
  readonly budgetMs: number;
  /** A sample repeats the work until it lasts so long, to drown the cost of waiting for a GPU. */
  readonly sampleMs: number;
}

/** The middle one; of an even number the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  if (sorted.length === 0) throw new RangeError("There is no median of no values");
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** Milliseconds that work takes in the steady state: the median over samples, after one run to warm up. */
export async function timeSteady(
  device: Device,
  work: () => void,
  { samples, budgetMs, sampleMs }: TimingOptions,
): Promise<number> {
  const sample = async (repeats: number) => {
    const start = performance.now();
    for (let i = 0; i < repeats; i++) work();
    await device.synchronize();
    return performance.now() - start;
  };
  await sample(1);
  const repeats = Math.max(1, Math.min(200, Math.ceil(sampleMs / await sample(1))));
  const times: number[] = [];
  const start = performance.now();
  do times.push(await sample(repeats) / repeats); while (
    times.length < samples && performance.now() - start < budgetMs
  );
  return median(times);
}

/** A profile, as text, of a few steps of work that has been run before. */
export async function profileSteps(device: Device, work: () => void): Promise<string> {
  const profile = await startProfile(device);
  for (let i = 0; i < 3; i++) {
    profile.step();
    work();
    await device.synchronize();
  }
  return showProfile(await profile.stop());
}

/** Numbers in [−1, 1) that are the same every time (a linear congruential generator). */
export function pseudoRandom(length: number, seed: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}
