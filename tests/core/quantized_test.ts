import assert from "node:assert/strict";
import {
  type BlockCode,
  dequantize,
  type Device,
  grad,
  jit,
  matmul,
  quantizedMatmul,
  type QuantizedMatrix,
  realize,
  setDevice,
  type Tensor,
  tensor,
  vjp,
} from "../../core/mod.ts";
import { blockCodes, codeBytes, scaleCount } from "../../core/block_codes.ts";
import { openCpu } from "../../core/device/cpu/device.ts";
import { printPlan } from "../../core/print.ts";
import { openSafetensors } from "../../data/weights/safetensors.ts";
import { openAdapter } from "../adapter.ts";
import { devices, eachDevice } from "../devices.ts";
import { generator, uniform } from "./attention_cases.ts";
import { assertClose } from "./compare.ts";

const formats: readonly BlockCode[] = ["nf4", "fp4", "int8"];

// Products have kernels of several kinds: with and without a BLAS, for software and for hardware adapters.
const others: readonly (readonly [name: string, device: Device | undefined])[] = [
  ["cpu without a BLAS, 3 threads", await openCpu({ blas: false, threads: 3 })],
  ["webgpu, kernels for hardware", await openAdapter({ kernels: "hardware" })],
];

function everyKernel(name: string, body: () => Promise<void>): void {
  eachDevice(name, body);
  for (const [words, device] of others) {
    if (!device) continue;
    Deno.test(`${name} (${words})`, async () => {
      setDevice(device);
      await body();
      setDevice(devices[0]!);
    });
  }
}

function random(shape: readonly number[], seed: number): Tensor {
  return tensor(uniform(generator(seed), shape.reduce((a, n) => a * n, 1)), { shape });
}

/** A matrix of random codes and scales, and its elements by the definition. */
function randomMatrix(
  format: BlockCode,
  shape: readonly [number, number],
  seed: number,
): { readonly w: QuantizedMatrix; readonly elements: Float64Array } {
  const [rows, columns] = shape;
  const { bits, values } = blockCodes[format];
  const next = generator(seed);
  const bytes = Uint8Array.from(
    { length: codeBytes(format, rows * columns) },
    () => Math.floor(next() * 256),
  );
  // −128 is no code.
  if (bits === 8) bytes.forEach((byte, i) => bytes[i] = byte === 128 ? 127 : byte);
  const absmax = Float32Array.from(
    { length: scaleCount(format, rows, columns) },
    () => 0.1 + next(),
  );
  const elements = Float64Array.from({ length: rows * columns }, (_, i) => {
    if (values === null) {
      return (bytes[i]! << 24 >> 24) * absmax[Math.floor(i / columns)]! / 127;
    }
    const byte = bytes[i >> 1]!;
    return values[i % 2 === 0 ? byte >> 4 : byte & 15]! * absmax[i >> 6]!;
  });
  return { w: { format, shape, codes: tensor(bytes), absmax: tensor(absmax) }, elements };
}

/** x [m, k] by W [out, in] or its transpose, in double precision. */
function product(
  x: ArrayLike<number>,
  elements: Float64Array,
  [out, inner]: readonly [number, number],
  transpose: boolean,
): Float64Array {
  const [k, n] = transpose ? [inner, out] : [out, inner];
  const result = new Float64Array(x.length / k * n);
  for (let i = 0; i < result.length; i++) {
    const [row, column] = [Math.floor(i / n), i % n];
    let sum = 0;
    for (let p = 0; p < k; p++) {
      sum += x[row * k + p]! * elements[transpose ? column * inner + p : p * inner + column]!;
    }
    result[i] = sum;
  }
  return result;
}

async function file(name: string): Promise<Map<string, Float32Array | Uint8Array>> {
  const url = new URL(`../fixtures/quant/${name}.safetensors`, import.meta.url);
  using stored = await openSafetensors(url.pathname);
  const arrays = new Map<string, Float32Array | Uint8Array>();
  for (const [key, { dtype, bytes }] of stored.tensors) {
    const contents = await bytes();
    arrays.set(key, dtype === "F32" ? new Float32Array(contents.buffer) : contents);
  }
  return arrays;
}

eachDevice("dequantize gives the values of recorded matrices", async () => {
  const shapes = { ragged: [7, 13], wide: [3, 200], tall: [48, 40] } as const;
  for (const [name, shape] of Object.entries(shapes)) {
    const arrays = await file(name);
    for (const format of formats) {
      const codes = arrays.get(format === "int8" ? "int8.codes" : `${format}.packed`)!;
      const absmax = arrays.get(`${format}.absmax`)!;
      const expected = arrays.get(`${format}.dequantized`)!;
      const w = { format, shape, codes: tensor(codes), absmax: tensor(absmax) };
      const found = await dequantize(w).data();
      assert.equal(found.length, expected.length);
      for (let i = 0; i < expected.length; i++) {
        const distance = Math.abs(found[i]! - expected[i]!);
        assert.ok(distance <= 1e-6 * Math.abs(expected[i]!), `${name}, ${format}: element ${i}`);
      }
    }
  }
});

// Rows whose length is odd, even, a multiple of 4, 64; beyond the sizes of tiles and of decoded pieces.
const sizes: readonly (readonly [m: number, out: number, inner: number])[] = [
  [1, 7, 13],
  [3, 64, 64],
  [8, 33, 130],
  [5, 70, 1100],
  [2, 1100, 70],
  [9, 65, 67],
  [20, 130, 70],
  [70, 72, 68],
  [131, 100, 601],
  [12, 1100, 300],
  [10, 301, 1100],
  // Beyond the loop iterations of a software adapter, which sums such rows in parts.
  [2, 3, 17_001],
  [1, 17_001, 3],
];

everyKernel("products with quantised matrices equal those with their values", async () => {
  const cases = formats.flatMap((format) =>
    sizes.flatMap(([m, out, inner], i) =>
      [true, false].map((transpose) => {
        const { w, elements } = randomMatrix(format, [out, inner], 1 + i);
        const x = random([m, transpose ? inner : out], 100 + i);
        const found = quantizedMatmul(x, w, { transpose });
        return {
          name: `${m} × ${format} [${w.shape}] ${transpose}`,
          w,
          elements,
          x,
          transpose,
          found,
        };
      })
    )
  );
  await realize(cases.map(({ x, found }) => [x, found]));
  for (const { name, w, elements, x, transpose, found } of cases) {
    const expected = product(await x.data(), elements, w.shape, transpose);
    const inner = x.shape[1]!;
    assertClose(await found.data(), expected, Math.max(2e-6, inner * 2 ** -28), name);
  }
});

everyKernel("a product with a quantised matrix adds up where a sum does", async () => {
  const cases = formats.flatMap((format) =>
    ([[4, 70, 65], [40, 68, 72]] as const).flatMap(([m, out, inner]) =>
      [true, false].map((transpose) => {
        const { w, elements } = randomMatrix(format, [out, inner], 7);
        const x = random([m, transpose ? inner : out], 8);
        const y = random([m, transpose ? out : inner], 9);
        const f = jit((a: Tensor, b: Tensor) => b.exp().add(quantizedMatmul(a, w, { transpose })));
        return { f, format, x, y, w, elements, transpose };
      })
    )
  );
  for (const { f, format, x, y, w, elements, transpose } of cases) {
    assert.match(printPlan(f.plan(x, y).plan), new RegExp(`matmul .*b=${format}.*accumulate`));
    const expected = product(await x.data(), elements, w.shape, transpose);
    const start = await y.data();
    expected.forEach((value, i) => expected[i] = value + Math.exp(start[i]!));
    assertClose(await f(x, y).data(), expected, 1e-6, format);
  }
});

eachDevice("gradients flow through quantised products to the left operand", async () => {
  for (const format of formats) {
    const [first, second] = [
      randomMatrix(format, [37, 50], 1).w,
      randomMatrix(format, [41, 37], 2).w,
    ];
    const x = random([2, 9, 50], 3);
    const run = (multiply: (x: Tensor, w: QuantizedMatrix) => Tensor) => (input: Tensor) =>
      multiply(multiply(input, first).tanh(), second);
    const exact = (a: Tensor, w: QuantizedMatrix) => matmul(a, dequantize(w), { transposeB: true });
    const coded = (a: Tensor, w: QuantizedMatrix) => quantizedMatmul(a, w, { transpose: true });
    const cotangent = random([2, 9, 41], 4);
    const [y, pull] = vjp(run(coded), x);
    const [z, pullExact] = vjp(run(exact), x);
    assert.deepEqual(y.shape, [2, 9, 41]);
    const [found, expected] = [pull(cotangent), pullExact(cotangent)];
    await realize([y, z, found, expected]);
    assertClose(await y.data(), await z.data(), 2e-6, `${format}: value`);
    assert.deepEqual(found.shape, x.shape);
    assertClose(await found.data(), await expected.data(), 5e-6, `${format}: gradient`);

    // A second time, and with respect to everything: codes and scales are constants.
    const norm = (f: (x: Tensor) => Tensor) => (input: Tensor) =>
      grad((a: Tensor) => f(a).square().sum())(input).square().sum();
    const [twice, twiceExact] = [grad(norm(run(coded)))(x), grad(norm(run(exact)))(x)];
    assertClose(await twice.data(), await twiceExact.data(), 2e-5, `${format}: second gradient`);
    const all = grad((w: QuantizedMatrix) => coded(x, w).sum())(first);
    assert.ok((await all.absmax.data()).every((value) => value === 0));
  }
});

eachDevice("half-precision activations multiply quantised matrices", async () => {
  for (const dtype of ["bf16", "f16"] as const) {
    for (const m of [3, 24]) {
      const { w, elements } = randomMatrix("nf4", [66, 90], 5);
      const x = await realize(random([m, 90], 6).cast(dtype));
      const expected = product(await x.cast("f32").data(), elements, w.shape, true);
      const found = await quantizedMatmul(x, w, { transpose: true }).data();
      assertClose(found, expected, 1e-6, `${dtype}, ${m} rows`);
    }
  }
});

eachDevice("no decoded matrix is in memory, forwards or backwards", () => {
  const size = 512;
  for (const format of formats) {
    const { w } = randomMatrix(format, [size, size], 1);
    // The shape is made inside: numbers among the arguments would be values.
    const loss = (x: Tensor, codes: Tensor, absmax: Tensor) => {
      const weight = { format, shape: [size, size] as const, codes, absmax };
      const hidden = quantizedMatmul(x, weight, { transpose: true }).tanh();
      return quantizedMatmul(hidden, weight, { transpose: true }).square().sum();
    };
    const step = jit((x: Tensor, codes: Tensor, absmax: Tensor) => grad(loss)(x, codes, absmax));
    const { plan } = step.plan(random([4, size], 2), w.codes, w.absmax);
    // A handful of activations; the matrix in f32 would take 1 MiB, in f16 half of that.
    assert.ok(plan.arenaBytes <= 8 * 4 * size * 4, `${format}: ${plan.arenaBytes} bytes`);
    assert.equal(plan.launches.filter(({ kernel }) => kernel.op === "matmul").length, 4);
  }
});

eachDevice("a product of no rows, or with a matrix of no columns, is empty or zero", async () => {
  const { w } = randomMatrix("nf4", [5, 9], 1);
  const none = quantizedMatmul(tensor(new Float32Array(), { shape: [0, 9] }), w, {
    transpose: true,
  });
  assert.deepEqual(none.shape, [0, 5]);
  assert.equal((await none.data()).length, 0);
  const { w: narrow } = randomMatrix("int8", [5, 0], 1);
  const zero = quantizedMatmul(tensor(new Float32Array(), { shape: [2, 0] }), narrow, {
    transpose: true,
  });
  assert.deepEqual(Array.from(await zero.data()), new Array(10).fill(0));
});

Deno.test("a quantised matrix whose parts do not fit its shape is refused, with the sizes it takes", () => {
  const { w } = randomMatrix("nf4", [5, 9], 1);
  assert.throws(
    () => quantizedMatmul(random([2, 9], 1), { ...w, shape: [5, 10] }, { transpose: true }),
    /takes 25 bytes of codes \(u8\) and 1 scales/,
  );
  assert.throws(
    () => quantizedMatmul(random([2, 9], 1), w),
    /Cannot multiply Tensor f32\[2, 9\] and the nf4 matrix \[5, 9\]: .* size 5/,
  );
  assert.throws(() => dequantize({ ...w, format: "int8" }), /takes 45 bytes of codes/);
  const passed = jit((x: Tensor, matrix: QuantizedMatrix) => quantizedMatmul(x, matrix));
  assert.throws(() => passed(random([2, 5], 1), w), /jit takes numbers .* for values/);
});
