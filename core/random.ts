/**
 * Randomness as a value: a counter-based generator (Threefry-2x32, 20 rounds; Salmon et al., "Parallel random
 * numbers: as easy as 1, 2, 3", 2011). Keys are split and passed in; the same key gives the same numbers.
 *
 * @module
 */

import { iota, tensor } from "./create.ts";
import { stack } from "./functions.ts";
import { type Shape, sizeOf } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** A key: u32 [2]. */
export type Key = Tensor;

const rotations = [13, 15, 26, 6, 17, 29, 16, 24];

/** Encrypts the counters (c0, c1) under the key. */
export function threefry(key: Key, c0: Tensor, c1: Tensor): [Tensor, Tensor] {
  const k0 = key.slice(0, 1);
  const k1 = key.slice(1, 2);
  const schedule = [k0, k1, k0.xor(k1).xor(0x1bd11bda)];
  let [x0, x1] = [c0.add(k0), c1.add(k1)];
  for (let round = 0; round < 20; round++) {
    const r = rotations[round % 8]!;
    x0 = x0.add(x1);
    x1 = x1.shiftLeft(r).or(x1.shiftRight(32 - r)).xor(x0);
    if (round % 4 === 3) {
      const i = (round + 1) / 4;
      x0 = x0.add(schedule[i % 3]!);
      x1 = x1.add(schedule[(i + 1) % 3]!).add(i);
    }
  }
  return [x0, x1];
}

/** The key of a seed, a non-negative integer below 2⁵³. */
export function randomKey(seed: number): Key {
  return tensor(Uint32Array.of(Math.floor(seed / 2 ** 32), seed >>> 0));
}

/** `count` independent keys from one, which must not be used again. */
export function splitKey(key: Key, count = 2): Key[] {
  const [a, b] = threefry(key, iota(count).cast("u32"), iota(count).cast("u32").mul(0).add(1));
  const keys = stack([a, b], 1);
  return Array.from({ length: count }, (_, i) => keys.slice(i, i + 1).reshape(2));
}

/** The key of item `index` of a stream of keys, such as a training step; `index` may be a tensor. */
export function foldKey(key: Key, index: Tensor | number): Key {
  const c0 = typeof index === "number"
    ? tensor(Uint32Array.of(index))
    : index.cast("u32").reshape(1);
  const [a, b] = threefry(key, c0, c0.mul(0).add(2));
  return stack([a, b], 1).reshape(2);
}

/** 32 random bits per element, u32. */
export function randomBits(key: Key, shape: Shape): Tensor {
  const counter = iota(sizeOf(shape)).cast("u32");
  return threefry(key, counter, counter.mul(0))[0].reshape(...shape);
}

/** Uniform on [0, 1), multiples of 2⁻²⁴. */
export function randomUniform(key: Key, shape: Shape): Tensor {
  return randomBits(key, shape).shiftRight(8).cast("f32").mul(2 ** -24);
}

/** Standard normal, by the method of Box and Muller. */
export function randomNormal(key: Key, shape: Shape): Tensor {
  const [radial, angular] = splitKey(key) as [Key, Key];
  const u = randomUniform(radial, shape).neg().add(1);
  return u.log().mul(-2).sqrt().mul(randomUniform(angular, shape).mul(2 * Math.PI).cos());
}
