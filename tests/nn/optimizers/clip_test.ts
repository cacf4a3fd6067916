import assert from "node:assert/strict";
import { realize, tensor } from "../../../core/mod.ts";
import { clipByNorm, globalNorm } from "../../../nn/mod.ts";
import { readFixture } from "../../data/fixture_files.ts";
import { eachDevice } from "../../devices.ts";
import { assertNear, type Nested } from "./trajectories.ts";

/** A case of `torch.nn.utils.clip_grad_norm_`. */
interface ClipCase {
  readonly max_norm: number;
  readonly grads: readonly Nested[];
  readonly norm: number;
  readonly clipped: readonly Nested[];
}

eachDevice("globalNorm() and clipByNorm() follow PyTorch", async () => {
  const { cases } = await readFixture<{ readonly cases: readonly ClipCase[] }>(
    "optim/clip_grad_norm.json",
  );
  assert.ok(cases.length > 0);
  for (const [i, { max_norm, grads, norm: expected, clipped }] of cases.entries()) {
    const gradients = grads.map((values) => tensor(values));
    const norm = globalNorm(gradients);
    const result = clipByNorm(gradients, norm, max_norm);
    await realize([norm, result]);
    const found = await norm.item();
    assert.ok(
      Math.abs(found - expected) <= 1e-6 * expected,
      `case ${i}: norm ${found}, not ${expected}`,
    );
    for (const [j, tensor] of result.entries()) {
      await assertNear(tensor, clipped[j]!, `case ${i}, gradient ${j}`);
    }
  }
});
