/** Recorded trajectories of optimisers, and their parts as tensors. @module */

import assert from "node:assert/strict";
import { type Tensor, tensor } from "../../../core/mod.ts";
import { readFixture } from "../../data/fixture_files.ts";

/** Numbers as JSON nests them. */
export type Nested = readonly (number | Nested)[];

/** Named arrays of numbers. */
export type Numbers = Readonly<Record<string, Nested>>;

/** Named tensors. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** Options as PyTorch and transformers name them. */
export type Options = Readonly<Record<string, number | boolean | string | readonly number[]>>;

/** Twenty steps of an optimiser, recorded in f64. */
export interface Trajectory {
  readonly options: Options;
  readonly start: Numbers;
  readonly grads: readonly Numbers[];
  /** After each step. */
  readonly parameters: readonly Numbers[];
}

/** A recorded trajectory. */
export async function readTrajectory(name: string): Promise<Trajectory> {
  const trajectory = await readFixture<Trajectory>(`optim/${name}.json`);
  assert.equal(trajectory.grads.length, 20);
  assert.equal(trajectory.parameters.length, 20);
  return trajectory;
}

/** The numbers as tensors. */
export function tensorsOf(numbers: Numbers): Tensors {
  return Object.fromEntries(
    Object.entries(numbers).map(([name, values]) => [name, tensor(values)]),
  );
}

/** Asserts that no element is further than `tolerance` from what is expected. */
export async function assertNear(
  actual: Tensor,
  expected: Nested,
  what: string,
  tolerance = 1e-5,
): Promise<void> {
  const values = await actual.data();
  const flat = expected.flat(3) as number[];
  assert.equal(values.length, flat.length, what);
  flat.forEach((value, i) => {
    const error = Math.abs(values[i]! - value);
    assert.ok(error < tolerance, `${what}: element ${i} is ${values[i]}, not ${value}`);
  });
}
