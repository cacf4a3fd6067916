import assert from "node:assert/strict";
import {
  grad,
  type LogitOptions,
  type LogitStats,
  logitStats,
  logSoftmax,
  mapLogits,
  meanLogits,
  realize,
  type Tensor,
  tensor,
} from "../../core/mod.ts";
import { eachDevice } from "../devices.ts";
import { assertClose, type Case, checkCases, toTensor } from "./compare.ts";
import * as o from "./oracle.ts";

const [rows, width, vocabulary] = [21, 6, 13];
const hidden = o.random([rows, width], 1);
const head = o.random([vocabulary, width], 2);
const bias = o.random([vocabulary], 3);
const labels = o.map(o.randomIntegers([rows], 4, -1, vocabulary), (v) => v);
labels.data.set([0, vocabulary - 1, vocabulary, -1, -100], 0);

interface DenseOptions {
  readonly temperature?: number;
  readonly scale?: number;
  readonly softCap?: number;
}

function denseLogits(x: o.NdArray, w: o.NdArray, b: o.NdArray, options: DenseOptions): o.NdArray {
  const { temperature = 1, scale = 1, softCap } = options;
  const raw = o.zip((l, b) => scale * (l + b), o.matmul(x, w, false, true), b);
  const capped = (l: number) => softCap === undefined ? l : softCap * Math.tanh(l / softCap);
  return o.map(raw, (l) => capped(l) / temperature);
}

/** One statistic of every row; zero where the label is not in the vocabulary. */
function dense(
  which: keyof LogitStats,
  logits: o.NdArray,
): o.NdArray {
  return o.build([logits.shape[0]!], ([n]) => {
    const label = labels.data[n!]!;
    if (label < 0 || label >= vocabulary) return 0;
    const row = [...logits.data.slice(n! * vocabulary, (n! + 1) * vocabulary)];
    const logZ = o.logSumExp(o.array([vocabulary], row), null).data[0]!;
    const p = row.map((l) => Math.exp(l - logZ));
    switch (which) {
      case "logProb":
        return row[label]! - logZ;
      case "entropy":
        return -o.total(row.map((l, i) => p[i]! * (l - logZ)));
      case "argMax":
        return row.indexOf(Math.max(...row));
      case "meanLogit":
        return o.total(row) / vocabulary;
      case "sumSquares":
        return o.total(p.map((v) => v * v));
    }
  });
}

const variants: [string, LogitOptions & DenseOptions][] = [
  ["in one piece", {}],
  ["in three chunks", { maxLogits: 8 * vocabulary }],
  ["with a temperature", { temperature: 0.7 }],
  ["with a scale, a soft cap and a temperature, in chunks", {
    scale: 1.2,
    softCap: 1.5,
    temperature: 1.3,
    maxLogits: 8 * vocabulary,
  }],
  ["row by row", { maxLogits: 1 }],
];

for (const [name, options] of variants) {
  eachDevice(`logitStats ${name} are those of the whole logits`, async () => {
    const integers = tensor(Int32Array.from(labels.data));
    const keys: (keyof LogitStats)[] = [
      "logProb",
      "entropy",
      "argMax",
      "meanLogit",
      "sumSquares",
    ];
    await checkCases(keys.map((which): Case => ({
      name: which,
      inputs: [hidden, head, bias],
      f: (x, weight, bias) => {
        const { scale = null, softCap = null, ...settings } = options;
        return logitStats(x, { weight, bias, scale, softCap }, integers, settings)[which];
      },
      reference: (x, w, b) => dense(which, denseLogits(x, w, b, options)),
      differentiable: which === "logProb" || which === "entropy",
      tolerance: 3e-6,
      gradientTolerance: 1e-5,
    })));
  });
}

eachDevice("logProb and entropy of one call have a common gradient", async () => {
  const integers = tensor(Int32Array.from(labels.data));
  const zero = o.build([vocabulary], () => 0);
  await checkCases([{
    name: "both",
    inputs: [hidden, head],
    f: (x, w) => {
      const { logProb, entropy } = logitStats(x, w, integers, { maxLogits: 50 });
      return logProb.exp().add(entropy.mul(0.5));
    },
    reference: (x, w) => {
      const logits = denseLogits(x, w, zero, {});
      return o.zip(
        (p, h) => Math.exp(p) + 0.5 * h,
        dense("logProb", logits),
        dense("entropy", logits),
      );
    },
    gradientTolerance: 1e-5,
  }]);
});

eachDevice("rows with labels outside the vocabulary give nothing", async () => {
  const none = tensor(Int32Array.from({ length: 4 }, (_, i) => [-100, -1, 13, 1000][i]!));
  const x = toTensor(o.random([4, width], 9));
  const [w] = [toTensor(head)];
  const stats = logitStats(x, w, none);
  const gradient = grad((x: Tensor) => logitStats(x, w, none).logProb.sum())(x);
  await realize([stats, gradient]);
  for (const t of Object.values(stats)) {
    assert.deepEqual(Array.from(await t.data()), [0, 0, 0, 0]);
  }
  assert.ok((await gradient.data()).every((v) => v === 0));
});

for (const softCap of [null, 1.5]) {
  eachDevice(
    `means of logits ${softCap ? "with" : "without"} a cap are those of the logits`,
    async () => {
      await checkCases([{
        name: "means",
        inputs: [hidden, head, bias],
        f: (x, weight, bias) =>
          meanLogits(x, { weight, bias, scale: 2, softCap }, { maxLogits: 50 }),
        reference: (x, w, b) =>
          o.reduce(
            denseLogits(x, w, b, { scale: 2, ...(softCap ? { softCap } : {}) }),
            [1],
            (row) => o.total(row) / vocabulary,
          ),
        tolerance: 1e-6,
        gradientTolerance: 1e-5,
      }]);
    },
  );
}

eachDevice("no rows at all give empty statistics", async () => {
  const [x, w] = [toTensor(o.random([0, width], 1)), toTensor(head)];
  const none = tensor(new Int32Array(0));
  assert.deepEqual(logitStats(x, w, none).logProb.shape, [0]);
  const gradient = grad((w: Tensor) => logitStats(x, w, none).logProb.sum())(w);
  assert.ok((await gradient.data()).every((v) => v === 0));
});

for (const [name, maxLogits] of [["one piece", 1e6], ["chunks", 8 * vocabulary]] as const) {
  eachDevice(`mapLogits sees whole distributions in ${name}`, async () => {
    const [x2, w2] = [o.random([rows, 4], 5), o.random([vocabulary, 4], 6)];
    const weights = o.random([rows], 7);
    const zero = o.build([vocabulary], () => 0);
    await checkCases([{
      name: "a divergence of two models",
      inputs: [hidden, head, x2, w2, weights],
      f: (a, v, b, w, weights) =>
        mapLogits(
          [{ hidden: a, head: v }, { hidden: b, head: w }],
          [weights],
          ([l, m], [weight]) => {
            const [p, q] = [logSoftmax(l!), logSoftmax(m!)];
            return { kl: p.exp().mul(p.sub(q)).sum(-1).mul(weight!) };
          },
          { maxLogits, temperature: 2 },
        ).kl,
      reference: (a, v, b, w, weights) => {
        const [l, m] = [
          denseLogits(a, v, zero, { temperature: 2 }),
          denseLogits(b, w, zero, { temperature: 2 }),
        ];
        const logP = o.zip((x, z) => x - z, l, o.logSumExp(l, [1], true));
        const logQ = o.zip((x, z) => x - z, m, o.logSumExp(m, [1], true));
        const kl = o.reduce(o.zip((p, q) => Math.exp(p) * (p - q), logP, logQ), [1], o.total);
        return o.zip((a, b) => a * b, kl, weights);
      },
      tolerance: 1e-5,
      gradientTolerance: 2e-5,
    }]);
  });
}

for (const [name, maxLogits] of [["one piece", 1e6], ["chunks", 8 * vocabulary]] as const) {
  eachDevice(`mapLogits in ${name} has a gradient of the bias too`, async () => {
    const weights = o.random([rows, vocabulary], 8);
    await checkCases([{
      name: "a weighted log-softmax",
      inputs: [hidden, head, bias, weights],
      f: (x, w, b, weights) =>
        mapLogits(
          [{ hidden: x, head: { weight: w, bias: b, scale: 0.5, softCap: 2 } }],
          [weights],
          ([l], [weight]) => logSoftmax(l!).mul(weight!).sum(-1),
          { maxLogits, temperature: 0.7 },
        ),
      reference: (x, w, b, weights) => {
        const logits = denseLogits(x, w, b, { temperature: 0.7, scale: 0.5, softCap: 2 });
        const logP = o.zip((l, z) => l - z, logits, o.logSumExp(logits, [1], true));
        return o.reduce(o.zip((p, a) => p * a, logP, weights), [1], o.total);
      },
      tolerance: 1e-5,
      gradientTolerance: 2e-5,
    }]);
  });
}

Deno.test("logitStats refuses shapes that do not fit", () => {
  const x = tensor([[1, 2]]);
  assert.throws(
    () => logitStats(x, tensor([[1, 2, 3]]), tensor(Int32Array.of(0))),
    /Cannot take logit statistics: hidden, head, labels are/,
  );
});

eachDevice("large logits do not overflow", async () => {
  const x = tensor([[1000, -1000]]);
  const w = tensor([[10, 0], [0, 10], [-10, 0]]);
  const { logProb, entropy } = logitStats(x, w, tensor(Int32Array.of(2)));
  assertClose(await logProb.data(), [-20000], 1e-6, "logProb");
  assertClose(await entropy.data(), [0], 1e-3, "entropy");
});
