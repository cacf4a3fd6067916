/** The least time that work can take: its matrix products at the best rate, its weights read as fast as memory is. @module */

import type { Roofline } from "../../core/mod.ts";
import { type Counts, groupSize, newTokens, sampledRows, type Workload } from "./workload.ts";

type Weights = Pick<Workload, "bodyWeights" | "headWeights">;

/**
 * Milliseconds of a training step's products: forward once, backward twice as much, and the forward pass of the
 * layers a second time, since gradient checkpointing is on by default. Attention is not in it.
 */
export function trainingFloor(
  { bodyWeights, headWeights }: Weights,
  { shared, labels }: Counts,
  { flopsPerMs }: Roofline,
): number {
  return (8 * bodyWeights * shared + 6 * headWeights * labels) / flopsPerMs;
}

/** Milliseconds of a forward pass's products, as of a reference model. */
export function forwardFloor(
  { bodyWeights, headWeights }: Weights,
  { shared, labels }: Counts,
  { flopsPerMs }: Roofline,
): number {
  return (2 * bodyWeights * shared + 2 * headWeights * labels) / flopsPerMs;
}

/** Milliseconds of sampling: the prompts' pass, then one for each token, which at the least reads all f32 weights. */
export function samplingFloor(
  { bodyWeights, headWeights }: Weights,
  { prompts, sequences }: { readonly prompts: number; readonly sequences: number },
  { flopsPerMs, bytesPerMs }: Roofline,
): number {
  const weights = bodyWeights + headWeights;
  const perToken = Math.max(4 * weights / bytesPerMs, 2 * weights * sequences / flopsPerMs);
  return 2 * bodyWeights * prompts / flopsPerMs + newTokens * perToken;
}

/** The floor of each contest, by its name. */
export function floors(workload: Workload, roofline: Roofline): Readonly<Record<string, number>> {
  const { sft, dpo, prompts } = workload.counts;
  const sequences = groupSize * sampledRows;
  const answers = sequences * newTokens;
  const sampled: Counts = {
    tokens: prompts.tokens * groupSize + answers,
    shared: prompts.tokens + answers,
    labels: answers,
  };
  return {
    "peer-product": 2 * 1024 ** 3 / roofline.flopsPerMs,
    "peer-sft": trainingFloor(workload, sft, roofline),
    "peer-dpo": trainingFloor(workload, dpo, roofline) + forwardFloor(workload, dpo, roofline),
    "peer-sampling": samplingFloor(
      workload,
      { prompts: prompts.tokens, sequences: sampledRows },
      roofline,
    ),
    "peer-grpo": samplingFloor(workload, { prompts: prompts.tokens, sequences }, roofline) +
      trainingFloor(workload, sampled, roofline),
  };
}
