/**
 * Learning-rate schedules by step, with the names and formulas of transformers' `optimization.py`,
 * in float64. A schedule is a function from the step (0 first) to a factor of the learning rate.
 * Schedules that follow a metric instead are in `metric_schedule.ts`.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { readSettings, type Settings } from "./schedule_settings.ts";

/** What a schedule is built from. */
export interface ScheduleOptions {
  /** Steps over which the factor rises. */
  readonly warmupSteps: number;
  /** Optimiser steps of the whole run. */
  readonly totalSteps: number;
  /** The rate the factor is of; `lr_end` and `min_lr` are absolute and need it. */
  readonly learningRate: number;
  /** The schedule's own settings, as in `lr_scheduler_kwargs`. */
  readonly kwargs?: Readonly<Record<string, unknown>>;
}

/** Factor of the learning rate that step `step` uses, the first being step 0. */
export type Schedule = (step: number) => number;

type Build = (options: ScheduleOptions, settings: Settings) => Schedule;

/** cos goes through `cycles` whole waves as progress goes from 0 to 1, scaled to [0, 1]. */
function cosineWave(progress: number, cycles: number): number {
  return 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progress));
}

/** Linear warm-up from 0, then `after`; its argument is the progress of the rest, from 0 to 1. */
function warmed(options: ScheduleOptions, after: (progress: number, step: number) => number) {
  const { warmupSteps, totalSteps } = options;
  return (step: number): number =>
    step < warmupSteps
      ? step / Math.max(1, warmupSteps)
      : after((step - warmupSteps) / Math.max(1, totalSteps - warmupSteps), step);
}

function floored(factor: number, floor: number): number {
  return Math.max(0, factor * (1 - floor) + floor);
}

/** The floor of a schedule as a share of the learning rate: `min_lr_rate`, or `min_lr` over it. */
function minRate(options: ScheduleOptions, settings: Settings): number {
  const absolute = settings.number("min_lr");
  const share = settings.number("min_lr_rate");
  if ((absolute === undefined) === (share === undefined)) {
    throw new UserError(
      `The schedule ${settings.schedule} needs its lowest rate: give exactly one of min_lr and ` +
        `min_lr_rate in lr_scheduler_kwargs, such as '{"min_lr_rate": 0.1}'.`,
    );
  }
  return share ?? (absolute ?? 0) / options.learningRate;
}

const RAMPS = ["linear", "cosine", "1-sqrt"] as const;

const builders = {
  linear: (options) => {
    const { warmupSteps, totalSteps } = options;
    const fall = Math.max(1, totalSteps - warmupSteps);
    return warmed(options, (_, step) => Math.max(0, (totalSteps - step) / fall));
  },

  cosine: (options, settings) => {
    const cycles = settings.number("num_cycles") ?? 0.5;
    return warmed(options, (progress) => Math.max(0, cosineWave(progress, cycles)));
  },

  cosine_with_restarts: (options, settings) => {
    const cycles = settings.number("num_cycles") ?? 1;
    return warmed(
      options,
      (progress) => progress >= 1 ? 0 : Math.max(0, cosineWave((cycles * progress) % 1, 0.5)),
    );
  },

  polynomial: (options, settings) => {
    const { learningRate, totalSteps } = options;
    const end = settings.number("lr_end") ?? 1e-7;
    const power = settings.number("power") ?? 1;
    if (!(learningRate > end)) {
      throw new UserError(
        `The schedule polynomial falls to lr_end, so lr_end must be below the learning rate, but ` +
          `they are ${end} and ${learningRate}. Lower lr_end in lr_scheduler_kwargs.`,
      );
    }
    return warmed(options, (progress, step) => {
      if (step > totalSteps) return end / learningRate;
      return ((learningRate - end) * (1 - progress) ** power + end) / learningRate;
    });
  },

  constant: () => () => 1,

  constant_with_warmup: (options) => warmed(options, () => 1),

  inverse_sqrt: (options, settings) => {
    const timescale = settings.number("timescale") ?? (options.warmupSteps || 10_000);
    const shift = timescale - options.warmupSteps;
    return warmed(options, (_, step) => 1 / Math.sqrt((step + shift) / timescale));
  },

  cosine_with_min_lr: (options, settings) => {
    const cycles = settings.number("num_cycles") ?? 0.5;
    const floor = minRate(options, settings);
    return warmed(options, (progress) => floored(cosineWave(progress, cycles), floor));
  },

  cosine_warmup_with_min_lr: (options, settings) => {
    const { warmupSteps, totalSteps } = options;
    const cycles = settings.number("num_cycles") ?? 0.5;
    const start = settings.number("warmup_lr_rate");
    const floor = minRate(options, settings);
    return (step) => {
      if (step < warmupSteps) {
        return start === undefined
          ? (step + 1) / Math.max(1, warmupSteps)
          : start + (1 - start) * step / Math.max(1, warmupSteps - 1);
      }
      const progress = (step - warmupSteps + 1) / Math.max(1, totalSteps - warmupSteps);
      return floored(cosineWave(progress, cycles), floor);
    };
  },

  warmup_stable_decay: (options, settings) => {
    const { warmupSteps, totalSteps } = options;
    const decaySteps = settings.required("num_decay_steps");
    const stableSteps = settings.number("num_stable_steps") ??
      totalSteps - warmupSteps - decaySteps;
    const rise = settings.choice("warmup_type", RAMPS) ?? "linear";
    const fall = settings.choice("decay_type", RAMPS) ?? "cosine";
    const floor = settings.number("min_lr_ratio") ?? 0;
    const cycles = settings.number("num_cycles") ?? 0.5;
    return (step) => {
      if (step < warmupSteps) return floored(rising(rise, step / Math.max(1, warmupSteps)), floor);
      const decayed = step - warmupSteps - stableSteps;
      if (decayed < 0) return 1;
      if (decayed >= decaySteps) return floor;
      return floored(falling(fall, decayed / Math.max(1, decaySteps), cycles), floor);
    };
  },
} satisfies Record<string, Build>;

type Ramp = (typeof RAMPS)[number];

function rising(ramp: Ramp, progress: number): number {
  if (ramp === "linear") return progress;
  return ramp === "cosine" ? 1 - cosineWave(progress, 0.5) : 1 - Math.sqrt(1 - progress);
}

function falling(ramp: Ramp, progress: number, cycles: number): number {
  if (ramp === "linear") return 1 - progress;
  return ramp === "cosine" ? cosineWave(progress, cycles) : 1 - Math.sqrt(progress);
}

/** The names of the schedules by step. */
export const scheduleNames: readonly string[] = Object.keys(builders);

function isSchedule(name: string): name is keyof typeof builders {
  return Object.hasOwn(builders, name);
}

/**
 * Builds a schedule by its name in transformers (`linear`, `cosine`, `warmup_stable_decay`, …).
 *
 * @throws {UserError} On an unknown name, or a setting that the schedule does not know, that is
 *   missing or has a bad value.
 */
export function lrSchedule(name: string, options: ScheduleOptions): Schedule {
  if (!isSchedule(name)) {
    throw new UserError(
      `There is no learning-rate schedule "${name}" by step. Choose one of: ` +
        `${scheduleNames.join(", ")}.`,
    );
  }
  const settings = readSettings(name, options.kwargs ?? {});
  const build: Build = builders[name];
  const schedule = build(options, settings);
  settings.refuseOthers();
  return schedule;
}

/** The factor of one step: {@linkcode lrSchedule} at `step`. */
export function scheduleFactor(name: string, step: number, options: ScheduleOptions): number {
  return lrSchedule(name, options)(step);
}

/**
 * Warm-up steps of a run: `warmup` itself if it is at least 1, without its fraction, else that
 * share of `totalSteps`, rounded up (transformers' `get_warmup_steps`).
 */
export function resolveWarmupSteps(warmup: number, totalSteps: number): number {
  return warmup >= 1 ? Math.trunc(warmup) : Math.ceil(totalSteps * warmup);
}

/**
 * Steps between two events (`logging_steps`, `eval_steps`, `save_steps`): the number itself if it
 * is at least 1, else that share of `totalSteps`, rounded up (transformers' `compute_steps`).
 */
export function resolveInterval(steps: number, totalSteps: number): number {
  return steps >= 1 ? steps : Math.ceil(totalSteps * steps);
}
