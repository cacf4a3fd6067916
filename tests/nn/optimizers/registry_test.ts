import assert from "node:assert/strict";
import {
  jit,
  leavesOf,
  realize,
  type Tensor,
  tensor,
  UserError,
  zeros,
} from "../../../core/mod.ts";
import { type Optimizer, optimizerByName, optimizerNames } from "../../../nn/mod.ts";
import { setDevice } from "../../../core/device/current.ts";
import { devices } from "../../devices.ts";
import { assertNear } from "./trajectories.ts";

const settings = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 };

const shapes = { lm_head: [3, 2], layers: [{ weight: [2, 3], bias: [3] }] } as const;

function parameters(offset = 0) {
  const numbers = (count: number, by: number) =>
    Float32Array.from({ length: count }, (_, i) => Math.sin(by * (i + 1) + offset));
  const [{ weight, bias }] = shapes.layers;
  return {
    lm_head: tensor(numbers(6, 1), { shape: shapes.lm_head }),
    layers: [{
      weight: tensor(numbers(6, 2), { shape: weight }),
      bias: tensor(numbers(3, 3), { shape: bias }),
    }],
    frozen: null,
  };
}

type Params = ReturnType<typeof parameters>;

function compiled(optimizer: Optimizer) {
  return jit(
    (
      params: Params,
      state: ReturnType<Optimizer["init"]>,
      gradients: Params,
      scalars: ReturnType<Optimizer["scalars"]>,
    ) => optimizer.update(params, gradients, state, scalars),
    { donate: [0, 1] },
  );
}

async function valuesAfter(optimizer: Optimizer, steps = 3): Promise<number[][]> {
  setDevice(devices[0]!);
  const step = compiled(optimizer);
  let params = parameters();
  let state = optimizer.init(params);
  for (let t = 1; t <= steps; t++) {
    [params, state] = step(params, state, parameters(t), optimizer.scalars(0.1, t));
  }
  return await Promise.all(
    leavesOf(params).map(async ([, leaf]) => [...await (leaf as Tensor).data()]),
  );
}

for (const name of optimizerNames) {
  Deno.test(`${name} updates parameters and state in place`, async () => {
    setDevice(devices[0]!);
    const optimizer = optimizerByName(name, settings);
    const step = compiled(optimizer);
    const before = parameters();
    const gradients = parameters(1);
    const state = optimizer.init(before);
    await realize([before, gradients, state]);
    const { externals } = step.plan(before, state, gradients, optimizer.scalars(0.1, 1));
    assert.equal(externals.filter(({ kind }) => kind === "result").length, 0);
    const [after, next] = step(before, state, gradients, optimizer.scalars(0.1, 1));
    assert.equal(after.frozen, null);
    assert.deepEqual(leavesOf(next).map(([path]) => path), leavesOf(state).map(([path]) => path));
    for (const [i, [path, leaf]] of leavesOf(after).entries()) {
      const [, old] = leavesOf(parameters())[i]!;
      assert.notDeepEqual(await (leaf as Tensor).data(), await (old as Tensor).data(), path);
    }
    await assert.rejects(before.lm_head.data(), /donated/);
  });
}

Deno.test("optimizerByName() refuses names it does not know and lists those it does", () => {
  for (const name of ["galore_adamw", "AdamW", "constructor", ""]) {
    assert.throws(() => optimizerByName(name, settings), (error) => {
      assert.ok(error instanceof UserError);
      assert.ok(error.message.includes(`"${name}"`));
      return optimizerNames.every((known) => error.message.includes(known));
    });
  }
});

Deno.test("optim_args set what they name", async () => {
  const plain = await valuesAfter(optimizerByName("sgd", settings));
  const same = await valuesAfter(optimizerByName("sgd", settings, "momentum=0, nesterov=False"));
  const other = await valuesAfter(optimizerByName("sgd", settings, "momentum=0.9,nesterov=true"));
  assert.deepEqual(same, plain);
  assert.notDeepEqual(other, plain);
  const scaled = await valuesAfter(optimizerByName("adafactor", settings, "scale_parameter=true"));
  assert.notDeepEqual(scaled, await valuesAfter(optimizerByName("adafactor", settings)));
});

const refused: readonly (readonly [optimizer: string, args: string, reason: RegExp])[] = [
  ["sgd", "momentun=0.9", /momentun=0.9, which sgd does not take. It takes momentum, dampening/],
  ["sgd", "momentum", /"momentum" is not key=value/],
  ["sgd", "momentum=0.9,momentum=0.8", /"momentum=0.8" is given twice/],
  ["sgd", "momentum=1.5", /momentum=1.5, but momentum of sgd is a number from 0 to 1/],
  ["sgd", "nesterov=maybe", /nesterov=maybe, but nesterov of sgd is true or false/],
  ["sgd", "nesterov=true", /nesterov=true, which needs momentum/],
  ["adagrad", "weight_decay=0.1", /Set --weight_decay/],
  ["adamw_torch", "lr=1", /It takes none. Set --learning_rate/],
  ["adafactor", "warmup_init=true", /without relative_step=true/],
  ["muon", "adjust_lr_fn=none", /is original or match_rms_adamw/],
  ["muon", "ns_steps=2.5", /is a whole number from 1 to 99/],
];

for (const [optimizer, args, reason] of refused) {
  Deno.test(`optim_args "${args}" of ${optimizer} are refused`, () => {
    assert.throws(() => optimizerByName(optimizer, settings, args), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, reason);
      return true;
    });
  });
}

Deno.test("muon steps hidden matrices and leaves heads and biases to AdamW", async () => {
  const states = optimizerByName("muon", settings).init(parameters());
  const paths = leavesOf(states).map(([path]) => path).sort();
  assert.deepEqual(paths, [
    "first.layers.0.bias",
    "first.lm_head",
    "momentum.layers.0.weight",
    "second.layers.0.bias",
    "second.lm_head",
  ]);
  const [head, weight, bias] = await valuesAfter(optimizerByName("muon", settings));
  const [adamHead, adamWeight, adamBias] = await valuesAfter(
    optimizerByName("adamw_torch", settings),
  );
  assert.deepEqual(head, adamHead);
  assert.deepEqual(bias, adamBias);
  assert.notDeepEqual(weight, adamWeight);
});

Deno.test("embedding_bits=32 keeps the moments of embeddings and heads in f32", () => {
  setDevice(devices[0]!);
  const params = {
    model: { embed_tokens: { weight: zeros([64, 64]) } },
    lm_head: { weight: zeros([64, 64]) },
    up_proj: { weight: zeros([64, 64]) },
  };
  const slots = (args: string) =>
    leavesOf(optimizerByName("adamw_8bit", settings, args).init(params)["first"])
      .map(([path, leaf]) => `${path} ${(leaf as Tensor).dtype}`);
  assert.deepEqual(slots("embedding_bits=32"), [
    "model.embed_tokens.weight f32",
    "lm_head.weight f32",
    "up_proj.weight.codes u8",
    "up_proj.weight.absmax f32",
  ]);
  assert.equal(slots("").filter((slot) => slot.endsWith(".codes u8")).length, 3);
  assert.equal(slots("min_8bit_size=5000").length, 3);
});

Deno.test("only parameters that the mask names decay, under every optimiser", async () => {
  for (const name of optimizerNames) {
    const optimizer = optimizerByName(name, {
      ...settings,
      decays: (path) => !path.endsWith("bias"),
    });
    setDevice(devices[0]!);
    const params = parameters();
    const nothing = optimizer.update(
      params,
      {
        lm_head: params.lm_head.mul(0),
        layers: params.layers.map((l) => ({ weight: l.weight.mul(0), bias: l.bias.mul(0) })),
        frozen: null,
      },
      optimizer.init(params),
      optimizer.scalars(0.1, 1),
    )[0];
    await assertNear(nothing.layers[0]!.bias, [...await params.layers[0]!.bias.data()], name);
    const [now, before] = [await nothing.lm_head.data(), await params.lm_head.data()];
    assert.ok(now.every((x, i) => x !== before[i]!), `${name} decays lm_head`);
  }
});

Deno.test("a parameter without a gradient stays as it is, and so does its state", async () => {
  setDevice(devices[0]!);
  const optimizer = optimizerByName("adamw_torch", settings);
  const params: { readonly a: Tensor | null; readonly b: Tensor } = {
    a: tensor([1, 2]),
    b: tensor([3]),
  };
  const state = optimizer.init(params);
  const gradients = { a: null, b: tensor([1]) };
  const [next, after] = optimizer.update(params, gradients, state, optimizer.scalars(0.1, 1));
  await assertNear(next.a!, [1, 2], "a", 1e-9);
  assert.ok(Math.abs((await next.b.item()) - 2.87) < 1e-5);
  assert.deepEqual(leavesOf(after).map(([path]) => path), leavesOf(state).map(([path]) => path));
});

Deno.test("update() refuses the state and the numbers of another optimiser", () => {
  const [adam, sgd] = ["adamw_torch", "sgd"].map((name) => optimizerByName(name, settings));
  const params = parameters();
  assert.throws(
    () => adam!.update(params, params, sgd!.init(params), adam!.scalars(0.1, 1)),
    /has no "first" of lm_head/,
  );
  assert.throws(
    () => adam!.update(params, params, adam!.init(params), sgd!.scalars(0.1, 1)),
    /lacks the number "correction1"; given are learningRate, entering/,
  );
});
