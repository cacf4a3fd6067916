/** The learning rate of each step: by the step's number, or as the evaluations have left it. @module */

import { followsMetric, type MetricSchedule, startMetricSchedule } from "./metric_schedule.ts";
import type { TrainOptions } from "./options.ts";
import { lrSchedule, resolveWarmupSteps } from "./schedule.ts";

type RateOptions = Pick<TrainOptions, "schedule" | "learningRate">;

/** The rate of the step that comes after so many, under the state of a schedule that follows the evaluation, if one does. */
export type LearningRates = (step: number, schedule: MetricSchedule | null) => number;

/** The rates of a run. @throws {UserError} On a bad setting of the schedule. */
export function learningRates(
  { schedule, learningRate }: RateOptions,
  totalSteps: number,
): LearningRates {
  if (followsMetric(schedule.name)) return (_, following) => following!.learningRate;
  const factor = lrSchedule(schedule.name, {
    warmupSteps: resolveWarmupSteps(schedule.warmup, totalSteps),
    totalSteps,
    learningRate,
    kwargs: schedule.kwargs,
  });
  return (step) => learningRate * factor(step);
}

/** A schedule that follows the evaluation, as it begins; null for one by step. */
export function startingSchedule({ schedule, learningRate }: RateOptions): MetricSchedule | null {
  const { name, kwargs } = schedule;
  return followsMetric(name) ? startMetricSchedule(name, learningRate, kwargs) : null;
}
