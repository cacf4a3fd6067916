import assert from "node:assert/strict";
import { attentionPiece } from "../../bench/attention.ts";
import type { Backend } from "../../bench/backend.ts";
import { dpoStepPiece } from "../../bench/dpo_step.ts";
import { matmulPiece } from "../../bench/matmul.ts";
import type { Device } from "../../core/mod.ts";
import { eachDevice } from "../devices.ts";

function backend(device: Device): Backend {
  return { name: device.kind, device, software: device.kind === "webgpu" };
}

eachDevice("the benchmark of matrix products gives a figure for each shape", async (device) => {
  const rows = await matmulPiece.run(backend(device), { quick: true });
  assert.deepEqual(rows.map((row) => row["case"]), ["256×256 · 256×256", "8×512 · 512×1376T"]);
  for (const row of rows) {
    assert.ok(Number(row["ms"]) > 0);
    assert.ok(Number(row["GFLOP/s"]) > 0);
    assert.ok(Number(row["largest error"]) < 1e-4);
  }
});

eachDevice("the benchmark of attention times both directions", async (device) => {
  const rows = await attentionPiece.run(backend(device), { quick: true });
  assert.equal(rows.length, 1);
  assert.ok(Number(rows[0]!["forward ms"]) > 0);
  assert.ok(Number(rows[0]!["forward + backward ms"]) > 0);
});

eachDevice(
  "the benchmark of a DPO step compares prompts that are shared with prompts that are not",
  async (device) => {
    const [shared, apart] = await dpoStepPiece.run(backend(device), { quick: true });
    assert.deepEqual([shared!["prompts"], apart!["prompts"]], ["shared", "apart"]);
    assert.ok(Number(shared!["tokens"]) < Number(apart!["tokens"]));
    for (const row of [shared!, apart!]) assert.ok(Number(row["step ms"]) > 0);
    assert.ok(Math.abs(Number(shared!["first loss"]) - Math.LN2) < 1e-5);
  },
);
