/** What a run is made of, and what it leaves behind. @module */

import type { OptimizerState } from "../../nn/mod.ts";
import type { TrainOptions } from "./options.ts";
import type { RunState } from "./run_state.ts";
import type { RolloutFunction } from "../sampling/rollout.ts";
import type { OnlineTask, Task, TaskState } from "./task.ts";

/** Everything a checkpoint is made of. */
export interface Snapshot<P> {
  /** Parameters that learn. */
  readonly trainable: P;
  /** Parameters that do not. */
  readonly frozen: P;
  /** The optimiser's memory. */
  readonly optimizer: OptimizerState;
  /** What the task carries along. */
  readonly taskState: TaskState;
  /** What the run is in the middle of. */
  readonly state: RunState;
  /** How far it is. */
  readonly progress: RunProgress;
}

/** How far a run is, and how long it is. */
export interface RunProgress {
  /** Passes over the data so far, with their fraction, and of the whole run. */
  readonly epoch: number;
  /** Passes over the data of the whole run. */
  readonly epochs: number;
  /** Optimiser steps of the whole run. */
  readonly totalSteps: number;
}

/** Where checkpoints go. */
export interface CheckpointStore<P> {
  /** The directory of a step's checkpoint. */
  readonly pathOf: (step: number) => string;
  /** Writes a checkpoint and removes those beyond the limit. */
  readonly save: (snapshot: Snapshot<P>) => Promise<void>;
  /** Reads the trainable parameters of a checkpoint. */
  readonly load: (path: string) => Promise<P>;
}

/** What a run goes on with, beside its parameters. */
export interface ResumedRun {
  /** The optimiser's memory. */
  readonly optimizer: OptimizerState;
  /** What the task carries along. */
  readonly taskState: TaskState;
  /** What the run is in the middle of. */
  readonly state: RunState;
}

/** What to train. */
export interface TrainRun<P> {
  /** What is learned. */
  readonly task: Task<P> | OnlineTask<P>;
  /** What is evaluated, if anything. */
  readonly evaluation?: Task<P> | OnlineTask<P> | undefined;
  /** Gives answers in place of those that an online task samples and judges itself. */
  readonly rollout?: RolloutFunction | undefined;
  /** Parameters that learn. Their memory is taken over. */
  readonly trainable: P;
  /** Parameters that do not; null where the other tree has a leaf. */
  readonly frozen: P;
  /** Settings of the run. */
  readonly options: TrainOptions;
  /** Where checkpoints go, if anywhere. */
  readonly checkpoints?: CheckpointStore<P> | undefined;
  /** Moments and state of a run to go on with. */
  readonly resume?: ResumedRun | undefined;
  /** Ends the run after the current step, or the one before while answers are sampled for it, with a checkpoint. */
  readonly signal?: AbortSignal | undefined;
}

/** What a run leaves behind. */
export interface TrainResult<P> {
  /** Parameters that learn. */
  readonly trainable: P;
  /** What the run is in the middle of. */
  readonly state: RunState;
  /** How far it is. */
  readonly progress: RunProgress;
  /** Whether it stopped before its last step. */
  readonly interrupted: boolean;
}
