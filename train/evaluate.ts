/** Evaluation: the loss and metrics of a task, without learning. @module */

import { setImmediate } from "node:timers/promises";
import { scope } from "../core/mod.ts";
import { batchesOf, evaluationOrder } from "../data/sampler.ts";
import type { TrainOptions } from "./options.ts";
import type { MicroBatch, PackedMetrics, Task } from "./task.ts";
import { averages, emptyWindow, withMicroBatch } from "./windows.ts";

/**
 * Metrics over all examples, named as TRL names them: `eval_loss` is the mean over examples of
 * their batch's mean; other metrics are plain means over batches.
 */
export async function evaluateTask<P>(
  task: Task<P>,
  { evalBatchSize: batchSize, seed, dataSeed, sampling: strategy }: TrainOptions,
  evaluate: (batch: MicroBatch, normalizer: number) => PackedMetrics,
): Promise<Record<string, number>> {
  const begin = performance.now();
  const { examples, lengths } = task;
  const order = evaluationOrder(examples, { seed, dataSeed, strategy, lengths, batchSize });
  const batches = batchesOf(order, batchSize);
  let window = emptyWindow;
  let loss = 0;
  for (const numbers of batches) {
    // A turn of the event loop: signals are served.
    await setImmediate();
    const values = await scope(async () => {
      const batch = task.batch(numbers);
      const packed = evaluate(batch, Math.max(1, batch.items));
      const data = await packed.values.data();
      return Object.fromEntries(packed.names.map((name, i) => [name, data[i]!]));
    });
    window = withMicroBatch(window, values);
    loss += values["loss"]! * numbers.length / examples;
  }
  const seconds = (performance.now() - begin) / 1000;
  return {
    eval_loss: loss,
    ...Object.fromEntries(
      Object.entries(averages(window)).map(([name, value]) => [`eval_${name}`, value]),
    ),
    eval_runtime: seconds,
    eval_samples_per_second: examples / seconds,
    eval_steps_per_second: batches.length / seconds,
  };
}
