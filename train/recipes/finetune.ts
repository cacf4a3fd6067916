/** What all recipes do: opening the model, preparing the data, training, saving. @module */

import { closeDevice, currentDevice, type Device, partition, planOnly } from "../../core/mod.ts";
import type { DecoderParams } from "../../nn/mod.ts";
import { checkpointStore, trainerStateOf } from "../files/checkpoint.ts";
import {
  type OpenModel,
  openModel,
  readCheckpoint,
  trainableOf,
} from "../files/model_directory.ts";
import { takeOver } from "../files/take_over.ts";
import { writeModel } from "../files/write_model.ts";
import { train } from "../loop/loop.ts";
import type { TrainResult } from "../loop/run.ts";
import { availableBytes, memoryAdvice } from "../report/memory_advice.ts";
import { openProfiler } from "../report/profile.ts";
import { formatBytes, type LogRecord } from "../report/progress.ts";
import type { Reporter } from "../report/reporters.ts";
import { roofGauge } from "../report/roof.ts";
import type { Options, Values } from "../settings/option.ts";
import { deviceName } from "../settings/training_checks.ts";
import { dropoutNotice, modelSourceOf } from "./model.ts";
import { openOutputDirectory, refuseOtherKind, saveResult } from "./output.ts";
import { prepareData, type PreparedData } from "./preparing.ts";
import type { FinetuneValues, Host, RecipeSpec } from "./recipe_spec.ts";
import { alsoTelling, noticing, preparationProgress } from "./telling.ts";
import { beginningOf, momentOf } from "./resume.ts";
import { fingerprintOf } from "./same_run.ts";
import { timeLeftNotice } from "./time_left.ts";
import { trainOptionsOf } from "./training.ts";

/** What a run leaves. */
export interface Finetuned {
  /** With the parameters that it began with. */
  readonly opened: OpenModel;
  /** The parameters as they are now, and the run's history. */
  readonly result: TrainResult<DecoderParams>;
  /** The run's history, the text of `trainer_state.json`. */
  readonly history: string;
  /** Where the model and the history are written. */
  readonly directory: string;
}

/**
 * Trains by a recipe.
 *
 * @returns null if the run is a dry one, which ends before the first step
 */
export async function finetune<O extends Options, E>(
  spec: RecipeSpec<O, E>,
  values: Values<O> & FinetuneValues,
  notices: readonly string[],
  host: Host,
): Promise<Finetuned | null> {
  const lock = values.dry_run ? null : await openOutputDirectory(values.output_dir);
  try {
    return await finetuneHere(spec, values, [...notices, ...lock?.notices ?? []], host);
  } finally {
    lock?.release();
  }
}

/** The same in an output directory that is this run's alone. */
async function finetuneHere<O extends Options, E>(
  spec: RecipeSpec<O, E>,
  values: Values<O> & FinetuneValues,
  notices: readonly string[],
  host: Host,
): Promise<Finetuned | null> {
  const standard = host.reporter(values);
  const { reporter, say } = noticing(spec.report?.(standard, values) ?? standard);
  let device: Device | undefined;
  try {
    notices.forEach(say);
    device = await host.openDevice({ device: deviceName(values), threads: values.threads }, say);
    if (values.dry_run) {
      planOnly();
      device.destroy();
    }
    const profiler = values.profile && !values.dry_run
      ? await openProfiler(device, values.output_dir)
      : null;
    const head = typeof spec.head === "function" ? spec.head(values) : spec.head;
    const source = { ...modelSourceOf(values, head), now: await momentOf(values), notice: say };
    const alone = host.model ? await takeOver(host.model, source) : await openModel(source);
    if (!values.dry_run) await refuseOtherKind(values.output_dir, alone);
    const opened = await spec.complete?.(alone, values, say) ?? alone;
    if (alone.adapter && !values.use_peft) {
      say(
        `${values.model_name_or_path} is an adapter over ${alone.adapter.base}: its weights are trained on.`,
      );
    }
    for (const notice of dropoutNotice(alone, values)) say(notice);
    const data = await prepareData<E, Values<O> & FinetuneValues>(spec, {
      values,
      tokenizer: opened.tokenizer,
      positions: opened.model.config.maxPositions,
      say,
      progress: preparationProgress(reporter),
      rows: host.rows,
    });
    const gauge = roofGauge(device);
    const gauged = alsoTelling(alsoTelling(reporter, timeLeftNotice(say)), gauge.follow);
    const followed = profiler?.following(gauged) ?? gauged;
    const result = await run(spec, values, opened, data, followed, say, host);
    if (result === null) return null;
    await profiler?.finish(say);
    if (!result.interrupted) {
      const share = await gauge.share();
      say(
        `Memory used: ${formatBytes(device.counters().peakBytes)} at most.` +
          (share === undefined ? "" : ` Matrix products: ${share}.`),
      );
    }
    const history = trainerStateOf(result, trainOptionsOf(values));
    if (!result.interrupted) await saveResult(values, opened, { result, history, say });
    if (result.interrupted && !values.save_only_model) {
      const checkpoint = `${values.output_dir}/checkpoint-${result.state.step}`;
      say(`Go on from here with --resume_from_checkpoint ${checkpoint}`);
    }
    return { opened, result, history, directory: values.output_dir };
  } finally {
    reporter.close();
    if (host.ownsDevice && device) closeDevice(device);
  }
}

/** Trains; null if the run is a dry one, which ends before the first step. */
async function run<O extends Options, E>(
  spec: RecipeSpec<O, E>,
  values: Values<O> & FinetuneValues,
  opened: OpenModel,
  data: PreparedData<E>,
  reporter: Reporter,
  say: (text: string) => void,
  host: Host,
): Promise<TrainResult<DecoderParams> | null> {
  const options = trainOptionsOf(values);
  const taskOf = (examples: readonly E[], evaluation: boolean) =>
    spec.task({ opened, values, options, examples, evaluation, say });
  const asTrl = await taskOf(data.train, false);
  // TRL takes the mean of batches' means in places; a loss of one's own is the same however a step is cut.
  const task = "loss" in values && values["loss"] !== undefined
    ? { ...asTrl, normalize: "window" as const }
    : asTrl;
  const evaluation = data.evaluation ? await taskOf(data.evaluation, true) : undefined;
  const fingerprint = await fingerprintOf({
    recipe: spec,
    values,
    tokenizer: opened.tokenizer,
    data,
  });
  const { trainable, frozen, resume } = await beginningOf({
    values,
    opened,
    task,
    options,
    settings: spec.options,
    fingerprint,
    say,
  });
  const isTrainable = trainableOf(opened);
  const interrupt = host.interrupt(say);
  const training = train({
    task,
    evaluation,
    rollout: await spec.rollout?.(values),
    trainable,
    frozen,
    options,
    checkpoints: checkpointStore<DecoderParams>({
      outputDir: values.output_dir,
      limit: values.save_total_limit,
      modelOnly: values.save_only_model,
      notice: say,
      writeModel: (directory, tree) => writeModel(directory, opened, tree),
      read: async (path) => partition(await readCheckpoint(opened, path), isTrainable)[0],
      options,
      fingerprint,
    }),
    resume,
    signal: interrupt.signal,
  });
  try {
    for (;;) {
      const next: IteratorResult<LogRecord, TrainResult<DecoderParams>> = await training.next();
      if (next.done) return next.value;
      reporter.report(next.value);
      if (next.value.kind !== "memory") continue;
      const available = availableBytes(currentDevice());
      const advice = available === null
        ? null
        : memoryAdvice({ values, opened, isTrainable, memory: next.value.memory }, available);
      if (advice !== null) say(advice);
      if (values.dry_run) return null;
    }
  } finally {
    interrupt.dispose();
  }
}
