import assert from "node:assert/strict";
import { attention, grad, realize, type Tensor, tensor, vjp } from "../../core/mod.ts";
import { eachDevice } from "../devices.ts";
import {
  crossSegments,
  familySegments,
  generator,
  scatteredSegments,
  uniform,
} from "./attention_cases.ts";
import { attentionGradOracle, type AttentionInputs, attentionOracle } from "./attention_oracle.ts";
import { assertClose } from "./compare.ts";

interface Setting {
  readonly name: string;
  readonly querySegments: Int32Array;
  readonly keySegments?: Int32Array;
  readonly causal?: boolean;
  readonly window?: number;
  readonly softcap?: number;
  readonly scale?: number;
  readonly reach?: number;
  readonly heads: readonly [query: number, key: number];
  readonly width: number;
}

const family = familySegments(
  [{ prompt: 5, children: [3, 4] }, { prompt: 2, children: [6] }],
  3,
  true,
);
const cross = crossSegments([3, 5], [4, 2]);

const settings: readonly Setting[] = [
  { name: "causal over families", querySegments: family, heads: [4, 2], width: 8 },
  { name: "with a window", querySegments: family, window: 3, heads: [2, 2], width: 4 },
  { name: "soft-capped", querySegments: family, softcap: 1.5, scale: 2, heads: [2, 1], width: 8 },
  { name: "biased by distance", querySegments: family, reach: 3, heads: [3, 3], width: 4 },
  {
    name: "across two streams",
    querySegments: cross.query,
    keySegments: cross.key,
    causal: false,
    heads: [2, 2],
    width: 8,
  },
  {
    name: "without order",
    querySegments: scatteredSegments(generator(1), 17, 17),
    causal: false,
    window: 20,
    heads: [2, 1],
    width: 4,
  },
];

for (const setting of settings) {
  eachDevice(`attention ${setting.name} has the oracle's values and gradients`, async () => {
    const { querySegments, keySegments = querySegments, heads: [h, k], width, reach } = setting;
    const { causal = true, window = 2 ** 31 - 1, scale = 1 / Math.sqrt(width), softcap } = setting;
    const [t, s] = [querySegments.length / 5, keySegments.length / 5];
    const random = generator(7);
    const inputs: AttentionInputs = {
      q: uniform(random, t * h * width),
      k: uniform(random, s * k * width),
      v: uniform(random, s * k * width),
      querySegments,
      keySegments,
      ...(reach === undefined ? {} : { bias: uniform(random, h * (2 * reach + 1)) }),
    };
    const dOut = uniform(random, t * h * width);
    const options = {
      ...{ queries: t, keys: s, queryHeads: h, keyHeads: k, width, causal, window, scale },
      ...(softcap === undefined ? {} : { softcap }),
      ...(reach === undefined ? {} : { reach }),
    };
    const { out } = attentionOracle(inputs, options);
    const expected = attentionGradOracle(inputs, options, dOut);
    const of = (values: ArrayLike<number>, ...shape: number[]) =>
      tensor(Float32Array.from(values), { shape });
    const [value, pull] = vjp(
      ({ q, k, v, bias }: { q: Tensor; k: Tensor; v: Tensor; bias: Tensor | null }) =>
        attention(q, k, v, {
          querySegments: tensor(querySegments, { shape: [5, t] }),
          keySegments: tensor(keySegments, { shape: [5, s] }),
          causal,
          ...(setting.window === undefined ? {} : { window }),
          ...(setting.scale === undefined ? {} : { scale }),
          ...(softcap === undefined ? {} : { softcap }),
          ...(bias ? { bias } : {}),
        }),
      {
        q: of(inputs.q, t, h, width),
        k: of(inputs.k, s, k, width),
        v: of(inputs.v, s, k, width),
        bias: inputs.bias ? of(inputs.bias, h, 2 * reach! + 1) : null,
      },
    );
    const found = pull(of(dOut, t, h, width));
    await realize([value, found]);
    assertClose(await value.data(), out, 2e-6, "out");
    assertClose(await found.q.data(), expected.dq, 1e-5, "dq");
    assertClose(await found.k.data(), expected.dk, 1e-5, "dk");
    assertClose(await found.v.data(), expected.dv, 1e-5, "dv");
    if (found.bias) assertClose(await found.bias.data(), expected.dBias, 1e-5, "dBias");
  });
}

eachDevice(
  "attention inside a larger function passes gradients on to what its inputs are made of",
  async () => {
    const t = family.length / 5;
    const querySegments = tensor(family, { shape: [5, t] });
    const x = uniform(generator(3), t * 8);
    const weight = uniform(generator(4), 3 * 64);
    const f = (w: Tensor) => {
      const qkv = tensor(x, { shape: [t, 8] }).matmul(w.reshape(8, 24)).reshape(t, 3, 2, 4);
      const [q, k, v] = [0, 1, 2].map((i) => qkv.slice(i, i + 1, 1).reshape(t, 2, 4)) as [
        ...[Tensor, Tensor, Tensor],
      ];
      return attention(q, k, v, { querySegments }).square().sum();
    };
    const w = tensor(weight);
    const gradient = await grad(f)(w).data();
    // Along a random direction; in f32 a step of 1/64 leaves about 1e-3.
    const direction = uniform(generator(5), weight.length);
    const moved = (by: number) => f(tensor(weight.map((v, i) => v + by * direction[i]!))).item();
    const h = 1 / 64;
    const [a, b, c, d] = [await moved(2 * h), await moved(h), await moved(-h), await moved(-2 * h)];
    const expected = (8 * (b - c) - (a - d)) / (12 * h);
    const found = direction.reduce((sum, v, i) => sum + v * gradient[i]!, 0);
    assert.ok(Math.abs(found - expected) < 2e-3 * Math.abs(expected), `${found}, not ${expected}`);
  },
);

Deno.test("attention refuses shapes that do not fit and second derivatives, by name", () => {
  const [q, k] = [
    tensor(new Float32Array(24), { shape: [2, 3, 4] }),
    tensor(new Float32Array(16), { shape: [2, 2, 4] }),
  ];
  const querySegments = tensor(new Int32Array(10), { shape: [5, 2] });
  assert.throws(() => attention(q, k, k, { querySegments }), /Cannot attend: .* H a multiple of K/);
  const f = (x: Tensor) => attention(x, k, k, { querySegments }).sum();
  const x = tensor(new Float32Array(16), { shape: [2, 2, 4] });
  assert.throws(
    () => grad((x: Tensor) => grad(f)(x).square().sum())(x),
    /Attention has no second derivative/,
  );
});
