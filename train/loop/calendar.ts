/** What is due when: a run's steps as dates. Pure functions of the step's number. @module */

import type { Rhythm, RunLength, TrainOptions } from "./options.ts";
import { resolveInterval } from "./schedule.ts";

/** What is to be done after a step, in this order. */
export interface Due {
  /** A row of what was measured since the last one. */
  readonly log: boolean;
  /** An evaluation. */
  readonly evaluate: boolean;
  /** A checkpoint. */
  readonly save: boolean;
}

/** Where a step's rows are. */
export interface WindowPlace {
  /** The pass over the data, from 0. */
  readonly epoch: number;
  /** The first micro-batch, by its number in the epoch. */
  readonly first: number;
}

/** The dates of a run. Steps are numbered by how many were done. */
export interface Calendar extends RunLength {
  /** Passes over the data after so many steps, with their fraction. */
  readonly epochAfter: (step: number) => number;
  /** The rows that are learned from once so many steps are done. */
  readonly windowAfter: (step: number) => WindowPlace;
  /** Whether an evaluation comes before the next step: that of a model that has learned nothing yet. */
  readonly evaluatesFirst: (step: number) => boolean;
  /** What is due once so many steps are done. */
  readonly dueAfter: (step: number) => Due;
  /** Whether so many steps are all. */
  readonly isOver: (step: number) => boolean;
}

/** What a calendar is made of. */
export type CalendarOptions = Pick<
  TrainOptions,
  "gradientAccumulationSteps" | "logging" | "evaluation" | "saving"
>;

/**
 * The dates of a run.
 *
 * @param rewound Steps by which the rows lag behind the steps, because a resumed run began its epoch anew.
 */
export function calendarOf(
  { gradientAccumulationSteps, logging, evaluation, saving }: CalendarOptions,
  length: RunLength,
  rewound = 0,
): Calendar {
  const { totalSteps, stepsPerEpoch, batchesPerEpoch } = length;
  const windowAfter = (step: number): WindowPlace => ({
    epoch: Math.floor((step - rewound) / stepsPerEpoch),
    first: ((step - rewound) % stepsPerEpoch) * gradientAccumulationSteps,
  });
  const epochAfter = (step: number) => {
    const { epoch, first } = windowAfter(step);
    return epoch + first / batchesPerEpoch;
  };
  const isLast = (step: number) => step === totalSteps;
  const endsEpoch = (step: number) => windowAfter(step).first === 0 || isLast(step);
  const keeps = ({ strategy, steps }: RhythmOf, step: number) =>
    strategy === "steps"
      ? step % resolveInterval(steps, totalSteps) === 0
      : strategy === "epoch" && endsEpoch(step);
  // What counts steps ends with the last one, whatever its number.
  const keepsAndEnds = (rhythm: RhythmOf, step: number) =>
    keeps(rhythm, step) || (rhythm.strategy === "steps" && isLast(step));
  const isDelayed = (step: number) =>
    (evaluation.strategy === "epoch" ? epochAfter(step) : step) < evaluation.delay;
  return {
    ...length,
    epochAfter,
    windowAfter,
    evaluatesFirst: (step) => evaluation.onStart && step === 0,
    dueAfter: (step) => ({
      log: keeps(logging, step) || (logging.firstStep && step === 1),
      evaluate: keepsAndEnds(evaluation, step) && !isDelayed(step),
      save: keepsAndEnds(saving, step),
    }),
    isOver: (step) => step >= totalSteps,
  };
}

/** How often something comes; by what else it may come is not the calendar's. */
type RhythmOf = Pick<Rhythm, "steps"> & { readonly strategy: string };
