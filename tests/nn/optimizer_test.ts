import assert from "node:assert/strict";
import { jit, mapTree, type Operand, realize, type Tensor, tensor } from "../../core/mod.ts";
import {
  adamW,
  type AdamWState,
  adamWStep,
  clipByNorm,
  globalNorm,
  initAdamW,
} from "../../nn/mod.ts";
import { readFixture } from "../data/fixture_files.ts";
import { eachDevice } from "../devices.ts";

type Nested = readonly (number | Nested)[];

/** Named arrays of numbers. */
type Numbers = Readonly<Record<string, Nested>>;

type Tensors = Readonly<Record<string, Tensor>>;

/** A trajectory of 20 steps. */
interface Trajectory {
  readonly options: {
    readonly lr: number;
    readonly betas: readonly [number, number];
    readonly eps: number;
    readonly weight_decay: number;
  };
  readonly start: Numbers;
  readonly grads: readonly Numbers[];
  /** After each step. */
  readonly parameters: readonly Numbers[];
}

function tensorsOf(numbers: Numbers): Tensors {
  return Object.fromEntries(
    Object.entries(numbers).map(([name, values]) => [name, tensor(values)]),
  );
}

async function assertNear(actual: Tensor, expected: Nested, what: string): Promise<void> {
  const values = await actual.data();
  const flat = expected.flat(3) as number[];
  assert.equal(values.length, flat.length, what);
  flat.forEach((value, i) => {
    const error = Math.abs(values[i]! - value);
    assert.ok(error < 1e-5, `${what}: element ${i} is ${values[i]}, not ${value}`);
  });
}

for (const name of ["adamw", "adamw_betas", "adamw_decay"]) {
  eachDevice(`adamW() follows PyTorch: ${name}`, async () => {
    const { options: given, start, grads, parameters } = await readFixture<Trajectory>(
      `optim/${name}.json`,
    );
    const options = {
      beta1: given.betas[0],
      beta2: given.betas[1],
      epsilon: given.eps,
      weightDecay: given.weight_decay,
    };
    const step = jit((
      params: Tensors,
      state: AdamWState<Tensors>,
      gradients: Tensors,
      numbers: Record<"learningRate" | "correction1" | "correction2", Operand>,
    ) => adamW(params, gradients, state, numbers, options), { donate: [0, 1] });
    let params = tensorsOf(start);
    let state = initAdamW(params);
    assert.equal(grads.length, 20);
    for (const [i, gradients] of grads.entries()) {
      const numbers = adamWStep(given.lr, i + 1, options);
      [params, state] = step(params, state, tensorsOf(gradients), numbers);
      for (const [key, expected] of Object.entries(parameters[i]!)) {
        await assertNear(params[key]!, expected, `${key} after step ${i + 1}`);
      }
    }
  });
}

eachDevice("adamW() decays only the parameters it is told to", async () => {
  const params = { weight: tensor([1, -2]), bias: tensor([3]) };
  const gradients = mapTree(params, (leaf) => (leaf as Tensor).mul(0)) as typeof params;
  const options = {
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0.5,
    decays: (path: string) => path !== "bias",
  };
  const numbers = adamWStep(0.1, 1, options);
  const [next] = adamW(params, gradients, initAdamW(params), numbers, options);
  await assertNear(next.weight, [0.95, -1.9], "weight");
  await assertNear(next.bias, [3], "bias");
});

/** A case of `torch.nn.utils.clip_grad_norm_`. */
interface ClipCase {
  readonly max_norm: number;
  readonly grads: readonly Nested[];
  readonly norm: number;
  readonly clipped: readonly Nested[];
}

eachDevice("globalNorm() and clipByNorm() follow PyTorch", async () => {
  const { cases } = await readFixture<{ readonly cases: readonly ClipCase[] }>(
    "optim/clip_grad_norm.json",
  );
  assert.ok(cases.length > 0);
  for (const [i, { max_norm, grads, norm: expected, clipped }] of cases.entries()) {
    const gradients = grads.map((values) => tensor(values));
    const norm = globalNorm(gradients);
    const result = clipByNorm(gradients, norm, max_norm);
    await realize([norm, result]);
    const found = await norm.item();
    assert.ok(
      Math.abs(found - expected) <= 1e-6 * expected,
      `case ${i}: norm ${found}, not ${expected}`,
    );
    for (const [j, tensor] of result.entries()) {
      await assertNear(tensor, clipped[j]!, `case ${i}, gradient ${j}`);
    }
  }
});
