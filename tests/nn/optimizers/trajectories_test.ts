import assert from "node:assert/strict";
import { jit, leavesOf, type Operand, type Tensor } from "../../../core/mod.ts";
import {
  adafactor,
  adagrad,
  adamWOptimizer,
  lion,
  muon,
  type Optimizer,
  type OptimizerState,
  rmsprop,
  sgd,
} from "../../../nn/mod.ts";
import { eachDevice } from "../../devices.ts";
import {
  assertNear,
  type Nested,
  type Options,
  readTrajectory,
  type Tensors,
  tensorsOf,
} from "./trajectories.ts";

/** Optimisers from recorded options; what the recording leaves out is left to the optimiser's own default. */
const makers: Readonly<Record<string, (options: Reader) => Optimizer>> = {
  adamw: ({ number, pair }) => {
    const [beta1, beta2] = pair("betas")!;
    return adamWOptimizer({
      beta1,
      beta2,
      epsilon: number("eps")!,
      weightDecay: number("weight_decay")!,
    });
  },
  adafactor: ({ given, number, flag }) =>
    adafactor(given({
      beta1: number("beta1"),
      weightDecay: number("weight_decay"),
      scaleParameter: flag("scale_parameter"),
      relativeStep: flag("relative_step"),
      warmupInit: flag("warmup_init"),
    })),
  adagrad: ({ given, number }) =>
    adagrad(given({
      learningRateDecay: number("lr_decay"),
      epsilon: number("eps"),
      weightDecay: number("weight_decay"),
      initialAccumulator: number("initial_accumulator_value"),
    })),
  lion: ({ given, number, pair }) => {
    const [beta1, beta2] = pair("betas")!;
    return lion(given({ beta1, beta2, weightDecay: number("weight_decay") }));
  },
  muon: ({ given, number, flag, adjustment, precision }) =>
    muon(given({
      weightDecay: number("weight_decay"),
      momentum: number("momentum"),
      nesterov: flag("nesterov"),
      adjustment: adjustment(),
      precision,
    })),
  rmsprop: ({ given, number, flag }) =>
    rmsprop(given({
      alpha: number("alpha"),
      epsilon: number("eps"),
      momentum: number("momentum"),
      centered: flag("centered"),
      weightDecay: number("weight_decay"),
    })),
  sgd: ({ given, number, flag }) =>
    sgd(given({
      momentum: number("momentum"),
      nesterov: flag("nesterov"),
      weightDecay: number("weight_decay"),
    })),
};

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Reads recorded options, each of which must be read. */
interface Reader {
  readonly number: (name: string) => number | undefined;
  readonly flag: (name: string) => boolean | undefined;
  readonly pair: (name: string) => readonly [number, number] | undefined;
  readonly adjustment: () => "match_rms_adamw" | undefined;
  readonly precision: "f32" | "bf16";
  /** The options that are not undefined. */
  readonly given: <T extends object>(options: T) => Given<T>;
}

function optimizerFor(
  name: string,
  options: Options,
  precision: "f32" | "bf16" = "f32",
): Optimizer {
  const unread = new Set(Object.keys(options).filter((key) => key !== "lr"));
  const take = (key: string) => {
    unread.delete(key);
    return options[key];
  };
  const optimizer = makers[name]!({
    number: (key) => take(key) as number | undefined,
    flag: (key) => take(key) as boolean | undefined,
    pair: (key) => take(key) as [number, number] | undefined,
    adjustment: () => {
      const value = take("adjust_lr_fn");
      assert.ok(value === undefined || value === "match_rms_adamw");
      return value;
    },
    precision,
    given: <T extends object>(all: T) =>
      Object.fromEntries(Object.entries(all).filter(([, v]) => v !== undefined)) as Given<T>,
  });
  assert.deepEqual([...unread], [], "options of the recording that the test leaves out");
  return optimizer;
}

function stepOf(optimizer: Optimizer) {
  return jit((
    params: Tensors,
    state: OptimizerState,
    gradients: Tensors,
    scalars: Readonly<Record<string, Operand>>,
  ) => optimizer.update(params, gradients, state, scalars), { donate: [0, 1], name: "step" });
}

const names = [
  "adafactor",
  "adafactor_momentum_decay",
  "adafactor_relative_step",
  "adafactor_scale_parameter",
  "adagrad",
  "adagrad_decay",
  "adamw",
  "adamw_betas",
  "adamw_decay",
  "lion",
  "lion_decay",
  "muon_exact",
  "muon_exact_match_rms",
  "rmsprop",
  "rmsprop_momentum_centered",
  "sgd",
  "sgd_momentum",
  "sgd_nesterov_decay",
];

for (const name of names) {
  eachDevice(`the optimiser follows the recorded steps of ${name}`, async () => {
    const { options, start, grads, parameters } = await readTrajectory(name);
    const optimizer = optimizerFor(name.split("_")[0]!, options);
    const step = stepOf(optimizer);
    let params = tensorsOf(start);
    let state = optimizer.init(params);
    const forms = formsOf(state);
    for (const [i, gradients] of grads.entries()) {
      const scalars = optimizer.scalars(Number(options["lr"] ?? NaN), i + 1);
      [params, state] = step(params, state, tensorsOf(gradients), scalars);
      await Promise.all(
        Object.entries(parameters[i]!).map(([key, expected]) =>
          assertNear(params[key]!, expected, `${key} after step ${i + 1}`)
        ),
      );
    }
    assert.equal(step.traces(), 1);
    assert.deepEqual(formsOf(state), forms, "the state keeps its shapes and dtypes");
  });
}

function formsOf(state: OptimizerState): string[] {
  return leavesOf(state).map(([path, leaf]) => `${path}: ${leaf as Tensor}`);
}

for (const name of ["muon", "muon_match_rms"]) {
  eachDevice(`Muon with bf16 iterations follows PyTorch: ${name}`, async () => {
    const { options, start, grads, parameters } = await readTrajectory(name);
    const optimizer = optimizerFor("muon", options, "bf16");
    const step = stepOf(optimizer);
    let params = tensorsOf(start);
    let state = optimizer.init(params);
    for (const [i, gradients] of grads.entries()) {
      // From PyTorch's own parameters: each step is compared by itself.
      if (i > 0) params = tensorsOf(parameters[i - 1]!);
      const before = i > 0 ? parameters[i - 1]! : start;
      const scalars = optimizer.scalars(Number(options["lr"]), i + 1);
      [params, state] = step(params, state, tensorsOf(gradients), scalars);
      for (const [key, expected] of Object.entries(parameters[i]!)) {
        const length = lengthOf(difference(expected, before[key]!));
        const error = lengthOf(difference([...await params[key]!.data()], expected));
        assert.ok(error < 0.01 * length, `${key} after step ${i + 1}: off by ${error / length}`);
      }
    }
  });
}

function difference(a: Nested, b: Nested): number[] {
  const other = b.flat(3) as number[];
  return (a.flat(3) as number[]).map((x, i) => x - other[i]!);
}

function lengthOf(x: readonly number[]): number {
  return Math.hypot(...x);
}
