/** The directory that a run writes to. @module */

import { combine, partition, UserError } from "../../core/mod.ts";
import { cleanTemporaries, writeFilesAtomically } from "../../data/files/atomic.ts";
import { describeFileError, statIfPresent } from "../../data/files/local_paths.ts";
import type { DecoderParams } from "../../nn/mod.ts";
import { type OpenModel, trainableOf } from "../files/model_directory.ts";
import { writeModel } from "../files/write_model.ts";
import { clearTheWay } from "../files/own_files.ts";
import { lockDirectory, type RunLock } from "../files/run_lock.ts";
import type { TrainResult } from "../loop/run.ts";
import type { FinetuneValues } from "./recipe_spec.ts";

/** A whole model and an adapter in one directory would be taken for an adapter over that model. */
export async function refuseOtherKind(output: string, { adapter }: OpenModel): Promise<void> {
  const [file, holds, written] = adapter
    ? ["config.json", "a whole model", "an adapter"]
    : ["adapter_config.json", "an adapter", "a whole model"];
  if (await statIfPresent(`${output}/${file}`) === undefined) return;
  throw new UserError(
    `--output_dir ${output} holds ${holds} (${file}), and this run writes ${written}: together they would be misread. ` +
      "Give another directory.",
  );
}

/**
 * Takes the output directory for this run, and finds out before the work, not after it, whether results can be written.
 *
 * @throws {UserError} If they cannot, or if another run is writing there.
 */
export async function openOutputDirectory(path: string): Promise<RunLock> {
  try {
    await Deno.mkdir(path, { recursive: true });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists || error instanceof Deno.errors.NotADirectory) {
      throw new UserError(`--output_dir ${path} ${await whatStandsAt(path)}.`);
    }
    throw describeFileError(error, { action: "write", path });
  }
  const lock = await lockDirectory(path);
  try {
    await cleanTemporaries(path);
    return lock;
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function whatStandsAt(path: string): Promise<string> {
  const remedy = "Move it away, or name a directory for the results";
  const present = await Deno.lstat(path).catch(() => null);
  if (present === null) {
    return "has a file in the place of a directory. Name a directory for the results";
  }
  return present.isSymlink
    ? `is a link to something that is not a directory. ${remedy}`
    : `is a file. ${remedy}`;
}

/** Writes the finished model, and its history. */
export async function saveResult(
  values: FinetuneValues,
  opened: OpenModel,
  { result, history, say }: {
    readonly result: TrainResult<DecoderParams>;
    readonly history: string;
    readonly say: (text: string) => void;
  },
): Promise<void> {
  const [, frozen] = partition(opened.params, trainableOf(opened));
  await writeFilesAtomically(values.output_dir, async (directory) => {
    await writeModel(directory, opened, combine(result.trainable, frozen), {
      dtype: values.save_dtype,
      notice: say,
    });
    await Deno.writeTextFile(`${directory}/trainer_state.json`, history);
  }, (path, isDirectory) => clearTheWay(path, { isDirectory, notice: say }));
}
