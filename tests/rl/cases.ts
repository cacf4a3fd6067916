/** Golden cases of objectives: value, single losses, metrics and gradients. @module */

import assert from "node:assert/strict";
import {
  ones,
  realize,
  setDevice,
  type Tensor,
  tensor,
  valueAndGradWithAux,
} from "../../core/mod.ts";
import { lossOf, type Objective, type PairLogProbs, type WindowShare } from "../../rl/mod.ts";
import { assertClose } from "../core/compare.ts";
import { devices, eachDevice } from "../devices.ts";

/** A number, or nested arrays of numbers. */
export type Numbers = number | readonly Numbers[];

/** A case of a file in fixtures/losses. */
export interface LossCase {
  readonly name: string;
  readonly function: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly inputs: Readonly<Record<string, Numbers>>;
  readonly expected: {
    readonly loss: number;
    readonly per_example?: Numbers;
    readonly per_token?: Numbers;
    readonly metrics?: Readonly<Record<string, number>>;
    readonly grads: Readonly<Record<string, Numbers>>;
    readonly running?: { readonly mean: number; readonly count: number };
    readonly pair_weights?: Numbers;
  };
}

/** The inputs of a case as tensors, by name; those in `expected.grads` are differentiated. */
export interface Inputs {
  readonly get: (name: string) => Tensor;
  readonly find: (name: string) => Tensor | undefined;
}

/** Sums or averages of pairs, as they are: of completions of one token. */
export function pairScores({ get }: Inputs): PairLogProbs {
  const chosen = get("chosen");
  const one = ones(chosen.shape);
  return {
    chosen,
    rejected: get("rejected"),
    nll: get("nll"),
    chosenLengths: one,
    rejectedLengths: one,
  };
}

/** How a file's cases are computed. */
export interface Suite {
  /** The file's name. */
  readonly file: string;
  /** Which cases stand for all on a GPU, where each costs compilations: one per key. */
  readonly variant: (c: LossCase) => string;
  readonly objective: (inputs: Inputs, c: LossCase) => Objective;
  /** How the case's batch stands in a window; it is one by default. */
  readonly window?: (c: LossCase) => WindowShare | undefined;
  /** Whether metrics without an expected value must be NaN. */
  readonly otherMetricsAreNaN?: boolean;
}

/** The cases of a file. */
export function readCases(file: string): readonly LossCase[] {
  const url = new URL(`../fixtures/losses/${file}.json`, import.meta.url);
  return JSON.parse(Deno.readTextFileSync(url)).cases;
}

/** The number with this name among a case's options. */
export function numberOption(c: LossCase, name: string): number | undefined {
  const value = c.options[name];
  return typeof value === "number" ? value : undefined;
}

/** The window that `num_items_in_batch` counts the tokens of. */
export function windowOfTokens(c: LossCase): WindowShare | undefined {
  const normalizer = numberOption(c, "num_items_in_batch");
  return normalizer === undefined ? undefined : { normalizer, share: 1 };
}

/** The names under this name among a case's options. */
export function nameOption(c: LossCase, name: string): string | undefined {
  const value = c.options[name];
  return typeof value === "string" ? value : undefined;
}

/** The given entries without those that are undefined, null, or not there. */
export function present<T extends object>(
  options: T,
): { [K in keyof T]?: Exclude<T[K], undefined | null> } {
  const kept = Object.entries(options).filter(([, value]) => value !== undefined && value !== null);
  return Object.fromEntries(kept) as { [K in keyof T]?: Exclude<T[K], undefined | null> };
}

function flat(x: Numbers): number[] {
  return typeof x === "number" ? [x] : x.flatMap(flat);
}

/** A test of what does not depend on the device, on the CPU. */
export function onCpu(name: string, body: () => void | Promise<void>): void {
  Deno.test(name, async () => {
    setDevice(devices[0]!);
    await body();
  });
}

/** Registers the test of a file's cases on every device. */
export function testCases(suite: Suite): void {
  const all = readCases(suite.file);
  const first = new Map(all.toReversed().map((c) => [suite.variant(c), c]));
  eachDevice(`losses/${suite.file}.json: value, metrics and gradients`, async (device) => {
    const cases = device.kind === "cpu" ? all : [...first.values()];
    const runs = cases.map((c) => ({ c, ...compute(suite, c) }));
    await realize(runs.map(({ loss, objective, grads }) => [loss, objective, grads]));
    for (const { c, ...computed } of runs) await check(suite, c, computed);
  });
}

type Tensors = Readonly<Record<string, Tensor>>;

interface Computed {
  readonly loss: Tensor;
  readonly objective: Objective;
  readonly grads: Tensors;
}

function inputsOf(tensors: Tensors): Inputs {
  const find = (name: string) => tensors[name];
  return {
    find,
    get: (name) => find(name) ?? assert.fail(`no input ${name}`),
  };
}

function compute(suite: Suite, c: LossCase): Computed {
  const given = Object.entries(c.inputs).map(([name, value]) => [name, tensor(value)] as const);
  const differentiated = (name: string) => Object.hasOwn(c.expected.grads, name);
  const constants = Object.fromEntries(given.filter(([name]) => !differentiated(name)));
  const [[loss, objective], grads] = valueAndGradWithAux((params: Tensors): [Tensor, Objective] => {
    const found = suite.objective(inputsOf({ ...constants, ...params }), c);
    return [lossOf(found, suite.window?.(c)), found];
  })(Object.fromEntries(given.filter(([name]) => differentiated(name))));
  return { loss, objective, grads };
}

async function check(
  suite: Suite,
  c: LossCase,
  { loss, objective: { losses, metrics }, grads }: Computed,
): Promise<void> {
  const { expected, name } = c;
  const close = async (x: Tensor, value: Numbers, what: string) =>
    assertClose(await x.data(), flat(value), 1e-5, `${name}: ${what}`, 1);
  await close(loss, expected.loss, "loss");
  await close(losses!, (expected.per_example ?? expected.per_token)!, "single losses");
  for (const [key, value] of Object.entries(expected.metrics ?? {})) {
    assert.ok(metrics[key], `${name}: no metric ${key}`);
    await close(metrics[key], value, key);
  }
  if (suite.otherMetricsAreNaN) {
    for (const key of Object.keys(metrics)) {
      if (key in (expected.metrics ?? {})) continue;
      assert.ok(Number.isNaN(await metrics[key]!.item()), `${name}: ${key} does not apply`);
    }
  }
  // f32 leaves 6e-8 of 1 − σ(x) where it is nearly 0, and gradients are a few hundredths of it.
  const floor = 2e-5;
  for (const [key, value] of Object.entries(expected.grads)) {
    assertClose(await grads[key]!.data(), flat(value), 1e-4, `${name}: gradient of ${key}`, floor);
  }
}
