/** Settings of a run. @module */

import type { SamplingStrategy } from "../../data/batches/sampler.ts";
import type { Optimizer } from "../../nn/mod.ts";

/** When something happens: never, every so many steps (below 1: that share of all steps), or every epoch. */
export interface Rhythm {
  /** What is counted. */
  readonly strategy: "no" | "steps" | "epoch";
  /** How many. */
  readonly steps: number;
}

/** Settings of {@link train}; the names are TRL's in camelCase. */
export interface TrainOptions {
  /** Passes over the data; may have a fraction. */
  readonly numTrainEpochs: number;
  /** Optimiser steps; overrides the epochs if positive. */
  readonly maxSteps: number;
  /** Examples of a micro-batch. */
  readonly batchSize: number;
  /** Examples of an evaluation batch. */
  readonly evalBatchSize: number;
  /** Micro-batches of an optimiser step. */
  readonly gradientAccumulationSteps: number;
  /** The highest learning rate. */
  readonly learningRate: number;
  /** How the learning rate changes. */
  readonly schedule: {
    readonly name: string;
    readonly kwargs: Readonly<Record<string, unknown>>;
    /** Steps, or below 1 a share of all steps. */
    readonly warmup: number;
  };
  /** The optimiser. */
  readonly optimizer: Optimizer;
  /** The most the gradient's norm may be; 0 for no limit. */
  readonly maxGradNorm: number;
  /** Seed of all randomness. */
  readonly seed: number;
  /** Seed of the order of examples, if it is another. */
  readonly dataSeed: number | undefined;
  /** Whether a resumed run begins its epoch anew instead of going on where it stopped. */
  readonly ignoreDataSkip: boolean;
  /** The order of examples. */
  readonly sampling: SamplingStrategy;
  /** When to log. */
  readonly logging: Rhythm & { readonly firstStep: boolean };
  /** When to evaluate. */
  readonly evaluation: Rhythm & { readonly delay: number; readonly onStart: boolean };
  /** When to save. */
  readonly saving: Omit<Rhythm, "strategy"> & { readonly strategy: Rhythm["strategy"] | "best" };
  /** Which evaluation is best; null if nobody asks. */
  readonly best: { readonly metric: string; readonly greaterIsBetter: boolean } | null;
  /** Whether to end with the parameters of the best evaluation. */
  readonly loadBestAtEnd: boolean;
}

/** Derived lengths of a run. */
export interface RunLength {
  /** Micro-batches and optimiser steps of an epoch. */
  readonly batchesPerEpoch: number;
  /** Optimiser steps of an epoch. */
  readonly stepsPerEpoch: number;
  /** Optimiser steps of the whole run. */
  readonly totalSteps: number;
  /** Epochs of the whole run, the last perhaps not full. */
  readonly epochs: number;
}

/** How long a run over so many micro-batches an epoch is. */
export function runLength(batchesPerEpoch: number, options: TrainOptions): RunLength {
  const stepsPerEpoch = Math.max(1, Math.ceil(batchesPerEpoch / options.gradientAccumulationSteps));
  const totalSteps = options.maxSteps > 0
    ? options.maxSteps
    : Math.ceil(options.numTrainEpochs * stepsPerEpoch);
  const epochs = Math.ceil(totalSteps / stepsPerEpoch);
  return { batchesPerEpoch, stepsPerEpoch, totalSteps, epochs };
}
