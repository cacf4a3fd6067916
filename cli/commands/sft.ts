/** `plumb sft`: supervised fine-tuning. @module */

import { type Device, openDevice, partition, UserError } from "../../core/mod.ts";
import { cleanTemporaries, writeFilesAtomically } from "../../data/atomic.ts";
import { describeFileError } from "../../data/local_paths.ts";
import type { Example } from "../../data/packing.ts";
import { type PreparedSft, prepareSft, resolveCompletionOnlyLoss } from "../../data/prepare_sft.ts";
import { readDataset, type Row } from "../../data/readers.ts";
import type { Tokenizer } from "../../data/tokenizer.ts";
import type { DecoderParams } from "../../nn/mod.ts";
import { parameterShapes } from "../../nn/mod.ts";
import { sftObjectives } from "../../rl/mod.ts";
import {
  checkpointStore,
  findCheckpoint,
  loadRun,
  trainerStateOf,
} from "../../train/checkpoint.ts";
import { train, type TrainResult } from "../../train/loop.ts";
import {
  type OpenModel,
  openModel,
  readParameters,
  writeModel,
} from "../../train/model_directory.ts";
import type { LogRecord } from "../../train/progress.ts";
import type { Reporter } from "../../train/reporters.ts";
import { sftTask } from "../../train/sft.ts";
import { checkSft, sftOptions, type SftValues } from "../options/sft.ts";
import { deviceName } from "../options/training_checks.ts";
import { parse } from "../parse.ts";
import { describeRow } from "../show_data.ts";
import { openReporters, trainOptionsOf } from "../training.ts";
import { interruptSignal } from "../interrupt.ts";

/** What `sft` is called with. */
export const sftCommand = {
  name: "sft",
  summary:
    "Supervised fine-tuning of a causal language model on texts, prompt-completion pairs or conversations.",
  options: sftOptions,
  run: async (argv: readonly string[]): Promise<number> => {
    const { values, notices } = parse(argv, sftOptions, { check: checkSft });
    return await sft(values, notices);
  },
};

async function sft(values: SftValues, notices: readonly string[]): Promise<number> {
  await openOutputDirectory(values.output_dir);
  const reporter = openReporters(values);
  const say = (text: string) =>
    reporter.report({ kind: "notice", step: 0, totalSteps: 0, epoch: 0, elapsedSeconds: 0, text });
  let device: Device | undefined;
  try {
    notices.forEach(say);
    device = await openDevice(
      deviceName(values),
      values.threads === undefined ? {} : { threads: values.threads },
    );
    say(device.description);
    const opened = await openModel({
      directory: values.model_name_or_path,
      initFromConfig: values.init_from_config,
      seed: values.seed,
      tokenizer: values.tokenizer_name,
      overrides: {
        ...(values.eos_token === undefined ? {} : { eosToken: values.eos_token }),
        ...(values.pad_token === undefined ? {} : { padToken: values.pad_token }),
        ...(values.chat_template_path === undefined
          ? {}
          : { chatTemplatePath: values.chat_template_path }),
      },
    });
    const data = await readData(values, opened.tokenizer, say);
    const result = await run(values, opened, data, reporter, say);
    await save(values, opened, result);
    if (result.interrupted) say("Go on from here with --resume_from_checkpoint true.");
    return result.interrupted ? 130 : 0;
  } finally {
    reporter.close();
    device?.destroy();
  }
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

interface SftData {
  readonly train: readonly Example[];
  readonly evaluation: readonly Example[] | null;
}

async function readData(
  values: SftValues,
  tokenizer: Tokenizer,
  say: (text: string) => void,
): Promise<SftData> {
  const rows = await readDataset(values.dataset_name, { split: values.dataset_train_split });
  const completionOnlyLoss = resolveCompletionOnlyLoss(rows, values.completion_only_loss);
  const prepare = (of: readonly Row[], packing: boolean): PreparedSft =>
    prepareSft(of, tokenizer, {
      datasetTextField: values.dataset_text_field,
      maxLength: values.max_length ?? null,
      truncationMode: values.truncation_mode,
      packing,
      packingStrategy: values.packing_strategy,
      completionOnlyLoss,
      assistantOnlyLoss: values.assistant_only_loss,
      shuffleSeed: values.shuffle_dataset ? values.seed : undefined,
      warn: say,
    });
  const prepared = prepare(rows, values.packing);
  const tokens = prepared.examples.reduce((sum, { inputIds }) => sum + inputIds.length, 0);
  say(
    `${values.dataset_name}: ${rows.length} rows, ${prepared.format.description}; ${prepared.examples.length} examples ` +
      `of ${tokens} tokens` +
      (prepared.dropped > 0
        ? `; ${prepared.dropped} dropped: nothing to learn within max_length`
        : ""),
  );
  for (const example of prepared.examples.slice(0, values.show_data)) {
    say(describeRow(example, tokenizer));
  }
  if (values.eval_strategy === "no" && !values.eval_on_start) {
    return { train: prepared.examples, evaluation: null };
  }
  const evalRows = await readDataset(values.dataset_name, { split: values.dataset_test_split });
  const evaluation = prepare(evalRows, values.eval_packing ?? values.packing).examples;
  if (evaluation.length === 0) {
    throw new UserError(
      `The split ${values.dataset_test_split} of ${values.dataset_name} has no usable rows.`,
    );
  }
  return { train: prepared.examples, evaluation };
}

async function run(
  values: SftValues,
  opened: OpenModel,
  data: SftData,
  reporter: Reporter,
  say: (text: string) => void,
): Promise<TrainResult<DecoderParams>> {
  const { model } = opened;
  const options = trainOptionsOf(values);
  const taskOf = (examples: readonly Example[]) =>
    sftTask({
      model,
      examples,
      objective: sftObjectives[values.loss_type ?? "chunked_nll"],
      gradientCheckpointing: values.gradient_checkpointing,
      neftuneNoiseAlpha: values.neftune_noise_alpha,
      padToMultipleOf: values.pad_to_multiple_of,
    });
  let params = opened.params;
  let resume;
  if (values.resume_from_checkpoint !== undefined) {
    const path = await findCheckpoint(values.output_dir, values.resume_from_checkpoint);
    params = await readParameters(model, path);
    resume = await loadRun(path, params);
    say(`Resuming from ${path} after step ${resume.state.step}.`);
  }
  const [trainable, frozen] = partition(params, () => true);
  const interrupt = interruptSignal(() =>
    say("Stopping after this step; press Ctrl-C again to stop at once.")
  );
  const training = train({
    task: taskOf(data.train),
    evaluation: data.evaluation ? taskOf(data.evaluation) : undefined,
    trainable,
    frozen,
    options,
    checkpoints: checkpointStore<DecoderParams>({
      outputDir: values.output_dir,
      limit: values.save_total_limit,
      modelOnly: values.save_only_model,
      writeModel: (directory, tree) => writeModel(directory, opened, tree),
      options,
    }, parameterShapes(model.config)),
    resume,
    signal: interrupt.signal,
  });
  try {
    for (;;) {
      const next: IteratorResult<LogRecord, TrainResult<DecoderParams>> = await training.next();
      if (next.done) return next.value;
      reporter.report(next.value);
    }
  } finally {
    interrupt.dispose();
  }
}

async function save(
  values: SftValues,
  opened: OpenModel,
  result: TrainResult<DecoderParams>,
): Promise<void> {
  if (result.interrupted) return;
  const options = trainOptionsOf(values);
  await writeFilesAtomically(values.output_dir, async (directory) => {
    await writeModel(directory, opened, result.trainable);
    await Deno.writeTextFile(`${directory}/trainer_state.json`, trainerStateOf(result, options));
  });
}
