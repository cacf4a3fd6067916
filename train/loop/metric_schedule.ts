/**
 * Learning-rate schedules that follow the evaluation's metric: `reduce_lr_on_plateau` (PyTorch's
 * ReduceLROnPlateau) and `greedy` (GreedyLR, arXiv 2512.14527, as in transformers). The state is
 * plain data, so that a checkpoint holds it, and each evaluation makes a new one.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { readSettings } from "./schedule_settings.ts";

/** The names of the schedules that follow a metric. */
export type MetricScheduleName = "reduce_lr_on_plateau" | "greedy";

/** Both names. */
export const metricScheduleNames: readonly MetricScheduleName[] = [
  "reduce_lr_on_plateau",
  "greedy",
];

/** Whether a schedule of this name follows a metric. */
export function followsMetric(name: string): name is MetricScheduleName {
  return metricScheduleNames.some((known) => known === name);
}

/** The settings of a schedule that follows a metric, with their defaults filled in. */
export interface MetricRules {
  /** Which schedule it is. */
  readonly name: MetricScheduleName;
  /** Whether less or more of the metric is better. */
  readonly mode: "min" | "max";
  /** What the rate is multiplied by when it falls, and divided by when it rises. */
  readonly factor: number;
  /** Evaluations in a row that pass before the rate changes. */
  readonly patience: number;
  /** By how much a metric must be better to count. */
  readonly threshold: number;
  /** Whether the threshold is a share of the best metric or an amount. */
  readonly thresholdMode: "rel" | "abs";
  /** Evaluations without a change after a fall. */
  readonly cooldown: number;
  /** Evaluations without a change after a rise. */
  readonly warmup: number;
  /** The lowest rate. */
  readonly minRate: number;
  /** The highest rate. */
  readonly maxRate: number;
  /** Changes of the rate up to this are not made. */
  readonly epsilon: number;
  /** Metrics averaged before they are judged; 1 for none. */
  readonly window: number;
  /** Further falls at the lowest rate after which `greedy` starts again. */
  readonly resetStart: number;
  /** The rate it starts with. */
  readonly initialRate: number;
}

/** The state of a schedule that follows a metric: JSON-safe, never changed in place. */
export interface MetricSchedule {
  /** The settings, so that a checkpoint is complete in itself. */
  readonly rules: MetricRules;
  /** The learning rate of the next step. */
  readonly learningRate: number;
  /** The best metric so far; null before the first. */
  readonly best: number | null;
  /** Evaluations in a row that were not better. */
  readonly badEvaluations: number;
  /** Evaluations in a row that were better. */
  readonly goodEvaluations: number;
  /** Evaluations left without a change after a fall. */
  readonly cooldownLeft: number;
  /** Evaluations left without a change after a rise. */
  readonly warmupLeft: number;
  /** Falls at the lowest rate left before `greedy` starts again. */
  readonly untilReset: number;
  /** The last metrics, newest last, where they are averaged. */
  readonly recent: readonly number[];
}

/**
 * The state before the first evaluation.
 *
 * @param kwargs `lr_scheduler_kwargs`: factor, patience, threshold, threshold_mode, mode, cooldown,
 *   min_lr, eps; for `greedy` also warmup, max_lr, smooth, window_size, reset_start.
 * @throws {UserError} On an unknown setting or a bad value.
 */
export function startMetricSchedule(
  name: MetricScheduleName,
  learningRate: number,
  kwargs: Readonly<Record<string, unknown>> = {},
): MetricSchedule {
  const settings = readSettings(name, kwargs);
  const greedy = name === "greedy";
  const factor = settings.number("factor") ?? (greedy ? 0.95 : 0.1);
  if (!(factor > 0 && factor < 1)) {
    throw new UserError(
      `Bad value for factor in lr_scheduler_kwargs of the schedule ${name}: ${factor}. Expected ` +
        "a number above 0 and below 1.",
    );
  }
  const resetStart = greedy ? settings.number("reset_start") ?? 500 : 0;
  const smooth = greedy && (settings.boolean("smooth") ?? false);
  const window = greedy ? settings.number("window_size") ?? 50 : 1;
  const rules: MetricRules = {
    name,
    mode: settings.choice("mode", ["min", "max"]) ?? "min",
    factor,
    patience: settings.number("patience") ?? 10,
    threshold: settings.number("threshold") ?? (greedy ? 1e-6 : 1e-4),
    thresholdMode: settings.choice("threshold_mode", ["rel", "abs"]) ?? (greedy ? "abs" : "rel"),
    cooldown: settings.number("cooldown") ?? 0,
    warmup: greedy ? settings.number("warmup") ?? 0 : 0,
    minRate: settings.number("min_lr") ?? (greedy ? 1e-3 : 0),
    maxRate: greedy ? settings.number("max_lr") ?? 1 : Number.MAX_VALUE,
    epsilon: settings.number("eps") ?? 1e-8,
    window: smooth ? window : 1,
    resetStart,
    initialRate: learningRate,
  };
  settings.refuseOthers();
  return { rules, learningRate, untilReset: resetStart, recent: [], ...FRESH };
}

const FRESH = {
  best: null,
  badEvaluations: 0,
  goodEvaluations: 0,
  cooldownLeft: 0,
  warmupLeft: 0,
} as const;

function isBetter(metric: number, best: number | null, rules: MetricRules): boolean {
  if (best === null) return true;
  const sign = rules.mode === "min" ? -1 : 1;
  const margin = rules.thresholdMode === "rel" ? best * rules.threshold : rules.threshold;
  return sign * metric > sign * (best + sign * margin);
}

/** The state after an evaluation gave `metric`. */
export function stepMetricSchedule(state: MetricSchedule, metric: number): MetricSchedule {
  const { rules } = state;
  const recent = [...state.recent, metric].slice(-rules.window);
  const value = recent.reduce((sum, item) => sum + item, 0) / recent.length;
  const judged = { ...state, recent };
  return rules.name === "greedy" ? stepGreedy(judged, value) : stepPlateau(judged, value);
}

function stepPlateau(state: MetricSchedule, metric: number): MetricSchedule {
  const { rules } = state;
  const better = isBetter(metric, state.best, rules);
  const resting = state.cooldownLeft > 0;
  const badEvaluations = better || resting ? 0 : state.badEvaluations + 1;
  const next: MetricSchedule = {
    ...state,
    best: better ? metric : state.best,
    badEvaluations,
    cooldownLeft: Math.max(0, state.cooldownLeft - 1),
  };
  if (badEvaluations <= rules.patience) return next;
  const learningRate = lowered(state.learningRate, rules);
  return { ...next, learningRate, badEvaluations: 0, cooldownLeft: rules.cooldown };
}

function stepGreedy(state: MetricSchedule, metric: number): MetricSchedule {
  const { rules } = state;
  const counted = { ...state, badEvaluations: 0, goodEvaluations: 0 };
  if (state.cooldownLeft > 0) return { ...counted, cooldownLeft: state.cooldownLeft - 1 };
  if (state.warmupLeft > 0) return { ...counted, warmupLeft: state.warmupLeft - 1 };
  if (isBetter(metric, state.best, rules)) {
    const goodEvaluations = state.goodEvaluations + 1;
    if (goodEvaluations <= rules.patience) return { ...counted, best: metric, goodEvaluations };
    const raised = Math.min(state.learningRate / rules.factor, rules.maxRate);
    const learningRate = raised - state.learningRate > rules.epsilon ? raised : state.learningRate;
    return {
      ...counted,
      best: metric,
      learningRate,
      warmupLeft: rules.warmup,
      untilReset: rules.resetStart,
    };
  }
  const badEvaluations = state.badEvaluations + 1;
  if (badEvaluations <= rules.patience) return { ...counted, badEvaluations };
  const learningRate = lowered(state.learningRate, rules);
  const next = { ...counted, learningRate, cooldownLeft: rules.cooldown };
  if (learningRate > rules.minRate) return next;
  const untilReset = state.untilReset - 1;
  if (untilReset > 0) return { ...next, untilReset };
  return {
    ...next,
    ...FRESH,
    learningRate: rules.initialRate,
    untilReset: rules.resetStart,
    recent: [],
    // The caller's order of events in transformers: a reset clears the rest, then rest begins.
    cooldownLeft: rules.cooldown,
  };
}

function lowered(rate: number, rules: MetricRules): number {
  const next = Math.max(rate * rules.factor, rules.minRate);
  return rate - next > rules.epsilon ? next : rate;
}
