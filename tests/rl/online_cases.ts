/** Golden cases of objectives of sampled answers, whose tokens the fixtures hold as rectangles [B, T]. @module */

import assert from "node:assert/strict";
import {
  iota,
  ones,
  realize,
  type Tensor,
  tensor,
  valueAndGradWithAux,
  where,
} from "../../core/mod.ts";
import { lossOf, type Objective, type TokenLogProbs, type WindowShare } from "../../rl/mod.ts";
import { assertClose } from "../core/compare.ts";
import { eachDevice } from "../devices.ts";
import { type Inputs, type LossCase, type Numbers, readCases } from "./cases.ts";

/** How the cases of one function of a file are computed. */
export interface OnlineSuite {
  readonly file: string;
  readonly function: string;
  /** Which cases stand for all on a GPU: one per key. */
  readonly variant: (c: LossCase) => string;
  readonly objective: (inputs: Inputs, c: LossCase) => Objective;
  /** How the case\'s batch stands in a window; it is one by default. */
  readonly window?: (c: LossCase) => WindowShare | undefined;
}

/** A case's number at an option's name, or the given one. */
export function numberOr(c: LossCase, name: string, otherwise: number): number {
  const value = c.options[name];
  return typeof value === "number" ? value : otherwise;
}

/** The cases of one function. */
export function casesOf(file: string, name: string): readonly LossCase[] {
  const found = readCases(file).filter((c) => c.function === name);
  assert.ok(found.length > 0, `no cases of ${name} in ${file}`);
  return found;
}

/** Rows of numbers of a case, NaN for "NaN". */
export function rowsOf(values: unknown): number[][] {
  return (values as unknown[][]).map((row) => row.map(Number));
}

/** Tokens in the flat layout from a rectangle and its mask (all count, if there is none). */
export function flatTokens(
  { get, find }: Inputs,
  names: { readonly logProbs: string; readonly refLogProbs?: string },
): TokenLogProbs {
  const rectangle = get(names.logProbs);
  const [rows, columns] = [rectangle.shape[0]!, rectangle.shape[1]!];
  const mask = (find("mask") ?? ones([rows, columns])).reshape(-1);
  const row = iota(rows).reshape(rows, 1).broadcastTo(rows, columns).reshape(-1);
  const flat = (name?: string) => name === undefined ? undefined : find(name)?.reshape(-1);
  const [refLogProbs, entropies] = [flat(names.refLogProbs), flat("entropies")];
  return {
    logProbs: rectangle.reshape(-1),
    mask,
    segments: where(mask.ne(0), row, -1),
    ...(refLogProbs && { refLogProbs }),
    ...(entropies && { entropies }),
  };
}

/** Registers the test of the function's cases on every device. */
export function testOnlineCases(suite: OnlineSuite): void {
  const all = casesOf(suite.file, suite.function);
  const first = new Map(all.toReversed().map((c) => [suite.variant(c), c]));
  const title = `losses/${suite.file}.json, ${suite.function}: value, metrics and gradients`;
  eachDevice(title, async (device) => {
    const cases = device.kind === "cpu" ? all : [...first.values()];
    const runs = cases.map((c) => ({ c, ...compute(suite, c) }));
    await realize(runs.map(({ loss, objective, grads }) => [loss, objective, grads]));
    for (const { c, ...computed } of runs) await check(c, computed);
  });
}

type Tensors = Readonly<Record<string, Tensor>>;

interface Computed {
  readonly loss: Tensor;
  readonly objective: Objective;
  readonly grads: Tensors;
}

function compute(suite: OnlineSuite, c: LossCase): Computed {
  const tensors = Object.fromEntries(
    Object.entries(c.inputs).map(([name, value]) => [name, tensor(value)]),
  );
  const params = Object.fromEntries(
    Object.keys(c.expected.grads).map((name) => [name, tensors[name]!]),
  );
  const [[loss, objective], grads] = valueAndGradWithAux((params: Tensors): [Tensor, Objective] => {
    const find = (name: string) => params[name] ?? tensors[name];
    const get = (name: string) => find(name) ?? assert.fail(`no input ${name}`);
    const found = suite.objective({ find, get }, c);
    const { losses, metrics } = found;
    const loss = lossOf(found, suite.window?.(c));
    return [loss, { ...(losses && { losses }), metrics }];
  })(params);
  return { loss, objective, grads };
}

async function check(
  c: LossCase,
  { loss, objective: { losses, metrics }, grads }: Computed,
): Promise<void> {
  const { expected, name } = c;
  const close = async (x: Tensor, value: Numbers, what: string) =>
    assertClose(await x.data(), flat(value), 1e-5, `${name}: ${what}`, 1);
  await close(loss, expected.loss, "loss");
  if (expected.per_example !== undefined) {
    await close(losses!, expected.per_example, "single losses");
  }
  for (const [key, value] of Object.entries(expected.metrics ?? {})) {
    const found = metrics[key] ?? metrics[`${key}_avg`];
    assert.ok(found, `${name}: no metric ${key}`);
    await close(found, value, key);
  }
  for (const [key, value] of Object.entries(expected.grads)) {
    assertClose(await grads[key]!.data(), flat(value), 1e-4, `${name}: gradient of ${key}`, 1e-5);
  }
}

function flat(x: Numbers): number[] {
  return typeof x === "number" ? [x] : x.flatMap(flat);
}
