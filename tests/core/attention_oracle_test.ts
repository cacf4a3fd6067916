import assert from "node:assert/strict";
import { familySegments, generator, scatteredSegments, uniform } from "./attention_cases.ts";
import {
  attentionGradOracle,
  type AttentionInputs,
  type AttentionOptions,
  attentionOracle,
  isVisible,
} from "./attention_oracle.ts";

const base = { queryHeads: 4, keyHeads: 2, width: 3, scale: 0.7 } as const;

function variants(): readonly AttentionOptions[] {
  const random = { queries: 12, keys: 10, ...base };
  const family = { queries: 12, keys: 12, ...base };
  return [
    { ...family, causal: true, window: 1000 },
    { ...random, causal: false, window: 9, softcap: 1.5 },
    { ...random, causal: true, window: 12, softcap: 2, reach: 5 },
    { ...family, causal: false, window: 1000, reach: 3 },
  ];
}

function inputsOf(options: AttentionOptions, seed: number): AttentionInputs {
  const random = generator(seed);
  const { queries, keys, queryHeads, keyHeads, width, causal, reach } = options;
  const families = [{ prompt: 4, children: [3, 2] }, { prompt: 2, children: [] }];
  const segments = queries === keys
    ? familySegments(families, 1, causal)
    : scatteredSegments(random, queries, keys);
  const numbers = (length: number) => Float64Array.from(uniform(random, length));
  return {
    q: numbers(queries * queryHeads * width),
    k: numbers(keys * keyHeads * width),
    v: numbers(keys * keyHeads * width),
    querySegments: segments,
    keySegments: queries === keys ? segments : scatteredSegments(random, keys, 0),
    ...(reach === undefined ? {} : { bias: numbers(queryHeads * (2 * reach + 1)) }),
  };
}

Deno.test("the oracle's gradients agree with central differences", () => {
  for (const [seed, options] of variants().entries()) {
    const inputs = inputsOf(options, seed);
    const dOut = uniform(generator(99), options.queries * options.queryHeads * options.width);
    const loss = (changed: AttentionInputs) =>
      attentionOracle(changed, options).out.reduce((sum, x, i) => sum + x * dOut[i]!, 0);
    const { dq, dk, dv, dBias } = attentionGradOracle(inputs, options, dOut);
    const step = 1e-5;
    for (const [name, gradient] of Object.entries({ q: dq, k: dk, v: dv, bias: dBias })) {
      const value = inputs[name as "q" | "k" | "v" | "bias"];
      if (!value) continue;
      const at = (i: number, by: number) =>
        loss({ ...inputs, [name]: Float64Array.from(value, (x, j) => j === i ? x + by : x) });
      for (let i = 0; i < value.length; i++) {
        const difference = (at(i, step) - at(i, -step)) / (2 * step);
        assert.ok(
          Math.abs(difference - gradient[i]!) < 1e-8,
          `d${name}[${i}] is ${gradient[i]}, the difference quotient ${difference}`,
        );
      }
      assert.ok(gradient.some((x) => x !== 0), `d${name} is not zero`);
    }
  }
});

Deno.test("the oracle's log-sum is that of its scores and its output is a weighted mean", () => {
  const options = variants()[0]!;
  const inputs = inputsOf(options, 5);
  const { queries, queryHeads: H, keyHeads: K, width: D } = options;
  const ones = new Float64Array(inputs.v.length).fill(1);
  const { out, lse } = attentionOracle({ ...inputs, v: ones }, options);
  for (let i = 0; i < queries; i++) {
    for (let h = 0; h < H; h++) {
      let sum = 0;
      for (let j = 0; j < options.keys; j++) {
        if (!isVisible(inputs, options, i, j)) continue;
        let dot = 0;
        for (let d = 0; d < D; d++) {
          dot += inputs.q[(i * H + h) * D + d]! *
            inputs.k[(j * K + Math.floor(h * K / H)) * D + d]!;
        }
        sum += Math.exp(options.scale * dot);
      }
      if (sum === 0) assert.equal(lse[i * H + h], -Infinity);
      else assert.ok(Math.abs(lse[i * H + h]! - Math.log(sum)) < 1e-12);
      assert.ok(Math.abs(out[(i * H + h) * D]! - (sum === 0 ? 0 : 1)) < 1e-12);
    }
  }
});

Deno.test("a child sees its prompt and itself but not its siblings, nor the prompt its children", () => {
  const segments = familySegments([{ prompt: 3, children: [2, 2] }], 1, true);
  const inputs = { querySegments: segments, keySegments: segments };
  const options = { queries: 8, keys: 8, causal: true, window: 100 };
  const seen = Array.from(
    { length: 8 },
    (_, i) =>
      Array.from({ length: 8 }, (_, j) => isVisible(inputs, options, i, j) ? "x" : ".").join(""),
  );
  assert.deepEqual(seen, [
    "x.......",
    "xx......",
    "xxx.....",
    "xxxx....",
    "xxxxx...",
    "xxx..x..",
    "xxx..xx.",
    "........",
  ]);
});
