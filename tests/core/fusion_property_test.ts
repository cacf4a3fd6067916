import assert from "node:assert/strict";
import { setDevice } from "../../core/device/current.ts";
import { jit, realize, type Tensor, vjp } from "../../core/mod.ts";
import { eachDevice } from "../devices.ts";
import { assertClose, toTensor } from "./compare.ts";
import * as o from "./oracle.ts";
import { type Program, randomProgram } from "./programs.ts";
import { referenceDevice } from "./reference_device.ts";

/** Σ cotangents·results of the reference, as one number. */
function pairing(program: Program, cotangents: readonly o.NdArray[]) {
  return (inputs: readonly o.NdArray[]) => {
    const results = program.reference(inputs);
    return o.total(
      results.map((y, i) => o.total([...o.zip((a, b) => a * b, y, cotangents[i]!).data])),
    );
  };
}

async function checkProgram(seed: number, tolerance: number, gradientTolerance: number) {
  const program = randomProgram(seed);
  const expected = program.reference(program.inputs);
  const cotangents = expected.map((y, i) => o.random(y.shape, seed * 31 + i));
  const step = jit((xs: Tensor[], gs: Tensor[]) => {
    const [values, pull] = vjp((inputs: Tensor[]) => program.f(inputs), xs);
    const gradients = pull(gs);
    // As an optimiser does: inputs are updated in place where that is possible.
    const updated = xs.map((x, i) => x.sub(gradients[i]!.mul(0.5)));
    return { values, gradients, updated };
  }, { donate: [0] });
  try {
    const xs = program.inputs.map((x) => toTensor(x));
    const { values, gradients, updated } = step(xs, cotangents.map((x) => toTensor(x)));
    await realize(values);
    for (const [i, y] of expected.entries()) {
      assert.deepEqual(values[i]!.shape, y.shape);
      assertClose(await values[i]!.data(), y.data, tolerance, `result ${i}`, 1);
    }
    for (const [i, x] of program.inputs.entries()) {
      const gradient = await gradients[i]!.data();
      const moved = x.data.map((v, k) => v - 0.5 * gradient[k]!);
      assertClose(await updated[i]!.data(), moved, tolerance, `updated input ${i}`, 1);
    }
    const value = pairing(program, cotangents);
    for (const [i, x] of program.inputs.entries()) {
      // Along a random direction: all elements take part, for the price of one.
      const direction = o.random(x.shape, seed * 13 + i);
      const moved = (by: number) =>
        value(program.inputs.with(i, o.zip((a, d) => a + by * d, x, direction)));
      const slope = (h: number) =>
        (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h);
      const h = 2 ** -12;
      // Where the two differ, a kink of max or where lies between, and there is no slope to compare.
      if (Math.abs(slope(h) - slope(h / 4)) > 1e-6 * Math.max(1, Math.abs(slope(h)))) continue;
      const gradient = await gradients[i]!.data();
      const found = direction.data.reduce((sum, d, j) => sum + d * gradient[j]!, 0);
      const size = direction.data.reduce((sum, d, j) => sum + Math.abs(d * gradient[j]!), 1);
      assert.ok(
        Math.abs(found - slope(h)) <= gradientTolerance * size,
        `the slope along input ${i} is ${found}, not ${slope(h)}`,
      );
    }
  } catch (error) {
    throw new Error(`Program ${seed}:\n${program.text}`, { cause: error });
  }
}

Deno.test("random programs keep the contracts of kernels and equal the oracle (interpreter)", async () => {
  setDevice(referenceDevice());
  for (let seed = 1; seed <= 150; seed++) await checkProgram(seed, 2e-6, 1e-5);
});

eachDevice("random programs equal the oracle in values and gradients", async (device) => {
  const count = device.kind === "cpu" ? 300 : 24;
  for (let seed = 1000; seed < 1000 + count; seed++) await checkProgram(seed, 1e-5, 3e-5);
});
