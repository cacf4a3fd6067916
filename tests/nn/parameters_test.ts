import assert from "node:assert/strict";
import { leavesOf, randomKey, realize, type Tensor } from "../../core/mod.ts";
import { causalModel, initParameters, shapesOf } from "../../nn/mod.ts";
import { openCheckpointFiles } from "../../data/weights/checkpoint_files.ts";
import { fixture } from "../data/fixture_files.ts";
import { eachDevice } from "../devices.ts";
import { goldenNames, readConfig } from "./golden.ts";

for (const name of goldenNames) {
  Deno.test(`${name}: parameters have the names and shapes of the checkpoint`, async () => {
    const model = causalModel(await readConfig(name));
    const shapes = shapesOf(model.shapes());
    const stored = (path: string) =>
      path.replace(/^\w+/, (root) => model.storedNames?.[root] ?? root);
    using files = await openCheckpointFiles(fixture(`models/${name}`));
    assert.deepEqual(
      Object.fromEntries(
        shapes.map(([path, leaf]) => [stored(path), leaf.storedShape]),
      ),
      Object.fromEntries([...files.tensors].map(([path, { shape }]) => [path, shape])),
    );
  });
}

/** Mean, standard deviation, and excess kurtosis, 0 for a normal distribution. */
function moments(values: ArrayLike<number>): [mean: number, deviation: number, excess: number] {
  const list = Array.from(values);
  const average = (f: (x: number) => number) =>
    list.reduce((total, x) => total + f(x), 0) / list.length;
  const mean = average((x) => x);
  const variance = average((x) => (x - mean) ** 2);
  return [mean, Math.sqrt(variance), average((x) => (x - mean) ** 4) / variance ** 2 - 3];
}

eachDevice("fresh matrices are normal, gains one, biases zero", async () => {
  const model = causalModel({
    ...await readConfig("qwen2"),
    vocab_size: 1000,
    hidden_size: 64,
    intermediate_size: 256,
    initializer_range: 0.05,
  });
  const params = await realize(initParameters(model, randomKey(7)));
  let matrices = 0;
  for (const [path, leaf] of leavesOf(params)) {
    const values = await (leaf as Tensor).data();
    if (path.endsWith("bias")) assert.ok(values.every((x) => x === 0), path);
    else if (path.includes("norm")) assert.ok(values.every((x) => x === 1), path);
    else {
      matrices++;
      const [mean, deviation, excess] = moments(values);
      // Five standard errors of each estimate.
      const bound = 5 / Math.sqrt(values.length);
      assert.ok(Math.abs(mean) < bound * 0.05, `${path}: mean ${mean}`);
      assert.ok(Math.abs(deviation / 0.05 - 1) < bound / Math.SQRT2, `${path}: ${deviation}`);
      assert.ok(Math.abs(excess) < bound * Math.sqrt(24), `${path}: excess kurtosis ${excess}`);
    }
  }
  assert.equal(matrices, 1 + 2 * 7);
});

eachDevice("fresh parameters depend on the key alone, and no two matrices are alike", async () => {
  const model = causalModel(await readConfig("llama"));
  const read = async (seed: number) => {
    const params = await realize(initParameters(model, randomKey(seed)));
    const all = new Map<string, string>();
    for (const [path, leaf] of leavesOf(params)) {
      if (!path.includes("norm")) {
        all.set(path, Array.from((await (leaf as Tensor).data()).subarray(0, 8)).join());
      }
    }
    return all;
  };
  const [a, again, other] = [await read(1), await read(1), await read(2)];
  assert.deepEqual(again, a);
  assert.equal(new Set([...a.values(), ...other.values()]).size, 2 * a.size);
});
