import assert from "node:assert/strict";
import { erf } from "../interpret.ts";
import type { BinaryFunction, FusedKernel, UnaryFunction } from "../../../core/kernel.ts";
import { runFused } from "./fused_harness.ts";

const contiguous = {
  offset: null,
  terms: [{ dim: 0, stride: 1 }],
  masks: [],
  gather: null,
} as const;

function unaryKernel(fn: UnaryFunction): FusedKernel {
  return {
    op: "fused",
    kind: "map",
    rank: 1,
    args: [{ dtype: "f32", access: "read" }, { dtype: "f32", access: "write" }],
    body: [
      { op: "load", arg: 0, access: contiguous, type: "f32" },
      { op: "unary", fn, x: 0, type: "f32" },
      { op: "store", arg: 1, access: contiguous, x: 1 },
    ],
  };
}

function binaryKernel(fn: BinaryFunction): FusedKernel {
  return {
    op: "fused",
    kind: "map",
    rank: 1,
    args: [
      { dtype: "f32", access: "read" },
      { dtype: "f32", access: "read" },
      { dtype: "f32", access: "write" },
    ],
    body: [
      { op: "load", arg: 0, access: contiguous, type: "f32" },
      { op: "load", arg: 1, access: contiguous, type: "f32" },
      { op: "binary", fn, x: 0, y: 1, type: "f32" },
      { op: "store", arg: 2, access: contiguous, x: 2 },
    ],
  };
}

function apply(kernel: FusedKernel, ...inputs: Float32Array[]): Float32Array {
  const count = inputs[0]!.length;
  const args = [...inputs, new Float32Array(count)];
  return Float32Array.from(runFused(kernel, { ints: [count], scalars: [], args }).at(-1)!);
}

/** Distance in units in the last place of the exact result; subnormals count as near zero. */
function ulps(actual: number, exact: number): number {
  if (Object.is(actual, Math.fround(exact))) return 0;
  if (Number.isNaN(actual) || Number.isNaN(exact)) return Infinity;
  const rounded = Math.fround(exact);
  if (actual === rounded) return Object.is(actual, rounded) || exact !== 0 ? 0 : Infinity;
  if (!Number.isFinite(rounded)) return actual >= 3.4028e38 || actual <= -3.4028e38 ? 1 : Infinity;
  const unit = 2 ** Math.max(Math.floor(Math.log2(Math.abs(exact))) - 23, -149);
  return Math.abs(actual - exact) / unit;
}

function sweep(low: number, high: number, count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => low + (high - low) * i / (count - 1));
}

/** Both signs of magnitudes from 2^low to 2^high. */
function logSweep(low: number, high: number, count: number): Float32Array {
  return Float32Array.from(
    { length: count },
    (_, i) => (i % 2 ? -1 : 1) * 2 ** (low + (high - low) * i / (count - 1)),
  );
}

const specials = Float32Array.of(
  0,
  -0,
  1,
  -1,
  Infinity,
  -Infinity,
  NaN,
  1e-45,
  -1e-45,
  3e38,
  -3e38,
);

const functions: readonly {
  readonly fn: UnaryFunction;
  readonly exact: (x: number) => number;
  readonly bound: number;
  readonly range: readonly [number, number];
}[] = [
  { fn: "exp", exact: Math.exp, bound: 2, range: [-110, 90] },
  { fn: "expm1", exact: Math.expm1, bound: 4, range: [-50, 90] },
  { fn: "log", exact: Math.log, bound: 2, range: [0, 10] },
  { fn: "log1p", exact: Math.log1p, bound: 4, range: [-1, 10] },
  { fn: "sqrt", exact: Math.sqrt, bound: 0.5, range: [0, 100] },
  { fn: "rsqrt", exact: (x) => 1 / Math.sqrt(x), bound: 1.5, range: [0, 100] },
  { fn: "tanh", exact: Math.tanh, bound: 4, range: [-12, 12] },
  { fn: "sigmoid", exact: (x) => 1 / (1 + Math.exp(-x)), bound: 4, range: [-87, 40] },
  { fn: "erf", exact: erf, bound: 4, range: [-5, 5] },
  { fn: "sin", exact: Math.sin, bound: 4, range: [-1e4, 1e4] },
  { fn: "cos", exact: Math.cos, bound: 4, range: [-1e4, 1e4] },
];

for (const { fn, exact, bound, range } of functions) {
  Deno.test(`${fn} on the CPU is within ${bound} units in the last place`, () => {
    const periodic = fn === "sin" || fn === "cos";
    const inputs = [
      sweep(...range, 50001),
      sweep(-2, 2, 20001),
      logSweep(-149, periodic ? 13 : 128, 40001),
      periodic ? specials.filter((x) => Math.abs(x) < 1e6 || !Number.isFinite(x)) : specials,
    ];
    for (const x of inputs) {
      const actual = apply(unaryKernel(fn), x);
      let worst = 0;
      let where = 0;
      actual.forEach((y, i) => {
        const error = ulps(y, exact(x[i]!));
        if (error > worst) [worst, where] = [error, i];
      });
      assert.ok(worst <= bound, `${fn}(${x[where]}) = ${actual[where]}: ${worst} ulp`);
    }
  });
}

Deno.test("sine and cosine of huge numbers stay within −1 and 1", () => {
  for (const fn of ["sin", "cos"] as const) {
    for (const y of apply(unaryKernel(fn), logSweep(20, 127, 4001))) assert.ok(Math.abs(y) <= 1);
  }
});

Deno.test("pow on the CPU is within 2 units in the last place", () => {
  const bases: number[] = [];
  const exponents: number[] = [];
  for (let i = 0; i < 300; i++) {
    for (let j = 0; j < 300; j++) {
      bases.push(2 ** (-20 + 40 * i / 299) * (1 + j * 1e-4));
      exponents.push(-12 + 24 * j / 299);
    }
  }
  const x = Float32Array.from(bases);
  const y = Float32Array.from(exponents);
  apply(binaryKernel("pow"), x, y).forEach((z, i) => {
    const error = ulps(z, x[i]! ** y[i]!);
    assert.ok(error <= 2, `pow(${x[i]}, ${y[i]}) = ${z}: ${error} ulp`);
  });
});

Deno.test("pow on the CPU has the special cases of IEEE 754", () => {
  const values = [0, -0, 1, -1, 2, -2, 0.5, -0.5, 3, -3, 4, 0.01, 1e30, -1e30, 1e-40, 16777216];
  values.push(Infinity, -Infinity, NaN);
  const x = Float32Array.from(values.flatMap((base) => values.map(() => base)));
  const y = Float32Array.from(values.flatMap(() => values));
  apply(binaryKernel("pow"), x, y).forEach((z, i) => {
    const [base, exponent] = [x[i]!, y[i]!];
    const one = base === 1 || (base === -1 && Math.abs(exponent) === Infinity);
    const exact = one ? 1 : base ** exponent;
    assert.ok(ulps(z, exact) <= 1, `pow(${base}, ${exponent}) = ${z}, not ${exact}`);
  });
});

Deno.test("sigmoid and exp of very negative numbers are about zero, never NaN", () => {
  for (const y of apply(unaryKernel("sigmoid"), sweep(-1000, -88, 1001))) {
    assert.ok(y >= 0 && y < 1e-37);
  }
  for (const y of apply(unaryKernel("exp"), sweep(-1000, -105, 101))) assert.equal(y, 0);
});
