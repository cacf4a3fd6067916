/** Evaluation: the loss and metrics of a task, without learning. @module */

import { setImmediate } from "node:timers/promises";
import { scope } from "../../core/mod.ts";
import { batchesOf, evaluationOrder } from "../../data/batches/sampler.ts";
import type { TrainOptions } from "./options.ts";
import type { Policy, RolloutContext } from "../sampling/rollout.ts";
import type { MicroBatch, OnlineTask, PackedMetrics, Task } from "./task.ts";
import { averages, emptyWindow, withMicroBatch } from "./windows.ts";

/**
 * Metrics over all examples, named as TRL names them: `eval_loss` is the mean over examples of
 * their batch's mean; other metrics are plain means over batches.
 *
 * @param policy Who answers, where answers are to be sampled; an aborted signal ends that by throwing its reason.
 */
export async function evaluateTask<P>(
  task: Task<P> | OnlineTask<P>,
  options: TrainOptions,
  evaluate: (batch: MicroBatch) => PackedMetrics,
  policy: Policy<P> & Pick<RolloutContext<P>, "signal">,
): Promise<Record<string, number>> {
  const begin = performance.now();
  const { examples } = task;
  const chunks = "rollout" in task ? rolloutChunks(task, policy) : datasetChunks(task, options);
  let window = emptyWindow;
  let loss = 0;
  for (const { examples: count, batches } of chunks) {
    // A turn of the event loop: signals are served.
    await setImmediate();
    await scope(async () => {
      const { sampled, microBatches } = await batches();
      window = withMicroBatch(window, sampled);
      for (const batch of microBatches) {
        const { names, values } = evaluate(batch);
        const data = await values.data();
        const read = Object.fromEntries(names.map((name, i) => [name, data[i]!]));
        window = withMicroBatch(window, read);
        loss += read["loss"]! * count / (examples * microBatches.length);
      }
    });
  }
  const seconds = (performance.now() - begin) / 1000;
  return {
    eval_loss: loss,
    ...Object.fromEntries(
      Object.entries(averages(window)).map(([name, value]) => [`eval_${name}`, value]),
    ),
    eval_runtime: seconds,
    eval_samples_per_second: examples / seconds,
    eval_steps_per_second: chunks.length / seconds,
  };
}

/** Some examples, and how they become batches. */
interface Chunk {
  readonly examples: number;
  readonly batches: () => Promise<{
    readonly sampled: Readonly<Record<string, number>>;
    readonly microBatches: readonly MicroBatch[];
  }>;
}

function datasetChunks<P>(task: Task<P>, options: TrainOptions): Chunk[] {
  const { evalBatchSize: batchSize, seed, dataSeed, sampling: strategy } = options;
  const { examples, lengths } = task;
  const order = evaluationOrder(examples, { seed, dataSeed, strategy, lengths, batchSize });
  return batchesOf(order, batchSize).map((numbers) => ({
    examples: numbers.length,
    batches: () => Promise.resolve({ sampled: {}, microBatches: [task.batch(numbers)] }),
  }));
}

function rolloutChunks<P>(
  { examples, rollout }: OnlineTask<P>,
  policy: Policy<P> & Pick<RolloutContext<P>, "signal">,
): Chunk[] {
  const order = Int32Array.from({ length: examples }, (_, i) => i);
  return batchesOf(order, rollout.prompts).map((rows, number) => ({
    examples: rows.length,
    batches: async () => {
      const { generation, metrics } = await rollout.generate(Array.from(rows), {
        ...policy,
        number,
        carried: {},
      });
      const microBatches = Array.from(
        { length: rollout.microBatches },
        (_, index) => rollout.batch(generation, index),
      );
      return { sampled: metrics, microBatches };
    },
  }));
}
