/**
 * Averages between two logged rows, as TRL forms them: the loss per optimiser step, other metrics per
 * micro-batch. Plain data, so that a checkpoint holds a half-filled window. And what a micro-batch counts for in the
 * window of its optimiser step.
 *
 * @module
 */

import type { Learning, MicroBatch } from "./task.ts";

/**
 * How a micro-batch stands in its accumulation window.
 *
 * @returns What its losses are divided by, the same for losses of learned tokens, and its share of the window.
 */
export function windowShare(
  batch: MicroBatch,
  window: readonly MicroBatch[],
  normalize: Learning<unknown>["normalize"] = "window",
): { readonly normalizer: number; readonly labels: number; readonly share: number } {
  const items = window.reduce((sum, { items }) => sum + items, 0);
  const labels = window.reduce((sum, { labels, items }) => sum + (labels ?? items), 0);
  const byBatch = normalize === "batch";
  return {
    normalizer: Math.max(1, byBatch ? batch.items * window.length : items),
    labels: Math.max(1, labels),
    share: byBatch ? 1 / window.length : batch.items / Math.max(1, items),
  };
}

/** What has been measured since the last logged row. */
export interface MetricWindow {
  /** Sum of the losses of steps, and the number of steps. */
  readonly loss: number;
  /** Optimiser steps. */
  readonly steps: number;
  /** Sum and count of each metric. */
  readonly metrics: Readonly<Record<string, readonly [sum: number, count: number]>>;
  /** The last step's norm. */
  readonly gradNorm: number | null;
}

/** An empty window. */
export const emptyWindow: MetricWindow = { loss: 0, steps: 0, metrics: {}, gradNorm: null };

/** Under `countPrefix + name` stands the number of things that a metric is the mean of. */
export const countPrefix = "#";

/**
 * The window with one more micro-batch's metrics; `loss` among them adds to the step's loss. NaN says
 * that a metric does not apply to the batch.
 */
export function withMicroBatch(
  window: MetricWindow,
  values: Readonly<Record<string, number>>,
): MetricWindow {
  const metrics = { ...window.metrics };
  for (const [name, value] of Object.entries(values)) {
    if (
      name === "loss" || name === "grad_norm" || name.startsWith(countPrefix) || Number.isNaN(value)
    ) {
      continue;
    }
    const weight = values[countPrefix + name] ?? 1;
    const [sum, count] = metrics[name] ?? [0, 0];
    metrics[name] = [sum + value * weight, count + weight];
  }
  return { ...window, loss: window.loss + (values["loss"] ?? 0), metrics };
}

/** The window at the end of an optimiser step. */
export function withStep(window: MetricWindow, gradNorm: number): MetricWindow {
  return { ...window, steps: window.steps + 1, gradNorm };
}

/** Averages of a window's metrics other than the loss. */
export function averages({ metrics }: MetricWindow): Record<string, number> {
  return Object.fromEntries(
    Object.entries(metrics).flatMap(([name, [sum, count]]) =>
      count > 0 ? [[name, sum / count]] : []
    ),
  );
}
