/** What a run writes, when, and what stays of it. */

import assert from "node:assert/strict";
import { fixture, readFixture } from "../../data/fixture_files.ts";
import {
  digestOf,
  type Flags,
  namesIn,
  plumb,
  rowsWith,
  smallRun,
  stateOf,
  temporary,
  trained,
} from "../../cli/run_command.ts";

const checkpointsIn = (directory: string) =>
  namesIn(directory).filter((name) => name.startsWith("checkpoint-"))
    .map((name) => Number(name.slice(11))).sort((a, b) => a - b);

const weightsIn = (directory: string) => digestOf(`${directory}/model.safetensors`);

/** Four rows to train on and three to evaluate on. */
const evaluated: Flags = {
  dataset_name: fixture("trl/sft-eval/data"),
  per_device_eval_batch_size: 2,
};

Deno.test("save_strategy says when checkpoints are written; the last step's always is under steps", async () => {
  // Five batches an epoch.
  const cases: readonly [Flags, readonly number[]][] = [
    [{ save_strategy: "no" }, []],
    [{ save_strategy: "steps", save_steps: 3 }, [3, 6, 7]],
    [{ save_strategy: "steps", save_steps: 0.5 }, [4, 7]],
    [{ save_strategy: "steps" }, [7]],
    [{ save_strategy: "epoch" }, [5, 7]],
    [{ save_strategy: "steps", save_steps: 2, save_total_limit: 2 }, [6, 7]],
  ];
  for (const [flags, expected] of cases) {
    using output = temporary();
    await trained(smallRun(output.path, { max_steps: 7, ...flags }));
    assert.deepEqual(checkpointsIn(output.path), expected, JSON.stringify(flags));
    for (const step of expected) {
      assert.equal(stateOf(`${output.path}/checkpoint-${step}`).global_step, step);
    }
  }
});

Deno.test("a checkpoint and the final model have the files that TRL writes, torch's replaced by ours", async () => {
  interface Written {
    readonly flags: Flags;
    readonly files: readonly string[];
  }
  const files = await readFixture<Record<string, Written>>("trl/files.json");
  for (const [name, written] of Object.entries(files)) {
    using output = temporary();
    const data = name === "sft-eval" ? evaluated : {};
    const evaluation = name === "sft-eval" ? { eval_strategy: "steps", eval_steps: 2 } : {};
    await trained(smallRun(output.path, { ...data, ...evaluation, ...written.flags }));
    // Pickles hold what our two files hold; the model card comes with uploading.
    const theirs = written.files.filter((file) => !/\.(pt|pth|bin)$|README\.md$/.test(file));
    const ours = ["checkpoint-4", "checkpoint-6"].flatMap((checkpoint) => [
      `${checkpoint}/optimizer.safetensors`,
      `${checkpoint}/plumb_state.json`,
    ]);
    const found = namesIn(output.path).flatMap((entry) =>
      entry.startsWith("checkpoint-")
        ? namesIn(`${output.path}/${entry}`).map((file) => `${entry}/${file}`)
        : [entry]
    );
    assert.deepEqual(found.sort(), [...theirs, ...ours, "trainer_state.json"].sort(), name);
  }
});

Deno.test("trainer_state.json has the fields and values that transformers writes", async () => {
  const cases: readonly [string, Flags][] = [
    ["sft-text", { dataset_name: fixture("trl/sft-text/dataset.jsonl") }],
    ["sft-eval", {
      ...evaluated,
      eval_strategy: "steps",
      eval_steps: 2,
      lr_scheduler_type: "constant_with_warmup",
      warmup_steps: 3,
      load_best_model_at_end: true,
    }],
  ];
  for (const [name, flags] of cases) {
    using output = temporary();
    const saving = { save_strategy: "steps", save_steps: 2, save_total_limit: 2, max_steps: 6 };
    await trained(smallRun(output.path, { ...flags, ...saving }));
    const path = `${output.path}/checkpoint-6/trainer_state.json`;
    type State = Record<string, unknown> & { readonly log_history: readonly object[] };
    const actual: State = JSON.parse(Deno.readTextFileSync(path));
    const expected = await readFixture<State>(`trainer_state-${name}.json`);
    assert.deepEqual(Object.keys(actual), Object.keys(expected), "fields in order");
    assert.deepEqual(
      actual.log_history.map((row) => Object.keys(row)),
      expected.log_history.map((row) => Object.keys(row)),
    );
    const { log_history: _, total_flos: __, best_model_checkpoint, best_metric, ...rest } = actual;
    // Which device computed is an entry of ours beside transformers' own.
    const { PlumbDevice, ...callbacks } = rest["stateful_callbacks"] as Record<string, unknown>;
    assert.match(JSON.stringify(PlumbDevice), /"device":"CPU, /);
    const { log_history: ___, total_flos: ____, ...others } = expected;
    const checkpoint = best_model_checkpoint === null
      ? null
      : String(best_model_checkpoint).replace(/.*\//, "");
    const wanted = others["best_metric"];
    if (typeof wanted === "number") {
      assert.ok(Math.abs(Number(best_metric) / wanted - 1) < 1e-5, `${best_metric}`);
    }
    assert.deepEqual(
      {
        ...rest,
        stateful_callbacks: callbacks,
        best_metric: wanted,
        best_model_checkpoint: checkpoint,
      },
      others,
    );
    assert.match(Deno.readTextFileSync(path), /"epoch": 6\.0,\n/);
  }
});

/** A rate at which the evaluation gets better, then worse. */
const overshooting: Flags = {
  ...evaluated,
  learning_rate: 0.03,
  lr_scheduler_type: "constant",
  max_steps: 12,
  eval_strategy: "steps",
  eval_steps: 1,
  save_strategy: "steps",
  save_steps: 1,
};

Deno.test("load_best_model_at_end ends with the best evaluation's weights, which no limit removes", async () => {
  using output = temporary();
  const state = await trained(smallRun(output.path, {
    ...overshooting,
    load_best_model_at_end: true,
    save_total_limit: 1,
  }));
  const evaluations = rowsWith(state, "eval_loss");
  assert.equal(evaluations.length, 12);
  const best = evaluations.reduce((a, b) => b["eval_loss"]! < a["eval_loss"]! ? b : a);
  assert.ok(best.step < 12, "the last step is not the best");
  assert.equal(state.best_global_step, best.step);
  assert.equal(state.best_metric, best["eval_loss"]);
  assert.equal(state.best_model_checkpoint, `${output.path}/checkpoint-${best.step}`);
  assert.deepEqual(checkpointsIn(output.path), [best.step, 12], "the best and the newest");
  assert.equal(weightsIn(output.path), weightsIn(`${output.path}/checkpoint-${best.step}`));
  assert.notEqual(weightsIn(output.path), weightsIn(`${output.path}/checkpoint-12`));
});

Deno.test("save_strategy best writes a checkpoint for each evaluation that beats all before", async () => {
  using output = temporary();
  const state = await trained(smallRun(output.path, { ...overshooting, save_strategy: "best" }));
  let least = Infinity;
  const expected = rowsWith(state, "eval_loss").filter((row) => {
    const better = row["eval_loss"]! < least;
    least = Math.min(least, row["eval_loss"]!);
    return better;
  }).map(({ step }) => step);
  assert.ok(expected.length > 1 && expected.length < 12);
  assert.deepEqual(checkpointsIn(output.path), expected);
});

Deno.test("metric_for_best_model and greater_is_better decide which evaluation is best", async () => {
  const bestOf = async (flags: Flags) => {
    using output = temporary();
    const { best_global_step, best_metric } = await trained(
      smallRun(output.path, { ...overshooting, save_strategy: "no", ...flags }),
    );
    return [best_global_step, best_metric] as const;
  };
  const [step, loss] = await bestOf({ metric_for_best_model: "loss" });
  const [worst, most] = await bestOf({
    metric_for_best_model: "eval_loss",
    greater_is_better: true,
  });
  const [, accuracy] = await bestOf({ metric_for_best_model: "mean_token_accuracy" });
  assert.ok(most! > loss! && worst !== step);
  assert.ok(accuracy! > 0 && accuracy! < 1);

  using output = temporary();
  const { code, stderr } = await plumb(
    "sft",
    smallRun(output.path, { ...overshooting, metric_for_best_model: "bleu" }),
  );
  assert.equal(code, 1);
  assert.match(stderr, /Error: metric_for_best_model is eval_bleu, .* It gives eval_loss, /);
});

Deno.test("where no checkpoint of a best evaluation is there, the last step's weights stay", async () => {
  using output = temporary();
  // The fourth evaluation is the best, but only the fifth step is saved.
  const { code, stderr } = await plumb(
    "sft",
    smallRun(output.path, {
      ...overshooting,
      max_steps: 5,
      save_steps: 5,
      load_best_model_at_end: true,
    }),
  );
  assert.equal(code, 0, stderr);
  assert.match(stderr, /No checkpoint of a best evaluation is there: the last step's weights stay/);
  const state = stateOf(output.path);
  assert.deepEqual([state.best_global_step, state.best_model_checkpoint], [4, null]);
  assert.equal(weightsIn(output.path), weightsIn(`${output.path}/checkpoint-5`));
});

Deno.test("the final model's config and tokenizer agree, and a second run can start from it", async () => {
  using output = temporary();
  await trained(smallRun(`${output.path}/first`, { max_steps: 1, eos_token: "<|endoftext|>" }));
  const config = JSON.parse(Deno.readTextFileSync(`${output.path}/first/config.json`));
  const original = await readFixture<Record<string, unknown>>("models/llama/config.json");
  assert.deepEqual(Object.keys(config), Object.keys(original));
  assert.deepEqual([original["eos_token_id"], config["eos_token_id"]], [2, 0]);
  const { log_history } = await trained(
    smallRun(`${output.path}/second`, { model_name_or_path: `${output.path}/first`, max_steps: 1 }),
  );
  assert.ok(Number.isFinite(log_history[0]!["loss"]));
});
