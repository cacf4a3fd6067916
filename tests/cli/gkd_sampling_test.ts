/** `gkd` with answers that the student or the teacher samples. */

import assert from "node:assert/strict";
import { devices } from "../devices.ts";
import { smallPreferenceRun, succeed, valuesOf } from "./preference_runs.ts";
import { digestOf, type Flags, namesIn, stateOf, temporary } from "./run_command.ts";

/** A small run whose answers are sampled. */
function small(outputDir: string, changes: Flags = {}): Flags {
  return smallPreferenceRun("gkd", outputDir, {
    lmbda: 1,
    max_new_tokens: 8,
    per_device_train_batch_size: 2,
    ...changes,
  });
}

async function lossesOf(changes: Flags): Promise<number[]> {
  using output = temporary();
  const { state } = await succeed("gkd", small(output.path, changes));
  const losses = valuesOf(state, "loss");
  assert.equal(losses.length, 4);
  for (const loss of losses) assert.ok(loss > 0 && Number.isFinite(loss), `${loss}`);
  return losses;
}

Deno.test("gkd's flags of sampling say who answers, and how", async () => {
  const ofData = await lossesOf({ lmbda: 0 });
  assert.deepEqual(await lossesOf({ lmbda: 1e-12 }), ofData, "no answer is sampled");
  const ofStudent = await lossesOf({});
  const runs = [
    ofData,
    ofStudent,
    await lossesOf({ lmbda: 0, seq_kd: true }),
    await lossesOf({ temperature: 0.2 }),
    await lossesOf({ max_new_tokens: 5 }),
    await lossesOf({ seed: 7 }),
  ];
  assert.equal(new Set(runs.map((losses) => losses.join())).size, runs.length);
  assert.deepEqual(await lossesOf({ seq_kd: true }), ofStudent, "the student answers all");
  const mixed = await lossesOf({ lmbda: 0.5 });
  assert.ok([ofData[0], ofStudent[0]].includes(mixed[0]), "either of the two");
  for (const other of [ofData, ofStudent]) assert.notDeepEqual(mixed, other);
});

Deno.test("gkd brings a student nearer to its teacher on the student's own answers", async () => {
  using output = temporary();
  const { state } = await succeed(
    "gkd",
    small(output.path, { max_steps: 40, learning_rate: 1e-2, per_device_train_batch_size: 4 }),
  );
  const losses = valuesOf(state, "loss");
  const mean = (some: readonly number[]) => some.reduce((a, b) => a + b, 0) / some.length;
  const [before, after] = [mean(losses.slice(0, 5)), mean(losses.slice(-5))];
  assert.ok(after < 0.8 * before, `${before} to ${after}`);
});

for (const { kind } of devices) {
  Deno.test(`gkd samples from an adapter of a quantised student (${kind})`, async () => {
    using output = temporary();
    const { state } = await succeed(
      "gkd",
      small(output.path, {
        device: kind,
        use_peft: true,
        lora_target_modules: "all-linear",
        load_in_4bit: true,
        seq_kd: true,
        lmbda: 0.5,
      }),
    );
    assert.ok(valuesOf(state, "loss").every((loss) => loss > 0 && Number.isFinite(loss)));
    assert.ok(namesIn(output.path).includes("adapter_model.safetensors"));
  });
}

Deno.test("gkd goes on from a checkpoint between sampled answers as if it had not stopped", async () => {
  using whole = temporary();
  using parts = temporary();
  const flags = { lmbda: 0.5, seq_kd: true, save_strategy: "steps", save_steps: 3, max_steps: 6 };
  await succeed("gkd", small(whole.path, flags));
  await succeed("gkd", small(parts.path, flags));
  for (const name of namesIn(parts.path)) {
    if (name !== "checkpoint-3") Deno.removeSync(`${parts.path}/${name}`, { recursive: true });
  }
  await succeed("gkd", small(parts.path, { ...flags, resume_from_checkpoint: true }));
  const [a, b] = [whole, parts].map(({ path }) => digestOf(`${path}/model.safetensors`));
  assert.equal(a, b);
  const histories = [whole, parts].map(({ path }) => valuesOf(stateOf(path), "loss"));
  assert.deepEqual(histories[0], histories[1]);
});
