/** Small runs of the preference, reward and distillation commands. @module */

import { fixture } from "../data/fixture_files.ts";
import type { TrainerState } from "../../train/files/trainer_state.ts";
import { type Flags, plumb, stateOf } from "./run_command.ts";

/** A recorded run's rows for each command. */
export const rowsOf = {
  dpo: fixture("trl/dpo-sigmoid/dataset.jsonl"),
  kto: fixture("trl/kto/dataset.jsonl"),
  bco: fixture("trl/bco/dataset.jsonl"),
  orpo: fixture("trl/orpo/dataset.jsonl"),
  cpo: fixture("trl/cpo/dataset.jsonl"),
  tpo: fixture("trl/tpo/dataset.jsonl"),
  reward: fixture("trl/reward/dataset.jsonl"),
  prm: fixture("trl/prm/dataset.jsonl"),
  gkd: fixture("trl/sft-messages/dataset.jsonl"),
} as const;

/** A command with rows here. */
export type PreferenceCommand = keyof typeof rowsOf;

/** Flags of a small run of a command; a run writes a row per step and no checkpoint. */
export function smallPreferenceRun(
  command: PreferenceCommand,
  outputDir: string,
  changes: Flags = {},
): Flags {
  return {
    model_name_or_path: fixture("models/llama"),
    dataset_name: rowsOf[command],
    output_dir: outputDir,
    device: "cpu",
    per_device_train_batch_size: 4,
    learning_rate: 2.5e-4,
    logging_steps: 1,
    max_steps: 4,
    save_strategy: "no",
    gradient_checkpointing: false,
    ...(command === "gkd"
      ? { teacher_model_name_or_path: fixture("models/mistral"), lmbda: 0 }
      : {}),
    ...changes,
  };
}

/** Runs a command, which has to succeed, and gives its state and what it said. */
export async function succeed(
  command: string,
  flags: Flags,
): Promise<{ readonly state: TrainerState; readonly said: string }> {
  const { code, stderr } = await plumb(command, flags);
  if (code !== 0) throw new Error(stderr);
  return { state: stateOf(String(flags["output_dir"])), said: stderr };
}

/** Every logged value of a metric. */
export function valuesOf({ log_history }: TrainerState, metric: string): number[] {
  return log_history.flatMap((row) => row[metric] === undefined ? [] : [row[metric]]);
}
