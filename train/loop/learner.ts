/** What learns: parameters, the optimiser's memory and the task's state, which each step takes over and makes anew. @module */

import { setImmediate } from "node:timers/promises";
import {
  combine,
  jit,
  type Jitted,
  type Key,
  randomKey,
  realize,
  scope,
  tensor,
} from "../../core/mod.ts";
import type { OptimizerScalars, OptimizerState } from "../../nn/mod.ts";
import { evaluateTask } from "./evaluate.ts";
import { type StepMemory, stepMemory } from "./memory.ts";
import type { MetricQueue } from "./metric_queue.ts";
import type { TrainRun } from "./run.ts";
import { type BatchResult, type TrainSteps, trainSteps } from "./steps.ts";
import type { MicroBatch, PackedMetrics, Refresh, TaskState } from "./task.ts";
import type { Policy } from "../sampling/rollout.ts";
import { windowShare } from "./windows.ts";

/** Gives the micro-batches of a step; answers may have to be sampled for them. */
type WindowOf = () => Promise<readonly MicroBatch[]>;

/** A step to do. */
export interface LearnerStep {
  /** Steps done before it. */
  readonly step: number;
  /** Its learning rate. */
  readonly rate: number;
  /** Its micro-batches. */
  readonly windowOf: WindowOf;
}

/** What a step leaves of the learner. */
interface Learned<P> {
  readonly trainable: P;
  readonly optimizer: OptimizerState;
  readonly state: TaskState;
}

/** The memory that learns. A class, for the tensors of a step are gone once it is done. */
export class Learner<P> {
  readonly #run: TrainRun<P>;
  readonly #steps: TrainSteps<P>;
  readonly #evaluate: TrainSteps<P>["evaluate"] | undefined;
  readonly #key: Key;
  readonly #refreshes:
    readonly (Refresh<P> & { readonly update: Jitted<[TaskState, P], TaskState> })[];
  #trainable: P;
  #optimizer: OptimizerState;
  #taskState: TaskState;

  /** Begins with what the run has, or goes on with what it resumes. */
  constructor(run: TrainRun<P>) {
    const { task, options, evaluation, resume } = run;
    this.#run = run;
    this.#steps = trainSteps(task, options);
    // The evaluated task has an objective of its own: it may reach further positions, or report more.
    this.#evaluate = evaluation && trainSteps(evaluation, options).evaluate;
    this.#key = randomKey(options.seed);
    this.#refreshes = (task.refreshes ?? []).map(({ every, update }) => ({
      every,
      update: jit(update, { donate: [0], name: "the refresh" }),
    }));
    this.#trainable = run.trainable;
    this.#optimizer = resume?.optimizer ?? options.optimizer.init(run.trainable);
    this.#taskState = resume ? resume.taskState : task.initialState?.() ?? null;
  }

  /** Parameters that learn, as they are now. */
  get trainable(): P {
    return this.#trainable;
  }

  /** What a checkpoint holds of it. */
  get held(): Pick<Learned<P>, "trainable" | "optimizer"> & { readonly taskState: TaskState } {
    return { trainable: this.#trainable, optimizer: this.#optimizer, taskState: this.#taskState };
  }

  /** The model as it is now, for sampling. */
  get policy(): Pick<Policy<P>, "params" | "taskState"> {
    return { params: combine(this.#trainable, this.#run.frozen), taskState: this.#taskState };
  }

  /** Computes what is still to be computed. */
  async settle(): Promise<void> {
    await realize([this.#trainable, this.#optimizer, this.#taskState, this.#run.frozen, this.#key]);
  }

  /** What a step holds in memory, by its plan. */
  async memory({ step, rate, windowOf }: LearnerStep): Promise<StepMemory> {
    return await scope(async () =>
      await stepMemory(this.#steps, {
        trainable: this.#trainable,
        frozen: this.#run.frozen,
        optimizer: this.#optimizer,
        scalars: this.#run.options.optimizer.scalars(rate, step + 1),
        state: this.#taskState,
        key: this.#key,
        window: await windowOf(),
      })
    );
  }

  /**
   * One optimiser step: a window of micro-batches. Its numbers go to `metrics` while they are still on the device.
   *
   * @returns the tokens it learned from
   */
  async learn({ step, rate, windowOf }: LearnerStep, metrics: MetricQueue): Promise<number> {
    const scalars = this.#run.options.optimizer.scalars(rate, step + 1);
    let tokens = 0;
    const next = await scope(async () => {
      // What is made in here and not returned is given back at the end of the step.
      const window = await windowOf();
      tokens = window.reduce((sum, batch) => sum + batch.tokens, 0);
      return window.length === 1
        ? this.#whole(step, window as [MicroBatch], scalars, metrics)
        : await this.#accumulated(step, window, scalars, metrics);
    });
    this.#trainable = next.trainable;
    this.#optimizer = next.optimizer;
    this.#taskState = next.state;
    for (const { every, update } of this.#refreshes) {
      if ((step + 1) % every !== 0) continue;
      this.#taskState = await scope(() => update(this.#taskState, this.#trainable));
    }
    return tokens;
  }

  /** Forward, backward and update in one. */
  #whole(
    step: number,
    window: readonly [MicroBatch],
    scalars: OptimizerScalars,
    metrics: MetricQueue,
  ): Learned<P> {
    const [only] = window;
    const { metrics: packed, ...next } = this.#steps.whole(
      this.#trainable,
      this.#optimizer,
      this.#taskState,
      this.#run.frozen,
      only.inputs,
      this.#keyOf(step, 0),
      { ...this.#share(only, window), ...scalars },
    );
    metrics.push(step + 1, window, [packed], packed);
    return next;
  }

  /** A sum of gradients, one micro-batch at a time, and an update. */
  async #accumulated(
    step: number,
    window: readonly MicroBatch[],
    scalars: OptimizerScalars,
    metrics: MetricQueue,
  ): Promise<Learned<P>> {
    const measured: PackedMetrics[] = [];
    let state = this.#taskState;
    let sum: P | null = null;
    for (const [k, batch] of window.entries()) {
      if (k > 0) await setImmediate();
      const result: { readonly sum: P } & BatchResult = this.#steps.accumulate(
        sum,
        state,
        this.#trainable,
        this.#run.frozen,
        batch.inputs,
        this.#keyOf(step, k),
        this.#share(batch, window),
      );
      ({ sum, state } = result);
      measured.push(result.metrics);
    }
    const { metrics: packed, ...next } = this.#steps.update(
      this.#trainable,
      this.#optimizer,
      sum!,
      scalars,
    );
    metrics.push(step + 1, window, measured, packed);
    return { ...next, state };
  }

  #share(batch: MicroBatch, window: readonly MicroBatch[]): ReturnType<typeof windowShare> {
    return windowShare(batch, window, this.#run.task.normalize);
  }

  #keyOf(
    step: number,
    k: number,
  ): { readonly run: Key; readonly index: ReturnType<typeof tensor> } {
    const index = step * this.#run.options.gradientAccumulationSteps + k;
    return { run: this.#key, index: tensor(Uint32Array.of(index)) };
  }

  /**
   * Metrics of the evaluation's examples; `progress` is for who answers, where answers are to be sampled. An aborted
   * signal ends that by throwing its reason.
   */
  async evaluate(
    progress: Policy<P>["progress"],
    signal: AbortSignal | undefined,
  ): Promise<Record<string, number>> {
    const { evaluation, options, frozen } = this.#run;
    const evaluate = this.#evaluate;
    if (!evaluation || !evaluate) {
      throw new Error("An evaluation is due, but the run has no evaluation task.");
    }
    return await evaluateTask(
      evaluation,
      options,
      (batch) =>
        evaluate(
          this.#trainable,
          this.#taskState,
          frozen,
          batch.inputs,
          windowShare(batch, [batch]),
        ),
      { ...this.policy, progress, signal },
    );
  }

  /** Goes back to parameters of before. */
  restore(trainable: P): void {
    this.#trainable = trainable;
  }
}
