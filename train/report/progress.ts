/**
 * The records a run yields, and their text on a console. Everything here is pure.
 *
 * @module
 */

import { type StepMemory, totalBytes } from "../loop/memory.ts";
import type { AnswerColumns } from "../sampling/rollout.ts";

/** What every record carries. */
export interface RunPosition {
  /** Optimiser steps done. */
  readonly step: number;
  /** Optimiser steps of the whole run. */
  readonly totalSteps: number;
  /** Passes over the data so far, with their fraction. */
  readonly epoch: number;
  /** Seconds since training began, in this process. */
  readonly elapsedSeconds: number;
}

/** Metrics by TRL's names: `loss`, `grad_norm`, `learning_rate`, `eval_loss`, … */
export type Metrics = Readonly<Record<string, number>>;

/** How fast a run goes, measured since the last logged row. */
export interface Pace {
  /** Tokens that went through the model per second. */
  readonly tokensPerSecond?: number | undefined;
  /** Seconds until the end at this pace. */
  readonly remainingSeconds?: number;
  /** Memory that the device holds, in bytes. */
  readonly deviceBytes?: number;
}

/** Rows are being made examples of, before the run begins. */
export interface PrepareRecord extends RunPosition {
  /** Tells the records apart. */
  readonly kind: "prepare";
  /** Rows done. */
  readonly rows: number;
  /** Rows there are. */
  readonly totalRows: number;
}

/** The first step is about to be done; what was said before concerned the model and the data. */
export interface BeginRecord extends RunPosition {
  /** Tells the records apart. */
  readonly kind: "begin";
  /** Whether the run goes on from a checkpoint, taken after `step`. */
  readonly resumed: boolean;
}

/** A step was done and nothing is logged: the bar moves. Costs no reading from the device. */
export interface ProgressRecord extends RunPosition, Pace {
  /** Tells the records apart. */
  readonly kind: "progress";
}

/** A row of training metrics, averaged since the row before, as in `log_history`. */
export interface TrainRecord extends RunPosition, Pace {
  /** Tells the records apart. */
  readonly kind: "train";
  /** The metrics. */
  readonly values: Metrics;
}

/** Metrics of an evaluation. */
export interface EvalRecord extends RunPosition {
  /** Tells the records apart. */
  readonly kind: "eval";
  /** The metrics. */
  readonly values: Metrics;
}

/** A checkpoint was written to `path`. */
export interface SaveRecord extends RunPosition {
  /** Tells the records apart. */
  readonly kind: "save";
  /** The checkpoint's directory. */
  readonly path: string;
}

/** What a step holds in memory by its plan, before the first one runs. */
export interface MemoryRecord extends RunPosition {
  /** Tells the records apart. */
  readonly kind: "memory";
  /** In bytes. */
  readonly memory: StepMemory;
}

/** Answers were sampled: what `--log_completions` shows. */
export interface AnswersRecord extends RunPosition {
  /** Tells the records apart. */
  readonly kind: "answers";
  /** Columns of the same length: prompts, answers, rewards, advantages. */
  readonly table: AnswerColumns;
}

/** Something the user should know. */
export interface NoticeRecord extends RunPosition {
  /** Tells the records apart. */
  readonly kind: "notice";
  /** One line. */
  readonly text: string;
}

/** The run ended. */
export interface EndRecord extends RunPosition {
  /** Tells the records apart. */
  readonly kind: "end";
  /** The metrics. */
  readonly values: Metrics;
  /** Whether it stopped before its last step. */
  readonly interrupted: boolean;
  /** Tokens per second of the steps of this process, what stood between them left out. */
  readonly tokensPerSecond?: number | undefined;
}

/** A record of a run. */
export type LogRecord =
  | PrepareRecord
  | BeginRecord
  | ProgressRecord
  | TrainRecord
  | EvalRecord
  | SaveRecord
  | MemoryRecord
  | NoticeRecord
  | AnswersRecord
  | EndRecord;

/**
 * A number in about seven columns: whole numbers as they are, else four significant digits, in
 * exponent form with three below 0.001 and from a million on: `2.345`, `12.30`, `2.00e-5`, `576`.
 */
export function formatNumber(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value);
  if (!Number.isFinite(value)) return String(value).replace("Infinity", "inf");
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) return value.toExponential(2).replace("e+", "e");
  return size >= 9999.5 ? value.toFixed(0) : value.toPrecision(4);
}

/** A duration: `01:23`, `1:02:03`, `2d 01:02:03`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "--:--";
  const total = Math.max(0, Math.round(seconds));
  const two = (value: number) => String(value).padStart(2, "0");
  const days = Math.floor(total / 86_400);
  const hours = Math.floor(total / 3600) % 24;
  const clock = `${two(Math.floor(total / 60) % 60)}:${two(total % 60)}`;
  if (days > 0) return `${days}d ${two(hours)}:${clock}`;
  return hours > 0 ? `${hours}:${clock}` : clock;
}

/**
 * Metrics in the order people look for them; the others follow in their own order. Where answers are rewarded the loss
 * is near 0 by construction, and says little.
 */
const ORDER = [
  ...["reward", "reward_std", "objective/rlhf_reward", "objective/scores"],
  ...["eval_reward", "eval_reward_std", "objective/kl"],
  ...["kl", "entropy", "completions/mean_length", "completions/clipped_ratio"],
];
const LEARNING = ["loss", "eval_loss", "train_loss", "grad_norm", "learning_rate"];

/** What a row on a console leaves out where answers are rewarded, lest it be unreadable; logs have all of it. */
const DETAILS = /^completions\/(min|max)_|_terminated_|^clip_ratio\/|\/std$|^frac_|^eps$/;

function formatMetrics(values: Metrics): string[] {
  const rewarded = ORDER.slice(0, 6).some((name) => Object.hasOwn(values, name));
  const order = rewarded ? [...ORDER, ...LEARNING] : LEARNING;
  const first = order.filter((name) => Object.hasOwn(values, name));
  const others = Object.keys(values).filter((name) =>
    !first.includes(name) && !(rewarded && DETAILS.test(name)) && name !== "epoch" &&
    name !== "step"
  );
  return [...first, ...others].map((name) =>
    `${name === "learning_rate" ? "lr" : name} ${formatNumber(values[name]!)}`
  );
}

function formatPace(pace: Pace): string[] {
  const { tokensPerSecond, remainingSeconds, deviceBytes } = pace;
  return [
    ...(tokensPerSecond === undefined ? [] : [`tokens/s ${tokensPerSecond.toFixed(0)}`]),
    ...(deviceBytes === undefined ? [] : [`memory ${formatBytes(deviceBytes)}`]),
    ...(remainingSeconds === undefined ? [] : [`eta ${formatDuration(remainingSeconds)}`]),
  ];
}

/** Bytes for people: `512 KiB`, `37.5 MiB`, `1.20 GiB`. */
export function formatBytes(bytes: number): string {
  const [unit, size] = bytes < 2 ** 20
    ? ["KiB", 2 ** 10]
    : bytes < 2 ** 30
    ? ["MiB", 2 ** 20]
    : ["GiB", 2 ** 30] as const;
  const value = bytes / (size as number);
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${unit}`;
}

function formatMemory(memory: StepMemory): string {
  const { weights, optimizer, temporaries } = memory;
  return `Memory of a step by plan: weights ${formatBytes(weights)}, optimiser ` +
    `${formatBytes(optimizer)}, gradients and activations ${formatBytes(temporaries)}; together ` +
    `${formatBytes(totalBytes(memory))}.`;
}

/** `step 10/200`, the step as wide as the total so that lines align. */
function formatStep(record: RunPosition): string {
  const total = String(record.totalSteps);
  return `step ${String(record.step).padStart(total.length)}/${total}`;
}

/**
 * The line of a record on a console without a bar, such as
 * `step  10/200  epoch 0.4000  loss 2.345  grad_norm 1.203  lr 2.00e-5  tokens/s 1234  eta 01:23`.
 * Undefined for `begin`, `progress` and `answers`, which are not logged. One for `prepare` is worth showing now and then.
 */
export function formatRecord(record: LogRecord): string | undefined {
  const parts = (...rest: readonly string[]) => [formatStep(record), ...rest].join("  ");
  const epoch = `epoch ${formatNumber(record.epoch)}`;
  switch (record.kind) {
    case "prepare":
      return `Preparing rows: ${formatPreparation(record)}`;
    case "begin":
    case "progress":
    case "answers":
      return undefined;
    case "train":
      return parts(epoch, ...formatMetrics(record.values), ...formatPace(record));
    case "eval":
      return parts(epoch, ...formatMetrics(record.values));
    case "save":
      return parts(`saved ${record.path}`);
    case "memory":
      return formatMemory(record.memory);
    case "notice":
      return record.text;
    case "end":
      return parts(
        record.interrupted ? "stopped early" : "done",
        `in ${formatDuration(record.elapsedSeconds)}`,
        ...formatMetrics(record.values),
        ...formatPace({ tokensPerSecond: record.tokensPerSecond }),
      );
  }
}

function formatPreparation({ rows, totalRows, elapsedSeconds }: PrepareRecord): string {
  const rate = rows / Math.max(elapsedSeconds, 1e-3);
  const left = formatDuration((totalRows - rows) / rate);
  return `${rows}/${totalRows}  rows/s ${rate.toFixed(0)}  eta ${left}`;
}

/** The bar while rows are prepared: `[######----]  12000/20000 rows  rows/s 3400  eta 00:02`. */
export function formatPreparationBar(record: PrepareRecord, width: number): string {
  return barBeside(formatPreparation(record), record.rows / record.totalRows, width);
}

/** What the bar shows beside the step. */
export interface BarState extends Pace {
  /** Optimiser steps done. */
  readonly step: number;
  /** Optimiser steps of the whole run. */
  readonly totalSteps: number;
  /** The last known training loss. */
  readonly loss?: number;
  /** The last known reward of the model's own answers. */
  readonly reward?: number;
}

/** A bar in at most `width` columns: `[######----]  120/200  loss 2.345  tokens/s 1234  eta 01:23`. */
export function formatBar(state: BarState, width: number): string {
  const total = String(state.totalSteps);
  const words = [
    `${String(state.step).padStart(total.length)}/${total}`,
    ...(state.reward !== undefined
      ? [`reward ${formatNumber(state.reward)}`]
      : state.loss !== undefined
      ? [`loss ${formatNumber(state.loss)}`]
      : []),
    ...formatPace(state),
  ].join("  ");
  return barBeside(words, state.totalSteps > 0 ? state.step / state.totalSteps : 0, width);
}

/** A bar of which a share is done, beside words, in at most `width` columns. */
export function barBeside(words: string, share: number, width: number): string {
  const room = Math.min(40, width - words.length - 4);
  // A bar of a few cells says nothing; the words alone do.
  if (room < 8) return words.slice(0, Math.max(0, width));
  const done = Math.floor(Math.min(1, share) * room);
  return `[${"#".repeat(done)}${"-".repeat(room - done)}]  ${words}`;
}
