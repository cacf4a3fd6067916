/** Metrics on their way from the device: a step is read back while the next one runs. @module */

import { UserError } from "../../core/mod.ts";
import type { MicroBatch, PackedMetrics } from "./task.ts";

/** A step whose numbers are still on the device. */
interface PendingStep {
  readonly step: number;
  readonly rows: readonly number[];
  readonly microBatches: readonly Promise<Record<string, number>>[];
  readonly update: Promise<Record<string, number>>;
}

/** The numbers of a step. */
export interface SettledStep {
  /** Of each micro-batch, the loss among them. */
  readonly microBatches: readonly Readonly<Record<string, number>>[];
  /** Of the gradient. */
  readonly gradNorm: number;
}

/** Steps in the order they were done. */
export class MetricQueue {
  readonly #pending: PendingStep[] = [];

  /** Adds what a step left on the device. */
  push(
    step: number,
    window: readonly MicroBatch[],
    metrics: readonly PackedMetrics[],
    update: PackedMetrics,
  ): void {
    this.#pending.push({
      step,
      rows: window.flatMap((batch) => batch.rows),
      microBatches: metrics.map(read),
      update: read(update),
    });
  }

  /**
   * Takes out all but the last `keep` steps.
   *
   * @throws UserError if a loss or a gradient's norm is not finite.
   */
  async settle(keep: number): Promise<SettledStep[]> {
    const settled: SettledStep[] = [];
    while (this.#pending.length > keep) {
      const { step, rows, microBatches, update } = this.#pending.shift()!;
      const values = await Promise.all(microBatches);
      const bad = values.find(({ loss }) => !Number.isFinite(loss));
      if (bad) throw notFinite(step, "loss", bad["loss"]!, rows);
      const gradNorm = (await update)["grad_norm"]!;
      if (!Number.isFinite(gradNorm)) throw notFinite(step, "gradient norm", gradNorm, rows);
      settled.push({ microBatches: values, gradNorm });
    }
    return settled;
  }
}

function read(packed: PackedMetrics): Promise<Record<string, number>> {
  const values = unpack(packed);
  // A failure is thrown where the values are used; until then it is not unhandled.
  values.catch(() => {});
  return values;
}

async function unpack({ names, values }: PackedMetrics): Promise<Record<string, number>> {
  const data = await values.data();
  return Object.fromEntries(names.map((name, i) => [name, data[i]!]));
}

function notFinite(step: number, what: string, value: number, rows: readonly number[]): UserError {
  const numbers = [...new Set(rows)].map((row) => row + 1).sort((a, b) => a - b);
  const shown = numbers.slice(0, 16).join(", ") + (numbers.length > 16 ? ", …" : "");
  return new UserError(
    `The ${what} of step ${step} is ${value}; training stopped, and the last checkpoint is untouched. The step's ` +
      `batch held the data set's rows ${shown} (the first is 1). Try a lower --learning_rate, some --warmup_steps ` +
      "or a lower --max_grad_norm, and look at these rows.",
  );
}
