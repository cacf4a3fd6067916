import assert from "node:assert/strict";
import {
  bytesPerElement,
  iota,
  jit,
  type Key,
  leavesOf,
  logSumExp,
  randomKey,
  randomNormal,
  realize,
  replaceLeaves,
  silu,
  splitKey,
  type Tensor,
  tensor,
  valueAndGrad,
  where,
} from "../../../core/mod.ts";
import { openSafetensors, writeSafetensors } from "../../../data/weights/safetensors.ts";
import { adamW8bit, adamWOptimizer, type Optimizer, type OptimizerState } from "../../../nn/mod.ts";
import { readLike, tensorsToStore } from "../../../train/files/model_files.ts";
import { eachDevice } from "../../devices.ts";

const options = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 };
const vocabulary = 257;
const batch = 256;

/** A language model that sees one token. */
interface Model {
  /** [257, 64]: not a whole number of blocks. */
  readonly embedding: Tensor;
  readonly up: Tensor;
  readonly head: Tensor;
  /** Too small for 8 bits. */
  readonly bias: Tensor;
}

function model(key: Key): Model {
  const [a, b, c] = splitKey(key, 3) as [Key, Key, Key];
  return {
    embedding: randomNormal(a, [vocabulary, 64]).mul(0.5),
    up: randomNormal(b, [64, 96]).mul(0.125),
    head: randomNormal(c, [96, vocabulary]).mul(0.1),
    bias: randomNormal(c, [vocabulary]).mul(0),
  };
}

function loss({ embedding, up, head, bias }: Model, ids: Tensor, next: Tensor): Tensor {
  const logits = silu(embedding.gather(ids).matmul(up)).matmul(head).add(bias);
  const wanted = iota(vocabulary).reshape(1, vocabulary).eq(next.reshape(-1, 1));
  return logSumExp(logits, -1).sub(where(wanted, logits, 0).sum(-1)).mean();
}

/** Tokens and those that follow them, mostly by a rule. */
function tokens(t: number): readonly [ids: Tensor, next: Tensor] {
  const ids = Int32Array.from({ length: batch }, (_, i) => (i * 31 + t * 17 + i * i) % vocabulary);
  const next = ids.map((id, i) => (i % 8 === 0 ? id * 5 + t : id * 3 + 1) % vocabulary);
  return [tensor(ids), tensor(next)];
}

interface Run {
  readonly losses: readonly number[];
  readonly params: Model;
  readonly state: OptimizerState;
}

async function train(optimizer: Optimizer, steps: number): Promise<Run> {
  const step = jit((
    params: Model,
    state: OptimizerState,
    ids: Tensor,
    next: Tensor,
    scalars: ReturnType<Optimizer["scalars"]>,
  ) => {
    const [value, gradients] = valueAndGrad((p: Model) => loss(p, ids, next))(params);
    return { value, updated: optimizer.update(params, gradients, state, scalars) };
  }, { donate: [0, 1], name: "step" });
  let params = model(randomKey(7));
  let state = optimizer.init(params);
  await realize([params, state]);
  const losses: number[] = [];
  for (let t = 1; t <= steps; t++) {
    const { value, updated } = step(params, state, ...tokens(t), optimizer.scalars(3e-3, t));
    [params, state] = updated;
    losses.push(await value.item());
  }
  return { losses, params, state };
}

function bytesOf(tree: unknown): number {
  return leavesOf(tree).reduce((sum, [, leaf]) => {
    const { size, dtype } = leaf as Tensor;
    return sum + size * bytesPerElement[dtype];
  }, 0);
}

async function valuesOf(tree: unknown): Promise<readonly (readonly [string, unknown])[]> {
  return await Promise.all(
    leavesOf(tree).map(async ([path, leaf]) => [path, await (leaf as Tensor).data()] as const),
  );
}

eachDevice(
  "8-bit AdamW learns as f32 AdamW does, with less than a third of its state",
  async () => {
    const exact = await train(adamWOptimizer(options), 50);
    const eight = await train(adamW8bit(options), 50);
    assert.ok(exact.losses[49]! < 0.6 * exact.losses[0]!, `it learns: ${exact.losses[49]}`);
    exact.losses.forEach((value, i) => {
      const found = eight.losses[i]!;
      assert.ok(Math.abs(found - value) <= 0.01 * value, `loss ${i + 1}: ${found}, not ${value}`);
    });
    assert.notEqual(eight.losses[49], exact.losses[49]);
    const share = bytesOf(eight.state) / bytesOf(exact.state);
    assert.ok(share < 1 / 3, `the state takes ${share} of what it takes in f32`);
  },
);

eachDevice("8-bit AdamW gives the same bits twice", async () => {
  const [one, two] = [await train(adamW8bit(options), 5), await train(adamW8bit(options), 5)];
  assert.deepEqual(await valuesOf(one.params), await valuesOf(two.params));
  assert.deepEqual(await valuesOf(one.state), await valuesOf(two.state));
});

eachDevice("8-bit moments have codes of u8 and a scale for every 256 elements", async () => {
  const state = adamW8bit(options).init(model(randomKey(0)));
  const forms = Object.fromEntries(leavesOf(state).map(([path, leaf]) => [path, `${leaf}`]));
  assert.equal(forms["first.embedding.codes"], "Tensor u8[65, 256]");
  assert.equal(forms["second.embedding.absmax"], "Tensor f32[65, 1]");
  assert.equal(forms["first.up.codes"], "Tensor u8[24, 256]");
  assert.equal(forms["second.bias"], "Tensor f32[257]");
  const { params, state: after } = await train(adamW8bit({ ...options, minSize: 1e9 }), 2);
  assert.ok(leavesOf(after).every(([, leaf]) => (leaf as Tensor).dtype === "f32"));
  const exact = await train(adamWOptimizer(options), 2);
  assert.deepEqual(await valuesOf(params), await valuesOf(exact.params));
});

eachDevice("8-bit AdamW takes over the memory of parameters and state", async () => {
  const optimizer = adamW8bit(options);
  const step = jit(optimizer.update<Model>, { donate: [0, 2] });
  const [params, gradients] = [model(randomKey(1)), model(randomKey(2))];
  const state = optimizer.init(params);
  await realize([params, gradients, state]);
  const { externals } = step.plan(params, gradients, state, optimizer.scalars(0.1, 1));
  const fresh = externals.filter((external) => external.kind === "result");
  // Only the blocks' scales are new: a row's element cannot be written onto what all of the row reads.
  const scales = leavesOf(state).filter(([path]) => path.endsWith(".absmax"));
  assert.deepEqual(
    fresh.map(({ bytes }) => bytes).sort(),
    scales.map(([, leaf]) => (leaf as Tensor).size * 4).sort(),
  );
  const [next, after] = step(params, gradients, state, optimizer.scalars(0.1, 1));
  await realize([next, after]);
  for (const [, leaf] of leavesOf([params, state])) {
    await assert.rejects((leaf as Tensor).data(), /donated/);
  }
});

eachDevice("8-bit state comes back from a checkpoint bit for bit", async () => {
  const { state } = await train(adamW8bit(options), 2);
  const path = await Deno.makeTempFile({ suffix: ".safetensors" });
  try {
    await writeSafetensors(path, tensorsToStore(state));
    using file = await openSafetensors(path);
    const read = await Promise.all(
      leavesOf(state).map(([name, leaf]) => readLike(file.tensors.get(name)!, leaf as Tensor)),
    );
    const back = replaceLeaves(state, read);
    assert.equal(file.tensors.get("first.up.codes")!.dtype, "U8");
    assert.deepEqual(
      leavesOf(back).map(([name, leaf]) => `${name}: ${leaf}`),
      leavesOf(state).map(([name, leaf]) => `${name}: ${leaf}`),
    );
    assert.deepEqual(await valuesOf(back), await valuesOf(state));
  } finally {
    await Deno.remove(path);
  }
});
