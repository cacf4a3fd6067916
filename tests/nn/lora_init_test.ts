import assert from "node:assert/strict";
import { matmul, randomKey, realize, Tensor, tensor } from "../../core/mod.ts";
import {
  applyLora,
  type DecoderParams,
  denseWeight,
  isLora,
  isLoraEmbedding,
  isQuantized,
  type Lora,
  lora,
  type LoraConfig,
  type LoraInit,
  mapWeights,
  parametersOf,
  project,
  quantize,
  seedDropout,
} from "../../nn/mod.ts";
import { truncatedQr } from "../../nn/qr.ts";
import { truncatedSvd } from "../../nn/svd.ts";
import { readFixture } from "../data/fixture_files.ts";
import { eachDevice } from "../devices.ts";
import { readModel } from "./adapters.ts";

/** What PEFT begins with: the first four rows of matrices, and OLoRA's factors. */
interface InitCase {
  readonly options: Partial<LoraConfig>;
  readonly modules: Readonly<
    Record<string, {
      readonly delta_first_rows: readonly number[];
      readonly base_first_rows: readonly number[];
      readonly lora_A?: readonly number[];
      readonly lora_B?: readonly number[];
      readonly magnitude?: readonly number[];
    }>
  >;
}

const cases = await readFixture<InitCase[]>("lora_init.json");

function loraAt(params: DecoderParams, module: string): Lora {
  const weight = new Map(parametersOf(params)).get(`${module}.weight`);
  assert.ok(isLora(weight));
  return weight;
}

async function assertNear(
  actual: Tensor,
  expected: readonly number[],
  what: string,
): Promise<void> {
  const values = await actual.data();
  const most = Math.max(...expected.map(Math.abs));
  expected.forEach((x, i) => {
    const error = Math.abs(values[i]! - x);
    assert.ok(error < 2e-5 * most, `${what}[${i}] is ${values[i]}, not ${x}`);
  });
}

for (const { options, modules } of cases) {
  eachDevice(`${JSON.stringify(options)} begins where PEFT does`, async () => {
    const { params } = await readModel("llama");
    const { params: adapted } = await applyLora(
      params,
      { ...options, target_modules: Object.keys(modules) },
      randomKey(0),
    );
    for (const [module, expected] of Object.entries(modules)) {
      const weight = loraAt(adapted, module);
      const { base, lora_A, lora_B, scaling, lora_magnitude_vector } = weight;
      const delta = matmul(lora_B, lora_A).mul(scaling);
      await assertNear(delta, expected.delta_first_rows, `${module} delta`);
      await assertNear(denseWeight(base), expected.base_first_rows, `${module} base`);
      if (expected.lora_A) await assertNear(lora_A, expected.lora_A, `${module} A`);
      if (expected.lora_B) await assertNear(lora_B, expected.lora_B, `${module} B`);
      assert.equal(!!lora_magnitude_vector, !!expected.magnitude);
      if (lora_magnitude_vector && expected.magnitude) {
        await assertNear(lora_magnitude_vector, expected.magnitude, `${module} magnitude`);
      }
      // Together they are what the base was.
      const original = new Map(parametersOf(params)).get(`${module}.weight`) as Tensor;
      await assertNear(
        denseWeight({ ...weight, lora_magnitude_vector: null }),
        Array.from(await original.data()),
        module,
      );
    }
  });
}

eachDevice("a quantised base that loses its principal part is quantised again", async () => {
  const { params } = await readModel("llama");
  const name = "model.layers.0.mlp.down_proj";
  const original = new Map(parametersOf(params)).get(`${name}.weight`) as Tensor;
  const quantized = await quantize(original, { format: "nf4", nested: true });
  const { params: adapted } = await applyLora(
    mapWeights(params, [name], () => quantized),
    { r: 4, target_modules: [name], init_lora_weights: "olora" },
    randomKey(0),
  );
  const { base } = loraAt(adapted, name);
  assert.ok(isQuantized(base) && base.format === "nf4" && !(base.absmax instanceof Tensor));
  const before = await denseWeight(quantized).data();
  const after = await denseWeight(loraAt(adapted, name)).data();
  const most = Math.max(...Array.from(before).map(Math.abs));
  assert.ok(after.some((x, i) => x !== before[i]));
  after.forEach((x, i) => assert.ok(Math.abs(x - before[i]!) < 0.2 * most));
});

async function beginnings(init: LoraInit): Promise<[a: number[], b: number[]]> {
  const base = tensor(new Float32Array(96 * 400), { shape: [96, 400] });
  const settings = { r: 16, scaling: 1, dropout: 0, dora: false, init };
  const weight = lora(base, settings, randomKey(9));
  assert.ok(isLora(weight));
  await realize(weight);
  return [Array.from(await weight.lora_A.data()), Array.from(await weight.lora_B.data())];
}

eachDevice("fresh updates are distributed as PEFT's", async () => {
  const deviation = (x: readonly number[]) =>
    Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length);
  const [uniform, zero] = await beginnings(true);
  assert.ok(Math.max(...uniform.map(Math.abs)) <= 1 / 20);
  assert.ok(Math.abs(deviation(uniform) / (1 / 20 / Math.sqrt(3)) - 1) < 0.03);
  assert.ok(zero.every((x) => x === 0));
  const [normal, none] = await beginnings("gaussian");
  assert.ok(Math.abs(deviation(normal) * 16 - 1) < 0.05);
  assert.ok(Math.max(...normal.map(Math.abs)) > 3 / 16);
  assert.ok(none.every((x) => x === 0));
  const [, random] = await beginnings(false);
  assert.ok(Math.max(...random.map(Math.abs)) <= 1 / 4);
  assert.ok(Math.abs(deviation(random) / (1 / 4 / Math.sqrt(3)) - 1) < 0.05);

  const { params } = await readModel("llama");
  const adapt = (init_lora_weights: LoraInit) =>
    applyLora(params, { target_modules: ["embed_tokens"], init_lora_weights }, randomKey(0));
  for (const init of [true, "pissa", false] as const) {
    const weight = parametersOf((await adapt(init)).params)[0]![1];
    assert.ok(isLoraEmbedding(weight));
    const a = Array.from(await weight.lora_embedding_A.data());
    assert.equal(a.every((x) => x === 0), init !== false);
    const b = Array.from(await weight.lora_embedding_B.data());
    assert.ok(Math.abs(deviation(b) - 1) < 0.2);
  }
});

eachDevice("updates differ from module to module and with the key", async () => {
  const { params } = await readModel("llama");
  const read = async (seed: number) => {
    const { params: adapted } = await applyLora(params, {}, randomKey(seed), {
      modelType: "llama",
    });
    const updates = parametersOf(adapted).flatMap(([, weight]) => isLora(weight) ? [weight] : []);
    return await Promise.all(updates.map(async ({ lora_A }) => (await lora_A.data()).join()));
  };
  const [first, again, other] = [await read(1), await read(1), await read(2)];
  assert.deepEqual(first, again);
  assert.equal(new Set([...first, ...other]).size, 8);
});

eachDevice("dropout drops its share of the update's input and scales up the rest", async () => {
  const eye = tensor(
    Array.from({ length: 64 }, (_, i) => Array.from({ length: 64 }, (_, j) => i === j ? 1 : 0)),
  );
  const zeros = eye.mul(0);
  const weight: Lora = { base: zeros, lora_A: eye, lora_B: eye, scaling: 1, dropout: 0.25 };
  const x = zeros.add(1);
  const out = Array.from(await project(seedDropout(weight, randomKey(6)), x).data());
  assert.ok(out.every((y) => y === 0 || Math.abs(y - 4 / 3) < 1e-6));
  const share = out.filter((y) => y === 0).length / out.length;
  // Four standard deviations of a share of 4096.
  assert.ok(Math.abs(share - 0.25) < 4 * Math.sqrt(0.25 * 0.75 / 4096), `${share}`);
  assert.ok(Array.from(await project(weight, x).data()).every((y) => y === 1));
});

/** Numbers that look random. */
function noise(length: number, seed: number): Float64Array {
  return Float64Array.from(
    { length },
    (_, i) => Math.sin((i + 1) * 12.9898 + seed) * 43758.5453 % 1,
  );
}

Deno.test("truncatedSvd() finds the largest singular values and their vectors", () => {
  for (
    const [rows, columns, count] of [[90, 70, 5], [30, 150, 30], [1, 7, 1], [40, 3, 2]] as const
  ) {
    const w = noise(rows * columns, rows);
    const { left, values, right } = truncatedSvd(w, [rows, columns], count);
    const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
    for (let k = 0; k < count; k++) {
      assert.ok(k === 0 || values[k]! <= values[k - 1]!);
      for (let j = 0; j < count; j++) {
        assert.ok(Math.abs(dot(left[k]!, left[j]!) - (j === k ? 1 : 0)) < 1e-9);
        assert.ok(Math.abs(dot(right[k]!, right[j]!) - (j === k ? 1 : 0)) < 1e-9);
      }
      // W v = σ u and Wᵀ u = σ v.
      for (let i = 0; i < rows; i++) {
        const wv = dot(w.subarray(i * columns, (i + 1) * columns), right[k]!);
        assert.ok(Math.abs(wv - values[k]! * left[k]![i]!) < 1e-9 * values[0]!);
      }
    }
    // None is left that is larger: power iteration on what remains.
    let v = noise(columns, 3);
    let length = 0;
    for (let step = 0; step < 300; step++) {
      for (const other of right) {
        const part = dot(v, other);
        v = v.map((x, i) => x - part * other[i]!);
      }
      const u = Float64Array.from(
        { length: rows },
        (_, i) => dot(w.subarray(i * columns, (i + 1) * columns), v),
      );
      length = Math.sqrt(dot(u, u)) / Math.sqrt(dot(v, v));
      const next = new Float64Array(columns);
      u.forEach((x, i) => next.forEach((_, j) => next[j]! += x * w[i * columns + j]!));
      const size = Math.sqrt(dot(next, next));
      if (size < 1e-12) break;
      v = next.map((x) => x / size);
    }
    assert.ok(length <= values[count - 1]! * (1 + 1e-9), `${length} > ${values[count - 1]}`);
  }
});

Deno.test("truncatedSvd() bears matrices of low rank, of zeros, and with equal singular values", () => {
  const outer = Float64Array.from({ length: 60 * 50 }, (_, i) => (i % 50 + 1) * (i / 50 | 0));
  const low = truncatedSvd(outer, [60, 50], 4);
  assert.ok(low.values[0]! > 1 && low.values[1]! < 1e-8 * low.values[0]!);
  assert.deepEqual([...truncatedSvd(new Float64Array(12), [3, 4], 2).values], [0, 0]);
  const eye = Float64Array.from({ length: 2500 }, (_, i) => i % 51 === 0 ? 1 : 0);
  truncatedSvd(eye, [50, 50], 3).values.forEach((s) => assert.ok(Math.abs(s - 1) < 1e-12));
});

Deno.test("truncatedQr() gives orthonormal columns and an upper triangle, of any shape", () => {
  for (const [rows, columns, count] of [[9, 5, 5], [5, 9, 5], [4, 4, 2], [1, 3, 1]] as const) {
    const w = noise(rows * columns, columns);
    const { q, r } = truncatedQr(w, [rows, columns], count);
    for (let a = 0; a < count; a++) {
      for (let b = 0; b < count; b++) {
        let dot = 0;
        for (let i = 0; i < rows; i++) dot += q[i * count + a]! * q[i * count + b]!;
        assert.ok(Math.abs(dot - (a === b ? 1 : 0)) < 1e-12);
        // R's rows are those of QᵀW.
      }
      for (let j = 0; j < columns; j++) {
        let dot = 0;
        for (let i = 0; i < rows; i++) dot += q[i * count + a]! * w[i * columns + j]!;
        assert.ok(Math.abs(dot - r[a * columns + j]!) < 1e-12, `${rows}x${columns}: R[${a}, ${j}]`);
        if (j < a) assert.equal(r[a * columns + j], 0);
      }
    }
  }
});
