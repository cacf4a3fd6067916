/** The exponential of the attention kernels. @module */

import type { Vector, Vectors } from "./vectors.ts";

/** log2(e): scores are kept in powers of two, where the exponential is cheapest. */
export const log2e = 1.4426950408889634;

// Cephes exp2f on [−½, ½].
const coefficients = [
  1.535336188319500e-4,
  1.339887440266574e-3,
  9.618437357674640e-3,
  5.550332471162809e-2,
  2.402264791363012e-1,
  6.931472028550421e-1,
  1,
];

// Adding 1.5·2²³ rounds to an integer, which the low bits of the sum then hold.
const rounder = 12582912;

/**
 * 2^x, relative error about 2e-7, for x below 128; below −126.5, and for −∞, exactly 0; NaN stays.
 * Its temporaries are those of the scope.
 */
export function exp2(v: Vectors, x: Vector): Vector {
  // pmax(x, c) = x < c ? c : x keeps a NaN.
  const bounded = v.keep(v.op("f32x4.pmax", x, -127));
  const rounded = v.keep(v.op("f32x4.add", bounded, rounder));
  const r = v.keep(v.op("f32x4.sub", bounded, v.op("f32x4.sub", rounded, rounder)));
  const fraction = v.polynomial(r, coefficients);
  // At −127 the exponent bits are 0, and so is the product.
  const power = v.op("i32x4.add", v.shift("i32x4.shl", rounded, 23), v.int(127 << 23));
  return v.op("f32x4.mul", fraction, power);
}
