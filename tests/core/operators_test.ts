import {
  concat,
  grad,
  logSigmoid,
  logSoftmax,
  logSumExp,
  matmul,
  scatterRows,
  segmentSum,
  silu,
  softmax,
  softplus,
  stack,
  type Tensor,
  variance,
  where,
} from "../../core/mod.ts";
import { eachDevice } from "../devices.ts";
import { type Case, checkCases } from "./compare.ts";
import * as o from "./oracle.ts";

type Unary = [name: string, f: (x: Tensor) => Tensor, reference: (x: number) => number];

/** x away from 0, where |x| and its kin have no derivative. */
const apart = o.map(o.random([7, 5], 1), (x) => Math.fround(x + 0.25 * Math.sign(x)));
const positive = o.random([7, 5], 2, 0.25, 3);

function unaryCases(input: o.NdArray, functions: readonly Unary[], tolerance = 2e-6): Case[] {
  return functions.map(([name, f, reference]) => ({
    name,
    inputs: [input],
    f,
    reference: (x) => o.map(x, reference),
    tolerance,
  }));
}

const onAll: readonly Unary[] = [
  ["neg", (x) => x.neg(), (x) => -x],
  ["abs", (x) => x.abs(), Math.abs],
  ["sign", (x) => x.sign(), Math.sign],
  ["exp", (x) => x.exp(), Math.exp],
  ["expm1", (x) => x.expm1(), Math.expm1],
  ["sin", (x) => x.sin(), Math.sin],
  ["cos", (x) => x.cos(), Math.cos],
  ["tanh", (x) => x.tanh(), Math.tanh],
  ["sigmoid", (x) => x.sigmoid(), (x) => 1 / (1 + Math.exp(-x))],
  ["erf", (x) => x.erf(), o.erf],
  ["square", (x) => x.square(), (x) => x * x],
  ["logSigmoid", (x) => logSigmoid(x), (x) => -Math.log1p(Math.exp(-x))],
  ["softplus", (x) => softplus(x), (x) => Math.log1p(Math.exp(x))],
  ["silu", (x) => silu(x), (x) => x / (1 + Math.exp(-x))],
  ["clamp", (x) => x.clamp(-0.5, 0.75), (x) => Math.min(Math.max(x, -0.5), 0.75)],
];

const onPositive: readonly Unary[] = [
  ["log", (x) => x.log(), Math.log],
  ["log1p", (x) => x.log1p(), Math.log1p],
  ["sqrt", (x) => x.sqrt(), Math.sqrt],
  ["rsqrt", (x) => x.rsqrt(), (x) => 1 / Math.sqrt(x)],
  ["pow 2.5", (x) => x.pow(2.5), (x) => x ** 2.5],
  ["floor", (x) => x.floor(), Math.floor],
];

// WGSL allows sin and cos an absolute error of 2⁻¹¹.
const sinTolerance = 2 ** -11;

eachDevice("one-operand functions have the reference's values and gradients", async (device) => {
  const loose = (c: Case): Case =>
    device.kind === "webgpu" && ["sin", "cos"].includes(c.name)
      ? { ...c, tolerance: sinTolerance }
      : c;
  await checkCases([
    ...unaryCases(apart, onAll).map(loose),
    ...unaryCases(positive, onPositive),
  ]);
});

eachDevice("second derivatives of one-operand functions are the reference's", async (device) => {
  // The reference differentiates its own gradient, so steps are those of second differences.
  const second = (f: (x: number) => number) => (x: number) => {
    const h = 2 ** -7 * Math.max(0.25, Math.abs(x));
    return (-f(x + 2 * h) + 16 * f(x + h) - 30 * f(x) + 16 * f(x - h) - f(x - 2 * h)) /
      (12 * h * h);
  };
  const twice = ([name, f, reference]: Unary): Unary => [
    `${name}″`,
    (x) => grad((y: Tensor) => grad((z: Tensor) => f(z).sum())(y).sum())(x),
    second(reference),
  ];
  const smooth = onAll.filter(([name]) =>
    !(device.kind === "webgpu" && (name === "sin" || name === "cos"))
  );
  const cases = [
    ...unaryCases(apart, smooth.map(twice), 2e-5),
    ...unaryCases(positive, onPositive.filter(([name]) => name !== "floor").map(twice), 2e-5),
  ];
  await checkCases(cases.map((c) => ({ ...c, differentiable: false })));
});

type Binary = [
  name: string,
  f: (x: Tensor, y: Tensor) => Tensor,
  reference: (x: number, y: number) => number,
];

const binaries: readonly Binary[] = [
  ["add", (x, y) => x.add(y), (x, y) => x + y],
  ["sub", (x, y) => x.sub(y), (x, y) => x - y],
  ["mul", (x, y) => x.mul(y), (x, y) => x * y],
  ["div", (x, y) => x.div(y), (x, y) => x / y],
  ["mod", (x, y) => x.mod(y), (x, y) => x % y],
  ["pow", (x, y) => x.pow(y), (x, y) => x ** y],
  ["maximum", (x, y) => x.maximum(y), Math.max],
  ["minimum", (x, y) => x.minimum(y), Math.min],
  ["lt", (x, y) => x.lt(y), (x, y) => Number(x < y)],
  ["le", (x, y) => x.le(y), (x, y) => Number(x <= y)],
  ["gt", (x, y) => x.gt(y), (x, y) => Number(x > y)],
  ["ge", (x, y) => x.ge(y), (x, y) => Number(x >= y)],
  ["eq", (x, y) => x.eq(y), (x, y) => Number(x === y)],
  ["ne", (x, y) => x.ne(y), (x, y) => Number(x !== y)],
];

const logical = new Set(["lt", "le", "gt", "ge", "eq", "ne"]);

const broadcasts: readonly [readonly number[], readonly number[]][] = [
  [[7, 5], [7, 5]],
  [[7, 5], [5]],
  [[7, 1], [5]],
  [[3, 1, 5], [1, 4, 1]],
  [[], [2, 3]],
  [[1], [1]],
  [[0, 3], [1, 3]],
];

for (const [a, b] of broadcasts) {
  eachDevice(`two-operand functions of [${a}] and [${b}] are the reference's`, async () => {
    await checkCases(binaries.map(([name, f, reference], i): Case => ({
      name,
      inputs: [o.random(a, 10 + i, 0.25, 3), o.random(b, 50 + i, 0.25, 1.5)],
      f,
      reference: (x, y) => o.zip(reference, x, y),
      differentiable: !logical.has(name),
    })));
  });
}

eachDevice("numbers broadcast as constants", async () => {
  const x = o.random([5, 3], 3, 0.5, 2);
  const cases: [string, (x: Tensor) => Tensor, (x: number) => number][] = [
    ["add", (x) => x.add(0.75), (x) => x + 0.75],
    ["sub", (x) => x.sub(0.75), (x) => x - 0.75],
    ["mul", (x) => x.mul(-3), (x) => x * -3],
    ["div", (x) => x.div(7), (x) => x / 7],
    ["pow", (x) => x.pow(3), (x) => x ** 3],
    ["maximum", (x) => x.maximum(1.1), (x) => Math.max(x, 1.1)],
    ["minimum", (x) => x.minimum(1.1), (x) => Math.min(x, 1.1)],
    ["gt", (x) => x.gt(1), (x) => Number(x > 1)],
    ["neutral", (x) => x.add(0).mul(1).sub(0).div(1), (x) => x],
  ];
  await checkCases(
    cases.map(([name, f, reference]): Case => ({
      name,
      inputs: [x],
      f,
      reference: (x) => o.map(x, reference),
      differentiable: name !== "gt",
    })),
  );
});

eachDevice("where chooses, broadcasts, and divides the cotangent", async () => {
  const [x, y] = [o.random([4, 5], 4), o.random([5], 5)];
  const condition = o.randomIntegers([4, 1], 6, 0, 2);
  await checkCases([
    {
      name: "where",
      inputs: [condition, x, y],
      dtypes: ["bool", "f32", "f32"],
      f: (c, a, b) => where(c, a, b),
      reference: (c, a, b) => o.zip((c, a, b) => c ? a : b, c, a, b),
    },
    {
      name: "where with a number",
      inputs: [condition, x],
      dtypes: ["bool", "f32"],
      f: (c, a) => where(c.not(), 2, a),
      reference: (c, a) => o.zip((c, a) => c ? a : 2, c, a),
    },
  ]);
});

eachDevice("views rearrange values and cotangents", async () => {
  const x = o.random([4, 3, 5], 7);
  const cases: [string, (x: Tensor) => Tensor, (x: o.NdArray) => o.NdArray][] = [
    ["reshape", (x) => x.reshape(6, -1), (x) => o.reshape(x, [6, 10])],
    ["transpose", (x) => x.transpose(), (x) => o.permute(x, [2, 1, 0])],
    ["permute", (x) => x.transpose(1, 2, 0), (x) => o.permute(x, [1, 2, 0])],
    ["slice", (x) => x.slice(1, 3), (x) => o.slice(x, 0, 1, 3)],
    ["slice from the end", (x) => x.slice(-3, -1, 2), (x) => o.slice(x, 2, 2, 4)],
    ["flip", (x) => x.flip(0, 2), (x) => o.flip(x, [0, 2])],
    ["pad", (x) => x.pad(2, 1, 1), (x) => o.pad(x, 1, 2, 1)],
    ["unsqueeze", (x) => x.unsqueeze(-2), (x) => o.reshape(x, [4, 3, 1, 5])],
    ["broadcastTo", (x) => x.broadcastTo(2, 4, 3, 5), (x) => o.broadcast(x, [2, 4, 3, 5])],
    [
      "transposed reshape",
      (x) => x.transpose(2, 0, 1).reshape(10, 6),
      (x) => o.reshape(o.permute(x, [2, 0, 1]), [10, 6]),
    ],
    [
      "padded flip of a slice",
      (x) => x.slice(1, 4, 2).flip(2).pad(1, 2, 2).transpose(0, 2, 1),
      (x) => o.permute(o.pad(o.flip(o.slice(x, 2, 1, 4), [2]), 2, 1, 2), [0, 2, 1]),
    ],
    ["an empty slice", (x) => x.slice(2, 2), (x) => o.slice(x, 0, 2, 2)],
  ];
  await checkCases(cases.map(([name, f, reference]) => ({ name, inputs: [x], f, reference })));
});

type Reduction = [
  name: string,
  f: (x: Tensor, axes: number[] | undefined, keepDims: boolean) => Tensor,
  reference: (values: readonly number[]) => number,
];

const mean = (values: readonly number[]) => o.total(values) / values.length;
const reductions: readonly Reduction[] = [
  ["sum", (x, axes, keepDims) => x.sum(axes, { keepDims }), o.total],
  ["mean", (x, axes, keepDims) => x.mean(axes, { keepDims }), mean],
  ["max", (x, axes, keepDims) => x.max(axes, { keepDims }), (v) => Math.max(...v)],
  ["min", (x, axes, keepDims) => x.min(axes, { keepDims }), (v) => Math.min(...v)],
  [
    "logSumExp",
    (x, axes, keepDims) => logSumExp(x, axes, { keepDims }),
    (v) => Math.log(o.total(v.map(Math.exp))),
  ],
  [
    "variance",
    (x, axes, keepDims) => variance(x, axes, { keepDims }),
    (v) => mean(v.map((a) => (a - mean(v)) ** 2)),
  ],
  [
    "sample variance",
    (x, axes, keepDims) => variance(x, axes, { keepDims, correction: 1 }),
    (v) => o.total(v.map((a) => (a - mean(v)) ** 2)) / (v.length - 1),
  ],
];

for (const axes of [undefined, [2], [0], [1], [0, 2], [1, 2], [0, 1]]) {
  eachDevice(`reductions over axes ${axes ?? "all"} are the reference's`, async () => {
    await checkCases(
      reductions.flatMap(([name, f, reference]) =>
        [true, false].map((keep): Case => ({
          name: `${name}${keep ? ", kept" : ""}`,
          inputs: [o.random([4, 3, 5], 20)],
          f: (x) => f(x, axes, keep),
          reference: (x) => o.reduce(x, axes ?? null, reference, keep),
          gradientTolerance: 1e-5,
        }))
      ),
    );
  });
}

eachDevice("long rows and columns are reduced in two stages", async () => {
  const shapes: [readonly number[], number[]][] = [
    [[20000], [0]],
    [[17, 1003], [1]],
    [[1024, 6], [0]],
    [[3, 257, 5], [1]],
  ];
  await checkCases(
    shapes.flatMap(([shape, axes], i) =>
      reductions.slice(0, 3).map(([name, f, reference]): Case => ({
        name: `${name} of [${shape}]`,
        inputs: [o.random(shape, 30 + i, 0, 1)],
        f: (x) => f(x, axes, false),
        // Spreading the maximum would overflow the stack.
        reference: (x) =>
          o.reduce(
            x,
            axes,
            name === "max" ? (v) => v.reduce((a, b) => Math.max(a, b)) : reference,
          ),
        differentiable: false,
      }))
    ),
  );
});

eachDevice("argMax is the first of the largest", async () => {
  const x = o.randomIntegers([6, 9], 21, 0, 4);
  const first = (values: readonly number[]) => values.indexOf(Math.max(...values));
  await checkCases([0, 1].map((axis): Case => ({
    name: `argMax along ${axis}`,
    inputs: [x],
    f: (x) => x.argMax(axis),
    reference: (x) => o.reduce(x, [axis], first),
    differentiable: false,
  })));
});

eachDevice("softmax and logSoftmax along any axis are the reference's", async () => {
  const x = o.random([3, 4, 5], 22, -3, 3);
  await checkCases([0, 1, 2].flatMap((axis): Case[] => [
    {
      name: `softmax along ${axis}`,
      inputs: [x],
      f: (x) => softmax(x, axis),
      reference: (x) => o.softmax(x, axis),
    },
    {
      name: `logSoftmax along ${axis}`,
      inputs: [x],
      f: (x) => logSoftmax(x, axis),
      reference: (x) => o.zip((a, b) => a - b, x, o.logSumExp(x, [axis], true)),
    },
  ]));
});

eachDevice("matrix products of all forms are the reference's", async () => {
  const forms: [readonly number[], readonly number[], boolean, boolean][] = [
    [[5, 7], [7, 3], false, false],
    [[7, 5], [7, 3], true, false],
    [[5, 7], [3, 7], false, true],
    [[7, 5], [3, 7], true, true],
    [[2, 5, 7], [7, 3], false, false],
    [[2, 5, 7], [3, 7], false, true],
    [[3, 2, 5, 7], [2, 7, 3], false, false],
    [[2, 1, 7, 5], [3, 7, 4], true, false],
    [[1, 7], [7, 1], false, false],
    [[0, 7], [7, 3], false, false],
    [[5, 0], [0, 3], false, false],
  ];
  await checkCases(forms.map(([a, b, transposeA, transposeB], i) => ({
    name: `[${a}]${transposeA ? "ᵀ" : ""} · [${b}]${transposeB ? "ᵀ" : ""}`,
    inputs: [o.random(a, 60 + i), o.random(b, 80 + i)],
    f: (x, y) => matmul(x, y, { transposeA, transposeB }),
    reference: (x, y) => o.matmul(x, y, transposeA, transposeB),
  })));
});

eachDevice("matrix products of views are the reference's", async () => {
  const [a, b] = [o.random([6, 4, 5], 90), o.random([5, 4, 6], 91)];
  await checkCases([
    {
      name: "heads moved in front",
      inputs: [a, b],
      f: (x, y) => matmul(x.transpose(1, 0, 2), y.transpose(1, 0, 2)),
      reference: (x, y) => o.matmul(o.permute(x, [1, 0, 2]), o.permute(y, [1, 0, 2])),
    },
    {
      name: "slices and flips",
      inputs: [a, b],
      f: (x, y) => matmul(x.slice(1, 4).flip(2), y.slice(0, 3, 2).transpose(1, 0, 2).slice(2, 3)),
      reference: (x, y) =>
        o.matmul(
          o.flip(o.slice(x, 0, 1, 4), [2]),
          o.slice(o.permute(o.slice(y, 2, 0, 3), [1, 0, 2]), 0, 2, 3),
        ),
    },
    {
      name: "padding and broadcasting",
      inputs: [a, b],
      f: (x, y) =>
        matmul(x.pad(1, 1, 2), y.slice(0, 1).reshape(4, 6).pad(2, 1, 0).broadcastTo(6, 7, 6)),
      reference: (x, y) =>
        o.matmul(o.pad(x, 2, 1, 1), o.pad(o.reshape(o.slice(y, 0, 0, 1), [4, 6]), 0, 2, 1)),
    },
    {
      name: "a sum of products",
      inputs: [a, b],
      f: (x, y) => {
        const [p, q] = [x.reshape(24, 5), y.reshape(5, 24)];
        return p.matmul(q).add(p.mul(2).matmul(q)).add(q.transpose().matmul(p.transpose()));
      },
      reference: (x, y) => {
        const [p, q] = [o.reshape(x, [24, 5]), o.reshape(y, [5, 24])];
        const once = o.matmul(p, q);
        return o.zip((a, b) => 3 * a + b, once, o.permute(once, [1, 0]));
      },
    },
  ]);
});

eachDevice("rows are gathered, and scattered by the cotangent", async () => {
  const ids = o.array([2, 4], [0, 4, 4, -1, 2, 5, 0, 0]);
  await checkCases([
    {
      name: "gather",
      inputs: [o.random([5, 3], 100), ids],
      dtypes: ["f32", "i32"],
      f: (table, ids) => table.gather(ids),
      reference: o.gather,
    },
    {
      name: "gather of numbers",
      inputs: [o.random([5], 101), ids],
      dtypes: ["f32", "i32"],
      f: (table, ids) => table.mul(2).gather(ids.flip(1)),
      reference: (table, ids) => o.gather(o.map(table, (x) => 2 * x), o.flip(ids, [1])),
    },
    {
      name: "gather of matrices by a transposed view of ids",
      inputs: [o.random([5, 2, 3], 102), ids],
      dtypes: ["f32", "i32"],
      f: (table, ids) => table.gather(ids.transpose()).sin(),
      reference: (table, ids) => o.map(o.gather(table, o.permute(ids, [1, 0])), Math.sin),
      tolerance: 2 ** -11,
    },
    {
      name: "gather from a table that is stored in another shape",
      inputs: [o.random([2, 3], 104), ids],
      dtypes: ["f32", "i32"],
      f: (table, ids) => table.exp().reshape(6).gather(ids),
      reference: (table, ids) => o.gather(o.reshape(o.map(table, Math.exp), [6]), ids),
    },
    {
      name: "gather from an empty table",
      inputs: [o.random([0, 3], 103), ids],
      dtypes: ["f32", "i32"],
      f: (table, ids) => table.gather(ids),
      reference: o.gather,
    },
  ]);
});

eachDevice("scatterRows sets or adds rows and skips those outside", async () => {
  const [base, rows] = [o.random([5, 3], 110), o.random([4, 3], 111)];
  const [once, often] = [o.array([4], [3, -1, 0, 7]), o.array([4], [3, 3, 5, 0])];
  await checkCases([
    {
      name: "set",
      inputs: [base, once, rows],
      dtypes: ["f32", "i32", "f32"],
      f: (base, ids, rows) => scatterRows(base, ids, rows),
      reference: (base, ids, rows) => o.scatterRows(base, ids, rows, false),
    },
    {
      name: "add",
      inputs: [base, often, rows],
      dtypes: ["f32", "i32", "f32"],
      f: (base, ids, rows) => scatterRows(base.mul(3), ids, rows.exp(), { add: true }),
      reference: (base, ids, rows) =>
        o.scatterRows(o.map(base, (x) => 3 * x), ids, o.map(rows, Math.exp), true),
    },
    {
      name: "add in higher ranks",
      inputs: [o.random([5, 2, 2], 112), often, o.random([4, 2, 2], 113)],
      dtypes: ["f32", "i32", "f32"],
      f: (base, ids, rows) => scatterRows(base, ids, rows, { add: true }),
      reference: (base, ids, rows) => o.scatterRows(base, ids, rows, true),
    },
  ]);
});

eachDevice("segmentSum sums by segment", async () => {
  await checkCases([{
    name: "segmentSum",
    inputs: [o.random([11], 120), o.randomIntegers([11], 121, -1, 5)],
    dtypes: ["f32", "i32"],
    f: (values, segments) => segmentSum(values, segments, 4),
    reference: (values, segments) =>
      o.build([4], ([s]) => o.total([...values.data].filter((_, i) => segments.data[i] === s))),
  }]);
});

eachDevice("concat and stack join many pieces along any axis", async () => {
  const pieces = Array.from({ length: 9 }, (_, i) => o.random([2, i % 3, 3], 130 + i));
  const same = Array.from({ length: 40 }, (_, i) => o.random([3, 2], 150 + i));
  await checkCases([
    {
      name: "concat",
      inputs: pieces,
      f: (...xs) => concat(xs, 1),
      reference: (...xs) => o.concat(xs, 1),
    },
    {
      name: "concat of 40",
      inputs: same,
      f: (...xs) => concat(xs),
      reference: (...xs) => o.concat(xs, 0),
    },
    ...[0, 1, 2].map((axis): Case => ({
      name: `stack along ${axis}`,
      inputs: same.slice(0, 5),
      f: (...xs) => stack(xs, axis),
      reference: (...xs) =>
        o.concat(xs.map((x) => o.reshape(x, [...[3, 2].toSpliced(axis, 0, 1)])), axis),
    })),
    {
      name: "concat of views of one tensor",
      inputs: [o.random([4, 6], 200)],
      f: (x) => concat([x.slice(3, 6, 1).neg(), x.slice(0, 3, 1)], 1),
      reference: (x) => o.concat([o.map(o.slice(x, 1, 3, 6), (a) => -a), o.slice(x, 1, 0, 3)], 1),
    },
  ]);
});
