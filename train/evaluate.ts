/** Evaluation: the loss and metrics of a task, without learning. @module */

import { scope } from "../core/mod.ts";
import { batchesOf, evaluationOrder } from "../data/sampler.ts";
import type { TrainOptions } from "./options.ts";
import type { MicroBatch, PackedMetrics, Task } from "./task.ts";

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
  const batches = batchesOf(order, batchSize).map((examples) => task.batch(examples));
  const sums = new Map<string, number>();
  for (const batch of batches) {
    const [names, values] = await scope(async () => {
      const packed = evaluate(batch, Math.max(1, batch.items));
      return [packed.names, await packed.values.data()] as const;
    });
    names.forEach((name, i) => {
      const weight = name === "loss" ? batch.examples / examples : 1 / batches.length;
      sums.set(name, (sums.get(name) ?? 0) + weight * values[i]!);
    });
  }
  const seconds = (performance.now() - begin) / 1000;
  return {
    ...Object.fromEntries([...sums].map(([name, value]) => [`eval_${name}`, value])),
    eval_runtime: seconds,
    eval_samples_per_second: examples / seconds,
    eval_steps_per_second: batches.length / seconds,
  };
}
