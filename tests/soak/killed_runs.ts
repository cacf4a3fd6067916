/** Runs that are killed at random moments and gone on with, against the same runs left alone. @module */

import assert from "node:assert/strict";
import {
  argumentsOf,
  digestOf,
  type Flags,
  namesIn,
  smallRun,
  startPlumb,
  stateOf,
  temporary,
} from "../cli/run_command.ts";
import { linesIn, smallOnlineRun } from "../cli/online_runs.ts";
import { smallPreferenceRun } from "../cli/preference_runs.ts";
import { fixture } from "../data/fixture_files.ts";

const saving: Flags = {
  save_strategy: "steps",
  save_steps: 2,
  save_total_limit: 2,
  logging_steps: 1,
  report_to: "jsonl",
};

/** Runs with much to carry along: rows, noise, half windows, evaluations, a reference, generations. */
export const soaked: Readonly<Record<string, (output: string) => Flags>> = {
  sft: (output) =>
    smallRun(output, {
      ...saving,
      dataset_name: fixture("trl/sft-eval/data"),
      per_device_train_batch_size: 1,
      gradient_accumulation_steps: 3,
      num_train_epochs: 16,
      logging_steps: 5,
      eval_strategy: "steps",
      eval_steps: 2,
      load_best_model_at_end: true,
      metric_for_best_model: "mean_token_accuracy",
      lr_scheduler_type: "reduce_lr_on_plateau",
      lr_scheduler_kwargs: '{"patience": 0, "factor": 0.5}',
      neftune_noise_alpha: 5,
    }),
  dpo: (output) =>
    smallPreferenceRun("dpo", output, {
      ...saving,
      max_steps: 24,
      per_device_train_batch_size: 2,
      sync_ref_model: true,
      ref_model_sync_steps: 3,
      ref_model_mixup_alpha: 0.5,
      optim: "adamw_bnb_8bit",
    }),
  grpo: (output) =>
    smallOnlineRun(output, {
      ...saving,
      max_steps: 24,
      save_steps: 3,
      dataset_name: fixture("trl/dpo-sigmoid/dataset.jsonl"),
      num_generations: 4,
      per_device_train_batch_size: 4,
      gradient_accumulation_steps: 2,
      steps_per_generation: 4,
      num_iterations: 2,
      max_completion_length: 8,
      beta: 0.04,
      log_completions: true,
    }),
};

/** All that a finished run leaves but times and notices. */
function leftBy(directory: string): unknown {
  const times = /_runtime$|_per_second$|elapsed_seconds|device_bytes/;
  const timeless = (row: Readonly<Record<string, unknown>>) =>
    Object.fromEntries(Object.entries(row).filter(([name]) => !times.test(name)));
  const names = namesIn(directory);
  const { log_history, best_model_checkpoint, ...state } = stateOf(directory);
  const rows = linesIn(`${directory}/log.jsonl`)
    .filter(({ kind }) => kind === "train" || kind === "eval");
  return {
    names,
    state,
    best: best_model_checkpoint?.replace(/.*\//, ""),
    history: log_history.map(timeless),
    log: rows.map(timeless),
    tensors: names.flatMap((name) =>
      name.startsWith("checkpoint-")
        ? namesIn(`${directory}/${name}`).map((file) => `${name}/${file}`)
        : [name]
    ).filter((name) => name.endsWith(".safetensors"))
      .map((name) => [name, digestOf(`${directory}/${name}`)]),
    answers: names.includes("completions.jsonl") ? linesIn(`${directory}/completions.jsonl`) : null,
  };
}

/** Runs a command, and kills it after so many milliseconds if it still runs; says whether it was. */
async function runUntil(command: string, flags: Flags, limit: number): Promise<boolean> {
  const child = startPlumb(argumentsOf(command, flags));
  let killed = false;
  const timer = setTimeout(() => {
    killed = true;
    child.kill("SIGKILL");
  }, limit);
  const { code, signal, stderr } = await child.output();
  clearTimeout(timer);
  if (killed && signal === "SIGKILL") return true;
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return false;
}

/** Counts of {@link killedRuns}. */
export interface Kills {
  /** Runs that got to their end. */
  readonly finished: number;
  /** How often one was killed. */
  readonly kills: number;
}

/**
 * Runs a command again and again, killed at random moments and gone on with until it is done, until it was killed so often.
 *
 * @param random Numbers from 0 to 1.
 * @throws {AssertionError} Where a finished run is not, bit for bit, the one that was left alone.
 */
export async function killedRuns(
  command: string,
  kills: number,
  random: () => number,
  tell: (text: string) => void = () => {},
): Promise<Kills> {
  const flagsOf = soaked[command]!;
  using whole = temporary();
  const begun = performance.now();
  assert.equal(await runUntil(command, flagsOf(whole.path), 1e6), false);
  const duration = performance.now() - begun;
  const expected = leftBy(whole.path);
  let [finished, killed] = [0, 0];
  while (killed < kills) {
    using cut = temporary();
    let own = 0;
    for (;;) {
      const resume = namesIn(cut.path).some((name) => /^checkpoint-\d+$/.test(name));
      const flags = { ...flagsOf(cut.path), resume_from_checkpoint: resume };
      // The last kill asked for is followed by a run that may end.
      const limit = killed < kills ? random() * duration * 1.1 : 1e6;
      if (!await runUntil(command, flags, limit)) break;
      killed++;
      own++;
    }
    finished++;
    assert.deepEqual(leftBy(cut.path), expected, `${command}, killed ${own} times`);
    tell(`${command}: a run killed ${own} times is the same; ${killed} kills so far`);
  }
  return { finished, kills: killed };
}

/** Numbers from 0 to 1 that a seed decides (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}
