/** The directory that a run writes to. @module */

import { combine, partition, UserError } from "../../core/mod.ts";
import { cleanTemporaries, writeFilesAtomically } from "../../data/files/atomic.ts";
import { describeFileError, statIfPresent } from "../../data/files/local_paths.ts";
import type { DecoderParams } from "../../nn/mod.ts";
import { type OpenModel, trainableOf } from "../files/model_directory.ts";
import { writeModel } from "../files/write_model.ts";
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

/** Finds out before the work, not after it, whether results can be written. */
export async function openOutputDirectory(path: string): Promise<void> {
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
  });
}
