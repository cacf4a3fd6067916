/** A run that was cut off and resumed equals the run that was not, bit for bit. */

import assert from "node:assert/strict";
import {
  argumentsOf,
  digestOf,
  type Flags,
  interrupted,
  namesIn,
  plumb,
  smallRun,
  startPlumb,
  stateOf,
  temporary,
  trained,
} from "../cli/run_command.ts";
import { fixture } from "../data/fixture_files.ts";
import { eachDevice } from "../devices.ts";

/** Everything a run leaves but the times: weights, moments, history. */
function resultOf(directory: string): Record<string, unknown> {
  const last = namesIn(directory).filter((name) => /^checkpoint-\d+$/.test(name))
    .sort((a, b) => Number(a.slice(11)) - Number(b.slice(11))).at(-1)!;
  const { log_history, best_model_checkpoint, ...state } = stateOf(directory);
  return {
    weights: digestOf(`${directory}/model.safetensors`),
    lastWeights: digestOf(`${directory}/${last}/model.safetensors`),
    moments: digestOf(`${directory}/${last}/optimizer.safetensors`),
    history: log_history.map((row) =>
      Object.fromEntries(
        Object.entries(row).filter(([name]) => !/_runtime$|_per_second$/.test(name)),
      )
    ),
    state,
    best: best_model_checkpoint?.replace(/.*\//, ""),
    files: namesIn(directory).filter((name) => name !== "log.jsonl"),
  };
}

/** All that has a state of its own: rows, noise, windows of rows, metrics, a schedule by metric, the best. */
const everything: Flags = {
  dataset_name: fixture("trl/sft-eval/data"),
  per_device_train_batch_size: 1,
  gradient_accumulation_steps: 3,
  num_train_epochs: 16,
  logging_steps: 5,
  eval_strategy: "steps",
  eval_steps: 2,
  save_strategy: "steps",
  save_steps: 2,
  save_total_limit: 2,
  load_best_model_at_end: true,
  metric_for_best_model: "mean_token_accuracy",
  lr_scheduler_type: "reduce_lr_on_plateau",
  lr_scheduler_kwargs: '{"patience": 0, "factor": 0.5}',
  neftune_noise_alpha: 5,
};

const isTemporary = (name: string) => name.endsWith(".tmp");

/** Starts a run and kills it: a while after a checkpoint, or while one is being written. */
async function killed(flags: Flags, when: number | "writing"): Promise<"killed" | "done"> {
  const output = String(flags["output_dir"]);
  const child = startPlumb(argumentsOf("sft", { ...flags, resume_from_checkpoint: true }));
  let ended = false;
  const status = child.status.then((value) => {
    ended = true;
    return value;
  });
  const [, stderr] = [child.stdout.cancel(), child.stderr.getReader()];
  let said = "";
  const decoder = new TextDecoder();
  while (!ended && !said.includes(" saved ")) {
    const { value, done } = await stderr.read();
    if (done) break;
    said += decoder.decode(value);
  }
  if (when === "writing") {
    while (!ended && !namesIn(output).some(isTemporary)) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  } else await new Promise((resolve) => setTimeout(resolve, when));
  if (!ended) child.kill("SIGKILL");
  const { code, signal } = await status;
  await stderr.cancel();
  if (signal === "SIGKILL") return "killed";
  assert.equal(code, 0, said);
  return "done";
}

Deno.test("a run that is killed again and again ends with the same bits", async () => {
  using whole = temporary();
  using cut = temporary();
  const state = await trained(smallRun(whole.path, everything));
  assert.equal(state.global_step, 32);
  const rates = new Set(state.log_history.map((row) => row["learning_rate"]));
  assert.ok(rates.size > 2, "the schedule has changed the rate");

  // Something to resume from; then every run is killed until one gets to the end.
  const first = startPlumb(argumentsOf("sft", smallRun(cut.path, everything)));
  while (!namesIn(cut.path).includes("checkpoint-2")) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  first.kill("SIGKILL");
  await Promise.all([first.stdout.cancel(), first.stderr.cancel(), first.status]);
  let [kills, unfinished] = [0, 0];
  for (const when of ["writing", 3, "writing", 12, 0, "writing"] as const) {
    if (await killed(smallRun(cut.path, everything), when) === "done") break;
    kills++;
    unfinished += namesIn(cut.path).filter(isTemporary).length;
  }
  assert.ok(kills >= 3, `the run was killed ${kills} times`);
  assert.ok(unfinished > 0, "a kill has cut off the writing of a checkpoint");
  await trained(smallRun(cut.path, { ...everything, resume_from_checkpoint: true }));
  assert.deepEqual(resultOf(cut.path), resultOf(whole.path));
});

/** Runs once with all checkpoints kept, then again from some of them. */
async function resumesFrom(steps: readonly number[], flags: Flags): Promise<void> {
  using whole = temporary();
  await trained(smallRun(whole.path, { ...flags, save_strategy: "steps", save_steps: 1 }));
  const expected = resultOf(whole.path);
  for (const step of steps) {
    using again = temporary();
    const name = `checkpoint-${step}`;
    Deno.renameSync(`${whole.path}/${name}`, `${again.path}/${name}`);
    await trained(smallRun(again.path, {
      ...flags,
      save_strategy: "steps",
      save_steps: 1,
      resume_from_checkpoint: `${again.path}/${name}/`,
    }));
    const { files: _, ...result } = resultOf(again.path);
    const { files: __, ...wanted } = expected;
    assert.deepEqual(result, wanted, `from step ${step}`);
  }
}

eachDevice("a run goes on from a checkpoint with the same bits", async ({ kind }) => {
  await resumesFrom([1, 3], { device: kind, max_steps: 4, per_device_train_batch_size: 8 });
});

Deno.test("shuffled rows go on across epochs, with half-filled windows and noise", async () => {
  await resumesFrom([1, 4, 5, 8], {
    num_train_epochs: 2.5,
    gradient_accumulation_steps: 2,
    per_device_train_batch_size: 3,
    logging_steps: 3,
    neftune_noise_alpha: 7,
    lr_scheduler_type: "cosine",
    warmup_steps: 0.4,
    data_seed: 5,
  });
});

Deno.test("packed rows grouped by length go on", async () => {
  await resumesFrom([2], {
    dataset_name: fixture("trl/sft-packing-bfd/dataset.jsonl"),
    packing: true,
    max_length: 160,
    per_device_train_batch_size: 2,
    train_sampling_strategy: "group_by_length",
    max_steps: 7,
    logging_steps: 4,
  });
});

Deno.test("a run that is done, resumed, changes nothing", async () => {
  using output = temporary();
  const flags = smallRun(output.path, { max_steps: 2, save_strategy: "steps" });
  await trained(flags);
  const before = resultOf(output.path);
  await trained({ ...flags, resume_from_checkpoint: true });
  assert.deepEqual(resultOf(output.path)["weights"], before["weights"]);
  assert.deepEqual(resultOf(output.path)["moments"], before["moments"]);
});

Deno.test("ignore_data_skip begins the epoch anew", async () => {
  using output = temporary();
  const flags = smallRun(output.path, {
    num_train_epochs: 2,
    save_strategy: "steps",
    save_steps: 2,
  });
  const whole = await trained(flags);
  for (const step of [4, 6, 8, 10]) {
    Deno.removeSync(`${output.path}/checkpoint-${step}`, { recursive: true });
  }
  const anew = await trained({ ...flags, resume_from_checkpoint: true, ignore_data_skip: true });
  const epochs = (of: typeof whole) => of.log_history.slice(0, 10).map(({ epoch }) => epoch);
  const batches = (done: number) => Math.floor(done / 5) + (done % 5) / 5;
  assert.deepEqual(epochs(whole), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(batches));
  assert.deepEqual(epochs(anew), [1, 2, 1, 2, 3, 4, 5, 6, 7, 8].map(batches));
  // What the first epoch begins with is seen again.
  const tokens = anew.log_history.map((row) => row["num_tokens"]!);
  assert.equal(tokens[2]! - tokens[1]!, tokens[0]);
});

Deno.test("what has changed since the checkpoint is told", async () => {
  using output = temporary();
  const flags = smallRun(output.path, { max_steps: 4, save_strategy: "steps", save_steps: 2 });
  await trained({ ...flags, threads: 1 });
  const { code, stderr } = await plumb("sft", {
    ...flags,
    threads: 2,
    per_device_train_batch_size: 2,
    resume_from_checkpoint: `${output.path}/checkpoint-2`,
  });
  assert.equal(code, 0, stderr);
  assert.match(stderr, /computed by another device \(CPU, 1 thread\b.*; now CPU, 2 threads\b/);
  assert.match(
    stderr,
    /drawn otherwise before the checkpoint \(.*, 4 a batch,.*; now .*, 2 a batch,/,
  );
});

Deno.test("what cannot be resumed from is refused with the reason", async () => {
  using output = temporary();
  const flags = smallRun(output.path, {
    max_steps: 1,
    save_strategy: "steps",
    save_only_model: true,
  });
  const refusal = async (changes: Flags) => {
    const { code, stderr } = await plumb("sft", { ...flags, ...changes });
    assert.equal(code, 1);
    return stderr.trim().split("\n").at(-1)!;
  };
  assert.match(
    await refusal({ resume_from_checkpoint: true }),
    /^Error: There is no checkpoint in .* to resume from/,
  );
  assert.match(
    await refusal({ resume_from_checkpoint: `${output.path}/checkpoint-9` }),
    /^Error: .*checkpoint-9/,
  );
  await trained(flags);
  assert.match(
    await refusal({ resume_from_checkpoint: true }),
    /^Error: .*checkpoint-1 has no plumb_state.json, .*--save_only_model/,
  );
  await trained({ ...flags, save_only_model: false });
  const state = `${output.path}/checkpoint-1/plumb_state.json`;
  Deno.writeTextFileSync(state, Deno.readTextFileSync(state).slice(0, 40));
  assert.match(await refusal({ resume_from_checkpoint: true }), /cut off/);
});

for (const send of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`${send} writes a checkpoint from which the run goes on with the same bits`, async () => {
    using whole = temporary();
    using cut = temporary();
    // A step's worth of rows, so that some time is left to interrupt it.
    const flags = { num_train_epochs: 60, per_device_train_batch_size: 19, logging_steps: 1 };
    const { code, said } = await interrupted("sft", smallRun(cut.path, flags), [{
      after: "step  2/60",
      send,
    }]);
    assert.equal(code, send === "SIGINT" ? 130 : 143, said);
    assert.match(said, /Stopping after this step; press Ctrl-C again to stop at once\./);
    assert.match(
      said,
      /saved .*checkpoint-\d+\n.*stopped early[^]*\n.*--resume_from_checkpoint \S+checkpoint-\d+/,
    );
    const left = namesIn(cut.path);
    assert.equal(left.length, 1, "no final model is written");
    assert.match(left[0]!, /^checkpoint-\d+$/);
    await trained(
      smallRun(cut.path, { ...flags, save_strategy: "steps", resume_from_checkpoint: true }),
    );
    await trained(smallRun(whole.path, { ...flags, save_strategy: "steps" }));
    const { files: _, ...result } = resultOf(cut.path);
    const { files: __, ...expected } = resultOf(whole.path);
    assert.deepEqual(result, expected);
  });
}

Deno.test("a second Ctrl-C stops at once, in the middle of a step", async () => {
  using output = temporary();
  const rows = Deno.readTextFileSync(fixture("trl/sft-shuffled/dataset.jsonl"));
  Deno.writeTextFileSync(`${output.path}/rows.jsonl`, rows.repeat(600));
  const flags = smallRun(`${output.path}/run`, {
    dataset_name: `${output.path}/rows.jsonl`,
    per_device_train_batch_size: 1,
    gradient_accumulation_steps: 11_400,
    logging_steps: 1,
  });
  const { code, said } = await interrupted("sft", flags, [
    { after: "Memory of a step", send: "SIGINT" },
    { after: "Stopping after this step", send: "SIGINT" },
  ]);
  assert.equal(code, 130);
  assert.ok(!said.includes("step 1/"), said);
  assert.deepEqual(namesIn(`${output.path}/run`), []);
});
