/** When a run logs and evaluates, and what its rows average. */

import assert from "node:assert/strict";
import { fixture } from "../../data/fixture_files.ts";
import { type Flags, rowsWith, smallRun, temporary, trained } from "../../cli/run_command.ts";
import type { LogRow, TrainerState } from "../../../train/files/trainer_state.ts";

async function run(flags: Flags): Promise<TrainerState> {
  using output = temporary();
  return await trained(smallRun(output.path, flags));
}

const stepsOf = (rows: readonly LogRow[]) => rows.map(({ step }) => step);

const evaluated: Flags = {
  dataset_name: fixture("trl/sft-eval/data"),
  per_device_eval_batch_size: 2,
};

Deno.test("logging_strategy, logging_steps and logging_first_step say which steps are logged", async () => {
  // Five batches an epoch.
  const cases: readonly [Flags, readonly number[]][] = [
    [{ logging_steps: 3 }, [3, 6]],
    [{ logging_steps: 3, logging_first_step: true }, [1, 3, 6]],
    [{ logging_steps: 0.25 }, [2, 4, 6]],
    [{ logging_strategy: "epoch" }, [5, 7]],
    [{ logging_strategy: "no" }, []],
  ];
  for (const [flags, expected] of cases) {
    const state = await run({ max_steps: 7, ...flags });
    assert.deepEqual(stepsOf(rowsWith(state, "loss")), expected, JSON.stringify(flags));
    assert.deepEqual(stepsOf(rowsWith(state, "train_loss")), [7]);
  }
});

Deno.test("a row averages the losses of steps and the metrics of batches since the row before", async () => {
  // Nineteen rows in batches of four, three batches a step: windows of 3 and 2 batches.
  const flags = { gradient_accumulation_steps: 3, num_train_epochs: 3 };
  const whole = await run(flags);
  const each = rowsWith(whole, "loss");
  assert.equal(each.length, 6);
  const state = await run({ ...flags, logging_steps: 4 });
  const [row, ...rest] = rowsWith(state, "loss");
  assert.equal(rest.length, 0, "two steps are left over");
  const near = (actual: number | undefined, expected: number) =>
    assert.ok(Math.abs(actual! / expected - 1) < 1e-12, `${actual} ${expected}`);
  const first = each.slice(0, 4);
  near(row!["loss"], first.reduce((sum, { loss }) => sum + loss!, 0) / 4);
  assert.equal(row!["grad_norm"], first[3]!["grad_norm"], "the last step's");
  assert.equal(row!["learning_rate"], first[3]!["learning_rate"]);
  assert.equal(row!["num_tokens"], first[3]!["num_tokens"]);
  // Steps of three batches weigh more than those of two.
  near(
    row!["entropy"],
    first.reduce((sum, { entropy }, i) => sum + entropy! * [3, 2, 3, 2][i]!, 0) / 10,
  );
  for (const ran of [whole, state]) {
    const mean = each.reduce((sum, { loss }) => sum + loss!, 0) / 6;
    near(rowsWith(ran, "train_loss")[0]!["train_loss"], mean);
  }
});

Deno.test("eval_strategy, eval_steps, eval_delay and eval_on_start say when it is evaluated", async () => {
  // Two batches an epoch.
  const cases: readonly [Flags, readonly number[]][] = [
    [{ eval_strategy: "steps", eval_steps: 2 }, [2, 4, 5]],
    [{ eval_strategy: "steps", eval_steps: 0.5 }, [3, 5]],
    [{ eval_strategy: "steps", eval_steps: 2, eval_delay: 3 }, [4, 5]],
    [{ eval_strategy: "steps", logging_steps: 4 }, [4, 5]],
    [{ eval_strategy: "epoch" }, [2, 4, 5]],
    [{ eval_strategy: "epoch", eval_delay: 2 }, [4, 5]],
    [{ eval_on_start: true }, [0]],
    [{ eval_on_start: true, eval_strategy: "epoch" }, [0, 2, 4, 5]],
  ];
  for (const [flags, expected] of cases) {
    const state = await run({
      ...evaluated,
      per_device_train_batch_size: 2,
      max_steps: 5,
      ...flags,
    });
    assert.deepEqual(stepsOf(rowsWith(state, "eval_loss")), expected, JSON.stringify(flags));
  }
});

Deno.test("the evaluation before the first step neither is the best nor moves the schedule", async () => {
  const state = await run({
    ...evaluated,
    max_steps: 3,
    learning_rate: 10,
    max_grad_norm: 0,
    eval_on_start: true,
    eval_strategy: "steps",
    eval_steps: 1,
    metric_for_best_model: "loss",
    lr_scheduler_type: "reduce_lr_on_plateau",
    lr_scheduler_kwargs: '{"patience": 0}',
  });
  const [start, ...later] = rowsWith(state, "eval_loss").map((row) => row["eval_loss"]!);
  assert.ok(later.every((loss) => loss > start!), "the rate is too high to get better");
  assert.equal(state.best_metric, Math.min(...later));
  assert.equal(rowsWith(state, "loss")[1]!["learning_rate"], 10);
});

Deno.test("evaluation does not depend on training options, and its batches are weighed by rows", async () => {
  using data = temporary();
  for (const split of ["train", "test"]) {
    Deno.copyFileSync(fixture("trl/sft-shuffled/dataset.jsonl"), `${data.path}/${split}.jsonl`);
  }
  const start = { dataset_name: data.path, max_steps: 1, eval_on_start: true };
  const evaluate = async (flags: Flags) =>
    rowsWith(await run({ ...start, per_device_eval_batch_size: 4, ...flags }), "eval_loss")[0]!;
  const [together, fours, single] = [
    await evaluate({ per_device_eval_batch_size: 19 }),
    await evaluate({}),
    await evaluate({ per_device_eval_batch_size: 1 }),
  ];
  assert.notEqual(together["eval_loss"], single["eval_loss"]);
  assert.notEqual(fours["eval_loss"], single["eval_loss"]);
  const noisy = await evaluate({ neftune_noise_alpha: 50, gradient_checkpointing: true, seed: 3 });
  assert.equal(noisy["eval_loss"], fours["eval_loss"]);
  // Grouping by length puts other rows together.
  const grouped = await evaluate({ train_sampling_strategy: "group_by_length" });
  assert.notEqual(grouped["eval_loss"], fours["eval_loss"]);
  const alone = await evaluate({
    train_sampling_strategy: "group_by_length",
    per_device_eval_batch_size: 1,
  });
  assert.ok(Math.abs(alone["eval_loss"]! / single["eval_loss"]! - 1) < 1e-6);
});

Deno.test("max_steps wins over num_train_epochs, which may have a fraction", async () => {
  const lengths = async (flags: Flags) => {
    const { max_steps, num_train_epochs, epoch } = await run(flags);
    return [max_steps, num_train_epochs, Math.round(epoch * 100) / 100];
  };
  assert.deepEqual(await lengths({ num_train_epochs: 1.3 }), [7, 2, 1.4]);
  assert.deepEqual(await lengths({ num_train_epochs: 9, max_steps: 3 }), [3, 1, 0.6]);
  assert.deepEqual(await lengths({ num_train_epochs: 0.2 }), [1, 1, 0.2]);
  assert.deepEqual(
    await lengths({ num_train_epochs: 2, gradient_accumulation_steps: 4 }),
    [4, 2, 2],
    "the last window of an epoch is short",
  );
});

Deno.test("a window's loss is that of all its tokens, however it is split", async () => {
  const flags = { train_sampling_strategy: "sequential", max_steps: 2 };
  const whole = await run({ ...flags, per_device_train_batch_size: 19 });
  const split = await run({
    ...flags,
    per_device_train_batch_size: 3,
    gradient_accumulation_steps: 7,
  });
  for (const i of [0, 1]) {
    for (const name of ["loss", "grad_norm"]) {
      const [a, b] = [whole.log_history[i]![name]!, split.log_history[i]![name]!];
      assert.ok(Math.abs(a / b - 1) < 1e-5, `${name}: ${a} ${b}`);
    }
  }
});

Deno.test("group_by_length begins with the longest row and puts rows of like length together", async () => {
  const spread = async (strategy: string) => {
    const { log_history } = await run({
      train_sampling_strategy: strategy,
      num_train_epochs: 1,
      per_device_train_batch_size: 1,
    });
    return log_history.slice(0, 19)
      .map((row, i) => row["num_tokens"]! - (log_history[i - 1]?.["num_tokens"] ?? 0));
  };
  const [grouped, random, sequential] = [
    await spread("group_by_length"),
    await spread("random"),
    await spread("sequential"),
  ];
  const sorted = (lengths: readonly number[]) => lengths.toSorted((a, b) => a - b);
  assert.deepEqual(sorted(grouped), sorted(sequential));
  assert.deepEqual(sorted(random), sorted(sequential));
  assert.notDeepEqual(random, sequential);
  assert.equal(grouped[0], Math.max(...sequential));
  // Four batches a group, each group sorted, but for the longest row of all at the front.
  assert.deepEqual(grouped.slice(4, 8), sorted(grouped.slice(4, 8)).toReversed());
});

Deno.test("NEFTune's noise changes training from seed to seed, and no evaluation", async () => {
  const losses = async (flags: Flags) =>
    rowsWith(await run({ ...evaluated, max_steps: 2, ...flags }), "loss").map((row) =>
      row["loss"]!
    );
  const [plain, noisy, same, other, wide] = [
    await losses({}),
    await losses({ neftune_noise_alpha: 5 }),
    await losses({ neftune_noise_alpha: 5 }),
    await losses({ neftune_noise_alpha: 5, seed: 7, data_seed: 42 }),
    await losses({ neftune_noise_alpha: 5, pad_to_multiple_of: 1024 }),
  ];
  assert.deepEqual(noisy, same);
  for (const [a, b] of [[plain, noisy], [noisy, other], [noisy, wide]] as const) {
    assert.notEqual(a[0], b[0]);
  }
  const far = (losses: readonly number[]) => Math.abs(losses[0]! - plain[0]!);
  assert.ok(far(wide) < far(noisy), "the noise falls with the length");
  assert.ok(far(noisy) < 0.5);
});
