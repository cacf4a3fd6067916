/** Checkpoints: directories in the Hugging Face layout, and what a resumed run needs beside the model. @module */

import { combine, leavesOf, replaceLeaves, type Tensor, UserError } from "../core/mod.ts";
import { cleanTemporaries, writeDirectoryAtomically } from "../data/atomic.ts";
import { basePath, statIfPresent } from "../data/local_paths.ts";
import { openSafetensors, writeSafetensors } from "../data/safetensors.ts";
import type { CheckpointStore, ResumedRun, Snapshot } from "./run.ts";
import { readLike, tensorsToStore } from "./model_files.ts";
import type { TrainOptions } from "./options.ts";
import { parseRunState, type RunState } from "./run_state.ts";
import { resolveInterval } from "./schedule.ts";
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
}

/** Checkpoints `checkpoint-N` in an output directory, each written aside and renamed. */
export function checkpointStore<P>(settings: CheckpointOptions<P>): CheckpointStore<P> {
  const { outputDir, limit, modelOnly, writeModel, read, options } = settings;
  const pathOf = (step: number) => `${outputDir}/checkpoint-${step}`;
  return {
    pathOf,
    save: async (snapshot) => {
      const path = pathOf(snapshot.state.step);
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
      if (limit !== undefined && limit > 0) await rotate(outputDir, limit, snapshot.state);
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

/** Removes the oldest checkpoints beyond the limit, never the best or the newest. */
async function rotate(outputDir: string, limit: number, state: RunState): Promise<void> {
  const steps = await checkpointSteps(outputDir);
  const spare = steps.filter((step) =>
    step !== state.step && `checkpoint-${step}` !== basePath(state.best?.checkpoint ?? "")
  );
  const excess = Math.max(0, steps.length - limit);
  for (const step of spare.slice(0, excess)) {
    await Deno.remove(`${outputDir}/checkpoint-${step}`, { recursive: true });
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
 * The directory to resume from: the one given, or the newest checkpoint of the output directory. Also finishes or
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
  const newest = (await checkpointSteps(outputDir)).at(-1);
  if (newest === undefined) {
    throw new UserError(
      `There is no checkpoint in ${outputDir} to resume from: it has no directory checkpoint-N. Leave out ` +
        "--resume_from_checkpoint to begin anew, or name a checkpoint.",
    );
  }
  return `${outputDir}/checkpoint-${newest}`;
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
