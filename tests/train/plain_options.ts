/** Settings of a run that neither evaluates nor saves. @module */

import { adamWOptimizer } from "../../nn/mod.ts";
import type { TrainOptions } from "../../train/loop/options.ts";

/** One pass in batches of four. */
export const plainOptions: TrainOptions = {
  numTrainEpochs: 1,
  maxSteps: -1,
  batchSize: 4,
  evalBatchSize: 8,
  gradientAccumulationSteps: 1,
  learningRate: 1e-3,
  schedule: { name: "linear", kwargs: {}, warmup: 0 },
  optimizer: adamWOptimizer({
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0,
    decays: () => false,
  }),
  maxGradNorm: 1,
  seed: 42,
  dataSeed: undefined,
  ignoreDataSkip: false,
  sampling: "random",
  logging: { strategy: "steps", steps: 5, firstStep: false },
  evaluation: { strategy: "no", steps: 1, delay: 0, onStart: false },
  saving: { strategy: "no", steps: 1 },
  best: null,
  loadBestAtEnd: false,
};
