/** Checkpoints that are not as they were written: no run goes on from them. @module */

import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import { refusalOf, smallRun, temporary, trained } from "../../cli/run_command.ts";
import { parseSavedRun } from "../../../train/files/run_state_file.ts";

/** A checkpoint, changed by `damage`; gives what the resumed run says. */
async function refusalAfter(
  damage: (checkpoint: string, state: Record<string, unknown>) => void,
): Promise<string> {
  using directory = temporary();
  const flags = smallRun(directory.path, { max_steps: 2, save_strategy: "steps", save_steps: 1 });
  await trained(flags);
  const checkpoint = `${directory.path}/checkpoint-1`;
  const state = `${checkpoint}/plumb_state.json`;
  damage(checkpoint, JSON.parse(Deno.readTextFileSync(state)));
  return await refusalOf("sft", { ...flags, resume_from_checkpoint: checkpoint });
}

function changeByte(path: string): void {
  const bytes = Deno.readFileSync(path);
  bytes[bytes.length - 3]! ^= 1;
  Deno.writeFileSync(path, bytes);
}

Deno.test("a file of tensors that was cut off, exchanged or removed is refused by name", async () => {
  assert.match(
    await refusalAfter((path) => changeByte(`${path}/optimizer.safetensors`)),
    /checkpoint-1\/optimizer\.safetensors has changed since the checkpoint was written/,
  );
  assert.match(
    await refusalAfter((path) => changeByte(`${path}/model.safetensors`)),
    /checkpoint-1\/model\.safetensors has changed since the checkpoint was written/,
  );
  assert.match(
    await refusalAfter((path) => Deno.truncateSync(`${path}/optimizer.safetensors`, 1000)),
    /optimizer\.safetensors has 1000 bytes, but was written with \d+: it was cut off/,
  );
  assert.match(
    await refusalAfter((path) => Deno.removeSync(`${path}/model.safetensors`)),
    /model\.safetensors is missing: the checkpoint was written with it/,
  );
});

Deno.test("an optimiser's state that is not finite is refused by name", async () => {
  const message = await refusalAfter((path, state) => {
    const file = `${path}/optimizer.safetensors`;
    const bytes = Deno.readFileSync(file);
    // The last number of the last tensor.
    new DataView(bytes.buffer).setFloat32(bytes.length - 4, NaN, true);
    Deno.writeFileSync(file, bytes);
    const files = state["files"] as Record<string, unknown>;
    files["optimizer.safetensors"] = { bytes: bytes.length, crc32: crc32(bytes) };
    Deno.writeTextFileSync(`${path}/plumb_state.json`, JSON.stringify(state));
  });
  assert.match(message, /optimizer\.\S+ in .*optimizer\.safetensors has .* not finite: .* is NaN/);
});

const whole = {
  run: "a",
  step: 3,
  window: { loss: 1, steps: 1, metrics: { entropy: [2, 1] }, gradNorm: 0.5 },
  totalLoss: 2,
  tokens: 10,
  logHistory: [{ step: 2, loss: 1 }],
  best: { metric: 1, step: 2, checkpoint: null },
  rewound: 1,
  metricSchedule: null,
  device: "CPU",
  sampling: "in order",
  generation: {
    number: 0,
    generation: {
      prompts: [{ row: 0, ids: [1] }],
      samples: [{ prompt: 0, ids: [2], values: { a: 1 }, tokenValues: { logProb: [-1] } }],
    },
  },
};

Deno.test("a state is read back as it was", () => {
  assert.deepEqual(parseSavedRun(JSON.stringify(whole), "s.json").state, whole);
});

Deno.test("every field of a state is refused by file and name where its type or range is wrong", () => {
  const { generation } = whole.generation;
  const saved = (changes: object) => ({
    ...whole.generation,
    generation: { ...generation, ...changes },
  });
  const cases: readonly [object, RegExp][] = [
    [{ run: 1 }, /run is 1, expected text/],
    [{ step: -1 }, /step is -1, expected a whole number/],
    [{ step: 1.5 }, /step is 1\.5/],
    [{ step: "3" }, /step is "3"/],
    [{ step: undefined }, /step is missing/],
    [{ window: null }, /window is null, expected a JSON object/],
    [{ window: { ...whole.window, loss: null } }, /window\.loss is null, expected a number/],
    [{ window: { ...whole.window, steps: -2 } }, /window\.steps is -2/],
    [{ window: { ...whole.window, metrics: { a: [1] } } }, /window\.metrics\.a is \[1\]/],
    [{ window: { ...whole.window, metrics: { a: [1, -1] } } }, /window\.metrics\.a\.1 is -1/],
    [{ window: { ...whole.window, gradNorm: -1 } }, /window\.gradNorm is -1/],
    [{ totalLoss: "much" }, /totalLoss is "much"/],
    [{ tokens: -5 }, /tokens is -5/],
    [{ logHistory: {} }, /logHistory is \{\}, expected a list/],
    [{ logHistory: [{ loss: 1 }] }, /logHistory\.0\.step is missing/],
    [{ logHistory: [{ step: 1, loss: true }] }, /logHistory\.0\.loss is true/],
    [{ best: 3 }, /best is 3/],
    [{ best: { ...whole.best, step: 4 } }, /best\.step is 4, expected at most the step, 3/],
    [{ best: { ...whole.best, checkpoint: 7 } }, /best\.checkpoint is 7, expected text/],
    [{ rewound: 9 }, /rewound is 9, expected at most the step, 3/],
    [{ metricSchedule: { learningRate: 1 } }, /metricSchedule\.rules is missing/],
    [{ device: null }, /device is null/],
    [{ sampling: 1 }, /sampling is 1/],
    [{ generation: saved({ prompts: [{ row: -1, ids: [] }] }) }, /prompts\.0\.row is -1/],
    [{ generation: saved({ prompts: [{ row: 0, ids: [1.5] }] }) }, /prompts\.0\.ids\.0 is 1\.5/],
    [{ generation: saved({ prompts: [] }) }, /samples\.0\.prompt is 0, expected the number/],
    [{ files: { "a.safetensors": { bytes: -1, crc32: 0 } } }, /files\.a\.safetensors\.bytes is -1/],
    [{ fingerprint: { version: 1 } }, /fingerprint\.version is 1/],
  ];
  for (const [changes, message] of cases) {
    const text = JSON.stringify({ ...whole, ...changes });
    assert.throws(() => parseSavedRun(text, "checkpoint-3/plumb_state.json"), (error: Error) => {
      assert.match(error.message, message);
      assert.match(error.message, /^checkpoint-3\/plumb_state\.json is not the state of a run: /);
      return true;
    });
  }
});
