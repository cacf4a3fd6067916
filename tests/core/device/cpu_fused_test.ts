import assert from "node:assert/strict";
import { decode, type Elements, encode, interpret } from "../interpret.ts";
import type { Access, FusedKernel, ReduceFunction } from "../../../core/kernel.ts";
import type { DType } from "../../../core/dtype.ts";
import { runFused } from "./fused_harness.ts";
import { type Case, random, randomCase } from "./random_kernels.ts";

const tolerances: Readonly<Record<DType, number>> = {
  f32: 2e-6,
  f16: 1e-3,
  bf16: 8e-3,
  i32: 0,
  u32: 0,
  u8: 0,
  bool: 0,
};

/** The interpreter's results, with arithmetic rounded as f32 rounds it. */
function expected({ kernel, ints, scalars, args }: Case): Elements[] {
  const results = args.map((elements) => elements.slice());
  interpret(kernel, ints, [], scalars, results, Math.fround);
  return results;
}

function assertAgree(test: Case, actual: readonly Elements[], message: string): void {
  const wanted = expected(test);
  test.kernel.args.forEach(({ dtype }, arg) => {
    const tolerance = test.inexact[arg] ? tolerances[dtype] : 0;
    wanted[arg]!.forEach((bits, i) => {
      const [x, y] = [decode(dtype, actual[arg]![i]!), decode(dtype, bits)];
      const same = x === y || (Number.isNaN(x) && Number.isNaN(y)) ||
        Math.abs(x - y) <= tolerance * Math.max(Math.abs(y), 1e-30);
      if (!same) {
        const { kernel, ints } = test;
        assert.fail(
          `${message}: argument ${arg}[${i}] is ${x}, not ${y}\n${
            JSON.stringify({ kernel, ints })
          }`,
        );
      }
    });
  });
}

for (const kind of ["map", "row", "column"] as const) {
  Deno.test(`random ${kind} kernels agree with the interpreter on 1 to 3 threads`, () => {
    for (let seed = 1; seed <= 300; seed++) {
      const test = randomCase(seed * 7919, kind);
      const threads = 1 + seed % 3;
      const message = `seed ${seed}, ${threads} threads`;
      assertAgree(test, runFused(test.kernel, test, threads), message);
    }
  });
}

const along = (dim: number) =>
  ({ offset: null, terms: [{ dim, stride: 1 }], masks: [], gather: null }) as const;

/** One f32 row reduced to one number. */
function reduceRow(x: Float32Array, fn: ReduceFunction): number {
  const kernel: FusedKernel = {
    op: "fused",
    kind: "row",
    rank: 1,
    args: [{ dtype: "f32", access: "read" }, { dtype: "f32", access: "write" }],
    body: [
      { op: "load", arg: 0, access: along(0), type: "f32" },
      { op: "reduce", fn, x: 0, type: "f32" },
      { op: "store", arg: 1, access: { ...along(0), terms: [] }, x: 1 },
    ],
  };
  const inputs = { ints: [x.length], scalars: [], args: [x, new Float32Array(1)] };
  return runFused(kernel, inputs)[1]![0]!;
}

/** A map from one dtype to another. */
function convert(from: DType, to: DType, x: Elements, out: Elements): Elements {
  const kernel: FusedKernel = {
    op: "fused",
    kind: "map",
    rank: 1,
    args: [{ dtype: from, access: "read" }, { dtype: to, access: "write" }],
    body: [
      { op: "load", arg: 0, access: along(0), type: "f32" },
      { op: "store", arg: 1, access: along(0), x: 0 },
    ],
  };
  return runFused(kernel, { ints: [x.length], scalars: [], args: [x, out] })[1]!;
}

Deno.test("long sums of mixed signs keep the accuracy of pairwise summation", () => {
  const next = random(5);
  for (const length of [1, 5, 1000, 4097, 500_000]) {
    const x = Float32Array.from({ length }, () => next() - 0.4);
    const exact = x.reduce((sum, value) => sum + value, 0);
    const scale = x.reduce((sum, value) => sum + Math.abs(value), 0);
    assert.ok(Math.abs(reduceRow(x, "sum") - exact) <= 2 ** -23 * scale, `length ${length}`);
  }
});

Deno.test("a long sum of equal numbers drifts by no more than a short one", () => {
  const x = new Float32Array(500_000).fill(0.1);
  const unit = 2 ** -8; // of the last place, near 50,000
  assert.ok(Math.abs(reduceRow(x, "sum") - 500_000 * x[0]!) <= 3 * unit);
});

Deno.test("sums and extrema of rows with infinities and NaN are what f32 says", () => {
  const x = Float32Array.from({ length: 300 }, (_, i) => i);
  assert.equal(reduceRow(x.with(70, Infinity), "sum"), Infinity);
  assert.equal(reduceRow(x.with(299, -Infinity), "sum"), -Infinity);
  assert.equal(reduceRow(x.with(3, Infinity).with(250, -Infinity), "sum"), NaN);
  assert.equal(reduceRow(new Float32Array(300).fill(3e38), "sum"), Infinity);
  for (const place of [0, 17, 299]) {
    for (const fn of ["sum", "max", "min"] as const) {
      assert.equal(reduceRow(x.with(place, NaN), fn), NaN);
    }
  }
  assert.equal(reduceRow(new Float32Array(0), "max"), -Infinity);
  assert.equal(reduceRow(new Float32Array(0), "sum"), 0);
});

Deno.test("every half and every bfloat16 survives widening and rounding back", () => {
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
  for (const dtype of ["f16", "bf16"] as const) {
    const wide = convert(dtype, "f32", all, new Float32Array(65536));
    wide.forEach((x, i) => assert.ok(Object.is(x, decode(dtype, i)), `${dtype} ${i}`));
    const back = convert("f32", dtype, Float32Array.from(wide), new Uint16Array(65536));
    back.forEach((bits, i) => {
      assert.ok(bits === i || Number.isNaN(decode(dtype, i)) && Number.isNaN(decode(dtype, bits)));
    });
  }
});

Deno.test("f32 is rounded to half and bfloat16 to nearest even, at every magnitude", () => {
  const next = random(11);
  // Random bits, and the middles between neighbouring halves and bfloat16s.
  const bits = Uint32Array.from({ length: 60000 }, (_, i) => {
    const any = Math.floor(next() * 2 ** 32);
    return i % 3 === 0 ? any : i % 3 === 1 ? (any & ~0x1fff) | 0x1000 : (any & ~0xffff) | 0x8000;
  });
  const near = Uint32Array.from({ length: 20000 }, () => {
    const exponent = 127 - 27 + Math.floor(next() * 46);
    const any = (exponent << 23) | Math.floor(next() * 2 ** 23);
    return next() < 0.5 ? any : (any & ~0x1fff) | 0x1000;
  });
  for (const source of [bits, near]) {
    const x = new Float32Array(source.buffer);
    for (const dtype of ["f16", "bf16"] as const) {
      const actual = convert("f32", dtype, x, new Uint16Array(x.length));
      x.forEach((value, i) => {
        const [got, wanted] = [actual[i]!, encode(dtype, value)];
        assert.ok(got === wanted || Number.isNaN(value), `${dtype} of ${value}: ${got}, ${wanted}`);
      });
    }
  }
});

Deno.test("the number of threads does not change a bit of map and row kernels", () => {
  for (const kind of ["map", "row"] as const) {
    for (let seed = 1; seed <= 50; seed++) {
      const test = randomCase(seed * 104729, kind);
      const [one, ...others] = [1, 2, 5].map((threads) => runFused(test.kernel, test, threads));
      for (const other of others) assert.deepEqual(other, one);
    }
  }
});

Deno.test("softmax is one kernel of three passes and its rows sum to one", () => {
  const [rows, columns] = [7, 301];
  const access: Access = {
    offset: null,
    terms: [{ dim: 0, stride: { slot: 1 } }, { dim: 1, stride: 1 }],
    masks: [],
    gather: null,
  };
  const kernel: FusedKernel = {
    op: "fused",
    kind: "row",
    rank: 2,
    args: [{ dtype: "f32", access: "read" }, { dtype: "f32", access: "write" }],
    body: [
      { op: "load", arg: 0, access, type: "f32" },
      { op: "reduce", fn: "max", x: 0, type: "f32" },
      { op: "binary", fn: "sub", x: 0, y: 1, type: "f32" },
      { op: "unary", fn: "exp", x: 2, type: "f32" },
      { op: "reduce", fn: "sum", x: 3, type: "f32" },
      { op: "binary", fn: "div", x: 3, y: 4, type: "f32" },
      { op: "store", arg: 1, access, x: 5 },
    ],
  };
  const next = random(3);
  const x = Float32Array.from({ length: rows * columns }, () => 200 * next() - 100);
  const args = [x, new Float32Array(rows * columns)];
  const test = { kernel, ints: [rows, columns], scalars: [], args, inexact: [false, true] };
  const actual = runFused(kernel, test, 2);
  assertAgree(test, actual, "softmax");
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (let column = 0; column < columns; column++) sum += actual[1]![row * columns + column]!;
    assert.ok(Math.abs(sum - 1) < 1e-6);
  }
});
