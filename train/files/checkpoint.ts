/** Checkpoints: directories in the Hugging Face layout, and what a resumed run needs beside the model. @module */

import { combine, leavesOf, replaceLeaves, type Tensor, UserError } from "../../core/mod.ts";
import { cleanTemporaries, writeDirectoryAtomically } from "../../data/files/atomic.ts";
import { readTextFileIfPresent } from "../../data/files/json_files.ts";
import { basePath, statIfPresent } from "../../data/files/local_paths.ts";
import { openSafetensors, writeSafetensors } from "../../data/weights/safetensors.ts";
import type { CheckpointStore, ResumedRun, Snapshot } from "../loop/run.ts";
import { readLike, tensorsToStore } from "./model_files.ts";
import type { TrainOptions } from "../loop/options.ts";
import type { RunState } from "../loop/run_state.ts";
import { resolveInterval } from "../loop/schedule.ts";
import { checkSums, sumsOf } from "./file_sums.ts";
import type { Fingerprint } from "./fingerprint.ts";
import { removeOwn, setAside } from "./own_files.ts";
import { formatSavedRun, parseSavedRun, type SavedRun, stateFile } from "./run_state_file.ts";
import { formatTrainerState, newTrainerState, statefulCallbacks } from "./trainer_state.ts";

/** Names of the files that only plumb reads. */
const optimizerFile = "optimizer.safetensors";
const optimizerPrefix = "optimizer.";
const taskPrefix = "task.";

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
  /** What the run is made of, for a resumed run to compare with; asked for when the first checkpoint is written. */
  readonly fingerprint?: () => Fingerprint;
  /** Told of what stands in a checkpoint's place and is not this run's. */
  readonly notice?: (text: string) => void;
}

/** Checkpoints `checkpoint-N` in an output directory, each written aside and renamed. */
export function checkpointStore<P>(settings: CheckpointOptions<P>): CheckpointStore<P> {
  const { outputDir, limit, modelOnly, writeModel, read, options, fingerprint } = settings;
  const { notice = () => {} } = settings;
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
        const saved = {
          state: snapshot.state,
          fingerprint: fingerprint?.(),
          files: await sumsOf(directory),
        };
        await Deno.writeTextFile(`${directory}/${stateFile}`, formatSavedRun(saved));
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
    await removeOwn(`${outputDir}/checkpoint-${step}`, notice);
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
 * directory. Also finishes or undoes what a killed run left half-written.
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
 * What a run was in the middle of and made of, of a checkpoint whose files are as they were written.
 *
 * @throws {UserError} If the checkpoint has no such state, a field of it is wrong, or a file has changed since.
 */
export async function loadSavedRun(path: string): Promise<SavedRun> {
  const text = await readTextFileIfPresent(`${path}/${stateFile}`);
  if (text === undefined) {
    throw new UserError(
      `${path} has no ${stateFile}, so a run cannot be resumed from it: it was saved with --save_only_model, or by ` +
        "another program. Its weights can be trained further with --model_name_or_path.",
    );
  }
  const saved = parseSavedRun(text, `${path}/${stateFile}`);
  if (saved.files) await checkSums(path, saved.files);
  const { best } = saved.state;
  const lost = best?.checkpoint && await statIfPresent(best.checkpoint) === undefined;
  return lost
    ? { ...saved, state: { ...saved.state, best: { ...best, checkpoint: null } } }
    : saved;
}

/**
 * What a run goes on with, beside its parameters and what it was in the middle of.
 *
 * @param like Trees of the structure, shapes and dtypes that the optimiser's and the task's state have.
 * @throws {UserError} If the checkpoint lacks it, is of another optimiser or task, or has a number that is not finite.
 */
export async function loadMoments<T extends Pick<ResumedRun, "optimizer" | "taskState">>(
  path: string,
  like: T,
): Promise<Pick<ResumedRun, "optimizer" | "taskState">> {
  using file = await openSafetensors(`${path}/${optimizerFile}`);
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
            "optimiser, command or adapter. Resume with the settings it was begun with.",
        );
      }),
    );
    return replaceLeaves(tree, leaves);
  };
  return {
    optimizer: await read(like.optimizer, optimizerPrefix),
    taskState: await read(like.taskState, taskPrefix),
  };
}
