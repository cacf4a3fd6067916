/** Comparing tensors with the oracle's arrays. @module */

import assert from "node:assert/strict";
import { realize, Tensor, tensor, vjp } from "../../core/mod.ts";
import type { DType } from "../../core/mod.ts";
import { generator } from "./attention_cases.ts";
import { array, gradients, type NdArray } from "./oracle.ts";

/** The array as a tensor. */
export function toTensor(x: NdArray, dtype: DType = "f32"): Tensor {
  return tensor(Array.from(x.data), { shape: x.shape, dtype });
}

/**
 * Asserts that numbers are those of the reference: to `tolerance` of the largest finite one, or of `floor` if
 * that is larger; NaN and infinities exactly.
 */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
  floor = 1e-6,
): void {
  assert.equal(actual.length, expected.length, `${what}: number of elements`);
  let scale = floor;
  for (let i = 0; i < expected.length; i++) {
    if (Number.isFinite(expected[i])) scale = Math.max(scale, Math.abs(expected[i]!));
  }
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [actual[i]!, expected[i]!];
    const close = Number.isFinite(b) ? Math.abs(a - b) <= tolerance * scale : Object.is(a, b);
    assert.ok(close, `${what}: element ${i} is ${a}, not ${b} (largest ${scale})`);
  }
}

/** A function of tensors and the same function of arrays. */
export interface Case {
  readonly name: string;
  readonly inputs: readonly NdArray[];
  readonly f: (...inputs: Tensor[]) => Tensor;
  readonly reference: (...inputs: NdArray[]) => NdArray;
  /** Dtypes of the inputs; f32 by default. Gradients are taken with respect to f32 inputs. */
  readonly dtypes?: readonly DType[];
  /** Of the largest element; 2e-6 by default. */
  readonly tolerance?: number;
  /** Of the gradients; 5e-6, or that of the value if it is larger. */
  readonly gradientTolerance?: number;
  /** False where the function has no gradient. */
  readonly differentiable?: boolean;
}

/** Values and gradients (with random cotangents) of the cases on the current device. */
export async function checkCases(cases: readonly Case[]): Promise<void> {
  const runs = cases.map((c, number) => {
    const tensors = c.inputs.map((x, i) => toTensor(x, c.dtypes?.[i] ?? "f32"));
    const expected = c.reference(...c.inputs);
    const next = generator(1000 + number);
    const cotangent = array(expected.shape, expected.data.map(() => Math.fround(next() * 2 - 1)));
    if (c.differentiable === false) {
      return { c, expected, cotangent, value: c.f(...tensors), found: [] };
    }
    const [value, pull] = vjp((xs: Tensor[]) => c.f(...xs), tensors);
    return { c, expected, cotangent, value, found: pull(toTensor(cotangent)) };
  });
  await realize(runs.map(({ value, found }) => [value, found]));
  for (const { c, expected, cotangent, value, found } of runs) {
    assert.deepEqual(value.shape, expected.shape, `${c.name}: shape`);
    assertClose(await value.data(), expected.data, c.tolerance ?? 2e-6, c.name);
    if (found.length === 0) continue;
    const chosen = c.inputs.map((_, i) => (c.dtypes?.[i] ?? "f32") === "f32");
    const references = gradients((xs) => c.reference(...xs), c.inputs, cotangent, chosen);
    for (const [i, gradient] of found.entries()) {
      const reference = references[i];
      if (!reference) {
        assert.ok(!(gradient instanceof Tensor), `${c.name}: input ${i} has no gradient`);
        continue;
      }
      const tolerance = c.gradientTolerance ?? Math.max(5e-6, c.tolerance ?? 0);
      assert.deepEqual(gradient.shape, reference.shape, `${c.name}: gradient ${i}`);
      assertClose(await gradient.data(), reference.data, tolerance, `${c.name}: gradient ${i}`);
    }
  }
}
