import assert from "node:assert/strict";
import {
  leavesOf,
  ones,
  randomKey,
  realize,
  type Tensor,
  tensor,
  valueAndGrad,
} from "../../core/mod.ts";
import {
  causalModel,
  type ClassifierParams,
  freshValueHead,
  headValues,
  initParameters,
  scoreValues,
  type ValueHeadParams,
} from "../../nn/mod.ts";
import { openModel } from "../../train/files/model_directory.ts";
import { assertClose } from "../core/compare.ts";
import { fixture, readTensors } from "../data/fixture_files.ts";
import { eachDevice } from "../devices.ts";
import { goldenLayout, readGolden } from "./golden.ts";
import { layOut, logitsOf, meanLoss, type Piece } from "./streams.ts";

/** A golden language model with its golden value head. */
async function readValueModel(name: "llama" | "gpt2" = "llama") {
  const golden = await readGolden(name);
  const { floats } = await readTensors("golden/value_head.safetensors");
  const head = (part: string, shape: number[]) =>
    tensor(floats.get(`${name}.v_head.summary.${part}`)!, { shape });
  const params: ValueHeadParams = {
    ...golden.params,
    v_head: { summary: { weight: head("weight", [1, 32]), bias: head("bias", [1]) } },
  };
  const { batch } = golden;
  const real = [...batch.mask.keys()].filter((t) => batch.mask[t] === 1);
  return { ...golden, params, real, values: floats.get(`${name}.values`)! };
}

for (const name of ["llama", "gpt2"] as const) {
  eachDevice(
    `${name}: values, logits and loss are those of TRL's model with a value head`,
    async () => {
      const { model, params, batch, real, values, numbers } = await readValueModel(name);
      const layout = goldenLayout(batch);
      const rotary = model.tables(batch.columns);
      const found = headValues(params, model.hidden(params, layout.stream, { rotary }));
      const logits = logitsOf(model, params, layout.stream, { rotary });
      const loss = meanLoss(model, params, layout, { rotary });
      await realize([found, logits, loss]);
      assert.deepEqual(found.shape, [3 * 40]);
      const at = (x: ArrayLike<number>) => real.map((t) => x[t]!);
      assertClose(at(await found.data()), at(values), 5e-6, "values");
      const rows = (x: ArrayLike<number>) => real.flatMap((t) => [x[400 * t]!, x[400 * t + 399]!]);
      assertClose(rows(await logits.data()), rows(batch.logits), 1e-5, "logits");
      assert.ok(Math.abs(await loss.item() / numbers.loss - 1) < 2e-6);
    },
  );
}

eachDevice("a loss of values has torch's gradients, in the head and below it", async () => {
  const { model, params, batch, real } = await readValueModel();
  const { floats } = await readTensors("value_head_gradients.safetensors");
  const { stream } = goldenLayout(batch);
  const rotary = model.tables(batch.columns);
  const [loss, gradients] = valueAndGrad((p: ValueHeadParams) => {
    const hidden = model.hidden(p, stream, { rotary }).gather(tensor(Int32Array.from(real)));
    return headValues(p, hidden).sub(1).square().mean().mul(0.5);
  })(params);
  await realize([loss, gradients]);
  assertClose([await loss.item()], floats.get("loss")!, 2e-6, "loss");
  let compared = 0;
  for (const [path, gradient] of leavesOf(gradients)) {
    const expected = floats.get(`grad.${path}`);
    if (!expected) continue;
    assertClose(await (gradient as Tensor).data(), expected, 1e-5, path);
    compared++;
  }
  assert.equal(compared, 5);
});

eachDevice("the score head of a classifier gives a value of every token", async () => {
  const { model, params } = await openModel({
    directory: fixture("models/llama_reward"),
    head: { kind: "sequence", labels: 1 },
    seed: 0,
  });
  const golden = await readTensors("golden/llama_reward.safetensors");
  const expected = (await readTensors("value_head_gradients.safetensors")).floats
    .get("score.values")!;
  const [rows, columns] = golden.shapes.get("input_ids") as [number, number];
  const [ids, mask] = [golden.integers.get("input_ids")!, golden.integers.get("attention_mask")!];
  const real = [...mask.keys()].filter((t) => mask[t] === 1);
  const pieces = Array.from({ length: rows }, (_, row): Piece => {
    const own = real.filter((t) => Math.floor(t / columns) === row).map((t) => ids[t]!);
    return { name: `${row}`, ids: own, labels: own };
  });
  const hidden = model.hidden(params, layOut(pieces).stream, { rotary: model.tables(columns) });
  const values = scoreValues(params as ClassifierParams, hidden);
  assert.deepEqual(values.shape, [real.length]);
  const found = await values.data();
  assertClose(found, real.map((t) => expected[t]!), 1e-5, "values");
  // The last token's is the sequence's score.
  const lasts = real.flatMap((t, i) =>
    real[i + 1] === undefined || Math.floor(real[i + 1]! / columns) > Math.floor(t / columns)
      ? [found[i]!]
      : []
  );
  assertClose(lasts, golden.floats.get("scores")!, 1e-5, "scores");
});

Deno.test("a classifier with several labels is no value model", () => {
  const model = causalModel({
    ...{ model_type: "llama", vocab_size: 8, hidden_size: 4, intermediate_size: 4 },
    ...{ num_hidden_layers: 1, num_attention_heads: 1 },
  });
  const params = initParameters(model, randomKey(0), { kind: "sequence", labels: 2 });
  assert.throws(
    () => scoreValues(params as ClassifierParams, ones([4, 4])),
    /A model with 2 labels gives no value/,
  );
});

eachDevice("hidden states are dropped under a value head in training alone", async () => {
  const { params } = await readValueModel();
  const summary = { weight: ones([1, 64]), bias: tensor([0]) };
  const head: ValueHeadParams = { ...params, v_head: { summary } };
  const hidden = ones([500, 64]);
  const of = async (options?: Parameters<typeof headValues>[2]) =>
    Array.from(await headValues(head, hidden, options).data());
  const key = randomKey(3);
  const whole = new Array<number>(500).fill(64);
  assert.deepEqual(await of(), whole);
  assert.deepEqual(await of({ key: null }), whole);
  assert.deepEqual(await of({ key, dropout: 0 }), whole);
  const dropped = await of({ key });
  assert.deepEqual(await of({ key, dropout: 0.1 }), dropped);
  // A value is (64 − the number of dropped elements) / 0.9.
  const counts = dropped.map((value) => 64 - value * 0.9);
  assert.ok(counts.every((n) => Math.abs(n - Math.round(n)) < 1e-4));
  const share = counts.reduce((sum, n) => sum + n, 0) / (500 * 64);
  assert.ok(Math.abs(share - 0.1) < 4 * Math.sqrt(0.09 / (500 * 64)), `${share}`);
  assert.notDeepEqual(await of({ key: randomKey(4) }), dropped);
});

eachDevice("a fresh value head is uniform as PyTorch's linear layers, or normal", async () => {
  const width = 4096;
  const fresh = async (initStrategy: "normal" | null, initializerRange?: number) => {
    const options = { initStrategy, initializerRange };
    const of = async (name: string, shape: number[]) =>
      Array.from(
        await freshValueHead(`v_head.summary.${name}`, { shape, width, key: randomKey(1) }, options)
          .data(),
      );
    return { weight: await of("weight", [1, width]), bias: (await of("bias", [1]))[0]! };
  };
  const deviation = (x: readonly number[]) =>
    Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length);
  const uniform = await fresh(null);
  const bound = 1 / 64;
  assert.ok(uniform.weight.every((x) => Math.abs(x) <= bound));
  assert.ok(Math.abs(deviation(uniform.weight) / (bound / Math.sqrt(3)) - 1) < 0.05);
  assert.ok(uniform.bias !== 0 && Math.abs(uniform.bias) <= bound);
  assert.ok(!uniform.weight.includes(uniform.bias));
  for (const [range, expected] of [[undefined, 0.2], [0.05, 0.05]] as const) {
    const normal = await fresh("normal", range);
    assert.ok(Math.abs(deviation(normal.weight) / expected - 1) < 0.05);
    assert.equal(normal.bias, 0);
  }
});
