/**
 * The compiled steps of training. Pure functions of `(trainable, optimiser state, batch, scalars)`; the loop only
 * decides which to call.
 *
 * @module
 */

import {
  combine,
  foldKey,
  jit,
  type Jitted,
  type Key,
  leavesOf,
  mapTree,
  type Operand,
  stack,
  stopGradient,
  type Tensor,
  valueAndGradWithAux,
} from "../../core/mod.ts";
import {
  clipByNorm,
  globalNorm,
  type Optimizer,
  type OptimizerScalars,
  type OptimizerState,
  seedDropout,
} from "../../nn/mod.ts";
import { lossOf, type WindowShare } from "../../rl/mod.ts";
import type { Learning, MicroBatch, PackedMetrics, TaskObjective, TaskState } from "./task.ts";
import { countPrefix } from "./windows.ts";

/** Numbers of a micro-batch that change from step to step. */
export interface BatchScalars extends WindowShare {
  /** What sums over the learned tokens are divided by. */
  readonly labels: Operand;
}

/** Where a micro-batch's randomness comes from: folded inside the step, as nothing is computed outside of it. */
export interface BatchKey {
  /** The run's key. */
  readonly run: Key;
  /** u32 [1]: the number of the micro-batch in the run. */
  readonly index: Tensor;
}

/** What a step leaves behind. */
export interface StepResult<P> {
  /** Parameters that learn. */
  readonly trainable: P;
  /** The optimiser. */
  readonly optimizer: OptimizerState;
  /** Numbers to report. */
  readonly metrics: PackedMetrics;
}

/** What a micro-batch leaves behind: the state of the task, and metrics. */
export interface BatchResult {
  /** What the task carries along. */
  readonly state: TaskState;
  /** Numbers to report. */
  readonly metrics: PackedMetrics;
}

/** The compiled functions of one run. */
export interface TrainSteps<P> {
  /** Forward, backward, clipping and update in one, where a window is one micro-batch. */
  readonly whole: Jitted<[
    trainable: P,
    optimizer: OptimizerState,
    state: TaskState,
    frozen: P,
    batch: MicroBatch["inputs"],
    key: BatchKey,
    scalars: BatchScalars & OptimizerScalars,
  ], StepResult<P> & BatchResult>;
  /** The gradient of a micro-batch, added to what a window has so far (null at its beginning). */
  readonly accumulate: Jitted<[
    sum: P | null,
    state: TaskState,
    trainable: P,
    frozen: P,
    batch: MicroBatch["inputs"],
    key: BatchKey,
    scalars: BatchScalars,
  ], { readonly sum: P } & BatchResult>;
  /** Clipping and update at the end of a window; the metrics hold `grad_norm`. */
  readonly update: Jitted<[
    trainable: P,
    optimizer: OptimizerState,
    sum: P,
    scalars: OptimizerScalars,
  ], StepResult<P>>;
  /** Loss and metrics without a gradient. */
  readonly evaluate: (
    trainable: P,
    state: TaskState,
    frozen: P,
    batch: MicroBatch["inputs"],
    scalars: BatchScalars,
  ) => PackedMetrics;
}

/** Settings of {@link trainSteps}. */
export interface StepOptions {
  /** The optimiser. */
  readonly optimizer: Optimizer;
  /** The most the norm of the gradient may be; 0 for no limit. */
  readonly maxGradNorm: number;
}

/** Sets dropout's randomness apart from what tasks use. */
const dropoutStream = 2 ** 31;

/** Compiles (at first use) the steps of a task. */
export function trainSteps<P>(task: Learning<P>, options: StepOptions): TrainSteps<P> {
  const gradient = (
    trainable: P,
    state: TaskState,
    frozen: P,
    batch: unknown,
    { run, index }: BatchKey,
    window: BatchScalars,
  ) =>
    valueAndGradWithAux((p: P): [Tensor, TaskObjective] => {
      const context = { window, key: foldKey(run, index), state };
      const objective = task.objective(
        seedDropout(combine(p, frozen), foldKey(context.key, dropoutStream)),
        batch as never,
        context,
      );
      return [minimised(objective, window), objective];
    })(trainable);

  const apply = (trainable: P, state: OptimizerState, sum: P, scalars: OptimizerScalars) => {
    const norm = globalNorm(sum);
    const clipped = options.maxGradNorm > 0 ? clipByNorm(sum, norm, options.maxGradNorm) : sum;
    const [next, optimizer] = options.optimizer.update(trainable, clipped, state, scalars);
    return { trainable: next, optimizer, norm };
  };

  return {
    whole: jit((trainable, optimizer, state, frozen, batch, key, scalars) => {
      const [[loss, objective], sum] = gradient(trainable, state, frozen, batch, key, scalars);
      const { normalizer: _, share: __, labels: ___, ...numbers } = scalars;
      const { norm, ...next } = apply(trainable, optimizer, sum, numbers);
      const metrics = pack({ ...measured(loss, objective), grad_norm: norm });
      return { ...next, state: objective.state ?? state, metrics };
    }, { donate: [0, 1, 2], name: "the training step" }),

    accumulate: jit((sum, state, trainable, frozen, batch, key, scalars) => {
      const [[loss, objective], own] = gradient(trainable, state, frozen, batch, key, scalars);
      return {
        sum: sum === null ? own : addTrees(sum, own),
        state: objective.state ?? state,
        metrics: pack(measured(loss, objective)),
      };
    }, { donate: [0, 1], name: "the accumulation step" }),

    update: jit((trainable, optimizer, sum, scalars) => {
      const { norm, ...next } = apply(trainable, optimizer, sum, scalars);
      return { ...next, metrics: pack({ grad_norm: norm }) };
    }, { donate: [0, 1, 2], name: "the update step" }),

    evaluate: jit((trainable, state, frozen, batch, window) => {
      const context = { window, key: null, state };
      const objective = task.objective(combine(trainable, frozen), batch as never, context);
      return pack(measured(minimised(objective, window), objective));
    }, { name: "the evaluation step" }),
  };
}

/** What a batch adds to the loss of its window. */
function minimised(objective: TaskObjective, { normalizer, share, labels }: BatchScalars): Tensor {
  return lossOf(objective, { normalizer: objective.ofTokens ? labels : normalizer, share });
}

function measured(
  loss: Tensor,
  { metrics, counts = {} }: TaskObjective,
): Record<string, Tensor> {
  const counted = Object.entries(counts).map(([name, count]) => [countPrefix + name, count]);
  return { loss, ...metrics, ...Object.fromEntries(counted) };
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
