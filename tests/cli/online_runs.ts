/** Small runs of the commands that learn from answers of their own. @module */

import { fixture } from "../data/fixture_files.ts";
import type { Flags } from "./run_command.ts";

/** What `--reward_funcs` calls a reward function for tests. */
export function rewards(name: string): string {
  return `${fixture("rewards.ts")}:${name}`;
}

/** Flags of a small run, but for its prompts and sizes; a run writes a row per step and no checkpoint. */
export function smallOnlineRun(outputDir: string, changes: Flags): Flags {
  return {
    model_name_or_path: fixture("models/llama"),
    output_dir: outputDir,
    device: "cpu",
    reward_funcs: rewards("evenTokens"),
    learning_rate: 1e-3,
    logging_steps: 1,
    max_steps: 4,
    save_strategy: "no",
    gradient_checkpointing: false,
    ...changes,
  };
}

/** The objects in a JSONL file; the caller names the shape it relies on. */
export function linesIn<T = Readonly<Record<string, unknown>>>(path: string): T[] {
  return Deno.readTextFileSync(path).trim().split("\n").map((line) => JSON.parse(line));
}

/** The answers that a run wrote down. */
export function answersIn<T = Readonly<Record<string, unknown>>>(directory: string): T[] {
  return linesIn<T>(`${directory}/completions.jsonl`);
}
