import assert from "node:assert/strict";
import {
  checkpoint,
  grad,
  jit,
  logitStats,
  matmul,
  realize,
  setDevice,
  type Tensor,
  tensor,
} from "../../core/mod.ts";
import { leavesOf } from "../../core/tree.ts";
import { devices, eachDevice } from "../devices.ts";
import { generator, uniform } from "./attention_cases.ts";
import { assertClose } from "./compare.ts";
import {
  decoderBatch,
  decoderLoss,
  decoderParams,
  decoderState,
  type layerOf,
  trainStep,
} from "./decoder.ts";

const scalars = { rate: 1e-3, correction1: 0.1, correction2: 0.001 };

Deno.test("planning a training step grows linearly with depth, to less than a second for 30 layers", () => {
  setDevice(devices[0]!);
  const batch = decoderBatch(32);
  const plan = (layers: number) => {
    const state = decoderState(layers);
    const start = performance.now();
    const planned = jit(trainStep, { donate: [0] }).plan(state, batch, scalars);
    return { time: performance.now() - start, launches: planned.plan.launches.length };
  };
  plan(10);
  const best = (layers: number) => {
    const runs = [plan(layers), plan(layers), plan(layers)];
    return { ...runs[0]!, time: Math.min(...runs.map(({ time }) => time)) };
  };
  const [ten, thirty, fifty] = [best(10), best(30), best(50)];
  assert.ok(thirty.time < 1000, `30 layers took ${thirty.time} ms`);
  // Linear would be 5, quadratic 25.
  assert.ok(fifty.time < 10 * ten.time, `10 and 50 layers took ${ten.time} and ${fifty.time} ms`);
  const perLayer = (thirty.launches - ten.launches) / 20;
  assert.equal((fifty.launches - thirty.launches) / 20, perLayer);
  assert.ok(perLayer <= 46, `${perLayer} launches a layer`);
});

const checkpointed = (f: typeof layerOf): typeof layerOf => checkpoint(f);

eachDevice("checkpoint cuts the memory of 8 layers to 60 % with the same gradients", async () => {
  const [params, batch] = [decoderParams(8), decoderBatch(64)];
  const plain = jit((p: typeof params) => grad(decoderLoss)(p, batch));
  const saving = jit((p: typeof params) =>
    grad((p: typeof params) => decoderLoss(p, batch, checkpointed))(p)
  );
  const [most, least] = [plain, saving].map((f) => f.plan(params).plan.arenaBytes) as [
    number,
    number,
  ];
  assert.ok(least <= 0.6 * most, `${least} of ${most} bytes`);
  const [a, b] = [plain(params), saving(params)];
  const found = leavesOf(b).map(([, leaf]) => leaf as Tensor);
  for (const [i, [path, leaf]] of leavesOf(a).entries()) {
    assertClose(await found[i]!.data(), await (leaf as Tensor).data(), 1e-5, path);
  }
});

Deno.test("checkpoint of a deep perceptron keeps one layer's values at a time", () => {
  setDevice(devices[0]!);
  const random = generator(3);
  const weights = Array.from(
    { length: 8 },
    () => [16, 64].map((n, i) => tensor(uniform(random, 1024), { shape: [n, [64, 16][i]!] })),
  );
  const block = ({ x, w }: { x: Tensor; w: readonly Tensor[] }) =>
    x.add(matmul(matmul(x, w[0]!).tanh().mul(2).sin().exp(), w[1]!));
  const loss = (f: typeof block) => (ws: typeof weights) => {
    let x = tensor(uniform(generator(4), 64 * 16), { shape: [64, 16] });
    for (const w of ws) x = f({ x, w });
    return x.square().sum();
  };
  const bytes = (f: typeof block) => jit(grad(loss(f))).plan(weights).plan.arenaBytes;
  const [most, least] = [bytes(block), bytes(checkpoint(block))];
  assert.ok(least <= 0.6 * most, `${least} of ${most} bytes`);
});

Deno.test("the output head holds one chunk of logits at a time", () => {
  setDevice(devices[0]!);
  const [n, d, v] = [256, 8, 512];
  const labels = tensor(new Int32Array(n));
  const f = (maxLogits: number) =>
    jit((x: Tensor, w: Tensor) =>
      grad((p: { x: Tensor; w: Tensor }) =>
        logitStats(p.x, p.w, labels, { maxLogits }).logProb.sum()
      )({ x, w })
    ).plan(
      tensor(new Float32Array(n * d), { shape: [n, d] }),
      tensor(new Float32Array(v * d), { shape: [v, d] }),
    )
      .plan.arenaBytes;
  const chunk = 32 * v * 4;
  assert.ok(f(32 * v) < 3 * chunk, `${f(32 * v)} bytes with chunks of ${chunk}`);
  // Whole logits and their cotangents, and little beside: no mask of their size.
  assert.ok(f(n * v) < 2.2 * n * v * 4, `${f(n * v)} bytes`);
});

eachDevice("equal subexpressions are computed once, unused ones never", async () => {
  const f = jit((x: Tensor) => {
    const unused = x.exp().sum();
    void unused;
    return x.mul(2).add(x.mul(2)).sub(x.mul(2));
  });
  const x = await realize(tensor([1, 2]));
  const { plan } = f.plan(x);
  assert.equal(plan.launches.length, 1);
  const { kernel } = plan.launches[0]!;
  assert.ok(kernel.op === "fused");
  assert.equal(kernel.body.filter((i) => i.op === "binary" && i.fn === "mul").length, 1);
  assert.deepEqual(Array.from(await f(x).data()), [2, 4]);
});
