/** What a run keeps account of: windows of metrics, the history, the best evaluation. Pure functions of its state. @module */

import { UserError } from "../../core/mod.ts";
import { stepMetricSchedule } from "./metric_schedule.ts";
import type { SettledStep } from "./metric_queue.ts";
import type { TrainOptions } from "./options.ts";
import type { RunState } from "./run_state.ts";
import { averages, emptyWindow, withMicroBatch, withStep } from "./windows.ts";

/** Named numbers of a row. */
type Row = Readonly<Record<string, number>>;

/** A row, and the state that has it in its history. */
export interface Entry {
  /** The row's numbers. */
  readonly values: Row;
  /** The state after it. */
  readonly state: RunState;
}

/** With tokens that were seen. */
export function withTokens(state: RunState, tokens: number): RunState {
  return { ...state, tokens: state.tokens + tokens };
}

/** With what was sampled: its metrics count once, however often it is learned from. */
export function withRollout(
  state: RunState,
  { metrics, tokens }: { readonly metrics: Row; readonly tokens: number },
): RunState {
  return withTokens({ ...state, window: withMicroBatch(state.window, metrics) }, tokens);
}

/** With the numbers of a step. */
export function withSettled(state: RunState, { microBatches, gradNorm }: SettledStep): RunState {
  const window = microBatches.reduce(withMicroBatch, state.window);
  return { ...state, window: withStep(window, gradNorm) };
}

/** With a row at the end of the history. */
export function withRow(state: RunState, epoch: number, values: Row): RunState {
  const row = { ...values, epoch, step: state.step };
  return { ...state, logHistory: [...state.logHistory, row] };
}

/** What was measured since the last logged row, and a new window. */
export function logged(
  state: RunState,
  { epoch, learningRate }: { readonly epoch: number; readonly learningRate: number },
): Entry {
  const { window, tokens } = state;
  const { entropy, ...others } = averages(window);
  const values = {
    loss: window.loss / window.steps,
    ...(window.gradNorm === null ? {} : { grad_norm: window.gradNorm }),
    learning_rate: learningRate,
    ...(entropy === undefined ? {} : { entropy }),
    num_tokens: tokens,
    ...others,
  };
  const emptied = { ...state, window: emptyWindow, totalLoss: state.totalLoss + window.loss };
  return { values, state: withRow(emptied, epoch, values) };
}

/** Keys that come first in the row of an evaluation. */
const leading = [
  "eval_loss",
  "eval_runtime",
  "eval_samples_per_second",
  "eval_steps_per_second",
  "eval_entropy",
];

/** What an evaluation gave. */
export function evaluated(state: RunState, epoch: number, found: Row): Entry {
  const first = leading.filter((name) => found[name] !== undefined);
  const others = Object.entries(found).filter(([name]) => !leading.includes(name));
  const values: Row = Object.fromEntries([
    ...first.map((name) => [name, found[name]!]),
    ["eval_num_tokens", state.tokens],
    ...others,
  ]);
  return { values, state: withRow(state, epoch, values) };
}

/**
 * Whether an evaluation is the best so far; a schedule that follows it takes note.
 *
 * @throws {UserError} If the evaluation lacks the metric that decides.
 */
export function judged(
  state: RunState,
  rule: TrainOptions["best"],
  row: Row,
): { readonly isBest: boolean; readonly state: RunState } {
  if (!rule) return { isBest: false, state };
  const metric = row[rule.metric];
  if (metric === undefined) {
    throw new UserError(
      `metric_for_best_model is ${rule.metric}, which the evaluation does not give. It gives ` +
        `${Object.keys(row).join(", ")}.`,
    );
  }
  const { best, step } = state;
  const schedule = state.metricSchedule;
  const metricSchedule = schedule && stepMetricSchedule(schedule, metric);
  const isBest = rule.greaterIsBetter
    ? metric > (best?.metric ?? -Infinity)
    : metric < (best?.metric ?? Infinity);
  // Until this one is saved, the best that can be gone back to is the one before.
  const checkpoint = best?.checkpoint ?? null;
  return {
    isBest,
    state: { ...state, metricSchedule, best: isBest ? { metric, step, checkpoint } : best },
  };
}

/** With the checkpoint of the step at a path: where the step is the best one, its weights are there. */
export function withCheckpoint(state: RunState, path: string): RunState {
  const { best, step } = state;
  return best?.step === step ? { ...state, best: { ...best, checkpoint: path } } : state;
}

/** Mean loss of all steps. */
export function meanLoss({ totalLoss, window, step }: RunState): number {
  return (totalLoss + window.loss) / Math.max(1, step);
}
