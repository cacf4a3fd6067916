/** Which examples a run sees. @module */

import { epochOrder } from "../../data/batches/sampler.ts";
import { runLength, type TrainOptions } from "./options.ts";

/**
 * Numbers of the examples that a run visits, in the order of the first epoch. Reference log-probs are computed in
 * this order, so that a policy that still equals its reference has the very same bits.
 */
export function visitedExamples(
  lengths: ArrayLike<number>,
  options: TrainOptions,
): number[] {
  const examples = lengths.length;
  const { totalSteps, stepsPerEpoch } = runLength(Math.ceil(examples / options.batchSize), options);
  const order = epochOrder(examples, {
    seed: options.seed,
    dataSeed: options.dataSeed,
    epoch: 0,
    strategy: options.sampling,
    lengths,
    batchSize: options.batchSize * options.gradientAccumulationSteps,
  });
  const seen = totalSteps * options.gradientAccumulationSteps * options.batchSize;
  return Array.from(totalSteps >= stepsPerEpoch ? order : order.subarray(0, seen));
}
