/** What a step of training holds in the device's memory, known from its plan before it runs. @module */

import {
  bytesPerElement,
  leavesOf,
  mapTree,
  scope,
  Tensor,
  tensor,
  zeros,
} from "../../core/mod.ts";
import type { Key, PlannedGraph } from "../../core/mod.ts";
import type { OptimizerScalars, OptimizerState } from "../../nn/mod.ts";
import type { TrainSteps } from "./steps.ts";
import type { MicroBatch, TaskState } from "./task.ts";

/** Bytes on the device during a step of training. */
export interface StepMemory {
  /** Parameters, frozen ones too, and what else the step reads that stays: tables, a reference model. */
  readonly weights: number;
  /** The optimiser's state. */
  readonly optimizer: number;
  /** Gradients, activations kept for the backward pass, and all other intermediate results, at their most. */
  readonly temporaries: number;
}

/** All of it, in bytes. */
export function totalBytes({ weights, optimizer, temporaries }: StepMemory): number {
  return weights + optimizer + temporaries;
}

/** Bytes of a tree's tensors; memory they share counts once. */
export function bytesOf(tree: unknown): number {
  const seen = new Set<unknown>();
  let bytes = 0;
  for (const [, leaf] of leavesOf(tree)) {
    if (!(leaf instanceof Tensor)) continue;
    const memory = leaf.node.storage ?? leaf.node;
    if (!seen.has(memory)) bytes += leaf.size * bytesPerElement[leaf.dtype];
    seen.add(memory);
  }
  return bytes;
}

/** What {@link stepMemory} plans: the arguments of a step. */
export interface PlannedStep<P> {
  /** Parameters that learn, and those that do not. */
  readonly trainable: P;
  /** Parameters that do not. */
  readonly frozen: P;
  /** The optimiser's state, and its numbers. */
  readonly optimizer: OptimizerState;
  /** Numbers of a step. */
  readonly scalars: OptimizerScalars;
  /** The task's state. */
  readonly state: TaskState;
  /** The run's randomness. */
  readonly key: Key;
  /** The micro-batches of the step. Longer ones take more. */
  readonly window: readonly MicroBatch[];
}

/** Plans a step, which compiles and runs nothing, and adds up what it holds. */
export async function stepMemory<P>(
  steps: TrainSteps<P>,
  { trainable, frozen, optimizer, scalars, state, key, window }: PlannedStep<P>,
): Promise<StepMemory> {
  let [captured, temporaries] = [0, 0];
  const count = ({ plan, externals }: PlannedGraph, held = 0) => {
    const given = externals.filter((external) => external.kind === "given");
    const results = externals.filter((external) => external.kind === "result");
    const own = given.filter(({ node }) => node.operation.name !== "placeholder");
    captured = Math.max(captured, bytesOf(own.map(({ node }) => new Tensor(node))));
    const made = results.reduce((sum, { bytes }) => sum + bytes, 0);
    temporaries = Math.max(temporaries, held + plan.arenaBytes + made);
  };
  const longest = window.reduce((a, b) => b.tokens > a.tokens ? b : a);
  await scope(() => {
    const random = { run: key, index: tensor(Uint32Array.of(0)) };
    const numbers = { normalizer: 1, share: 1, labels: 1 };
    if (window.length === 1) {
      const all = { ...numbers, ...scalars };
      count(
        steps.whole.plan(trainable, optimizer, state, frozen, longest.inputs, random, all),
      );
      return;
    }
    // The sum of gradients is there from the first micro-batch until the update, which takes it over.
    const sum = mapTree(trainable, (leaf) => zeros((leaf as Tensor).shape)) as P;
    const held = bytesOf(sum);
    const { inputs } = longest;
    count(steps.accumulate.plan(null, state, trainable, frozen, inputs, random, numbers));
    count(steps.accumulate.plan(sum, state, trainable, frozen, inputs, random, numbers), held);
    count(steps.update.plan(trainable, optimizer, sum, scalars), held);
  });
  return {
    weights: bytesOf([trainable, frozen]) + captured,
    optimizer: bytesOf(optimizer),
    temporaries,
  };
}
