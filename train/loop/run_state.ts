/** What a run is in the middle of: everything beside parameters and moments that a resumed run needs. @module */

import type { MetricSchedule } from "./metric_schedule.ts";
import type { SavedGeneration } from "../sampling/rollout.ts";
import type { LogRow } from "../files/trainer_state.ts";
import { emptyWindow, type MetricWindow } from "./windows.ts";

/** Plain data; a checkpoint holds it as JSON. */
export interface RunState {
  /** Tells the run from others in the same directory; absent in checkpoints of before there were such names. */
  readonly run?: string | undefined;
  /** Optimiser steps done. */
  readonly step: number;
  /** What was measured since the last logged row. */
  readonly window: MetricWindow;
  /** Sum of the losses of all steps that were logged. */
  readonly totalLoss: number;
  /** Tokens seen in training. */
  readonly tokens: number;
  /** Rows logged so far. */
  readonly logHistory: readonly LogRow[];
  /** The best evaluation so far. */
  readonly best: {
    readonly metric: number;
    readonly step: number;
    readonly checkpoint: string | null;
  } | null;
  /** Steps by which the rows lag behind, because a resumed run began its epoch anew. */
  readonly rewound: number;
  /** State of a schedule that follows the evaluation. */
  readonly metricSchedule: MetricSchedule | null;
  /** What computed, in words: bits are only the same on the same. */
  readonly device: string;
  /** How rows are drawn, in words: a step number means the same rows only under the same. */
  readonly sampling: string;
  /** Answers that are being learned from, of a run that samples them; absent or null in others. */
  readonly generation?: SavedGeneration | null | undefined;
}

/** A run that has not begun. */
export function initialRunState(
  { device, sampling, metricSchedule }: Pick<RunState, "device" | "sampling" | "metricSchedule">,
): RunState {
  return {
    run: crypto.randomUUID(),
    step: 0,
    window: emptyWindow,
    totalLoss: 0,
    tokens: 0,
    logHistory: [],
    best: null,
    rewound: 0,
    metricSchedule,
    device,
    sampling,
  };
}
