/** Random programs of views, elementwise functions, reductions and products, for the core and the oracle. @module */

import { checkpoint, concat, matmul, softmax, type Tensor, tensor, where } from "../../core/mod.ts";
import { generator } from "./attention_cases.ts";
import * as o from "./oracle.ts";

/** A program as a function of tensors and as a function of arrays; both give several results. */
export interface Program {
  readonly inputs: readonly o.NdArray[];
  readonly f: (inputs: readonly Tensor[]) => Tensor[];
  readonly reference: (inputs: readonly o.NdArray[]) => o.NdArray[];
  /** For messages: the steps. */
  readonly text: string;
}

/** A step: its result from earlier values. */
interface Step {
  readonly text: string;
  readonly from: readonly number[];
  readonly f: (...xs: Tensor[]) => Tensor;
  readonly reference: (...xs: o.NdArray[]) => o.NdArray;
}

type Pair = [
  text: string,
  f: (...xs: Tensor[]) => Tensor,
  reference: (...xs: o.NdArray[]) => o.NdArray,
];

const largest = 2000;

/** The program of a seed. Values stay of the order of 1, so that errors can be compared. */
export function randomProgram(seed: number): Program {
  const next = generator(seed);
  const below = (n: number) => Math.floor(next() * n);
  const pick = <T>(list: readonly T[]) => list[below(list.length)]!;
  const sizes = [1, 2, 3, 4, 5, 7];

  const inputs = Array.from({ length: 1 + below(3) }, (_, i) => {
    // Now and then an axis so long that it is reduced in two stages.
    const shape = below(12) === 0
      ? [260, pick(sizes)]
      : Array.from({ length: below(4) }, () => pick(sizes));
    return o.random(shape, seed * 7 + i + 1, -2, 2);
  });
  const shapes: (readonly number[])[] = inputs.map((x) => x.shape);
  const steps: Step[] = [];

  const view = (shape: readonly number[]): Pair => {
    const rank = shape.length;
    if (rank === 0) {
      return ["unsqueeze", (x) => x.unsqueeze(0), (x) => o.reshape(x, [1])];
    }
    const axis = below(rank);
    const n = shape[axis]!;
    switch (below(8)) {
      case 0: {
        const order = shape.map((_, i) => i);
        for (let i = rank - 1; i > 0; i--) {
          const j = below(i + 1);
          [order[i], order[j]] = [order[j]!, order[i]!];
        }
        return [`permute ${order}`, (x) => x.transpose(...order), (x) => o.permute(x, order)];
      }
      case 1: {
        const start = below(n);
        const end = start + 1 + below(n - start);
        return [
          `slice ${axis} ${start} ${end}`,
          (x) => x.slice(start, end, axis),
          (x) => o.slice(x, axis, start, end),
        ];
      }
      case 2: {
        const axes = shape.flatMap((_, i) => next() < 0.5 ? [i] : []);
        return [`flip ${axes}`, (x) => x.flip(...axes), (x) => o.flip(x, axes)];
      }
      case 3: {
        const [before, after] = [below(3), below(3)];
        return [
          `pad ${axis} ${before} ${after}`,
          (x) => x.pad(before, after, axis),
          (x) => o.pad(x, axis, before, after),
        ];
      }
      case 4: {
        const front = [...next() < 0.5 ? [pick([2, 3])] : []];
        const wide = [...front, ...shape.map((n) => n === 1 ? pick(sizes) : n)];
        return [`broadcast ${wide}`, (x) => x.broadcastTo(...wide), (x) => o.broadcast(x, wide)];
      }
      default: {
        // Split an axis, or merge two, or flatten everything.
        const divisor = [2, 3, 5].find((d) => n % d === 0 && n > d) ?? n;
        const split = shape.toSpliced(axis, 1, n / divisor, divisor);
        const merged = rank > 1
          ? shape.toSpliced(below(rank - 1), 0).flatMap((n, i) =>
            i === axis ? [] : i === (axis + 1) % rank ? [n * shape[axis]!] : [n]
          )
          : shape;
        const to = pick([split, merged, [o.countOf(shape)], shape.toReversed()]);
        return [`reshape ${to}`, (x) => x.reshape(...to), (x) => o.reshape(x, to)];
      }
    }
  };

  const unary = (): Pair =>
    pick<Pair>([
      ["neg", (x) => x.neg(), (x) => o.map(x, (v) => -v)],
      ["tanh", (x) => x.tanh(), (x) => o.map(x, Math.tanh)],
      ["affine", (x) => x.mul(0.75).add(0.5), (x) => o.map(x, (v) => v * 0.75 + 0.5)],
      ["sigmoid", (x) => x.sigmoid(), (x) => o.map(x, (v) => 1 / (1 + Math.exp(-v)))],
      ["1/(1+x²)", (x) => x.square().add(1).pow(-1), (x) => o.map(x, (v) => 1 / (1 + v * v))],
      ["erf", (x) => x.erf(), (x) => o.map(x, o.erf)],
      ["expm1 of half", (x) =>
        x.mul(0.5).clamp(-3, 1).expm1(), (x) =>
        o.map(x, (v) => Math.expm1(Math.min(Math.max(v * 0.5, -3), 1)))],
    ]);

  const binary = (): Pair =>
    pick<Pair>([
      ["add", (x, y) => x.add(y), (x, y) => o.zip((a, b) => a + b, x, y)],
      ["mul", (x, y) => x.mul(y), (x, y) => o.zip((a, b) => a * b, x, y)],
      ["sub", (x, y) => x.sub(y), (x, y) => o.zip((a, b) => a - b, x, y)],
      ["x/(2+y²)", (x, y) =>
        x.div(y.square().add(2)), (x, y) =>
        o.zip((a, b) => a / (2 + b * b), x, y)],
      ["maximum", (x, y) =>
        x.maximum(y), (x, y) => o.zip(Math.max, x, y)],
      [
        "where",
        (x, y) => where(x.lt(0.25), x, y),
        (x, y) => o.zip((a, b) => a < 0.25 ? a : b, x, y),
      ],
    ]);

  const reduction = (shape: readonly number[]): Pair => {
    const axes = shape.flatMap((_, i) => next() < 0.5 ? [i] : []);
    const keep = next() < 0.6;
    const options = { keepDims: keep };
    return pick<Pair>([
      [
        `mean ${axes}`,
        (x) => x.mean(axes, options),
        (x) => o.reduce(x, axes, (v) => o.total(v) / v.length, keep),
      ],
      [
        `sum/9 ${axes}`,
        (x) => x.sum(axes, options).div(9),
        (x) => o.reduce(x, axes, (v) => o.total(v) / 9, keep),
      ],
      [
        `max ${axes}`,
        (x) => x.max(axes, options),
        (x) => o.reduce(x, axes, (v) => Math.max(...v), keep),
      ],
      [
        `centred ${axes}`,
        (x) => x.sub(x.mean(axes, { keepDims: true })),
        (x) => o.zip((a, b) => a - b, x, o.reduce(x, axes, (v) => o.total(v) / v.length, true)),
      ],
      ...(shape.length > 0
        ? [
          [`softmax ${axes[0] ?? 0}`, (x: Tensor) =>
            softmax(x, axes[0] ?? 0), (x: o.NdArray) =>
            o.softmax(x, axes[0] ?? 0)] as Pair,
        ]
        : []),
    ]);
  };

  const fits = (a: readonly number[], b: readonly number[]) => {
    const rank = Math.max(a.length, b.length);
    const size = Array.from({ length: rank }, (_, i) => {
      const [m, n] = [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1];
      return m === n || n === 1 ? m : m === 1 ? n : 0;
    });
    return !size.includes(0) && o.countOf(size) <= largest;
  };

  const add = ([text, f, reference]: Pair, from: readonly number[]) => {
    const zeros = from.map((i) => o.build(shapes[i]!, () => 0));
    const shape = reference(...zeros).shape;
    if (o.countOf(shape) > largest || shape.length > 5) return;
    shapes.push(shape);
    steps.push({ text: `%${shapes.length - 1} = ${text} (${from})`, from, f, reference });
  };

  const length = 3 + below(14);
  for (let attempt = 0; steps.length < length && attempt < 100; attempt++) {
    // Recent values are used more often: chains are what fusion makes kernels of.
    const recent = () => Math.max(0, shapes.length - 1 - below(next() < 0.7 ? 3 : shapes.length));
    const x = recent();
    const shape = shapes[x]!;
    const kind = next();
    if (kind < 0.35) add(view(shape), [x]);
    else if (kind < 0.55) add(unary(), [x]);
    else if (kind < 0.72) add(reduction(shape), [x]);
    else if (kind < 0.92) {
      const others = shapes.flatMap((other, i) => fits(shape, other) ? [i] : []);
      add(binary(), [x, pick(others)]);
    } else if (kind < 0.94) {
      if (shape.length === 0) continue;
      const ids = Array.from({ length: 1 + below(6) }, () => below(shape[0]! + 2) - 1);
      add([
        `gather ${ids}`,
        (a) => a.gather(tensor(Int32Array.from(ids))),
        (a) => o.gather(a, o.array([ids.length], ids)),
      ], [x]);
    } else if (kind < 0.96) {
      add([
        "checkpoint",
        checkpoint((a: Tensor) => a.tanh().mul(a.sigmoid()).add(a.mean())),
        (a) => {
          const mean = o.total([...a.data]) / a.data.length;
          return o.map(a, (v) => Math.tanh(v) / (1 + Math.exp(-v)) + mean);
        },
      ], [x]);
    } else if (kind < 0.98) {
      const axis = shape.length - 1;
      if (axis < 0) continue;
      add([
        "concat",
        (a) => concat([a, a.neg(), a], axis),
        (a) => o.concat([a, o.map(a, (v) => -v), a], axis),
      ], [x]);
    } else {
      const others = shapes.flatMap((other, i) =>
        shape.length === 2 && other.length === 2 && other[0] === shape[0] ? [i] : []
      );
      if (others.length === 0) continue;
      add([
        "xᵀ·y/8",
        (a, b) => matmul(a, b, { transposeA: true }).div(8),
        (a, b) => o.map(o.matmul(a, b, true, false), (v) => v / 8),
      ], [x, pick(others)]);
    }
  }
  const used = new Set(steps.flatMap(({ from }) => from));
  const results = shapes.flatMap((_, i) => !used.has(i) || next() < 0.15 ? [i] : []);

  const run = <T>(start: readonly T[], apply: (step: Step, xs: T[]) => T): T[] => {
    const values = [...start];
    for (const step of steps) values.push(apply(step, step.from.map((i) => values[i]!)));
    return results.map((i) => values[i]!);
  };
  return {
    inputs,
    f: (start) => run(start, ({ f }, xs) => f(...xs)),
    reference: (start) => run(start, ({ reference }, xs) => reference(...xs)),
    text: [
      ...inputs.map((x, i) => `%${i} = input [${x.shape}]`),
      ...steps.map(({ text }) => text),
      `results ${results}`,
    ].join("\n"),
  };
}
