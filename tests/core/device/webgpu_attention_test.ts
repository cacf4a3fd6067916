import assert from "node:assert/strict";
import {
  attentionGradOracle,
  type AttentionInputs,
  type AttentionOptions,
  attentionOracle,
} from "../attention_oracle.ts";
import { asFloats, generator, gpuTest, numbers, runKernel } from "./webgpu.ts";

/** Segments of a stream: families of a prompt and two children, then padding. */
function families(count: number, seed: number): Int32Array {
  const next = generator(seed);
  const rows = new Int32Array(5 * count);
  let at = 0;
  let segment = 0;
  while (at < count) {
    const start = at;
    const prompt = segment;
    const promptLength = 1 + Math.floor(next() * 30);
    const lengths = [promptLength, 1 + Math.floor(next() * 25), 1 + Math.floor(next() * 25)];
    lengths.forEach((length, member) => {
      const first = member === 0 ? 0 : promptLength;
      for (let i = 0; i < length && at < count; i++, at++) {
        rows[at] = at >= count - 5 ? -1 : segment;
        rows[count + at] = member === 0 ? -1 : prompt;
        rows[2 * count + at] = first + i;
        rows[3 * count + at] = start;
        rows[4 * count + at] = count;
      }
      segment++;
    });
  }
  return rows;
}

interface Case {
  readonly name: string;
  readonly options: AttentionOptions;
  /** Cross-attention: queries and keys of one segment each. */
  readonly cross?: boolean;
}

const cases: readonly Case[] = [
  {
    name: "causal attention with families, grouped heads and a window",
    options: {
      queries: 150,
      keys: 150,
      queryHeads: 4,
      keyHeads: 2,
      width: 40,
      causal: true,
      window: 37,
      scale: 0.2,
    },
  },
  {
    name: "attention both ways with a soft cap and a bias by distance",
    options: {
      queries: 70,
      keys: 70,
      queryHeads: 3,
      keyHeads: 3,
      width: 16,
      causal: false,
      window: 1 << 30,
      scale: 0.7,
      softcap: 1.5,
      reach: 40,
    },
  },
  {
    name: "attention from queries to keys of another stream",
    cross: true,
    options: {
      queries: 33,
      keys: 9,
      queryHeads: 2,
      keyHeads: 1,
      width: 5,
      causal: false,
      window: 1 << 30,
      scale: 1,
    },
  },
  {
    name: "attention with heads of 256 features",
    options: {
      queries: 40,
      keys: 40,
      queryHeads: 1,
      keyHeads: 1,
      width: 256,
      causal: true,
      window: 1 << 30,
      scale: 1 / 16,
    },
  },
];

function inputsOf(
  { options, cross }: Case,
): AttentionInputs & Record<"q" | "k" | "v", Float32Array> {
  const { queries, keys, queryHeads, keyHeads, width, reach } = options;
  const whole = (count: number) => {
    const rows = new Int32Array(5 * count);
    rows.fill(-1, count, 2 * count);
    for (let i = 0; i < count; i++) rows[2 * count + i] = i;
    rows.fill(keys, 4 * count);
    return rows;
  };
  const stream = families(queries, 5);
  return {
    q: numbers(queries * queryHeads * width, 1),
    k: numbers(keys * keyHeads * width, 2),
    v: numbers(keys * keyHeads * width, 3),
    querySegments: cross ? whole(queries) : stream,
    keySegments: cross ? whole(keys) : stream,
    ...(reach === undefined ? {} : { bias: numbers(queryHeads * (2 * reach + 1), 4) }),
  };
}

function assertClose(actual: Float32Array, expected: ArrayLike<number>, what: string): void {
  assert.equal(actual.length, expected.length, what);
  let largest = 0;
  for (let i = 0; i < actual.length; i++) {
    if (Number.isFinite(expected[i]!)) largest = Math.max(largest, Math.abs(expected[i]!));
  }
  for (let i = 0; i < actual.length; i++) {
    const [a, e] = [actual[i]!, expected[i]!];
    if (a === e) continue;
    assert.ok(Math.abs(a - e) <= 3e-6 * largest, `${what}[${i}]: ${a}, expected ${e}`);
  }
}

for (const each of cases) {
  const { name, options } = each;
  gpuTest(`${name} and its gradient equal the float64 reference`, async (device) => {
    const { queries, keys, queryHeads, keyHeads, width, causal, window, scale } = options;
    const inputs = inputsOf(each);
    const reach = options.reach ?? 0;
    const variant = {
      causal,
      softcap: options.softcap !== undefined,
      bias: options.reach !== undefined,
    };
    const sizes = {
      ...{ queries, keys, queryHeads, keyHeads, width, window, reach, scale },
      softcap: options.softcap ?? 0,
    };
    const { q, k, v } = inputs;
    const segments = [
      Int32Array.from(inputs.querySegments),
      Int32Array.from(inputs.keySegments),
    ];
    const bias = inputs.bias === undefined ? [] : [Float32Array.from(inputs.bias)];
    const outputs = [
      new Float32Array(q.length).fill(NaN),
      new Float32Array(queries * queryHeads).fill(NaN),
    ];
    const forward = await runKernel(
      device,
      { kernel: { op: "attention", ...variant }, sizes },
      [q, k, v, ...segments, ...bias, ...outputs],
    );
    const expected = attentionOracle(inputs, options);
    const out = asFloats(forward.at(-2)!);
    const lse = asFloats(forward.at(-1)!);
    assertClose(out, expected.out, "out");
    assertClose(lse, expected.lse, "lse");

    const dOut = numbers(q.length, 9);
    const delta = new Float32Array(queries * queryHeads);
    for (let i = 0; i < delta.length; i++) {
      let sum = 0;
      for (let d = 0; d < width; d++) sum += expected.out[i * width + d]! * dOut[i * width + d]!;
      delta[i] = sum;
    }
    const gradients = [q.length, k.length, v.length, ...bias.map((b) => b.length)].map((length) =>
      new Float32Array(length).fill(NaN)
    );
    const args = [q, k, v, ...segments, ...bias, lse, delta, dOut, ...gradients];
    const kernel = { op: "attentionGrad", ...variant } as const;
    const backward = await runKernel(device, { kernel, sizes }, args);
    const reference = attentionGradOracle(inputs, options, dOut);
    const first = args.length - gradients.length;
    assertClose(asFloats(backward[first]!), reference.dq, "dq");
    assertClose(asFloats(backward[first + 1]!), reference.dk, "dk");
    assertClose(asFloats(backward[first + 2]!), reference.dv, "dv");
    if (variant.bias) assertClose(asFloats(backward[first + 3]!), reference.dBias, "dBias");
    const again = await runKernel(device, { kernel, sizes }, args);
    assert.deepEqual(again, backward, "two runs give the same bits");
  });
}
