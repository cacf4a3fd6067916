/** What a run begins with: nothing yet, or what a checkpoint was in the middle of. Pure. @module */

import { UserError } from "../../core/mod.ts";
import type { MetricSchedule } from "./metric_schedule.ts";
import type { RunLength, TrainOptions } from "./options.ts";
import { initialRunState, type RunState } from "./run_state.ts";

/** A state, and what has changed since it was written. */
export interface Beginning {
  /** What the run begins with. */
  readonly state: RunState;
  /** What the user should know. */
  readonly notices: readonly string[];
}

/** What a run is now, beside its state. */
export interface Now {
  /** How long it is. */
  readonly length: RunLength;
  /** Where it is computed, in words. */
  readonly device: string;
  /** How rows are drawn, in words. */
  readonly sampling: string;
  /** The state of a schedule that follows the evaluation, as it begins. */
  readonly metricSchedule: MetricSchedule | null;
  /** Whether a resumed run begins its epoch anew. */
  readonly ignoreDataSkip: TrainOptions["ignoreDataSkip"];
}

/**
 * The state to begin with.
 *
 * @throws {UserError} If the checkpoint was taken after the run's end.
 */
export function beginning(before: RunState | undefined, now: Now): Beginning {
  const { device, sampling, metricSchedule, length, ignoreDataSkip } = now;
  if (!before) return { state: initialRunState(now), notices: [] };
  if (before.step > length.totalSteps) {
    throw new UserError(
      `The checkpoint was taken after step ${before.step}, but this run ends after step ${length.totalSteps}. It may ` +
        "be of an earlier run in the same output_dir: name the checkpoint to go on with, or remove the old ones.",
    );
  }
  const notices: string[] = [];
  if (before.device !== device) {
    notices.push(
      `The checkpoint was computed by another device (${before.device}; now ${device}): the last bits of the ` +
        "numbers may differ from those of an uninterrupted run.",
    );
  }
  if (before.sampling !== sampling) {
    notices.push(
      `Rows were drawn otherwise before the checkpoint (${before.sampling}; now ${sampling}): this run does not ` +
        "see exactly the rows that were left.",
    );
  }
  const inEpoch = (before.step - before.rewound) % length.stepsPerEpoch;
  return {
    state: {
      ...before,
      device,
      sampling,
      rewound: before.rewound + (ignoreDataSkip ? inEpoch : 0),
      metricSchedule: metricSchedule && (before.metricSchedule ?? metricSchedule),
    },
    notices,
  };
}
