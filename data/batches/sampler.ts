/**
 * The order in which training visits the examples, as transformers' Trainer (with accelerate's
 * seedable sampler) draws it. Every function is pure: epoch k's order needs no history, so a
 * resumed run sees exactly what the uninterrupted one would have.
 */

import { UserError } from "../../core/errors.ts";
import { type MersenneTwister, mersenneTwister, randomPermutation } from "./mersenne_twister.ts";

/** `train_sampling_strategy`: how an epoch orders its examples. */
export type SamplingStrategy = "random" | "sequential" | "group_by_length";

/** What decides an epoch's order. */
export interface EpochOrderOptions {
  /** The seed of the run (`seed`). */
  readonly seed: number;
  /** The seed of the order alone (`data_seed`); as in the Trainer, only `random` heeds it. */
  readonly dataSeed?: number | undefined;
  /** The epoch, from 0. */
  readonly epoch: number;
  /** Default `"random"`. */
  readonly strategy?: SamplingStrategy;
  /** Tokens of each example; needed by `group_by_length`. */
  readonly lengths?: ArrayLike<number>;
  /** Examples per optimiser step (batch × accumulation); needed by `group_by_length`. */
  readonly batchSize?: number;
}

/**
 * The order of the examples 0 … count − 1 in one epoch.
 *
 * - `random`: `torch.randperm` seeded with the (data) seed + epoch, which is accelerate's
 *   `SeedableRandomSampler`.
 * - `sequential`: as they come.
 * - `group_by_length`: transformers' `LengthGroupedSampler`. It draws from torch's global generator,
 *   so its later epochs agree with the Trainer's only where nothing else drew from it in between
 *   (dropout, NEFTune noise and evaluation do).
 *
 * @throws {UserError} if `group_by_length` lacks lengths or a batch size, or the strategy is unknown
 */
export function epochOrder(count: number, options: EpochOrderOptions): Int32Array {
  const { seed, dataSeed, epoch, strategy = "random" } = options;
  switch (strategy) {
    case "sequential":
      return Int32Array.from({ length: count }, (_, i) => i);
    case "random":
      return randomPermutation(count, mersenneTwister(BigInt(dataSeed ?? seed) + BigInt(epoch)));
    case "group_by_length": {
      const { lengths, batchSize } = lengthsAndBatch(count, options);
      const generator = mersenneTwister(seed);
      for (let past = 0; past <= epoch; past++) {
        // Each torch DataLoader iterator draws a 64-bit base seed before its sampler runs.
        generator.next();
        generator.next();
        if (past < epoch) randomPermutation(count, generator);
      }
      return lengthGroupedOrder(lengths, batchSize, generator);
    }
    default:
      throw new UserError(
        `train_sampling_strategy is "${strategy}": expected random, sequential or group_by_length.`,
      );
  }
}

/**
 * The order of evaluation: as the examples come, unless the strategy is `group_by_length`, which
 * groups them anew from the (data) seed each time.
 *
 * @throws {UserError} if `group_by_length` lacks lengths or a batch size
 */
export function evaluationOrder(
  count: number,
  options: Omit<EpochOrderOptions, "epoch">,
): Int32Array {
  if (options.strategy !== "group_by_length") {
    return Int32Array.from({ length: count }, (_, i) => i);
  }
  const { lengths, batchSize } = lengthsAndBatch(count, options);
  return lengthGroupedOrder(lengths, batchSize, mersenneTwister(options.dataSeed ?? options.seed));
}

/**
 * The order of an epoch in TRL's `RepeatSampler`, which feeds GRPO and RLOO: one generator draws the permutations of
 * all epochs in turn.
 */
export function repeatedOrder(
  count: number,
  { seed, epoch, shuffle }: {
    readonly seed: number;
    readonly epoch: number;
    readonly shuffle: boolean;
  },
): Int32Array {
  if (!shuffle) return Int32Array.from({ length: count }, (_, i) => i);
  const generator = mersenneTwister(seed);
  for (let past = 0; past < epoch; past++) randomPermutation(count, generator);
  return randomPermutation(count, generator);
}

function lengthsAndBatch(count: number, options: Omit<EpochOrderOptions, "epoch">) {
  const { lengths, batchSize } = options;
  if (lengths === undefined || batchSize === undefined || lengths.length !== count) {
    throw new UserError(
      `Sampling by length needs the length of each of the ${count} examples and the batch size: ` +
        `got ${lengths?.length ?? "no"} lengths and batch size ${batchSize ?? "unset"}.`,
    );
  }
  return { lengths, batchSize };
}

/** transformers' `get_length_grouped_indices`: random, then sorted by length inside mega-batches. */
function lengthGroupedOrder(
  lengths: ArrayLike<number>,
  batchSize: number,
  generator: MersenneTwister,
): Int32Array {
  const count = lengths.length;
  if (count === 0) return new Int32Array();
  const multiple = Math.max(1, Math.min(Math.floor(count / (batchSize * 4)), 50));
  const size = multiple * batchSize;
  const order = randomPermutation(count, generator);
  let longest = 0;
  for (let start = 0; start < count; start += size) {
    order.set(
      Array.from(order.subarray(start, start + size)).sort((a, b) => lengths[b]! - lengths[a]!),
      start,
    );
    if (lengths[order[start]!]! > lengths[order[longest]!]!) longest = start;
  }
  // The longest example goes first, so that running out of memory shows at once.
  const first = order[0]!;
  order[0] = order[longest]!;
  order[longest] = first;
  return order;
}

/**
 * Cuts an order into consecutive batches; the last may be smaller, or is left out with `dropLast`
 * (`dataloader_drop_last`).
 */
export function batchesOf(
  order: Int32Array,
  batchSize: number,
  options: { readonly dropLast?: boolean } = {},
): Int32Array[] {
  const batches: Int32Array[] = [];
  for (let start = 0; start < order.length; start += batchSize) {
    batches.push(order.slice(start, start + batchSize));
  }
  if (options.dropLast && order.length % batchSize !== 0) batches.pop();
  return batches;
}
