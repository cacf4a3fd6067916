/** Small runs that train an adapter. @module */

import { openSafetensors } from "../../data/weights/safetensors.ts";
import { fixture } from "../data/fixture_files.ts";
import { type Flags, smallRun } from "./run_command.ts";

/** Flags of a small adapter's run, beside a command's own. */
export const smallAdapter: Flags = {
  use_peft: true,
  lora_r: 4,
  lora_alpha: 8,
  lora_target_modules: "all-linear",
};

/** Flags of a small `sft` run that trains an adapter. */
export function smallAdapterRun(outputDir: string, changes: Flags = {}): Flags {
  return smallRun(outputDir, { ...smallAdapter, max_steps: 4, ...changes });
}

/** Rows in two splits, evaluated at every step. */
export const evaluated: Flags = {
  dataset_name: fixture("trl/sft-eval/data"),
  eval_strategy: "steps",
  eval_steps: 1,
  per_device_eval_batch_size: 2,
};

/** The names of the tensors in a file. */
export async function namesOf(path: string): Promise<string[]> {
  using file = await openSafetensors(path);
  return [...file.tensors.keys()].sort();
}

/** The value of a key of a directory's `adapter_config.json`. */
export function saysOf(directory: string, key: string): unknown {
  return JSON.parse(Deno.readTextFileSync(`${directory}/adapter_config.json`))[key];
}
