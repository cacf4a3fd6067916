import assert from "node:assert/strict";
import {
  combine,
  grad,
  jit,
  leavesOf,
  mapTree,
  type Operand,
  partition,
  randomKey,
  realize,
  type Tensor,
  valueAndGrad,
} from "../../core/mod.ts";
import {
  adamW,
  adapterParameters,
  applyLora,
  copyTensors,
  type DecoderParams,
  denseWeight,
  initAdamW,
  isAdapterParameter,
  isLora,
  mapWeights,
  mergeAdapters,
  parametersOf,
  quantize,
  type Quantized,
  seedDropout,
  withoutAdapters,
} from "../../nn/mod.ts";
import { eachDevice } from "../devices.ts";
import { adapterNames, peftName, readGoldenAdapter, readModel, rowsLayout } from "./adapters.ts";
import { logitsOf, meanLoss } from "./streams.ts";

/** The largest difference. */
function apart(a: ArrayLike<number>, b: ArrayLike<number>): number {
  assert.equal(a.length, b.length);
  let most = 0;
  for (let i = 0; i < b.length; i++) most = Math.max(most, Math.abs(a[i]! - b[i]!));
  return most;
}

/** ‖a − b‖ / ‖b‖. */
function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  assert.equal(a.length, b.length);
  let [difference, whole] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    difference += (a[i]! - b[i]!) ** 2;
    whole += b[i]! ** 2;
  }
  return Math.sqrt(difference / whole);
}

for (const name of adapterNames) {
  eachDevice(
    `${name}: logits with the adapter on, off and merged, loss and gradients are PEFT's`,
    async () => {
      const { model, adapted, layout, columns, ...expected } = await readGoldenAdapter(name);
      const options = { rotary: model.tables(columns) };
      const logits = (params: DecoderParams) => logitsOf(model, params, layout.stream, options);
      const { params } = adapted;
      const [trained, frozen] = partition(params, isAdapterParameter);
      const [loss, gradients] = valueAndGrad((p: DecoderParams) =>
        meanLoss(model, combine(p, frozen), layout, options)
      )(trained);
      const [on, off, merged] = [params, withoutAdapters(params), mergeAdapters(params)].map(
        logits,
      );
      await realize([on, off, merged, loss, gradients]);

      assert.ok(apart(await on!.data(), expected.on) < 2e-5);
      assert.ok(apart(await off!.data(), expected.off) < 2e-5);
      assert.ok(apart(await merged!.data(), expected.merged) < 2e-5);
      assert.ok(apart(expected.on, expected.off) > 0.05);
      assert.ok(Math.abs(await loss.item() / expected.loss - 1) < 2e-6);
      const found = leavesOf(gradients);
      assert.deepEqual(
        found.map(([path]) => peftName(path)).sort(),
        [...expected.gradients.keys()].sort(),
      );
      for (const [path, leaf] of found) {
        const error = distance(
          await (leaf as Tensor).data(),
          expected.gradients.get(peftName(path))!,
        );
        assert.ok(error < 1e-5, `gradient of ${path} is off by ${error}`);
      }
    },
  );

  eachDevice(
    `${name}: a jitted, checkpointed step gives the same gradients, to the adapter only`,
    async () => {
      const { model, adapted, layout, columns, gradients, loss } = await readGoldenAdapter(name);
      const [trained, frozen] = partition(adapted.params, adapterParameters(adapted.params));
      const options = { rotary: model.tables(columns), gradientCheckpointing: true };
      const state = initAdamW(trained);
      const step = jit((
        trained: DecoderParams,
        frozen: DecoderParams,
        moments: typeof state,
        rate: Operand,
      ) => {
        const [loss, gradients] = valueAndGrad((p: DecoderParams) =>
          meanLoss(model, combine(p, frozen), layout, options)
        )(trained);
        const [params, next] = adamW(
          trained,
          gradients,
          moments,
          { learningRate: rate, correction1: 0.1, correction2: 0.001 },
          { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
        );
        return { params, next, loss, gradients };
      });
      const result = step(trained, frozen, state, 1e-3);
      assert.ok(Math.abs(await result.loss.item() / loss - 1) < 2e-6);
      const names = [...gradients.keys()].sort();
      assert.deepEqual(leavesOf(result.gradients).map(([path]) => peftName(path)).sort(), names);
      for (const moments of [result.next.first, result.next.second]) {
        assert.deepEqual(leavesOf(moments).map(([path]) => peftName(path)).sort(), names);
      }
      for (const [path, leaf] of leavesOf(result.gradients)) {
        const error = distance(await (leaf as Tensor).data(), gradients.get(peftName(path))!);
        assert.ok(error < 1e-5, `gradient of ${path} is off by ${error}`);
      }
      // The stepped adapter goes back into the tree and computes.
      const after = meanLoss(model, combine(result.params, frozen), layout, options);
      assert.ok(await after.item() < loss);
    },
  );
}

const ids = Int32Array.from({ length: 34 }, (_, i) => (i * 37 + 11) % 400);

eachDevice("a fresh adapter changes nothing, and only its B (or m) has a gradient", async () => {
  const { model, params } = await readModel("llama");
  const layout = rowsLayout(ids, 17);
  const options = { rotary: model.tables(17) };
  for (const use_dora of [false, true]) {
    const { params: adapted } = await applyLora(
      params,
      { target_modules: "all-linear", use_dora },
      randomKey(1),
    );
    const [before, after] = [params, adapted].map((p) => meanLoss(model, p, layout, options));
    assert.ok(Math.abs(await after!.item() - await before!.item()) < 2e-6);
    const [trained, frozen] = partition(adapted, isAdapterParameter);
    const gradients = grad((p: DecoderParams) =>
      meanLoss(model, combine(p, frozen), layout, options)
    )(trained);
    for (const [path, leaf] of leavesOf(gradients)) {
      const zero = (await (leaf as Tensor).data()).every((x) => x === 0);
      assert.equal(zero, path.endsWith("lora_A"), path);
    }
  }
});

eachDevice("a quantised base has the loss of its dequantised weights, and trains", async () => {
  const { model, params } = await readModel("llama");
  const layout = rowsLayout(ids, 17);
  const options = { rotary: model.tables(17), gradientCheckpointing: true };
  for (const format of ["nf4", "fp4", "int8"] as const) {
    const matrices = new Map<unknown, Quantized>();
    for (const [path, weight] of parametersOf(params)) {
      if (!/_proj/.test(path)) continue;
      const nested = format === "nf4";
      matrices.set(weight, await quantize(weight as Tensor, { format, nested }));
    }
    const quantized = mapWeights(params, "all-linear", (weight) => matrices.get(weight)!);
    const { params: adapted } = await applyLora(
      quantized,
      { target_modules: "all-linear", init_lora_weights: false },
      randomKey(2),
    );
    const plain = mergeAdapters(adapted);
    const [trained, frozen] = partition(adapted, isAdapterParameter);
    const loss = jit((trained: DecoderParams, frozen: DecoderParams) =>
      valueAndGrad((p: DecoderParams) => meanLoss(model, combine(p, frozen), layout, options))(
        trained,
      )
    );
    const [value, gradients] = loss(trained, frozen);
    const expected = await meanLoss(model, plain, layout, options).item();
    assert.ok(Math.abs(await value.item() / expected - 1) < 1e-5, `${format}: ${expected}`);
    // Against the same adapter over the dequantised base.
    const dequantized = mapWeights(
      adapted,
      "all-linear",
      (weight) => isLora(weight) ? { ...weight, base: denseWeight(weight.base) } : weight,
    );
    const [same, others] = partition(dequantized, isAdapterParameter);
    const reference = grad((p: DecoderParams) =>
      meanLoss(model, combine(p, others), layout, options)
    )(same);
    const leaves = leavesOf(reference);
    assert.equal(leaves.length, 28);
    for (const [i, [path, leaf]] of leavesOf(gradients).entries()) {
      const error = distance(
        await (leaf as Tensor).data(),
        await (leaves[i]![1] as Tensor).data(),
      );
      assert.ok(error < 1e-5, `${format}: gradient of ${path} is off by ${error}`);
    }
  }
});

eachDevice("dropout needs a key, drops its share, and is the same for the same key", async () => {
  const { model, params } = await readModel("llama");
  const layout = rowsLayout(ids, 17);
  const { params: adapted } = await applyLora(
    params,
    { target_modules: ["q_proj"], lora_dropout: 0.25, init_lora_weights: false },
    randomKey(3),
  );
  const loss = (p: DecoderParams, gradientCheckpointing = false) =>
    meanLoss(model, p, layout, { rotary: model.tables(17), gradientCheckpointing }).item();
  const none = await loss(adapted);
  const seeded = await loss(seedDropout(adapted, randomKey(4)));
  assert.notEqual(seeded, none);
  assert.equal(await loss(seedDropout(adapted, randomKey(4))), seeded);
  assert.notEqual(await loss(seedDropout(adapted, randomKey(5))), seeded);

  const [trained, frozen] = partition(adapted, isAdapterParameter);
  const gradients = [false, true].map((gradientCheckpointing) =>
    jit((trained: DecoderParams, frozen: DecoderParams) =>
      grad((p: DecoderParams) =>
        meanLoss(model, seedDropout(combine(p, frozen), randomKey(4)), layout, {
          rotary: model.tables(17),
          gradientCheckpointing,
        })
      )(trained)
    )(trained, frozen)
  );
  const [plain, checkpointed] = gradients.map((tree) => leavesOf(tree));
  for (const [i, [path, leaf]] of plain!.entries()) {
    const [a, b] = [leaf, checkpointed![i]![1]] as [Tensor, Tensor];
    assert.ok(distance(await b.data(), await a.data()) < 1e-6, path);
  }
  assert.equal(parametersOf(adapted).filter(([, weight]) => isLora(weight)).length, 2);
});

eachDevice("biases are trained by PEFT's option", async () => {
  const { params } = await readModel("qwen2");
  const { params: adapted } = await applyLora(params, { target_modules: ["q_proj"] }, randomKey(1));
  const biases = (bias: "none" | "all" | "lora_only") => {
    const [trained] = partition(adapted, adapterParameters(adapted, bias));
    return leavesOf(trained).map(([path]) => path).filter((path) => !path.includes("lora_"));
  };
  const layers = (...names: string[]) =>
    [0, 1].flatMap((i) => names.map((name) => `model.layers.${i}.self_attn.${name}.bias`));
  assert.deepEqual(biases("none"), []);
  assert.deepEqual(biases("lora_only"), layers("q_proj"));
  assert.deepEqual(biases("all"), layers("q_proj", "k_proj", "v_proj"));
});

eachDevice("copies of what is trained outlive its donation", async () => {
  const { model, adapted, layout, columns, loss } = await readGoldenAdapter("llama_lora");
  const [trained, frozen] = partition(adapted.params, isAdapterParameter);
  const reference = combine(await copyTensors(trained), frozen);
  const step = jit(
    (p: DecoderParams) => mapTree(p, (leaf) => (leaf as Tensor).mul(2)) as DecoderParams,
    { donate: [0] },
  );
  const doubled = combine(step(trained), frozen);
  const options = { rotary: model.tables(columns) };
  const [kept, changed] = [reference, doubled].map((p) => meanLoss(model, p, layout, options));
  assert.ok(Math.abs(await kept!.item() / loss - 1) < 2e-6);
  assert.ok(Math.abs(await changed!.item() / loss - 1) > 1e-3);
  await assert.rejects(() => meanLoss(model, adapted.params, layout, options).data(), /donated/);
});

eachDevice(
  "a base in bf16 trains as its numbers in f32 do, and what is trained is f32",
  async () => {
    const { model, params } = await readModel("qwen2");
    const narrow = await realize(
      mapTree(params, (leaf) => (leaf as Tensor).cast("bf16")) as DecoderParams,
    );
    const wide = mapTree(narrow, (leaf) => (leaf as Tensor).cast("f32")) as DecoderParams;
    const layout = rowsLayout(ids, 17);
    const options = { rotary: model.tables(17), gradientCheckpointing: true };
    const [first, second] = await Promise.all([narrow, wide].map(async (base) => {
      const { params: adapted, config } = await applyLora(base, {
        target_modules: ["q_proj", "down_proj"],
        modules_to_save: ["norm"],
        bias: "all",
        init_lora_weights: false,
      }, randomKey(7));
      const [trained, frozen] = partition(adapted, adapterParameters(adapted, config.bias));
      for (const [path, leaf] of leavesOf(trained)) {
        assert.equal((leaf as Tensor).dtype, "f32", path);
      }
      const [loss, gradients] = jit((trained: DecoderParams, frozen: DecoderParams) =>
        valueAndGrad((p: DecoderParams) => meanLoss(model, combine(p, frozen), layout, options))(
          trained,
        )
      )(trained, frozen);
      return { loss: await loss.item(), gradients: leavesOf(gradients) };
    }));
    assert.ok(Math.abs(first!.loss / second!.loss - 1) < 1e-6);
    assert.equal(first!.gradients.length, 2 * (2 * 2 + 3 + 2) + 1);
    for (const [i, [path, leaf]] of first!.gradients.entries()) {
      if (path.endsWith("k_proj.bias")) continue;
      const other = second!.gradients[i]![1] as Tensor;
      const error = distance(await (leaf as Tensor).data(), await other.data());
      assert.ok(error < 1e-5, `gradient of ${path} is off by ${error}`);
    }
  },
);
