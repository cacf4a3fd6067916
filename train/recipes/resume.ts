/** Going on with a run from a checkpoint. @module */

import { partition } from "../../core/mod.ts";
import type { DecoderParams } from "../../nn/mod.ts";
import { checkpointSteps, findCheckpoint, loadMoments, loadSavedRun } from "../files/checkpoint.ts";
import type { Fingerprint } from "../files/fingerprint.ts";
import { type OpenModel, readCheckpoint, trainableOf } from "../files/model_directory.ts";
import type { TrainOptions } from "../loop/options.ts";
import type { ResumedRun, TrainRun } from "../loop/run.ts";
import type { Options } from "../settings/option.ts";
import type { FinetuneValues } from "./recipe_spec.ts";
import { checkSameRun } from "./same_run.ts";

/** What a resumed run's chat templates take for the present moment: what they took before. */
export async function momentOf(
  { output_dir, resume_from_checkpoint: from }: FinetuneValues,
): Promise<Date | undefined> {
  if (from === undefined) return undefined;
  const { fingerprint } = await loadSavedRun(await findCheckpoint(output_dir, from));
  const now = fingerprint?.tokenizer.now;
  return now ? new Date(now) : undefined;
}

/** What a run begins with. */
export interface Beginning {
  /** Parameters that learn. */
  readonly trainable: DecoderParams;
  /** Parameters that do not. */
  readonly frozen: DecoderParams;
  /** What a resumed run goes on with. */
  readonly resume: ResumedRun | undefined;
}

/** What {@link beginningOf} needs. */
export interface BeginningOf {
  readonly values: FinetuneValues;
  readonly opened: OpenModel;
  readonly task: TrainRun<DecoderParams>["task"];
  readonly options: TrainOptions;
  /** The declarations of the settings. */
  readonly settings: Options;
  /** What the run is made of. */
  readonly fingerprint: () => Fingerprint;
  readonly say: (text: string) => void;
}

/**
 * The model as it was opened, or the checkpoint that the settings name.
 *
 * @throws {UserError} If there is no such checkpoint, it is damaged, or of another run.
 */
export async function beginningOf(run: BeginningOf): Promise<Beginning> {
  const { values, opened, task, options, settings, fingerprint, say } = run;
  const isTrainable = trainableOf(opened);
  const begin = (params: DecoderParams, resume?: ResumedRun): Beginning => {
    const [trainable, frozen] = partition(params, isTrainable);
    return { trainable, frozen, resume };
  };
  const { output_dir, resume_from_checkpoint: from, dry_run, ignore_data_skip } = values;
  if (from === undefined) {
    const last = dry_run ? undefined : (await checkpointSteps(output_dir)).at(-1);
    if (last !== undefined) {
      say(
        `${output_dir} has checkpoints of an earlier run (the last is checkpoint-${last}); this run begins anew ` +
          "beside them.",
      );
    }
    return begin(opened.params);
  }
  const path = await findCheckpoint(output_dir, from);
  const { state, fingerprint: before } = await loadSavedRun(path);
  checkSameRun(path, before, fingerprint, {
    options: settings,
    freshRows: ignore_data_skip,
    say,
  });
  if (dry_run) {
    say(`The run would go on from ${path}.`);
    return begin(opened.params);
  }
  const { trainable, frozen } = begin(await readCheckpoint(opened, path));
  const moments = await loadMoments(path, {
    optimizer: options.optimizer.init(trainable),
    taskState: task.initialState?.() ?? null,
  });
  say(`Resuming from ${path} after step ${state.step}.`);
  return { trainable, frozen, resume: { ...moments, state } };
}
