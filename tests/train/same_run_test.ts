/** What a resumed run says of what has changed since the checkpoint, and what it refuses. @module */

import assert from "node:assert/strict";
import { fixture } from "../data/fixture_files.ts";
import { type Flags, plumb, smallRun, temporary, trained } from "../cli/run_command.ts";

const rows = Deno.readTextFileSync(fixture("trl/sft-shuffled/dataset.jsonl")).trim().split("\n");

/** A run of four steps on a file of its own, cut after the second; `resumed` goes on with other flags or rows. */
async function cutRun(flags: Flags = {}, { old = false } = {}) {
  const directory = temporary();
  const data = `${directory.path}/rows.jsonl`;
  const write = (lines: readonly string[]) => Deno.writeTextFileSync(data, lines.join("\n"));
  const all = smallRun(`${directory.path}/out`, {
    dataset_name: data,
    max_steps: 4,
    save_strategy: "steps",
    save_steps: 2,
    ...flags,
  });
  write(rows);
  await trained(all);
  const checkpoint = `${directory.path}/out/checkpoint-2`;
  if (old) {
    const path = `${checkpoint}/plumb_state.json`;
    const { fingerprint: _, files: __, run: ___, ...state } = JSON.parse(
      Deno.readTextFileSync(path),
    );
    Deno.writeTextFileSync(path, JSON.stringify(state));
  }
  const resumed = (changes: Flags = {}, lines: readonly string[] = rows, command = "sft") => {
    write(lines);
    return plumb(command, { ...all, resume_from_checkpoint: checkpoint, ...changes });
  };
  return { ...directory, checkpoint, resumed };
}

Deno.test("other rows, another order and fewer rows are refused, unless rows begin anew", async () => {
  using run = await cutRun();
  const changed: readonly [string, readonly string[], RegExp][] = [
    ["another text", [rows[1]!, ...rows.slice(1)], /rows of the data set.* have changed/],
    ["another order", rows.toReversed(), /rows of the data set.* or their order have changed/],
    ["fewer", rows.slice(1), /rows of the data set have changed since the checkpoint: 19 → 18 /],
  ];
  for (const [what, lines, message] of changed) {
    const refused = await run.resumed({}, lines);
    assert.equal(refused.code, 1, what);
    const last = refused.stderr.trim().split("\n").at(-1)!;
    assert.match(last, /^Error: .*checkpoint-2 is a checkpoint of another run\./);
    assert.match(last, message);
    assert.match(last, /another output_dir, or set resume_from_checkpoint to false/);
    const anew = await run.resumed({ ignore_data_skip: true }, lines);
    assert.equal(anew.code, 0, anew.stderr);
    assert.match(anew.stderr, message);
  }
});

Deno.test("another optimiser, seed, order or command is refused by name", async () => {
  using run = await cutRun();
  const cases: readonly [Flags, RegExp][] = [
    [{ optim: "lion" }, /optim has changed since the checkpoint: adamw_torch_fused → lion\./],
    [
      { seed: 7 },
      /seed has changed since the checkpoint: 42 → 7\..* data_seed has changed|data_seed has changed.*seed has changed/,
    ],
    [{ data_seed: 7 }, /data_seed has changed since the checkpoint: 42 → 7\./],
    [
      { train_sampling_strategy: "sequential" },
      /train_sampling_strategy has changed since the checkpoint: random → sequential\./,
    ],
    [
      { use_peft: true, output_dir: `${run.path}/adapter` },
      /use_peft has changed since the checkpoint: false → true\./,
    ],
  ];
  for (const [flags, message] of cases) {
    const { code, stderr } = await run.resumed(flags);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /checkpoint-2 is a checkpoint of another run\./);
    assert.match(stderr, message);
  }
  const pairs = { dataset_name: fixture("trl/dpo-sigmoid/dataset.jsonl") };
  const { code, stderr } = await run.resumed(pairs, rows, "dpo");
  assert.equal(code, 1, stderr);
  assert.match(stderr, /was written by sft, another way to learn than dpo\./);
});

Deno.test("other numbers are told by name, old and new; the same optimiser under another name is the same", async () => {
  using run = await cutRun();
  const { code, stderr } = await run.resumed({
    learning_rate: 0.001,
    max_steps: 6,
    per_device_train_batch_size: 2,
    optim: "adamw_torch",
    logging_steps: 2,
    save_steps: 1,
  });
  assert.equal(code, 0, stderr);
  for (
    const told of [
      "learning_rate has changed since the checkpoint: 0.005 → 0.001.",
      "max_steps has changed since the checkpoint: 4 → 6.",
      "per_device_train_batch_size has changed since the checkpoint: 4 → 2.",
      "optim has changed since the checkpoint: adamw_torch_fused → adamw_torch.",
    ]
  ) assert.ok(stderr.includes(told), `${told}\n${stderr}`);
  assert.doesNotMatch(stderr, /(logging|save)_steps has changed/);
});

Deno.test("a setting that has no effect in either run is not told", async () => {
  using run = await cutRun();
  const { code, stderr } = await run.resumed({ num_train_epochs: 9, data_seed: 42 });
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /has changed/);
});

Deno.test("changed code of a loss that a setting names is told", async () => {
  using directory = temporary();
  const loss = `${directory.path}/loss.ts`;
  const write = (factor: number) =>
    Deno.writeTextFileSync(
      loss,
      `export default (p) => ({ losses: p.logProbs.mul(${factor}), metrics: {} });`,
    );
  write(-1);
  using run = await cutRun({ loss });
  write(-2);
  const { stderr } = await run.resumed({ loss });
  assert.match(stderr, /contents of the file that loss names have changed since the checkpoint/);
});

Deno.test("a checkpoint that does not say what its run was made of is gone on from, with a notice", async () => {
  using run = await cutRun({}, { old: true });
  const { code, stderr } = await run.resumed();
  assert.equal(code, 0, stderr);
  assert.match(stderr, /checkpoint-2 does not say which rows and settings it was written with/);
});
