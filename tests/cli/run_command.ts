/** Runs the command line, in this process or in one of its own, and reads what it left behind. @module */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { main } from "../../cli/main.ts";
import { openSafetensors } from "../../data/weights/safetensors.ts";
import { toFloat32Array } from "../../data/weights/safetensors_dtypes.ts";
import { parseTrainerState, type TrainerState } from "../../train/files/trainer_state.ts";
import { fixture } from "../data/fixture_files.ts";

/** What a command said. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

type Flag = string | number | boolean;

/** Flags by name; a list is several words, undefined leaves a flag out. */
export type Flags = Readonly<Record<string, Flag | readonly Flag[] | undefined>>;

/** The arguments of a command. */
export function argumentsOf(command: string, flags: Flags): string[] {
  const given = Object.entries(flags).filter(([, value]) => value !== undefined);
  return [
    command,
    ...given.flatMap(([name, value]) => [`--${name}`, ...[value].flat().map(String)]),
  ];
}

/** A new directory that is gone at the end of the block: `using directory = temporary()`. */
export function temporary(): { readonly path: string; [Symbol.dispose](): void } {
  const path = Deno.makeTempDirSync({ prefix: "plumb-test-" });
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

/** Runs a command in this process. */
export async function plumb(command: string, flags: Flags = {}): Promise<Outcome> {
  const said = { stdout: "", stderr: "" };
  const sinks = [["stdout", Deno.stdout], ["stderr", Deno.stderr]] as const;
  const writers = sinks.map(([, sink]) => sink.writeSync);
  for (const [name, sink] of sinks) {
    const decoder = new TextDecoder();
    sink.writeSync = (bytes) => {
      said[name] += decoder.decode(bytes, { stream: true });
      return bytes.length;
    };
  }
  try {
    return { code: await main(argumentsOf(command, flags)), ...said };
  } finally {
    sinks.forEach(([, sink], i) => sink.writeSync = writers[i]!);
  }
}

/** Runs a command that has to refuse: one paragraph on standard error, the last thing said, and code 1. */
export async function refusalOf(command: string, flags: Flags): Promise<string> {
  const { code, stdout, stderr } = await plumb(command, flags);
  assert.equal(code, 1, stderr);
  assert.equal(stdout, "");
  const lines = stderr.trimEnd().split("\n");
  const errors = lines.filter((line) => line.startsWith("Error: "));
  assert.equal(errors.length, 1, stderr);
  assert.equal(lines.at(-1), errors[0], "the error is one paragraph, and the last thing said");
  assert.doesNotMatch(stderr, /\n\s+at |defect of plumb|\.ts:\d+/, stderr);
  return errors[0]!;
}

/** Starts a command in a process of its own. */
export function startPlumb(args: readonly string[]): Deno.ChildProcess {
  const script = new URL("../../cli/main.ts", import.meta.url).pathname;
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs a command in a process of its own, and sends it signals once it says something; gives what it said in all. */
export async function interrupted(
  command: string,
  flags: Flags,
  signals: readonly { readonly after: string; readonly send: Deno.Signal }[],
): Promise<{ readonly code: number; readonly said: string }> {
  const child = startPlumb(argumentsOf(command, flags));
  const left = [...signals];
  const decoder = new TextDecoder();
  let said = "";
  for await (const bytes of child.stderr) {
    said += decoder.decode(bytes);
    while (left[0] && said.includes(left[0].after)) child.kill(left.shift()!.send);
  }
  await child.stdout.cancel();
  return { code: (await child.status).code, said };
}

/** Runs a command in a process of its own. */
export async function plumbProcess(args: readonly string[]): Promise<Outcome> {
  const { code, stdout, stderr } = await startPlumb(args).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Flags of a small `sft` run on texts; a run writes a row per step and no checkpoint. */
export function smallRun(outputDir: string, changes: Flags = {}): Flags {
  return {
    model_name_or_path: fixture("models/llama"),
    dataset_name: fixture("trl/sft-shuffled/dataset.jsonl"),
    output_dir: outputDir,
    device: "cpu",
    per_device_train_batch_size: 4,
    learning_rate: 0.005,
    logging_steps: 1,
    save_strategy: "no",
    gradient_checkpointing: false,
    ...changes,
  };
}

/** Runs `sft`, which has to succeed, and gives its state. */
export async function trained(flags: Flags): Promise<TrainerState> {
  const outcome = await plumb("sft", flags);
  if (outcome.code !== 0) throw new Error(outcome.stderr);
  return stateOf(String(flags["output_dir"]));
}

/** The `trainer_state.json` of a directory. */
export function stateOf(directory: string): TrainerState {
  const path = `${directory}/trainer_state.json`;
  return parseTrainerState(Deno.readTextFileSync(path), path);
}

/** The rows of `log_history` that hold a metric. */
export function rowsWith(state: TrainerState, metric: string): TrainerState["log_history"] {
  return state.log_history.filter((row) => Object.hasOwn(row, metric));
}

/** The weights in a directory, or the tensors of another file in it. */
export async function weightsOf(
  directory: string,
  name = "model.safetensors",
): Promise<ReadonlyMap<string, Float32Array>> {
  using file = await openSafetensors(`${directory}/${name}`);
  const weights = new Map<string, Float32Array>();
  for (const [name, { dtype, bytes }] of file.tensors) {
    weights.set(name, toFloat32Array({ dtype, bytes: await bytes() }));
  }
  return weights;
}

/** A digest of a file, to compare files whose differences nobody wants to see. */
export function digestOf(path: string): string {
  return createHash("sha256").update(Deno.readFileSync(path)).digest("hex");
}

/** The names in a directory, sorted. */
export function namesIn(directory: string): string[] {
  return Array.from(Deno.readDirSync(directory), ({ name }) => name).sort();
}
