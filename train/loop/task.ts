/** What the loop asks of an algorithm: how rows become tensors, and the loss. @module */

import type { Key, Tensor } from "../../core/mod.ts";
import type { Objective, WindowShare } from "../../rl/mod.ts";
import type { RolloutStage } from "../sampling/rollout.ts";

/** Examples as tensors, with what the loop has to know of them. */
export interface MicroBatch {
  /** A tree of tensors and numbers: the objective's second argument. */
  readonly inputs: unknown;
  /** How many losses a window counts of it: pairs, rows or supervised tokens. */
  readonly items: number;
  /** How many tokens are learned, where an objective may give the losses of these instead; `items` by default. */
  readonly labels?: number;
  /** Tokens that go through the model, for throughput and `num_tokens`. */
  readonly tokens: number;
  /** Examples in the batch. */
  readonly examples: number;
  /** Numbers (from 0) of the dataset rows in it, for messages. */
  readonly rows: readonly number[];
}

/** What an objective may use beside parameters and batch. */
export interface ObjectiveContext {
  /** How the batch stands in its window, for metrics that depend on it. */
  readonly window: WindowShare;
  /** This micro-batch's randomness, or null in evaluation. */
  readonly key: Key | null;
  /** What the task carries from one micro-batch to the next; null if nothing. */
  readonly state: TaskState;
}

/** Tensors a task carries along, such as a running mean; a checkpoint holds them. */
export type TaskState = Readonly<Record<string, unknown>> | null;

/** An objective that may also give the state for the next micro-batch. */
export interface TaskObjective extends Objective {
  /** Whether `losses` are those of tokens where the task's batches count answers: `labels` are then divided by. */
  readonly ofTokens?: boolean;
  /** For the next micro-batch; as before if absent. */
  readonly state?: TaskState;
}

/** What is minimised. `P` is the tree of parameters. */
export interface Learning<P> {
  /** A pure function, traced once per shape. */
  readonly objective: (params: P, inputs: never, context: ObjectiveContext) => TaskObjective;
  /**
   * What the loss of an accumulation window is: `window`, a mean over all of its items; `batch`, the mean of its
   * micro-batches' means, which differs only where batches are of unequal size. `window` by default.
   */
  readonly normalize?: "window" | "batch";
  /** The state before the first micro-batch. */
  readonly initialState?: () => TaskState;
  /** Changes of the state between optimiser steps, such as those of a reference that follows. */
  readonly refreshes?: readonly Refresh<P>[];
}

/** A change of a task's state every so many optimiser steps. */
export interface Refresh<P> {
  /** How many. */
  readonly every: number;
  /** A pure function. */
  readonly update: (state: TaskState, params: P) => TaskState;
}

/** Examples and a loss. */
export interface Task<P> extends Learning<P> {
  /** Number of examples. */
  readonly examples: number;
  /** Tokens of each example, for sampling by length. */
  readonly lengths: ArrayLike<number>;
  /** The tensors of some examples, in host memory. */
  readonly batch: (examples: ArrayLike<number>) => MicroBatch;
}

/** Prompts, how they are answered and judged, and a loss of the answers. */
export interface OnlineTask<P> extends Learning<P> {
  /** Number of prompts. */
  readonly examples: number;
  /**
   * Tokens of each prompt. If given, prompts are drawn as the rows of a data set are, by the run's sampling strategy,
   * and an epoch's last generation may be smaller; else in whole generations, as TRL's `RepeatSampler` draws them.
   */
  readonly lengths?: ArrayLike<number>;
  /** How answers come about. */
  readonly rollout: RolloutStage<P>;
}

/** Named numbers in one tensor, so that a step is read back at once. */
export interface PackedMetrics {
  /** Their names. */
  readonly names: readonly string[];
  /** f32 [names]. */
  readonly values: Tensor;
}
