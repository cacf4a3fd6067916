/**
 * The training loop: one for all algorithms. The calendar says what is due, the learner does a step, the ledger keeps
 * account; this puts them in order. It does not know what is learned.
 *
 * @module
 */

import { setImmediate } from "node:timers/promises";
import { currentDevice } from "../../core/mod.ts";
import { Pace } from "../report/pace.ts";
import type { LogRecord, RunPosition } from "../report/progress.ts";
import type { AnswerColumns } from "../sampling/rollout.ts";
import { type BatchSource, batchSource } from "./batch_source.ts";
import { beginning } from "./beginning.ts";
import { type Calendar, calendarOf } from "./calendar.ts";
import { Learner, type LearnerStep } from "./learner.ts";
import { type LearningRates, learningRates, startingSchedule } from "./learning_rate.ts";
import {
  evaluated,
  judged,
  logged,
  meanLoss,
  withCheckpoint,
  withRollout,
  withRow,
  withSettled,
  withTokens,
} from "./ledger.ts";
import { MetricQueue } from "./metric_queue.ts";
import type { RunProgress, TrainResult, TrainRun } from "./run.ts";
import type { RunState } from "./run_state.ts";
import { delayed } from "./stopping.ts";

/** How long an evaluation may go on in a run that is to stop. */
const EVALUATION_GRACE_MILLISECONDS = 5000;

/** Trains; yields a record for each thing worth reporting and returns the trained parameters. */
export async function* train<P>(run: TrainRun<P>): AsyncGenerator<LogRecord, TrainResult<P>> {
  const { options, signal } = run;
  const training = open(run);
  const { calendar, learner, begun } = training;
  const isDone = () => calendar.isOver(training.state.step);
  await learner.settle();
  yield { kind: "begin", ...position(training), resumed: run.resume !== undefined };
  yield* notices(training);
  if (!isDone()) {
    const memory = await unlessStopped(run, () => learner.memory(nextStep(training)));
    if (memory) yield { kind: "memory", ...position(training), memory };
  }
  if (calendar.evaluatesFirst(begun) && !signal?.aborted) yield* evaluate(training);
  while (!isDone() && !signal?.aborted) {
    if (await unlessStopped(run, () => step(training)) === null) break;
    const due = calendar.dueAfter(training.state.step);
    // A turn of the event loop, so that signals and timers are served between steps, as between passes.
    await setImmediate();
    yield* notices(training);
    yield* answers(training);
    yield* due.log ? log(training) : progress(training);
    const isBest = due.evaluate && (yield* evaluateAndJudge(training));
    if (due.save || (options.saving.strategy === "best" && isBest)) yield* save(training);
  }
  await settle(training, 0);
  const interrupted = !isDone();
  if (interrupted && training.saved !== training.state.step) yield* save(training);
  if (!interrupted) await restoreBest(training);
  yield* notices(training);
  yield end(training, interrupted);
  return {
    trainable: learner.trainable,
    state: training.state,
    progress: progressOf(training),
    interrupted,
  };
}

/** A run under way. */
interface Training<P> {
  readonly run: TrainRun<P>;
  readonly source: BatchSource<P>;
  readonly calendar: Calendar;
  readonly learner: Learner<P>;
  readonly rates: LearningRates;
  readonly metrics: MetricQueue;
  readonly pace: Pace;
  /** Steps that an earlier process did. */
  readonly begun: number;
  /** What is to be told at the next occasion. */
  readonly notices: string[];
  /** Answers that were sampled and not reported yet. */
  readonly tables: AnswerColumns[];
  /** What the run is in the middle of. */
  state: RunState;
  /** The step of the last checkpoint; −1 before the first. */
  saved: number;
}

function open<P>(run: TrainRun<P>): Training<P> {
  const { task, options, resume } = run;
  const source = batchSource(task, options, resume?.state.generation ?? null);
  const { length, description: sampling } = source;
  const learner = new Learner(run);
  const { state, notices } = beginning(resume?.state, {
    length,
    sampling,
    device: currentDevice().description,
    metricSchedule: startingSchedule(options),
    ignoreDataSkip: options.ignoreDataSkip,
  });
  return {
    run,
    source,
    calendar: calendarOf(options, length, state.rewound),
    learner,
    rates: learningRates(options, length.totalSteps),
    metrics: new MetricQueue(),
    pace: new Pace(),
    begun: state.step,
    notices: [...notices],
    tables: [],
    state,
    saved: -1,
  };
}

/** Something that samples first; null if that was stopped, which leaves all as it was. */
async function unlessStopped<T>(
  { signal }: Pick<TrainRun<unknown>, "signal">,
  work: () => Promise<T>,
): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (!signal?.aborted || error !== signal.reason) throw error;
    return null;
  }
}

/** The step that comes next. */
function nextStep<P>({ run, source, calendar, learner, rates, state }: Training<P>): LearnerStep {
  const { step, metricSchedule } = state;
  const { rollout, signal } = run;
  return {
    step,
    rate: rates(step, metricSchedule),
    windowOf: () =>
      source.window({
        ...calendar.windowAfter(step),
        ...learner.policy,
        progress: sampledAt(calendar, step),
        rollout,
        signal,
      }),
  };
}

/** How far the run is, as reward functions see it. */
function sampledAt(
  { totalSteps, epochAfter }: Calendar,
  step: number,
): { readonly step: number; readonly totalSteps: number; readonly epoch: number } {
  return { step, totalSteps, epoch: epochAfter(step) };
}

/** Does a step, and accounts for it. */
async function step<P>(training: Training<P>): Promise<void> {
  const { run, learner, metrics, pace } = training;
  const next = nextStep(training);
  const windowOf = async () => {
    const window = await next.windowOf();
    takeRollouts(training);
    return window;
  };
  const tokens = await learner.learn({ ...next, windowOf }, metrics);
  pace.add(tokens);
  const learned = { ...training.state, step: next.step + 1 };
  // What was sampled has been counted.
  training.state = "rollout" in run.task ? learned : withTokens(learned, tokens);
  // The step before this one is read while this one runs.
  await settle(training, 1);
}

function takeRollouts<P>(training: Training<P>): void {
  for (const rollout of training.source.takeRollouts()) {
    training.notices.push(...rollout.notices ?? []);
    training.tables.push(rollout.table);
    training.state = withRollout(training.state, rollout);
  }
}

/** Reads back the metrics of all but the last `keep` steps. */
async function settle<P>(training: Training<P>, keep: number): Promise<void> {
  const settled = await training.metrics.settle(keep);
  training.state = settled.reduce(withSettled, training.state);
}

function epochOf<P>({ calendar, state }: Training<P>): number {
  return calendar.epochAfter(state.step);
}

function position<P>(training: Training<P>): RunPosition {
  const { calendar: { totalSteps }, state: { step }, pace } = training;
  return { step, totalSteps, epoch: epochOf(training), elapsedSeconds: pace.elapsed() };
}

function progressOf<P>(training: Training<P>): RunProgress {
  const { epochs, totalSteps } = training.calendar;
  return { epoch: epochOf(training), epochs, totalSteps };
}

function* notices<P>(training: Training<P>): Generator<LogRecord> {
  for (const text of training.notices.splice(0)) {
    yield { kind: "notice", ...position(training), text };
  }
}

function* answers<P>(training: Training<P>): Generator<LogRecord> {
  for (const table of training.tables.splice(0)) {
    yield { kind: "answers", ...position(training), table };
  }
}

function* progress<P>(training: Training<P>): Generator<LogRecord> {
  const at = position(training);
  yield { kind: "progress", ...at, ...training.pace.current(at) };
}

async function* log<P>(training: Training<P>): AsyncGenerator<LogRecord> {
  await settle(training, 0);
  const { rates, pace, state: { step, metricSchedule } } = training;
  const learningRate = rates(step - 1, metricSchedule);
  const { values, state } = logged(training.state, { epoch: epochOf(training), learningRate });
  training.state = state;
  const lap = pace.lap(position(training));
  const deviceBytes = currentDevice().counters().bytes;
  yield { kind: "train", ...position(training), values, ...lap, deviceBytes };
}

/** Evaluates; gives the metrics, or null if the run is to stop and nothing came back. */
async function* evaluate<P>(
  training: Training<P>,
): AsyncGenerator<LogRecord, Readonly<Record<string, number>> | null> {
  await settle(training, 0);
  const { run, calendar, learner, pace } = training;
  // A run that goes on from here does not evaluate here again, so that it is worth some waiting.
  using patient = run.signal && delayed(run.signal, EVALUATION_GRACE_MILLISECONDS);
  const found = await unlessStopped(
    run,
    () => learner.evaluate(sampledAt(calendar, training.state.step), patient?.signal),
  );
  if (found === null) {
    training.notices.push("The run is to stop, and the evaluation did not end: it is left out.");
    return null;
  }
  const { values, state } = evaluated(training.state, epochOf(training), found);
  training.state = state;
  pace.pause();
  yield { kind: "eval", ...position(training), values };
  return values;
}

/** Evaluates; says whether it was the best so far. */
async function* evaluateAndJudge<P>(training: Training<P>): AsyncGenerator<LogRecord, boolean> {
  const row = yield* evaluate(training);
  if (row === null) return false;
  const { isBest, state } = judged(training.state, training.run.options.best, row);
  training.state = state;
  return isBest;
}

async function* save<P>(training: Training<P>): AsyncGenerator<LogRecord> {
  const { run: { checkpoints, frozen }, learner, source, pace } = training;
  if (!checkpoints) return;
  await settle(training, 0);
  const { step } = training.state;
  const path = checkpoints.pathOf(step);
  training.state = withCheckpoint(training.state, path);
  await checkpoints.save({
    ...learner.held,
    frozen,
    state: { ...training.state, generation: source.saved() },
    progress: progressOf(training),
  });
  training.saved = step;
  pace.pause();
  yield { kind: "save", ...position(training), path };
}

async function restoreBest<P>(training: Training<P>): Promise<void> {
  const { run: { options, checkpoints }, learner, state } = training;
  if (!options.loadBestAtEnd || !checkpoints) return;
  const checkpoint = state.best?.checkpoint;
  if (checkpoint) learner.restore(await checkpoints.load(checkpoint));
  else {
    training.notices.push(
      "No checkpoint of a best evaluation is there: the last step's weights stay.",
    );
  }
}

function end<P>(training: Training<P>, interrupted: boolean): LogRecord {
  const { run: { options }, pace, begun, state } = training;
  const { batchSize, gradientAccumulationSteps } = options;
  const steps = state.step - begun;
  const values = {
    train_runtime: pace.elapsed(),
    train_samples_per_second: pace.perSecond(steps * batchSize * gradientAccumulationSteps),
    train_steps_per_second: pace.perSecond(steps),
    train_loss: meanLoss(state),
  };
  if (!interrupted) training.state = withRow(state, epochOf(training), values);
  const tokensPerSecond = pace.overall();
  return { kind: "end", ...position(training), values, interrupted, tokensPerSecond };
}
