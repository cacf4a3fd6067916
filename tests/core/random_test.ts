import assert from "node:assert/strict";
import {
  foldKey,
  jit,
  type Key,
  type Operand,
  randomBits,
  randomKey,
  randomNormal,
  randomUniform,
  realize,
  splitKey,
  type Tensor,
  tensor,
} from "../../core/mod.ts";
import { setDevice } from "../../core/device/current.ts";
import { threefry } from "../../core/random.ts";
import { devices, eachDevice } from "../devices.ts";

const words = (...values: number[]) => tensor(Uint32Array.from(values));

eachDevice("threefry2x32-20 gives the known answers of the Random123 distribution", async () => {
  const cases = [
    [0, 0, 0, 0, 0x6b200159, 0x99ba4efe],
    [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x1cb996fc, 0xbb002be7],
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xc4923a9c, 0x483df7a0],
  ];
  for (
    const [c0, c1, k0, k1, a, b] of cases as [number, number, number, number, number, number][]
  ) {
    const [x, y] = threefry(words(k0, k1), words(c0), words(c1));
    assert.deepEqual([await x.item(), await y.item()], [a, b]);
  }
});

Deno.test("bits, uniforms and keys are the same on every device", async () => {
  const draw = async () => {
    const key = randomKey(2 ** 40 + 7);
    const [a, b] = splitKey(key) as [Key, Key];
    const all = [key, a, b, foldKey(a, 3), randomBits(a, [3, 37]), randomUniform(b, [101])];
    await realize(all);
    return await Promise.all(all.map(async (t) => Array.from(await t.data())));
  };
  const found: number[][][] = [];
  for (const device of devices) {
    setDevice(device);
    found.push(await draw());
  }
  for (const other of found) assert.deepEqual(other, found[0]);
  assert.deepEqual(found[0]![0], [2 ** 8, 7]);
  const [key, a, b, folded] = found[0]!.map((values) => values.join());
  assert.equal(new Set([key, a, b, folded]).size, 4);
});

function moments(values: ArrayLike<number>): { mean: number; variance: number; fourth: number } {
  const list = Array.from(values);
  const mean = list.reduce((sum, v) => sum + v, 0) / list.length;
  const central = (power: number) =>
    list.reduce((sum, v) => sum + (v - mean) ** power, 0) / list.length;
  return { mean, variance: central(2), fourth: central(4) };
}

eachDevice("uniforms and normals have the moments of their distributions", async () => {
  const n = 20000;
  const [uniform, normal] = [
    await randomUniform(randomKey(1), [n]).data(),
    await randomNormal(randomKey(2), [n]).data(),
  ];
  // Five standard deviations of each estimate.
  const near = (found: number, expected: number, deviation: number) =>
    assert.ok(Math.abs(found - expected) < 5 * deviation / Math.sqrt(n), `${found}, ${expected}`);
  const u = moments(uniform);
  near(u.mean, 1 / 2, Math.sqrt(1 / 12));
  near(u.variance, 1 / 12, Math.sqrt(1 / 180));
  assert.ok(Array.from(uniform).every((v) => v >= 0 && v < 1 && Number.isInteger(v * 2 ** 24)));
  const g = moments(normal);
  near(g.mean, 0, 1);
  near(g.variance, 1, Math.sqrt(2));
  near(g.fourth, 3, Math.sqrt(96));
  assert.ok(Array.from(normal).every(Number.isFinite));
});

eachDevice("a key folded with a number equals one folded with a tensor", async () => {
  const key = randomKey(5);
  const fold = jit((step: Operand, key: Tensor) => foldKey(key, step));
  const expected = await foldKey(key, 12).data();
  assert.deepEqual(await fold(12, key).data(), expected);
  assert.notDeepEqual(await fold(13, key).data(), expected);
  assert.equal(fold.traces(), 1);
});
