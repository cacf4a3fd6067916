/** What the loop asks of an algorithm: how rows become tensors, and the loss. @module */

import type { Key, Operand, Tensor } from "../core/mod.ts";
import type { Objective } from "../rl/mod.ts";

/** Examples as tensors, with what the loop has to know of them. */
export interface MicroBatch {
  /** A tree of tensors and numbers: the objective's second argument. */
  readonly inputs: unknown;
  /** What a window's loss is normalised by: the supervised tokens. */
  readonly items: number;
  /** Tokens that go through the model, for throughput and `num_tokens`. */
  readonly tokens: number;
  /** Examples in the batch. */
  readonly examples: number;
  /** Numbers (from 0) of the dataset rows in it, for messages. */
  readonly rows: readonly number[];
}

/** What an objective may use beside parameters and batch. */
export interface ObjectiveContext {
  /** What to divide the sum by. */
  readonly normalizer: Operand;
  /** This micro-batch's randomness, or null in evaluation. */
  readonly key: Key | null;
}

/** Examples and a loss. `P` is the tree of parameters. */
export interface Task<P> {
  /** Number of examples. */
  readonly examples: number;
  /** Tokens of each example, for sampling by length. */
  readonly lengths: ArrayLike<number>;
  /** The tensors of some examples, in host memory. */
  readonly batch: (examples: ArrayLike<number>) => MicroBatch;
  /** A pure function, traced once per shape. */
  readonly objective: (params: P, inputs: never, context: ObjectiveContext) => Objective;
}

/** Named numbers in one tensor, so that a step is read back at once. */
export interface PackedMetrics {
  readonly names: readonly string[];
  /** f32 [names]. */
  readonly values: Tensor;
}
