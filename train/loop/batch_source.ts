/** Where the micro-batches of a run come from: rows of a data set, or answers sampled on the way. @module */

import { batchesOf, epochOrder, repeatedOrder } from "../../data/batches/sampler.ts";
import { UserError } from "../../core/mod.ts";
import { type RunLength, runLength, type TrainOptions } from "./options.ts";
import type { Rollout, RolloutContext, SavedGeneration } from "../sampling/rollout.ts";
import type { MicroBatch, OnlineTask, Task } from "./task.ts";

/** Which micro-batches are wanted, and who samples them. */
export interface WindowRequest<P> extends Omit<RolloutContext<P>, "number" | "carried"> {
  /** The pass over the data, from 0. */
  readonly epoch: number;
  /** The first micro-batch of the window, by its number in the epoch. */
  readonly first: number;
}

/** Gives a run its micro-batches. */
export interface BatchSource<P> {
  /** How long the run is. */
  readonly length: RunLength;
  /** In words, how rows are drawn: a step's number means the same rows only under the same. */
  readonly description: string;
  /** The micro-batches of an optimiser step; fewer at the end of an epoch. */
  readonly window: (request: WindowRequest<P>) => Promise<readonly MicroBatch[]>;
  /** What was sampled since this was last asked. */
  readonly takeRollouts: () => readonly Rollout[];
  /** What a checkpoint keeps: the generation that is in use. */
  readonly saved: () => SavedGeneration | null;
}

/** The source that a task needs; `resumed` is what a checkpoint kept. */
export function batchSource<P>(
  task: Task<P> | OnlineTask<P>,
  options: TrainOptions,
  resumed: SavedGeneration | null,
): BatchSource<P> {
  if (task.examples === 0) {
    throw new UserError("There is nothing to train on: the dataset has no usable rows.");
  }
  return "rollout" in task ? rolloutSource(task, options, resumed) : datasetSource(task, options);
}

function datasetSource<P>(task: Task<P>, options: TrainOptions): BatchSource<P> {
  const { seed, dataSeed, sampling, batchSize, gradientAccumulationSteps } = options;
  const batchesOfEpoch = lastResult((epoch: number) => {
    const order = epochOrder(task.examples, {
      seed,
      dataSeed,
      epoch,
      strategy: sampling,
      lengths: task.lengths,
      batchSize: batchSize * gradientAccumulationSteps,
    });
    return batchesOf(order, batchSize);
  });
  return {
    length: runLength(Math.ceil(task.examples / batchSize), options),
    description: `${task.examples} examples, order ${sampling} of seed ${dataSeed ?? seed}, ` +
      `${batchSize} a batch, ${gradientAccumulationSteps} batches a step`,
    window: ({ epoch, first }) =>
      Promise.resolve(
        batchesOfEpoch(epoch).slice(first, first + gradientAccumulationSteps).map(task.batch),
      ),
    takeRollouts: () => [],
    saved: () => null,
  };
}

function rolloutSource<P>(
  { examples, lengths, rollout: stage }: OnlineTask<P>,
  options: TrainOptions,
  resumed: SavedGeneration | null,
): BatchSource<P> {
  const { seed, dataSeed, sampling: strategy, gradientAccumulationSteps } = options;
  const generations = lengths
    ? Math.ceil(examples / stage.prompts)
    : Math.floor(examples / stage.prompts);
  if (generations === 0) {
    throw new UserError(
      `A generation takes ${stage.prompts} prompts, but the data set has ${examples} usable rows. Give more rows, or ` +
        "lower --per_device_train_batch_size.",
    );
  }
  const orderOf = lastResult((epoch: number) =>
    lengths
      ? epochOrder(examples, {
        seed,
        dataSeed,
        epoch,
        strategy,
        lengths,
        batchSize: stage.prompts * gradientAccumulationSteps,
      })
      : repeatedOrder(examples, { seed: dataSeed ?? seed, epoch, shuffle: stage.shuffle })
  );
  const order = lengths ? strategy : stage.shuffle ? "random" : "sequential";
  const batches = generations * stage.microBatches;
  /** Those of the last window: it may be asked for twice, and a generation may reach into the next one. */
  let recent: readonly SavedGeneration[] = resumed ? [resumed] : [];
  let fresh: Rollout[] = [];

  const generate = async (
    number: number,
    before: SavedGeneration | undefined,
    { epoch, first: _, ...request }: WindowRequest<P>,
  ): Promise<SavedGeneration> => {
    const index = number - epoch * generations;
    const rows = orderOf(epoch).slice(index * stage.prompts, (index + 1) * stage.prompts);
    const rollout = await stage.generate(Array.from(rows), {
      ...request,
      number,
      carried: before?.generation.carried ?? {},
    });
    fresh.push(rollout);
    return { number, generation: rollout.generation };
  };

  return {
    length: runLength(batches, options),
    description: `${examples} prompts, ${stage.prompts} a generation, order ` +
      `${order === "sequential" ? order : `${order} of seed ${dataSeed ?? seed}`}, ` +
      `${stage.microBatches} batches of each, ${gradientAccumulationSteps} batches a step`,
    window: async (request) => {
      const last = Math.min(request.first + gradientAccumulationSteps, batches);
      const window: MicroBatch[] = [];
      const used: SavedGeneration[] = [];
      for (let batch = request.first; batch < last; batch++) {
        const number = request.epoch * generations + Math.floor(batch / stage.microBatches);
        if (used.at(-1)?.number !== number) {
          used.push(
            recent.find((past) => past.number === number) ??
              await generate(number, used.at(-1) ?? recent.at(-1), request),
          );
        }
        window.push(stage.batch(used.at(-1)!.generation, batch % stage.microBatches));
      }
      recent = used;
      return window;
    },
    takeRollouts: () => {
      const taken = fresh;
      fresh = [];
      return taken;
    },
    saved: () => recent.at(-1) ?? null,
  };
}

/** A function that remembers its last result. */
function lastResult<T>(f: (argument: number) => T): (argument: number) => T {
  let last: { readonly argument: number; readonly result: T } | undefined;
  return (argument) => {
    if (last?.argument !== argument) last = { argument, result: f(argument) };
    return last.result;
  };
}
