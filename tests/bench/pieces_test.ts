import assert from "node:assert/strict";
import { attentionPiece } from "../../bench/attention.ts";
import type { Backend } from "../../bench/backend.ts";
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
