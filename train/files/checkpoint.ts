/** Checkpoints: directories in the Hugging Face layout, and what a resumed run needs beside the model. @module */

import { combine, leavesOf, replaceLeaves, type Tensor, UserError } from "../../core/mod.ts";
import { cleanTemporaries, writeDirectoryAtomically } from "../../data/files/atomic.ts";
import { basePath, statIfPresent } from "../../data/files/local_paths.ts";
import { openSafetensors, writeSafetensors } from "../../data/weights/safetensors.ts";
import type { CheckpointStore, ResumedRun, Snapshot } from "../loop/run.ts";
import { readLike, tensorsToStore } from "./model_files.ts";
import type { TrainOptions } from "../loop/options.ts";
import { parseRunState, type RunState } from "../loop/run_state.ts";
import { resolveInterval } from "../loop/schedule.ts";
import { valueModelDirectory } from "./value_model.ts";
import { formatTrainerState, newTrainerState, statefulCallbacks } from "./trainer_state.ts";

/** Names of the files that only plumb reads. */
const optimizerFile = "optimizer.safetensors";
const optimizerPrefix = "optimizer.";
const taskPrefix = "task.";
const stateFile = "plumb_state.json";

/** Writes everything of a model but its training state into a directory. */
export type WriteModel = (directory: string, params: unknown) => Promise<void>;

/** Settings of {@link checkpointStore}. */
export interface CheckpointOptions<P> {
  /** Where checkpoints go. */
  readonly outputDir: string;
  /** The most checkpoints that are kept, the best among them; no limit by default. */
  readonly limit?: number | undefined;
  /** Leave out what resuming needs. */
  readonly modelOnly?: boolean;
  /** Writes the model's files. */
  readonly writeModel: WriteModel;
  /** Reads the trainable parameters of a checkpoint. */
  readonly read: (directory: string) => Promise<P>;
  /** Settings of the run. */
  readonly options: TrainOptions;
  /** Told of what stands in a checkpoint's place and is not this run's. */
  readonly notice?: (text: string) => void;
}

/** Checkpoints `checkpoint-N` in an output directory, each written aside and renamed. */
export function checkpointStore<P>(settings: CheckpointOptions<P>): CheckpointStore<P> {
  const { outputDir, limit, modelOnly, writeModel, read, options, notice = () => {} } = settings;
  const pathOf = (step: number) => `${outputDir}/checkpoint-${step}`;
  // Checkpoints without a state name no run, and cannot be resumed: this process knows those that it wrote.
  const written = new Set<number>();
  return {
    pathOf,
    save: async (snapshot) => {
      const path = pathOf(snapshot.state.step);
      const { step, run } = snapshot.state;
      await setAside(path, () => isOwn(outputDir, step, { run, written }), notice);
      await writeDirectoryAtomically(path, async (directory) => {
        await writeModel(directory, combine(snapshot.trainable, snapshot.frozen));
        await Deno.writeTextFile(
          `${directory}/trainer_state.json`,
          trainerStateOf(snapshot, options),
        );
        if (modelOnly) return;
        await writeSafetensors(`${directory}/${optimizerFile}`, [
          ...tensorsToStore(snapshot.optimizer, optimizerPrefix),
          ...tensorsToStore(snapshot.taskState, taskPrefix),
        ]);
        await Deno.writeTextFile(`${directory}/${stateFile}`, JSON.stringify(snapshot.state));
      });
      written.add(snapshot.state.step);
      if (limit !== undefined && limit > 0) {
        await rotate(outputDir, { limit, state: snapshot.state, written, notice });
      }
    },
    load: read,
  };
}

/** The text of a run's `trainer_state.json`. */
export function trainerStateOf<P>(
  { state, progress }: Pick<Snapshot<P>, "state" | "progress">,
  options: TrainOptions,
): string {
  const { logging, evaluation, saving } = options;
  const { epoch, epochs, totalSteps } = progress;
  const interval = (steps: number) => resolveInterval(steps, totalSteps);
  return formatTrainerState(newTrainerState({
    best_global_step: state.best?.step ?? null,
    best_metric: state.best?.metric ?? null,
    best_model_checkpoint: state.best?.checkpoint ?? null,
    epoch,
    ...(evaluation.strategy === "steps" ? { eval_steps: interval(evaluation.steps) } : {}),
    global_step: state.step,
    log_history: state.logHistory,
    logging_steps: interval(logging.steps),
    max_steps: totalSteps,
    num_train_epochs: epochs,
    save_steps: interval(saving.steps),
    stateful_callbacks: statefulCallbacks({
      shouldStop: state.step >= totalSteps,
      device: state.device,
    }),
    train_batch_size: options.batchSize,
  }));
}

/** Removes this run's oldest checkpoints beyond the limit, never the best or the newest. */
async function rotate(
  outputDir: string,
  { limit, state, written, notice }: {
    readonly limit: number;
    readonly state: RunState;
    readonly written: ReadonlySet<number>;
    readonly notice: (text: string) => void;
  },
): Promise<void> {
  const steps: number[] = [];
  for (const step of await checkpointSteps(outputDir)) {
    if (await isOwn(outputDir, step, { run: state.run, written })) steps.push(step);
  }
  const spare = steps.filter((step) =>
    step !== state.step && `checkpoint-${step}` !== basePath(state.best?.checkpoint ?? "")
  );
  const excess = Math.max(0, steps.length - limit);
  for (const step of spare.slice(0, excess)) {
    const path = `${outputDir}/checkpoint-${step}`;
    const foreign = await foreignEntry(path);
    if (foreign === undefined) await Deno.remove(path, { recursive: true });
    else {notice(
        `${path} is over the limit and stays: it holds ${foreign}, which plumb did not write.`,
      );}
  }
}

/** Whether a run wrote the checkpoint of a step: by its name, or in this process. */
async function isOwn(
  outputDir: string,
  step: number,
  { run, written }: { readonly run: string | undefined; readonly written: ReadonlySet<number> },
): Promise<boolean> {
  return written.has(step) ||
    (run !== undefined && await runOf(`${outputDir}/checkpoint-${step}`) === run);
}

/** The run that wrote a checkpoint; undefined where no state tells. */
async function runOf(path: string): Promise<string | undefined> {
  try {
    const { run } = JSON.parse(await Deno.readTextFile(`${path}/${stateFile}`)) as RunState;
    return run;
  } catch {
    return undefined; // a model without a state, or a damaged one: nobody's
  }
}

/** Names of the files that a checkpoint is made of, and no others: what is only like them may be a user's. */
const ownFiles: RegExp = new RegExp(
  `^(${
    [
      "(adapter_)?model(-\\d{5}-of-\\d{5})?\\.safetensors(\\.index\\.json)?",
      "(adapter_|generation_|tokenizer_)?config\\.json",
      "tokenizer\\.(json|model)|special_tokens_map\\.json|added_tokens\\.json",
      "vocab\\.(json|txt)|merges\\.txt|chat_template\\.(jinja|json)",
      "trainer_state\\.json|optimizer\\.safetensors|plumb_state\\.json",
    ].join("|")
  })$`,
);

/** Names of directories in a checkpoint, and of the files in them. */
const ownDirectories: Readonly<Record<string, RegExp>> = {
  additional_chat_templates: /\.jinja$/,
  [basePath(valueModelDirectory("."))]: ownFiles,
};

/** A file or directory in a checkpoint that plumb does not write. */
async function foreignEntry(path: string, own: RegExp = ownFiles): Promise<string | undefined> {
  for await (const { name, isFile, isDirectory } of Deno.readDir(path)) {
    if (isFile && own.test(name)) continue;
    const inside = isDirectory ? ownDirectories[name] : undefined;
    if (inside === undefined) return name;
    const foreign = await foreignEntry(`${path}/${name}`, inside);
    if (foreign !== undefined) return `${name}/${foreign}`;
  }
  return undefined;
}

/**
 * Moves what stands in a checkpoint's place and is not this run's out of the way: a link, a directory with others'
 * files, another run's checkpoint.
 *
 * @param isOwn Whether this run wrote what is there.
 */
async function setAside(
  path: string,
  isOwn: () => Promise<boolean>,
  notice: (text: string) => void,
): Promise<void> {
  const present = await Deno.lstat(path).catch(() => undefined);
  if (present === undefined || (!present.isSymlink && !present.isDirectory)) return;
  const foreign = present.isSymlink ? undefined : await foreignEntry(path);
  const was = present.isSymlink
    ? "was a link"
    : foreign !== undefined
    ? `held ${foreign}, which plumb did not write`
    : await isOwn()
    ? undefined
    : "was another run's";
  if (was === undefined) return;
  const aside = `${path}.kept-${crypto.randomUUID().slice(0, 8)}`;
  await Deno.rename(path, aside);
  notice(`${path} ${was}: it is now ${aside}.`);
}

/** Steps of the checkpoints in a directory, in order. */
export async function checkpointSteps(outputDir: string): Promise<number[]> {
  const steps: number[] = [];
  try {
    for await (const entry of Deno.readDir(outputDir)) {
      const match = /^checkpoint-(\d+)$/.exec(entry.name);
      if (entry.isDirectory && match) steps.push(Number(match[1]));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return steps.sort((a, b) => a - b);
}

/**
 * The directory to resume from: the one given, or the newest checkpoint of the run that wrote last in the output
 * directory. Also finishes or
 * undoes what a killed run left half-written.
 *
 * @throws UserError if there is none.
 */
export async function findCheckpoint(outputDir: string, given: string | true): Promise<string> {
  await cleanTemporaries(outputDir).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  if (given !== true) {
    const path = given.replace(/\/+$/, "");
    if (await statIfPresent(path)) return path;
    throw new UserError(
      `There is no checkpoint ${path} to resume from. ${outputDir} has ` +
        `${
          (await checkpointSteps(outputDir)).map((step) => `checkpoint-${step}`).join(", ") ||
          "none"
        }.`,
    );
  }
  const newest = await newestCheckpoint(outputDir);
  if (newest === undefined) {
    throw new UserError(
      `There is no checkpoint in ${outputDir} to resume from: it has no directory checkpoint-N. Leave out ` +
        "--resume_from_checkpoint to begin anew, or name a checkpoint.",
    );
  }
  return `${outputDir}/checkpoint-${newest}`;
}

/**
 * The last checkpoint of the run that wrote last: an earlier run in the same directory may have left ones of higher
 * numbers.
 */
async function newestCheckpoint(outputDir: string): Promise<number | undefined> {
  let latest: { readonly run: string | undefined; readonly written: number } | undefined;
  const found: { readonly step: number; readonly run: string | undefined }[] = [];
  for (const step of await checkpointSteps(outputDir)) {
    const path = `${outputDir}/checkpoint-${step}`;
    const [run, stated] = [await runOf(path), await statIfPresent(`${path}/${stateFile}`)];
    const written = stated?.mtime?.getTime() ?? 0;
    found.push({ step, run });
    if (latest === undefined || written >= latest.written) latest = { run, written };
  }
  return found.filter(({ run }) => run === latest?.run).at(-1)?.step;
}

/**
 * What a run goes on with, beside its parameters.
 *
 * @param like Trees of the structure, shapes and dtypes that the optimiser's and the task's state have.
 * @throws UserError if the checkpoint lacks it, or is of another optimiser or task.
 */
export async function loadRun(
  path: string,
  like: Pick<ResumedRun, "optimizer" | "taskState">,
): Promise<ResumedRun> {
  const text = await Deno.readTextFile(`${path}/${stateFile}`).catch(() => {
    throw new UserError(
      `${path} has no ${stateFile}, so a run cannot be resumed from it: it was saved with --save_only_model, or by ` +
        "another program. Its weights can be trained further with --model_name_or_path.",
    );
  });
  const saved = parseRunState(text, `${path}/${stateFile}`);
  const { best } = saved;
  const lost = best?.checkpoint && await statIfPresent(best.checkpoint) === undefined;
  const state = lost ? { ...saved, best: { ...best, checkpoint: null } } : saved;
  const file = await openSafetensors(`${path}/${optimizerFile}`);
  try {
    const read = async <T>(tree: T, prefix: string): Promise<T> => {
      const leaves = await Promise.all(
        leavesOf(tree).map(([name, leaf]) => {
          const stored = file.tensors.get(prefix + name);
          if (stored && stored.shape.join() === (leaf as Tensor).shape.join()) {
            return readLike(stored, leaf as Tensor);
          }
          throw new UserError(
            `${path}/${optimizerFile} has no ${
              prefix + name
            } that fits: the checkpoint is of a run with another ` +
              "optimiser, command or adapter. Resume with the flags it was begun with.",
          );
        }),
      );
      return replaceLeaves(tree, leaves);
    };
    return {
      optimizer: await read(like.optimizer, optimizerPrefix),
      taskState: await read(like.taskState, taskPrefix),
      state,
    };
  } finally {
    file.close();
  }
}
