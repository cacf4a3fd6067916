import assert from "node:assert/strict";
import {
  type DType,
  fromBytes,
  full,
  grad,
  iota,
  logSigmoid,
  logSoftmax,
  logSumExp,
  realize,
  softmax,
  softplus,
  type Tensor,
  tensor,
  variance,
  where,
  zeros,
} from "../../core/mod.ts";
import { eachDevice } from "../devices.ts";
import { assertClose, type Case, checkCases } from "./compare.ts";
import * as o from "./oracle.ts";

async function numbersOf(x: Tensor): Promise<number[]> {
  return Array.from(await x.data());
}

/** The gradient of Σ weights·f(x). */
function slope(f: (x: Tensor) => Tensor, x: Tensor, weights?: Tensor): Tensor {
  return grad((x: Tensor) => (weights ? f(x).mul(weights) : f(x)).sum())(x);
}

eachDevice("logSigmoid is exact and its gradient finite far from 0", async () => {
  const x = tensor([-1e30, -1000, -100, 0, 100, 1e30]);
  const [value, gradient, soft] = [logSigmoid(x), slope(logSigmoid, x), slope(softplus, x)];
  await realize([value, gradient, soft]);
  assertClose(await value.data(), [-1e30, -1000, -100, -Math.LN2, 0, 0], 2e-7, "value");
  assert.equal((await value.data())[2], -100);
  assertClose(await gradient.data(), [1, 1, 1, 0.5, 0, 0], 1e-6, "gradient");
  assertClose(await soft.data(), [0, 0, 0, 0.5, 1, 1], 1e-6, "softplus");
});

eachDevice(
  "softmax and logSumExp of masked rows are defined and have no gradient there",
  async () => {
    const x = tensor([[-Infinity, -Infinity, -Infinity], [0, -Infinity, 0], [1, 2, 3]]);
    const weights = tensor([[1, 2, 3], [4, 6, 8], [9, 7, 5]]);
    const value = softmax(x);
    const sums = logSumExp(x, 1);
    const gradient = slope((x) => softmax(x), x, weights);
    const sumGradient = slope((x) => logSumExp(x, 1), x);
    await realize([value, sums, gradient, sumGradient]);
    const e = [Math.exp(-2), Math.exp(-1), 1].map((v) => v / (1 + Math.exp(-1) + Math.exp(-2)));
    assertClose(await value.data(), [0, 0, 0, 0.5, 0, 0.5, ...e], 1e-6, "softmax");
    assertClose(
      await sums.data(),
      [-Infinity, Math.LN2, 3 + Math.log(1 + Math.exp(-1) + Math.exp(-2))],
      1e-6,
      "logSumExp",
    );
    const mean = 9 * e[0]! + 7 * e[1]! + 5 * e[2]!;
    const last = [9, 7, 5].map((w, i) => e[i]! * (w - mean));
    assertClose(await gradient.data(), [0, 0, 0, -1, 0, 1, ...last], 1e-6, "softmax gradient");
    assertClose(await sumGradient.data(), [0, 0, 0, 0.5, 0, 0.5, ...e], 1e-6, "logSumExp gradient");
  },
);

eachDevice("softmax does not overflow", async () => {
  const x = tensor([[1e30, 1e30, -1e30], [-1e30, -1e30, -1e30], [3e38, 0, -3e38]]);
  assertClose(
    await softmax(x).data(),
    [0.5, 0.5, 0, 1 / 3, 1 / 3, 1 / 3, 1, 0, 0],
    1e-6,
    "softmax",
  );
  // Two equal largest elements share the probability; the others have none.
  const expected = [-Math.LN2, -Math.log(3), 0];
  assertClose(await logSoftmax(x).slice(0, 1, 1).data(), expected, 1e-6, "logSoftmax");
});

eachDevice("ties of max, min, maximum and minimum share the gradient evenly", async () => {
  const x = tensor([[1, 3, 3, 2], [5, 5, 5, 5]]);
  const y = tensor([[1, 3, 4, 0], [5, 5, 5, 5]]);
  const weights = tensor([6, 8]);
  const found = [
    slope((x) => x.max(1), x, weights),
    slope((x) => x.neg().min(1).neg(), x, weights),
    slope((x) => x.maximum(y), x),
    slope((x) => x.minimum(y), x),
    slope((x) => x.max(), x),
  ];
  await realize(found);
  assert.deepEqual(await numbersOf(found[0]!), [0, 3, 3, 0, 2, 2, 2, 2]);
  assert.deepEqual(await numbersOf(found[1]!), [0, 3, 3, 0, 2, 2, 2, 2]);
  assert.deepEqual(await numbersOf(found[2]!), [0.5, 0.5, 0, 1, 0.5, 0.5, 0.5, 0.5]);
  assert.deepEqual(await numbersOf(found[3]!), [0.5, 0.5, 1, 0, 0.5, 0.5, 0.5, 0.5]);
  assert.deepEqual(await numbersOf(found[4]!), [0, 0, 0, 0, 0.25, 0.25, 0.25, 0.25]);
});

eachDevice("NaN passes through max, min, clamp and sums, and is not equal to itself", async () => {
  const x = tensor([[1, NaN, 3], [4, 5, 6]]);
  const results = [x.max(1), x.min(1), x.sum(1), x.maximum(2), x.minimum(2), x.clamp(0, 4)];
  const same = x.eq(x);
  await realize([results, same]);
  const isNaN = async (t: Tensor) => (await numbersOf(t)).map((v) => Number.isNaN(v));
  for (const t of results.slice(0, 3)) assert.deepEqual(await isNaN(t), [true, false]);
  for (const t of results.slice(3)) {
    assert.deepEqual(await isNaN(t), [false, true, false, false, false, false]);
  }
  assert.deepEqual(await numbersOf(same), [1, 0, 1, 1, 1, 1]);
});

eachDevice("infinities and very large and small numbers keep their meaning", async () => {
  const x = tensor([Infinity, -Infinity, 1e38, -1e38, 1e-38, 0]);
  const results: [Tensor, number[]][] = [
    [x.exp(), [Infinity, 0, Infinity, 0, 1, 1]],
    [x.sigmoid(), [1, 0, 1, 0, 0.5, 0.5]],
    [x.tanh(), [1, -1, 1, -1, 0, 0]],
    [x.erf(), [1, -1, 1, -1, 0, 0]],
    [x.expm1(), [Infinity, -1, Infinity, -1, 0, 0]],
    [x.abs().log1p(), [Infinity, Infinity, Math.log(1e38), Math.log(1e38), 0, 0]],
    [x.sign(), [1, -1, 1, -1, 1, 0]],
    [x.max(), [Infinity]],
    [x.min(), [-Infinity]],
    [x.mul(10), [Infinity, -Infinity, Infinity, -Infinity, 1e-37, 0]],
    [x.abs().add(1e-30).log(), [
      Infinity,
      Infinity,
      Math.log(1e38),
      Math.log(1e38),
      ...[1, 2].map(() => Math.log(1e-30)),
    ]],
  ];
  await realize(results.map(([t]) => t));
  for (const [i, [t, expected]] of results.entries()) {
    assertClose(await t.data(), expected, 1e-6, `result ${i}`);
  }
});

eachDevice("variance is computed in two passes", async () => {
  const x = tensor([10000.5, 10001.5, 10002.5, 10003.5]);
  assertClose(await variance(x).data(), [1.25], 1e-6, "variance");
});

eachDevice("rows gathered from outside a table are zeros and get no gradient", async () => {
  const table = tensor([[1, 2], [3, 4], [5, 6]]);
  const ids = tensor(Int32Array.of(2, 3, -1, 0, 2 ** 31 - 1, -(2 ** 31)));
  const rows = table.gather(ids);
  const gradient = slope((t) => t.gather(ids), table);
  await realize([rows, gradient]);
  assert.deepEqual(await numbersOf(rows), [5, 6, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0]);
  assert.deepEqual(await numbersOf(gradient), [1, 1, 0, 0, 1, 1]);
});

eachDevice("empty tensors go through every kind of operator", async () => {
  const x = zeros([0, 3]);
  assert.deepEqual(await numbersOf(x.mul(2).exp()), []);
  assert.deepEqual(await numbersOf(x.sum()), [0]);
  assert.deepEqual(await numbersOf(x.sum(0)), [0, 0, 0]);
  assert.deepEqual(await numbersOf(x.sum(1)), []);
  assert.deepEqual(await numbersOf(softmax(x)), []);
  assert.deepEqual(await numbersOf(x.transpose().matmul(zeros([0, 2]))), [0, 0, 0, 0, 0, 0]);
  assert.deepEqual(await numbersOf(tensor([1, 2]).slice(1, 1)), []);
  assert.deepEqual(await numbersOf(x.pad(1, 1, 0).add(1)), [1, 1, 1, 1, 1, 1]);
  assert.deepEqual(await numbersOf(slope((x) => x.exp(), x)), []);
  assert.throws(() => x.max(), /Cannot take the max of \[0, 3\]: it is empty/);
});

eachDevice("integers add, multiply, divide, compare and shift as integers", async () => {
  const [a, b] = [[7, -7, 2147483647, -2147483648, 100000], [2, 2, 1, 1, 100000]];
  const [x, y] = [tensor(Int32Array.from(a)), tensor(Int32Array.from(b))];
  const u = tensor(Uint32Array.of(0xdeadbeef, 1, 0xffffffff, 0));
  const results: [Tensor, number[]][] = [
    [x.add(y), [9, -5, -2147483648, -2147483647, 200000]],
    [x.sub(y), [5, -9, 2147483646, 2147483647, 0]],
    [x.mul(y), [14, -14, 2147483647, -2147483648, Math.imul(100000, 100000)]],
    [x.div(y), [3, -3, 2147483647, -2147483648, 1]],
    [x.mod(y), [1, -1, 0, 0, 0]],
    [x.maximum(y), [7, 2, 2147483647, 1, 100000]],
    [x.neg(), [-7, 7, -2147483647, -2147483648, -100000]],
    [x.abs().slice(0, 3), [7, 7, 2147483647]],
    [x.lt(y), [0, 1, 0, 1, 0]],
    [x.and(y), [2, 0, 1, 0, 100000]],
    [x.or(y), [7, -5, 2147483647, -2147483647, 100000]],
    [x.xor(y), [5, -5, 2147483646, -2147483647, 0]],
    [x.sum(), [100000 - 1]],
    [x.max(), [2147483647]],
    [x.min(), [-2147483648]],
    [u.shiftLeft(4), [0xeadbeef0, 16, 0xfffffff0, 0]],
    [u.shiftRight(28), [0xd, 0, 0xf, 0]],
    [u.shiftLeft(0), [0xdeadbeef, 1, 0xffffffff, 0]],
    [u.add(1), [0xdeadbef0, 2, 0, 1]],
    [u.mul(u), [Math.imul(0xdeadbeef, 0xdeadbeef) >>> 0, 1, 1, 0]],
    [u.div(2), [0x6f56df77, 0, 0x7fffffff, 0]],
    [u.lt(2), [0, 1, 0, 1]],
    [u.max(), [0xffffffff]],
    [iota(5).mul(3).flip(0), [12, 9, 6, 3, 0]],
    [iota(6).reshape(2, 3).transpose().slice(1, 3), [1, 4, 2, 5]],
    [iota(3).pad(1, 2), [0, 0, 1, 2, 0, 0]],
  ];
  await realize(results.map(([t]) => t));
  for (const [i, [t, expected]] of results.entries()) {
    assert.deepEqual(await numbersOf(t), expected, `result ${i}`);
  }
});

eachDevice("a shift by 32 bits or more gives 0", async () => {
  const amounts = tensor(Uint32Array.of(0, 1, 31, 32, 33, 63, 64, 0x80000000, 0xffffffff));
  const ones = tensor(Uint32Array.of(0xffffffff)).broadcastTo(9);
  const same = full([4], 40, "u32");
  const x = tensor(Uint32Array.of(1, 2, 0xdeadbeef, 0xffffffff));
  const bytes = tensor([255, 3]).cast("u8");
  const results: [Tensor, number[]][] = [
    [ones.shiftLeft(amounts), [0xffffffff, 0xfffffffe, 0x80000000, 0, 0, 0, 0, 0, 0]],
    [ones.shiftRight(amounts), [0xffffffff, 0x7fffffff, 1, 0, 0, 0, 0, 0, 0]],
    [x.shiftLeft(32), [0, 0, 0, 0]],
    [x.shiftRight(40), [0, 0, 0, 0]],
    [x.shiftLeft(31), [0x80000000, 0, 0x80000000, 0x80000000]],
    // An amount that the kernel knows when it is made.
    [x.shiftLeft(same), [0, 0, 0, 0]],
    [x.shiftRight(same.sub(36)), [0, 0, 0x0deadbee, 0x0fffffff]],
    [x.reshape(4, 1).shiftRight(amounts.slice(1, 4)), [
      ...[0, 0, 0, 1, 0, 0, 0x6f56df77, 1, 0, 0x7fffffff, 1, 0],
    ]],
    [bytes.shiftLeft(9), [0x1fe00, 0x600]],
  ];
  await realize(results.map(([t]) => t));
  for (const [i, [t, expected]] of results.entries()) {
    assert.deepEqual(await numbersOf(t), expected, `result ${i}`);
  }
  assert.throws(() => x.shiftLeft(-1), /Cannot shift by -1 bits/);
  assert.throws(() => x.shiftLeft(1.5), /Cannot combine u32\[4\] with 1\.5/);
  assert.throws(() => iota(2).shiftLeft(1), /Cannot shift i32\[2\]: cast it to u32/);
});

eachDevice("casts truncate, saturate and test for 0", async () => {
  const x = tensor([1.9, -1.9, 3e9, -3e9, 0, NaN, 300, Infinity]);
  const results: [Tensor, number[]][] = [
    [x.cast("i32"), [1, -1, 2147483647, -2147483648, 0, 0, 300, 2147483647]],
    [x.cast("u32"), [1, 0, 3000000000, 0, 0, 0, 300, 4294967295]],
    [x.cast("bool"), [1, 1, 1, 1, 0, 1, 1, 1]],
    [x.cast("bool").cast("f32").mul(2), [2, 2, 2, 2, 0, 2, 2, 2]],
    [tensor([0, 2, 255]).cast("u8"), [0, 2, 255]],
    [tensor([true, false, true]).cast("i32"), [1, 0, 1]],
    [tensor(Int32Array.of(-1, 5)).cast("u32"), [4294967295, 5]],
    [tensor(Int32Array.of(16777217, -3)).cast("f32"), [16777216, -3]],
    [tensor([1, -2]).bitcast("u32"), [0x3f800000, 0xc0000000]],
    [tensor(Int32Array.of(0x40490fdb)).bitcast("f32"), [Math.fround(Math.PI)]],
    [tensor([true, true, false]).sum(), [2]],
    [tensor([true, true, false]).and(tensor([true, false, false])), [1, 0, 0]],
    [tensor([true, true, false]).xor(tensor([true, false, false])), [0, 1, 0]],
    [tensor([true, false]).not(), [0, 1]],
    [where(tensor([true, false]), tensor([1, 2]), NaN), [1, NaN]],
  ];
  await realize(results.map(([t]) => t));
  for (const [i, [t, expected]] of results.entries()) {
    assert.deepEqual(await numbersOf(t), expected, `result ${i}`);
  }
});

/** Numbers on both sides of rounding: ties, subnormals, the largest, overflow. */
const delicate = [
  ...[0, 1, -1, 1.00390625, 1.01171875, 1.0078125, 3.1415927, -65504, 65519, 65520, 1e-8],
  ...[5.9604645e-8, 2.9802322e-8, 8.940697e-8, 6.1e-5, 3.3895314e38, 3.4e38, 1e-40, Infinity],
  -Infinity,
];

function nearestBfloat16(x: number): number {
  const bits = new Uint32Array(Float32Array.of(x).buffer)[0]!;
  const rounded = ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) << 16;
  return new Float32Array(Uint32Array.of(rounded).buffer)[0]!;
}

const halves: [DType, (x: number) => number][] = [["bf16", nearestBfloat16], [
  "f16",
  (x) => Math.f16round(x),
]];
for (const [dtype, round] of halves) {
  eachDevice(`${dtype} is widened on load and rounded to nearest even on store`, async () => {
    const expected = delicate.map((x) => round(Math.fround(x)));
    const stored = tensor(delicate, { dtype });
    const cast = tensor(delicate).cast(dtype);
    const widened = stored.cast("f32");
    const doubled = stored.slice(1, 8).mul(2).cast(dtype);
    await realize([cast, widened, doubled]);
    assert.equal(cast.dtype, dtype);
    assert.deepEqual(await numbersOf(stored), expected);
    assert.deepEqual(await numbersOf(widened), expected);
    // Whether subnormals survive arithmetic is up to the device; whether casts keep normal ones is not.
    const found = await numbersOf(cast);
    const tiny = dtype === "f16" ? 6.2e-5 : 1.2e-38;
    expected.forEach((value, i) => {
      if (Math.abs(value) >= tiny || value === 0 && delicate[i] === 0) {
        assert.equal(found[i], value);
      } else assert.ok(found[i] === value || found[i] === 0, `${delicate[i]} became ${found[i]}`);
    });
    assert.deepEqual(
      await numbersOf(doubled),
      expected.slice(1, 8).map((x) => round(Math.fround(x * 2))),
    );
  });
}

eachDevice("NaN survives narrow types", async () => {
  for (const dtype of ["f16", "bf16"] as const) {
    assert.deepEqual(await numbersOf(tensor([NaN, 1]).cast(dtype)), [NaN, 1]);
  }
});

eachDevice("narrow tensors of odd sizes are read and written whole", async () => {
  for (const dtype of ["u8", "bf16", "f16"] as const) {
    for (const n of [1, 2, 3, 5, 9]) {
      const values = Array.from({ length: n * 3 }, (_, i) => i + 1);
      const x = tensor(values, { dtype, shape: [n, 3] });
      const wide = x.transpose().flip(0);
      const doubled = (dtype === "u8" ? wide.cast("u32") : wide).mul(2).cast(dtype);
      const expected = o.map(o.flip(o.permute(o.array([n, 3], values), [1, 0]), [0]), (v) => 2 * v);
      assert.deepEqual(await numbersOf(doubled), [...expected.data], `${dtype} [${n}, 3]`);
    }
  }
});

eachDevice("matrix products, gathers and sums of narrow operands accumulate in f32", async () => {
  const exact = (shape: number[], seed: number) =>
    o.map(o.randomIntegers(shape, seed, -8, 8), (v) => v / 8);
  const ids = o.array([3], [4, 0, 9]);
  await checkCases((["bf16", "f16"] as const).flatMap((dtype): Case[] => [
    {
      name: `${dtype} product`,
      inputs: [exact([5, 9], 1), exact([3, 9], 2)],
      dtypes: ["f32", dtype],
      f: (a, b) => a.matmul(b.transpose()),
      reference: (a, b) => o.matmul(a, b, false, true),
      differentiable: false,
    },
    {
      name: `${dtype} gather`,
      inputs: [exact([5, 3], 3), ids],
      dtypes: [dtype, "i32"],
      f: (table, ids) => table.gather(ids).cast("f32"),
      reference: o.gather,
      differentiable: false,
    },
    {
      name: `${dtype} sum`,
      inputs: [exact([300, 2], 4)],
      dtypes: [dtype],
      f: (x) => x.sum(0),
      reference: (x) => o.reduce(x, [0], o.total),
      differentiable: false,
    },
  ]));
});

eachDevice("gradients flow through casts in the dtype of the variable", async () => {
  const x = tensor([1, 2, 3], { dtype: "bf16" });
  const gradient = slope((x) => x.cast("f32").square(), x);
  assert.equal(gradient.dtype, "bf16");
  assert.deepEqual(await numbersOf(gradient), [2, 4, 6]);
});

eachDevice("constants and bytes become tensors of every dtype", async () => {
  assert.deepEqual(await numbersOf(full([2, 2], 7)), [7, 7, 7, 7]);
  assert.deepEqual(await numbersOf(full([3], 1, "bool")), [1, 1, 1]);
  assert.deepEqual(await numbersOf(full([3], 5, "i32")), [5, 5, 5]);
  assert.deepEqual(await numbersOf(full([5], 200, "u8")), [200, 200, 200, 200, 200]);
  assert.deepEqual(await numbersOf(full([3], 1.5, "bf16")), [1.5, 1.5, 1.5]);
  assert.deepEqual(await numbersOf(full([2], -Infinity)), [-Infinity, -Infinity]);
  assert.deepEqual(await numbersOf(full([2], NaN)), [NaN, NaN]);
  assert.deepEqual(await numbersOf(fromBytes(Uint8Array.of(1, 2, 3), [3], "u8")), [1, 2, 3]);
  assert.equal(await tensor(3).item(), 3);
  await assert.rejects(tensor([1, 2]).item(), /\[2\]/);
});

Deno.test("operators refuse shapes and dtypes that do not fit, at once and by name", () => {
  const x = zeros([2, 3]);
  assert.throws(() => x.add(zeros([4])), /Cannot add: shapes do not broadcast: \[2, 3\] and \[4\]/);
  assert.throws(() => x.add(zeros([3], "i32")), /Cannot add f32\[2, 3\] and i32\[.*\]: cast one/);
  assert.throws(() => x.matmul(x), /inner sizes must agree: shapes are \[2, 3\] and \[2, 3\]/);
  assert.throws(() => x.reshape(4, -1), /Cannot reshape: \[2, 3\] has 6 elements/);
  assert.throws(() => x.sum(2), /no axis 2 in shape \[2, 3\]/);
  assert.throws(() => x.transpose(0, 0), /Cannot transpose \[2, 3\] by axes \[0, 0\]/);
  assert.throws(() => x.gather(zeros([1])), /ids are f32, not i32/);
  assert.throws(() => x.cast("i32").exp(), /Cannot take exp of i32/);
  assert.throws(() => x.and(x), /Cannot and f32/);
  assert.throws(() => x.broadcastTo(3, 3), /broadcast/);
  assert.throws(() => grad((x: Tensor) => x.mul(2))(x), /not a single f32 number/);
  assert.throws(() => tensor([[1, 2], [3]]), /rows have 2 and 1 elements/);
});
