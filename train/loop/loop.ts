/**
 * The training loop: one for all algorithms. It knows gradients, accumulation, clipping, schedules, evaluation and
 * checkpoints; it does not know what is learned.
 *
 * @module
 */

import { setImmediate } from "node:timers/promises";
import {
  combine,
  currentDevice,
  jit,
  randomKey,
  realize,
  scope,
  tensor,
  UserError,
} from "../../core/mod.ts";
import type { OptimizerState } from "../../nn/mod.ts";
import { type BatchSource, batchSource } from "./batch_source.ts";
import { evaluateTask } from "./evaluate.ts";
import { type StepMemory, stepMemory } from "./memory.ts";
import { followsMetric, startMetricSchedule, stepMetricSchedule } from "./metric_schedule.ts";
import { MetricQueue } from "./metric_queue.ts";
import type { TrainOptions } from "./options.ts";
import { Pace } from "../report/pace.ts";
import type { LogRecord, Metrics, RunPosition } from "../report/progress.ts";
import type { AnswerColumns, Policy } from "../sampling/rollout.ts";
import type { RunProgress, TrainResult, TrainRun } from "./run.ts";
import { initialRunState, type RunState } from "./run_state.ts";
import { lrSchedule, resolveInterval, resolveWarmupSteps } from "./schedule.ts";
import { type BatchResult, type TrainSteps, trainSteps } from "./steps.ts";
import { delayed } from "./stopping.ts";
import type { MicroBatch, PackedMetrics, Refresh, TaskState } from "./task.ts";
import { averages, emptyWindow, windowShare, withMicroBatch, withStep } from "./windows.ts";

/** How long an evaluation may go on in a run that is to stop. */
const EVALUATION_GRACE_MILLISECONDS = 5000;

/** Trains; yields a record for each thing worth reporting and returns the trained parameters. */
export async function* train<P>(run: TrainRun<P>): AsyncGenerator<LogRecord, TrainResult<P>> {
  return yield* new Training(run).loop();
}

class Training<P> {
  readonly #source: BatchSource<P>;
  readonly #steps: TrainSteps<P>;
  readonly #evaluation: TrainSteps<P>["evaluate"] | undefined;
  readonly #rate: (step: number) => number;
  readonly #key;
  readonly #refreshes: readonly Refresh<P>[];
  #trainable: P;
  #optimizer: OptimizerState;
  #taskState: TaskState;
  #state: RunState;
  #epoch = 0;
  readonly #metrics = new MetricQueue();
  readonly #pace = new Pace();
  /** Steps that an earlier process did. */
  readonly #begun: number;
  readonly #notices: string[] = [];
  readonly #tables: AnswerColumns[] = [];
  #saved = -1;

  constructor(readonly run: TrainRun<P>) {
    const { task, options, resume } = run;
    this.#source = batchSource(task, options, resume?.state.generation ?? null);
    this.#steps = trainSteps(task, options);
    // The evaluated task has an objective of its own: it may reach further positions, or report more.
    this.#evaluation = run.evaluation && trainSteps(run.evaluation, options).evaluate;
    this.#key = randomKey(options.seed);
    this.#refreshes = (task.refreshes ?? []).map(({ every, update }) => ({
      every,
      update: jit(update, { donate: [0], name: "the refresh" }),
    }));
    this.#trainable = run.trainable;
    this.#optimizer = resume?.optimizer ?? options.optimizer.init(run.trainable);
    this.#taskState = resume ? resume.taskState : task.initialState?.() ?? null;
    this.#state = this.#begin();
    this.#begun = this.#state.step;
    this.#rate = this.#rateOf(options);
    this.#epoch = this.#epochAt(this.#state.step);
  }

  /** The state to begin with; what has changed since a checkpoint is told in notices. */
  #begin(): RunState {
    const { options, resume } = this.run;
    const metricSchedule = startMetricScheduleOf(options);
    const device = currentDevice().description;
    const sampling = this.#source.description;
    if (!resume) return initialRunState({ device, sampling, metricSchedule });
    const before = resume.state;
    const { totalSteps } = this.#source.length;
    if (before.step > totalSteps) {
      throw new UserError(
        `The checkpoint was taken after step ${before.step}, but this run ends after step ${totalSteps}. It may be ` +
          "of an earlier run in the same output_dir: name the checkpoint to go on with, or remove the old ones.",
      );
    }
    if (before.device !== device) {
      this.#notices.push(
        `The checkpoint was computed by another device (${before.device}; now ${device}): the last bits of the ` +
          "numbers may differ from those of an uninterrupted run.",
      );
    }
    if (before.sampling !== sampling) {
      this.#notices.push(
        `Rows were drawn otherwise before the checkpoint (${before.sampling}; now ${sampling}): this run does not ` +
          "see exactly the rows that were left.",
      );
    }
    const inEpoch = (before.step - before.rewound) % this.#source.length.stepsPerEpoch;
    return {
      ...before,
      device,
      sampling,
      rewound: before.rewound + (options.ignoreDataSkip ? inEpoch : 0),
      metricSchedule: metricSchedule && (before.metricSchedule ?? metricSchedule),
    };
  }

  /** The learning rate of each step: by the step's number, or as the evaluations have left it. */
  #rateOf({ schedule, learningRate }: TrainOptions): (step: number) => number {
    if (this.#state.metricSchedule) return () => this.#state.metricSchedule!.learningRate;
    const { totalSteps } = this.#source.length;
    const factor = lrSchedule(schedule.name, {
      warmupSteps: resolveWarmupSteps(schedule.warmup, totalSteps),
      totalSteps,
      learningRate,
      kwargs: schedule.kwargs,
    });
    return (step) => learningRate * factor(step);
  }

  async *loop(): AsyncGenerator<LogRecord, TrainResult<P>> {
    const { run, options } = this;
    const { totalSteps } = this.#source.length;
    await realize([this.#trainable, this.#optimizer, this.#taskState, run.frozen, this.#key]);
    yield { kind: "begin", ...this.#position(), resumed: run.resume !== undefined };
    yield* this.#tell();
    if (this.#state.step < totalSteps) {
      const memory = await this.#unlessStopped(() => this.#memory());
      if (memory) yield { kind: "memory", ...this.#position(), memory };
    }
    if (options.evaluation.onStart && this.#state.step === 0 && !run.signal?.aborted) {
      yield* this.#evaluate();
    }
    while (this.#state.step < totalSteps && !run.signal?.aborted) {
      if (!await this.#unlessStopped(() => this.#step())) break;
      const due = this.#due();
      // A turn of the event loop, so that signals and timers are served between steps, as between passes.
      await setImmediate();
      yield* this.#tell();
      for (const table of this.#tables.splice(0)) {
        yield { kind: "answers", ...this.#position(), table };
      }
      if (due.log) yield* this.#log();
      else yield { kind: "progress", ...this.#position(), ...this.#pace.current(this.#position()) };
      const row = due.evaluate ? yield* this.#evaluate() : null;
      const isBest = row !== null && this.#judge(row);
      if (due.save || (options.saving.strategy === "best" && isBest)) yield* this.#save();
    }
    await this.#settle(0);
    const interrupted = this.#state.step < totalSteps;
    if (interrupted && this.#saved !== this.#state.step) yield* this.#save();
    if (!interrupted) await this.#restoreBest();
    yield* this.#tell();
    yield this.#end(interrupted);
    return {
      trainable: this.#trainable,
      state: this.#state,
      progress: this.#progress(),
      interrupted,
    };
  }

  /** Something that samples first; null if that was stopped, which leaves all as it was. */
  async #unlessStopped<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      const { signal } = this.run;
      if (!signal?.aborted || error !== signal.reason) throw error;
      return null;
    }
  }

  async #memory(): Promise<StepMemory> {
    const { options, run } = this;
    const { step } = this.#state;
    return await scope(async () =>
      await stepMemory(this.#steps, {
        trainable: this.#trainable,
        frozen: run.frozen,
        optimizer: this.#optimizer,
        scalars: options.optimizer.scalars(this.#rate(step), step + 1),
        state: this.#taskState,
        key: this.#key,
        window: await this.#windowOf(step),
      })
    );
  }

  *#tell(): Generator<LogRecord> {
    for (const text of this.#notices.splice(0)) yield { kind: "notice", ...this.#position(), text };
  }

  get options(): TrainOptions {
    return this.run.options;
  }

  /** One optimiser step, which was done if this returns: a window of micro-batches. */
  async #step(): Promise<true> {
    const { options, run } = this;
    const { step } = this.#state;
    const scalars = options.optimizer.scalars(this.#rate(step), step + 1);
    let tokens = 0;
    const next = await scope(async () => {
      // What is made in here and not returned is given back at the end of the step.
      const window = await this.#windowOf(step);
      this.#takeRollouts();
      tokens = window.reduce((sum, batch) => sum + batch.tokens, 0);
      const keyOf = (k: number) => ({
        run: this.#key,
        index: tensor(Uint32Array.of(step * options.gradientAccumulationSteps + k)),
      });
      let state = this.#taskState;
      if (window.length === 1) {
        const [only] = window as [MicroBatch];
        const { metrics: packed, ...kept } = this.#steps.whole(
          this.#trainable,
          this.#optimizer,
          state,
          run.frozen,
          only.inputs,
          keyOf(0),
          { ...windowShare(only, window, run.task.normalize), ...scalars },
        );
        this.#metrics.push(step + 1, window, [packed], packed);
        return kept;
      }
      const metrics: PackedMetrics[] = [];
      let sum: P | null = null;
      for (const [k, batch] of window.entries()) {
        if (k > 0) await setImmediate();
        const result: { readonly sum: P } & BatchResult = this.#steps.accumulate(
          sum,
          state,
          this.#trainable,
          run.frozen,
          batch.inputs,
          keyOf(k),
          windowShare(batch, window, run.task.normalize),
        );
        ({ sum, state } = result);
        metrics.push(result.metrics);
      }
      const update = this.#steps.update(this.#trainable, this.#optimizer, sum!, scalars);
      const { metrics: packed, ...kept } = update;
      this.#metrics.push(step + 1, window, metrics, packed);
      return { ...kept, state };
    });
    this.#trainable = next.trainable;
    this.#optimizer = next.optimizer;
    this.#taskState = next.state;
    await this.#refresh(step + 1);
    this.#pace.add(tokens);
    this.#state = { ...this.#state, step: step + 1 };
    if (!("rollout" in run.task)) this.#countTokens(tokens);
    this.#epoch = this.#epochAt(step + 1);
    // The step before this one is read while this one runs.
    await this.#settle(1);
    return true;
  }

  /** Notes what was sampled for this step: its metrics count once, however often it is learned from. */
  #takeRollouts(): void {
    for (const { metrics, tokens, table, notices = [] } of this.#source.takeRollouts()) {
      this.#notices.push(...notices);
      this.#countTokens(tokens);
      this.#state = { ...this.#state, window: withMicroBatch(this.#state.window, metrics) };
      this.#tables.push(table);
    }
  }

  #countTokens(tokens: number): void {
    this.#state = { ...this.#state, tokens: this.#state.tokens + tokens };
  }

  async #refresh(step: number): Promise<void> {
    for (const { every, update } of this.#refreshes) {
      if (step % every !== 0) continue;
      this.#taskState = await scope(() => update(this.#taskState, this.#trainable));
    }
  }

  /** The micro-batches of a step; answers may have to be sampled for them. */
  async #windowOf(step: number): Promise<readonly MicroBatch[]> {
    const { stepsPerEpoch } = this.#source.length;
    const drawn = step - this.#state.rewound;
    return await this.#source.window({
      epoch: Math.floor(drawn / stepsPerEpoch),
      first: (drawn % stepsPerEpoch) * this.options.gradientAccumulationSteps,
      ...this.#policy(step),
      rollout: this.run.rollout,
      signal: this.run.signal,
    });
  }

  /** The model as it is now, for sampling. */
  #policy(step: number): Policy<P> {
    return {
      params: combine(this.#trainable, this.run.frozen),
      taskState: this.#taskState,
      progress: { step, totalSteps: this.#source.length.totalSteps, epoch: this.#epoch },
    };
  }

  /** Epochs done after so many steps. */
  #epochAt(step: number): number {
    const { stepsPerEpoch, batchesPerEpoch } = this.#source.length;
    const drawn = step - this.#state.rewound;
    const done = (drawn % stepsPerEpoch) * this.options.gradientAccumulationSteps;
    return Math.floor(drawn / stepsPerEpoch) + done / batchesPerEpoch;
  }

  /** Reads back the metrics of all but the last `keep` steps. */
  async #settle(keep: number): Promise<void> {
    for (const { microBatches, gradNorm } of await this.#metrics.settle(keep)) {
      const window = microBatches.reduce(withMicroBatch, this.#state.window);
      this.#state = { ...this.#state, window: withStep(window, gradNorm) };
    }
  }

  #due(): { readonly log: boolean; readonly evaluate: boolean; readonly save: boolean } {
    const { logging, evaluation, saving } = this.options;
    const { step, rewound } = this.#state;
    const { totalSteps, stepsPerEpoch } = this.#source.length;
    const last = step === totalSteps;
    const endOfEpoch = (step - rewound) % stepsPerEpoch === 0 || last;
    const every = (steps: number) => step % resolveInterval(steps, totalSteps) === 0;
    const on = ({ strategy, steps }: { strategy: string; steps: number }) =>
      strategy === "steps" ? every(steps) : strategy === "epoch" && endOfEpoch;
    const begun = (evaluation.strategy === "epoch" ? this.#epoch : step) >= evaluation.delay;
    return {
      log: on(logging) || (logging.firstStep && step === 1),
      evaluate: (on(evaluation) || (evaluation.strategy === "steps" && last)) && begun,
      save: on(saving) || (saving.strategy === "steps" && last),
    };
  }

  #position(): RunPosition {
    return {
      step: this.#state.step,
      totalSteps: this.#source.length.totalSteps,
      epoch: this.#epoch,
      elapsedSeconds: this.#pace.elapsed(),
    };
  }

  #progress(): RunProgress {
    const { epochs, totalSteps } = this.#source.length;
    return { epoch: this.#epoch, epochs, totalSteps };
  }

  /** Adds a row to the history, in the order of TRL's keys. */
  #remember(values: Readonly<Record<string, number>>): void {
    const row = { ...values, epoch: this.#epoch, step: this.#state.step };
    this.#state = { ...this.#state, logHistory: [...this.#state.logHistory, row] };
  }

  async *#log(): AsyncGenerator<LogRecord> {
    await this.#settle(0);
    const { window, step, tokens } = this.#state;
    const { entropy, ...others } = averages(window);
    const values = {
      loss: window.loss / window.steps,
      ...(window.gradNorm === null ? {} : { grad_norm: window.gradNorm }),
      learning_rate: this.#rate(step - 1),
      ...(entropy === undefined ? {} : { entropy }),
      num_tokens: tokens,
      ...others,
    };
    this.#remember(values);
    this.#state = {
      ...this.#state,
      window: emptyWindow,
      totalLoss: this.#state.totalLoss + window.loss,
    };
    const pace = this.#pace.lap(this.#position());
    const deviceBytes = currentDevice().counters().bytes;
    yield { kind: "train", ...this.#position(), values, ...pace, deviceBytes };
  }

  /** Evaluates; gives the metrics. */
  /** Evaluates; null if the run is to stop and nothing came back. */
  async *#evaluate(): AsyncGenerator<LogRecord, Metrics | null> {
    const { evaluation, options, frozen } = this.run;
    const evaluate = this.#evaluation;
    if (!evaluation || !evaluate) {
      throw new Error("An evaluation is due, but the run has no evaluation task.");
    }
    await this.#settle(0);
    const { signal } = this.run;
    // A run that goes on from here does not evaluate here again, so that it is worth some waiting.
    using patient = signal && delayed(signal, EVALUATION_GRACE_MILLISECONDS);
    const values = await this.#unlessStopped(() =>
      evaluateTask(
        evaluation,
        options,
        (batch) =>
          evaluate(
            this.#trainable,
            this.#taskState,
            frozen,
            batch.inputs,
            windowShare(batch, [batch]),
          ),
        { ...this.#policy(this.#state.step), signal: patient?.signal },
      )
    );
    if (values === null) {
      this.#notices.push("The run is to stop, and the evaluation did not end: it is left out.");
      return null;
    }
    const {
      eval_loss,
      eval_runtime,
      eval_samples_per_second,
      eval_steps_per_second,
      eval_entropy,
      ...others
    } = values;
    const row = {
      ...pick({
        eval_loss,
        eval_runtime,
        eval_samples_per_second,
        eval_steps_per_second,
        eval_entropy,
      }),
      eval_num_tokens: this.#state.tokens,
      ...others,
    };
    this.#remember(row);
    this.#pace.pause();
    yield { kind: "eval", ...this.#position(), values: row };
    return row;
  }

  /** Whether an evaluation is the best so far; a schedule that follows it takes note. */
  #judge(row: Metrics): boolean {
    const { best: rule } = this.options;
    const { metricSchedule, best, step } = this.#state;
    if (!rule) return false;
    const metric = row[rule.metric];
    if (metric === undefined) {
      throw new UserError(
        `metric_for_best_model is ${rule.metric}, which the evaluation does not give. It gives ` +
          `${Object.keys(row).join(", ")}.`,
      );
    }
    if (metricSchedule) {
      this.#state = { ...this.#state, metricSchedule: stepMetricSchedule(metricSchedule, metric) };
    }
    const better = rule.greaterIsBetter
      ? metric > (best?.metric ?? -Infinity)
      : metric < (best?.metric ?? Infinity);
    if (better) {
      // Until this one is saved, the best that can be gone back to is the one before.
      const checkpoint = best?.checkpoint ?? null;
      this.#state = { ...this.#state, best: { metric, step, checkpoint } };
    }
    return better;
  }

  async *#save(): AsyncGenerator<LogRecord> {
    const { checkpoints, frozen } = this.run;
    if (!checkpoints) return;
    await this.#settle(0);
    const { step, best } = this.#state;
    const path = checkpoints.pathOf(step);
    if (best?.step === step) this.#state = { ...this.#state, best: { ...best, checkpoint: path } };
    await checkpoints.save({
      trainable: this.#trainable,
      frozen,
      optimizer: this.#optimizer,
      taskState: this.#taskState,
      state: { ...this.#state, generation: this.#source.saved() },
      progress: this.#progress(),
    });
    this.#saved = step;
    this.#pace.pause();
    yield { kind: "save", ...this.#position(), path };
  }

  async #restoreBest(): Promise<void> {
    const { run, options } = this;
    const checkpoint = this.#state.best?.checkpoint;
    if (!options.loadBestAtEnd || !run.checkpoints) return;
    if (checkpoint) this.#trainable = await run.checkpoints.load(checkpoint);
    else {this.#notices.push(
        "No checkpoint of a best evaluation is there: the last step's weights stay.",
      );}
  }

  #end(interrupted: boolean): LogRecord {
    const { totalLoss, window, step } = this.#state;
    const { batchSize, gradientAccumulationSteps } = this.options;
    const steps = step - this.#begun;
    const values = {
      train_runtime: this.#pace.elapsed(),
      train_samples_per_second: this.#pace.perSecond(steps * batchSize * gradientAccumulationSteps),
      train_steps_per_second: this.#pace.perSecond(steps),
      train_loss: (totalLoss + window.loss) / Math.max(1, step),
    };
    if (!interrupted) this.#remember(values);
    const tokensPerSecond = this.#pace.overall();
    return { kind: "end", ...this.#position(), values, interrupted, tokensPerSecond };
  }
}

function startMetricScheduleOf(
  { schedule, learningRate }: TrainOptions,
): RunState["metricSchedule"] {
  const { name, kwargs } = schedule;
  return followsMetric(name) ? startMetricSchedule(name, learningRate, kwargs) : null;
}

function pick(values: Readonly<Record<string, number | undefined>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, number] => entry[1] !== undefined),
  );
}
