/**
 * The compiled steps of training. Pure functions of `(trainable, optimiser state, batch, scalars)`; the loop only
 * decides which to call.
 *
 * @module
 */

import {
  combine,
  jit,
  type Key,
  leavesOf,
  mapTree,
  type Operand,
  stack,
  stopGradient,
  type Tensor,
  valueAndGradWithAux,
} from "../core/mod.ts";
import {
  adamW,
  type AdamWOptions,
  type AdamWState,
  type AdamWStep,
  clipByNorm,
  globalNorm,
} from "../nn/mod.ts";
import type { Objective } from "../rl/mod.ts";
import type { MicroBatch, PackedMetrics, Task } from "./task.ts";

/** Numbers of a micro-batch that change from step to step. */
export interface BatchScalars {
  readonly normalizer: Operand;
}

/** What a step leaves behind. */
export interface StepResult<P> {
  readonly trainable: P;
  readonly optimizer: AdamWState<P>;
  readonly metrics: PackedMetrics;
}

/** The compiled functions of one run. */
export interface TrainSteps<P> {
  /** Forward, backward, clipping and update in one, where a window is one micro-batch. */
  readonly whole: (
    trainable: P,
    optimizer: AdamWState<P>,
    frozen: P,
    batch: MicroBatch["inputs"],
    key: Key,
    scalars: BatchScalars & AdamWStep,
  ) => StepResult<P>;
  /** The gradient of a micro-batch, added to what a window has so far (null at its beginning). */
  readonly accumulate: (
    sum: P | null,
    trainable: P,
    frozen: P,
    batch: MicroBatch["inputs"],
    key: Key,
    scalars: BatchScalars,
  ) => { readonly sum: P; readonly metrics: PackedMetrics };
  /** Clipping and update at the end of a window; the metrics hold `grad_norm`. */
  readonly update: (
    trainable: P,
    optimizer: AdamWState<P>,
    sum: P,
    scalars: AdamWStep,
  ) => StepResult<P>;
  /** Loss and metrics without a gradient. */
  readonly evaluate: (
    trainable: P,
    frozen: P,
    batch: MicroBatch["inputs"],
    scalars: BatchScalars,
  ) => PackedMetrics;
}

/** Settings of {@link trainSteps}. */
export interface StepOptions {
  readonly optimizer: AdamWOptions;
  /** The most the norm of the gradient may be; 0 for no limit. */
  readonly maxGradNorm: number;
}

/** Compiles (at first use) the steps of a task. */
export function trainSteps<P>(task: Task<P>, options: StepOptions): TrainSteps<P> {
  const gradient = (
    trainable: P,
    frozen: P,
    batch: unknown,
    key: Key,
    { normalizer }: BatchScalars,
  ) =>
    valueAndGradWithAux((p: P): [Tensor, Objective] => {
      const objective = task.objective(combine(p, frozen), batch as never, { normalizer, key });
      return [objective.loss, objective];
    })(trainable);

  const apply = (trainable: P, state: AdamWState<P>, sum: P, scalars: AdamWStep) => {
    const norm = globalNorm(sum);
    const clipped = options.maxGradNorm > 0 ? clipByNorm(sum, norm, options.maxGradNorm) : sum;
    const [next, optimizer] = adamW(trainable, clipped, state, scalars, options.optimizer);
    return { trainable: next, optimizer, norm };
  };

  return {
    whole: jit((trainable, optimizer, frozen, batch, key, scalars) => {
      const [[, objective], sum] = gradient(trainable, frozen, batch, key, scalars);
      const { norm, ...next } = apply(trainable, optimizer, sum, scalars);
      return { ...next, metrics: pack({ ...measured(objective), grad_norm: norm }) };
    }, { donate: [0, 1], name: "the training step" }),

    accumulate: jit((sum, trainable, frozen, batch, key, scalars) => {
      const [[, objective], own] = gradient(trainable, frozen, batch, key, scalars);
      return { sum: sum === null ? own : addTrees(sum, own), metrics: pack(measured(objective)) };
    }, { donate: [0], name: "the accumulation step" }),

    update: jit((trainable, optimizer, sum, scalars) => {
      const { norm, ...next } = apply(trainable, optimizer, sum, scalars);
      return { ...next, metrics: pack({ grad_norm: norm }) };
    }, { donate: [0, 1, 2], name: "the update step" }),

    evaluate: jit(
      (trainable, frozen, batch, { normalizer }) =>
        pack(
          measured(
            task.objective(combine(trainable, frozen), batch as never, { normalizer, key: null }),
          ),
        ),
      { name: "the evaluation step" },
    ),
  };
}

function measured({ loss, metrics }: Objective): Record<string, Tensor> {
  return { loss, ...metrics };
}

function pack(metrics: Readonly<Record<string, Tensor>>): PackedMetrics {
  const values = Object.values(metrics).map((x) =>
    stopGradient(x).cast("f32").reshape(1).reshape()
  );
  return { names: Object.keys(metrics), values: stack(values) };
}

function addTrees<P>(a: P, b: P): P {
  const others = leavesOf(b);
  let next = 0;
  return mapTree(a, (leaf) => (leaf as Tensor).add(others[next++]![1] as Tensor)) as P;
}
