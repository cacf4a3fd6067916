/** What all training commands do; a command says how rows become examples, and what is minimised. @module */

import {
  combine,
  currentDevice,
  type Device,
  partition,
  planOnly,
  UserError,
} from "../core/mod.ts";
import { cleanTemporaries, writeFilesAtomically } from "../data/files/atomic.ts";
import { describeFileError, statIfPresent } from "../data/files/local_paths.ts";
import type { Row } from "../data/readers/dataset.ts";
import type { Tokenizer } from "../data/tokenizer/tokenizer.ts";
import {
  type DecoderParams,
  dropoutIn,
  type LoraConfig,
  type ModelHead,
  type QuantizeOptions,
} from "../nn/mod.ts";
import {
  checkpointSteps,
  checkpointStore,
  findCheckpoint,
  loadRun,
  trainerStateOf,
} from "../train/files/checkpoint.ts";
import { train } from "../train/loop/loop.ts";
import {
  type ModelSource,
  type OpenModel,
  openModel,
  readCheckpoint,
  trainableOf,
} from "../train/files/model_directory.ts";
import { writeModel } from "../train/files/write_model.ts";
import type { TrainOptions } from "../train/loop/options.ts";
import { formatBytes, type LogRecord, type RunPosition } from "../train/report/progress.ts";
import type { Reporter } from "../train/report/reporters.ts";
import type { TrainResult } from "../train/loop/run.ts";
import type { WeightStorage } from "../train/files/quantized_files.ts";
import type { RolloutFunction } from "../train/sampling/rollout.ts";
import type { OnlineTask, Task } from "../train/loop/task.ts";
import { interruptSignal } from "./interrupt.ts";
import type { Options, Values } from "./options/option.ts";
import type { ModelValues } from "./options/model.ts";
import { openAskedDevice } from "./device.ts";
import { deviceName, type TrainingValues } from "./options/training_checks.ts";
import { roofGauge } from "./roof.ts";
import { idleOptions } from "./options/when.ts";
import type { CommandValues, DatasetValues } from "./options/script.ts";
import { availableBytes, memoryAdvice } from "./memory_advice.ts";
import { parse } from "./parse.ts";
import { type PrepareContext, prepareData, type PreparedData } from "./preparing.ts";
import { openProfiler } from "./profile.ts";
import { timeLeftNotice } from "./time_left.ts";
import { openReporters, trainOptionsOf } from "./training.ts";

/** The values every training command has. */
export type FinetuneValues = TrainingValues & ModelValues & DatasetValues & CommandValues & {
  readonly eos_token?: string | undefined;
  readonly pad_token?: string | undefined;
  readonly chat_template_path?: string | undefined;
};

/** Rows as examples, and a line about them. */
export interface PreparedExamples<E> {
  readonly examples: readonly E[];
  readonly description: string;
}

/** What a command makes its task of. */
export interface TaskContext<E, V> {
  /** With the parameters the run began with, also when it is resumed. */
  readonly opened: OpenModel;
  readonly values: V;
  readonly options: TrainOptions;
  readonly examples: readonly E[];
  readonly evaluation: boolean;
  readonly say: (text: string) => void;
}

/** A training command. */
export interface Finetuning<O extends Options, E> {
  readonly name: string;
  readonly summary: string;
  readonly options: O;
  /** Checks across options. */
  readonly check: (values: Values<O>) => void;
  /** Lines about values that go together, but hardly as they are meant. */
  readonly caution?: (values: Values<O>) => readonly string[];
  /** Checks of files that flags name, ahead of the long work: reading the model and the data. */
  readonly checkFiles?: (values: Values<O>) => Promise<unknown>;
  /** Values that follow from others. */
  readonly settle?: (values: Values<O>) => Values<O>;
  /** The model's last layer, which flags may decide; logits over the vocabulary by default. */
  readonly head?: ModelHead | ((values: Values<O>) => ModelHead);
  /** The model with what else is trained along, if anything. */
  readonly complete?: (
    opened: OpenModel,
    values: Values<O>,
    say: (text: string) => void,
  ) => Promise<OpenModel>;
  readonly prepare: (
    rows: readonly Row[],
    context: PrepareContext<Values<O>>,
  ) => PreparedExamples<E>;
  /** A prepared example for people. */
  readonly describe: (example: E, tokenizer: Tokenizer) => string;
  readonly task: (
    context: TaskContext<E, Values<O>>,
  ) => Promise<Task<DecoderParams> | OnlineTask<DecoderParams>>;
  /** Answers in place of sampled ones, if the flags name any. */
  readonly rollout?: (values: Values<O>) => Promise<RolloutFunction | undefined>;
  /** The reporters that the flags ask for, beside those of all commands. */
  readonly report?: (reporter: Reporter, values: Values<O>) => Reporter;
}

/** A command for the command line. */
export interface Command {
  readonly name: string;
  readonly summary: string;
  readonly options: Options;
  readonly run: (argv: readonly string[]) => Promise<number>;
}

/** Makes a command of what is particular to it. */
export function finetuningCommand<O extends Options, E>(
  command: Values<O> extends FinetuneValues ? Finetuning<O, E> : never,
): Command {
  const { name, summary, options } = command;
  return {
    name,
    summary,
    options,
    run: async (argv) => {
      const { values, notices, given } = parse(argv, options, { check: command.check });
      const all = (command.settle?.(values) ?? values) as Values<O> & FinetuneValues;
      await command.checkFiles?.(all);
      return await finetune(command, all, [
        ...notices,
        ...idleOptions(options, all, given),
        ...command.caution?.(all) ?? [],
      ]);
    },
  };
}

async function finetune<O extends Options, E>(
  command: Finetuning<O, E>,
  values: Values<O> & FinetuneValues,
  notices: readonly string[],
): Promise<number> {
  if (!values.dry_run) await openOutputDirectory(values.output_dir);
  const standard = openReporters(values.dry_run ? { ...values, report_to: [] } : values);
  const { reporter, say } = noticing(command.report?.(standard, values) ?? standard);
  let device: Device | undefined;
  try {
    notices.forEach(say);
    device = await openAskedDevice({ device: deviceName(values), threads: values.threads }, say);
    if (values.dry_run) {
      planOnly();
      device.destroy();
    }
    const profiler = values.profile && !values.dry_run
      ? await openProfiler(device, values.output_dir)
      : null;
    const head = typeof command.head === "function" ? command.head(values) : command.head;
    const alone = await openModel({ ...modelSourceOf(values, head), notice: say });
    if (!values.dry_run) await refuseOtherKind(values.output_dir, alone);
    const opened = await command.complete?.(alone, values, say) ?? alone;
    if (alone.adapter && !values.use_peft) {
      say(
        `${values.model_name_or_path} is an adapter over ${alone.adapter.base}: its weights are trained on.`,
      );
    }
    for (const notice of dropoutNotice(alone, values)) say(notice);
    const data = await prepareData<E, Values<O> & FinetuneValues>(command, {
      values,
      tokenizer: opened.tokenizer,
      positions: opened.model.config.maxPositions,
      say,
      progress: preparationProgress(reporter),
    });
    const gauge = roofGauge(device);
    const gauged = alsoTelling(alsoTelling(reporter, timeLeftNotice(say)), gauge.follow);
    const followed = profiler?.following(gauged) ?? gauged;
    const result = await run(command, values, opened, data, followed, say);
    if (result === null) return 0;
    await profiler?.finish(say);
    if (!result.interrupted) {
      const share = await gauge.share();
      say(
        `Memory used: ${formatBytes(device.counters().peakBytes)} at most.` +
          (share === undefined ? "" : ` Matrix products: ${share}.`),
      );
    }
    await save(values, opened, result, say);
    if (result.interrupted && !values.save_only_model) {
      const checkpoint = `${values.output_dir}/checkpoint-${result.state.step}`;
      say(`Go on from here with --resume_from_checkpoint ${checkpoint}`);
    }
    return result.interrupted ? 130 : 0;
  } finally {
    reporter.close();
    device?.destroy();
  }
}

/** What is to be said of a config that asks for dropout, where the reference trains with it. */
function dropoutNotice({ config }: OpenModel, values: object): string[] {
  const asked = [...dropoutIn(config)].map(([name, probability]) => `${name} ${probability}`);
  if (asked.length === 0 || ("disable_dropout" in values && values.disable_dropout)) return [];
  return [`Models are trained without dropout of their own; config.json has ${asked.join(", ")}.`];
}

function modelSourceOf(values: FinetuneValues, head: ModelHead | undefined): ModelSource {
  const { eos_token, pad_token, chat_template_path } = values;
  return {
    storage: storageOf(values),
    lora: values.use_peft ? loraOf(values, head) : undefined,
    initialAdapter: values.initial_adapter,
    directory: values.model_name_or_path,
    initFromConfig: values.init_from_config,
    head,
    seed: values.seed,
    tokenizer: values.tokenizer_name,
    overrides: {
      ...(eos_token === undefined ? {} : { eosToken: eos_token }),
      ...(pad_token === undefined ? {} : { padToken: pad_token }),
      ...(chat_template_path === undefined ? {} : { chatTemplatePath: chat_template_path }),
    },
  };
}

/** A reporter whose records someone else is told too. */
function alsoTelling(inner: Reporter, tell: (record: LogRecord) => void): Reporter {
  return {
    report: (record) => {
      tell(record);
      inner.report(record);
    },
    close: inner.close,
  };
}

/** A reporter, and a way to say something at the point the run has come to. */
function noticing(inner: Reporter): {
  readonly reporter: Reporter;
  readonly say: (text: string) => void;
} {
  let position: RunPosition = { step: 0, totalSteps: 0, epoch: 0, elapsedSeconds: 0 };
  const report = (record: LogRecord) => {
    const { step, totalSteps, epoch, elapsedSeconds } = record;
    position = { step, totalSteps, epoch, elapsedSeconds };
    inner.report(record);
  };
  return {
    reporter: { report, close: inner.close },
    say: (text) => inner.report({ kind: "notice", ...position, text }),
  };
}

/** Reports how many rows are prepared. */
function preparationProgress(reporter: Reporter): (done: number, total: number) => void {
  const began = performance.now();
  return (done, total) => {
    const elapsedSeconds = (performance.now() - began) / 1000;
    const position = { step: 0, totalSteps: 0, epoch: 0, elapsedSeconds };
    reporter.report({ kind: "prepare", ...position, rows: done, totalRows: total });
  };
}

/** How the base's weights are kept in memory; undefined is f32. */
function storageOf(values: FinetuneValues): WeightStorage | undefined {
  if (values.load_in_4bit && values.load_in_8bit) {
    throw new UserError("Both --load_in_4bit and --load_in_8bit are given. Choose one of them.");
  }
  const quantize: QuantizeOptions | undefined = values.load_in_4bit
    ? { format: values.bnb_4bit_quant_type, nested: values.use_bnb_nested_quant }
    : values.load_in_8bit
    ? { format: "int8" }
    : undefined;
  const names = { float32: "f32", auto: "auto", bfloat16: "bf16", float16: "f16" } as const;
  const dtype = names[values.dtype];
  return quantize || dtype !== "f32" ? { quantize, dtype } : undefined;
}

function loraOf(values: FinetuneValues, head: ModelHead | undefined): Partial<LoraConfig> {
  const { init_lora_weights: init } = values;
  const tasks = { language: "CAUSAL_LM", sequence: "SEQ_CLS", token: "TOKEN_CLS" } as const;
  return {
    r: values.lora_r,
    lora_alpha: values.lora_alpha,
    lora_dropout: values.lora_dropout,
    target_modules: modulesOrPattern(values.lora_target_modules),
    exclude_modules: modulesOrPattern(values.lora_exclude_modules),
    bias: values.lora_bias,
    init_lora_weights: init === "true" || init === "false" ? init === "true" : init,
    modules_to_save: values.lora_modules_to_save ?? null,
    use_rslora: values.use_rslora,
    use_dora: values.use_dora,
    task_type: tasks[head?.kind ?? "language"],
  };
}

/** TRL takes a list of one for a regular expression; a plain name, which would find nothing, stays one. */
function modulesOrPattern(names: readonly string[] | undefined): string | readonly string[] | null {
  const [only] = names ?? [];
  const isPattern = names?.length === 1 && (only === "all-linear" || !/^[\w.]+$/.test(only!));
  return isPattern ? only! : names ?? null;
}

/** A whole model and an adapter in one directory would be taken for an adapter over that model. */
async function refuseOtherKind(output: string, { adapter }: OpenModel): Promise<void> {
  const [file, holds, written] = adapter
    ? ["config.json", "a whole model", "an adapter"]
    : ["adapter_config.json", "an adapter", "a whole model"];
  if (await statIfPresent(`${output}/${file}`) === undefined) return;
  throw new UserError(
    `--output_dir ${output} holds ${holds} (${file}), and this run writes ${written}: together they would be misread. ` +
      "Give another directory.",
  );
}

/** Finds out before the work, not after it, whether results can be written. */
async function openOutputDirectory(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true });
    await Deno.remove(await Deno.makeTempFile({ dir: path, prefix: ".plumb-" }));
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) {
      throw new UserError(
        `--output_dir ${path} is a file. Move it away, or name a directory for the results.`,
      );
    }
    throw describeFileError(error, { action: "write", path });
  }
  await cleanTemporaries(path);
}

/** Trains; null if the run is a dry one, which ends before the first step. */
async function run<O extends Options, E>(
  command: Finetuning<O, E>,
  values: Values<O> & FinetuneValues,
  opened: OpenModel,
  data: PreparedData<E>,
  reporter: Reporter,
  say: (text: string) => void,
): Promise<TrainResult<DecoderParams> | null> {
  const options = trainOptionsOf(values);
  const taskOf = (examples: readonly E[], evaluation: boolean) =>
    command.task({ opened, values, options, examples, evaluation, say });
  const asTrl = await taskOf(data.train, false);
  // TRL takes the mean of batches' means in places; a loss of one's own is the same however a step is cut.
  const task = "loss" in values && values["loss"] !== undefined
    ? { ...asTrl, normalize: "window" as const }
    : asTrl;
  const evaluation = data.evaluation ? await taskOf(data.evaluation, true) : undefined;
  const isTrainable = trainableOf(opened);
  let [trainable, frozen] = partition(opened.params, isTrainable);
  let resume;
  if (values.resume_from_checkpoint !== undefined) {
    const path = await findCheckpoint(values.output_dir, values.resume_from_checkpoint);
    if (values.dry_run) say(`The run would go on from ${path}.`);
  }
  if (values.resume_from_checkpoint !== undefined && !values.dry_run) {
    const path = await findCheckpoint(values.output_dir, values.resume_from_checkpoint);
    [trainable, frozen] = partition(await readCheckpoint(opened, path), isTrainable);
    resume = await loadRun(path, {
      optimizer: options.optimizer.init(trainable),
      taskState: task.initialState?.() ?? null,
    });
    say(`Resuming from ${path} after step ${resume.state.step}.`);
  }
  const left = resume || values.dry_run ? [] : await checkpointSteps(values.output_dir);
  if (left.length > 0) {
    say(
      `${values.output_dir} has checkpoints of an earlier run (the last is checkpoint-${
        left.at(-1)
      }); this run ` +
        "begins anew beside them.",
    );
  }
  const interrupt = interruptSignal(() =>
    say("Stopping after this step; press Ctrl-C again to stop at once.")
  );
  const training = train({
    task,
    evaluation,
    rollout: await command.rollout?.(values),
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

async function save(
  values: FinetuneValues,
  opened: OpenModel,
  result: TrainResult<DecoderParams>,
  say: (text: string) => void,
): Promise<void> {
  if (result.interrupted) return;
  const options = trainOptionsOf(values);
  const [, frozen] = partition(opened.params, trainableOf(opened));
  await writeFilesAtomically(values.output_dir, async (directory) => {
    await writeModel(directory, opened, combine(result.trainable, frozen), {
      dtype: values.save_dtype,
      notice: say,
    });
    await Deno.writeTextFile(`${directory}/trainer_state.json`, trainerStateOf(result, options));
  });
}
