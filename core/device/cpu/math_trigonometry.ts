/** Sine and cosine. @module */

import { join, pair } from "./math_halves.ts";
import type { Vector, Vectors } from "./vectors.ts";
import type { Local } from "./wasm_function.ts";

// π/2 in two parts; the first has 25 bits, so that its products with |n| < 2²⁸ are exact in double.
const halfPiHigh = 1.5707963109016418;
const halfPiLow = 1.5893254773528197e-8;

/** x = n·π/2 + r with |r| ≤ π/4: n modulo 4 as integers, and r. */
function reduceAngle(v: Vectors, x: Local): { quadrant: Local; r: Local } {
  const halves = ([0, 1] as const).map((half) => {
    const wide = v.keep(v.op("f64x2.promote_low_f32x4", pair(v, x, half)));
    const n = v.keep(v.op("f64x2.nearest", v.op("f64x2.mul", wide, v.double(2 / Math.PI))));
    const high = v.op("f64x2.sub", wide, v.op("f64x2.mul", n, v.double(halfPiHigh)));
    const r = v.op("f64x2.sub", high, v.op("f64x2.mul", n, v.double(halfPiLow)));
    // Far out the reduction has lost its digits; the result stays bounded.
    const bounded = v.op("f64x2.pmax", v.op("f64x2.pmin", r, v.double(0.79)), v.double(-0.79));
    const turns = v.op("f64x2.floor", v.op("f64x2.mul", n, v.double(0.25)));
    const quadrant = v.op("f64x2.sub", n, v.op("f64x2.mul", turns, v.double(4)));
    return {
      quadrant: v.keep(v.op("i32x4.trunc_sat_f64x2_s_zero", quadrant)),
      r: v.keep(v.op("f32x4.demote_f64x2_zero", bounded)),
    };
  });
  const [low, high] = [halves[0]!, halves[1]!];
  return {
    quadrant: v.keep(join(v, low.quadrant, high.quadrant)),
    r: v.keep(join(v, low.r, high.r)),
  };
}

/** sin(r + quadrant·π/2). */
function sineInQuadrant(v: Vectors, r: Local, quadrant: Local): Vector {
  const square = v.keep(v.op("f32x4.mul", r, r));
  const p = v.polynomial(square, [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]);
  const sine = v.keep(v.madd(v.op("f32x4.mul", square, r), p, r));
  const q = v.polynomial(square, [
    2.443315711809948e-5,
    -1.388731625493765e-3,
    4.166664568298827e-2,
  ]);
  const low = v.nmadd(square, 0.5, 1);
  const cosine = v.keep(v.madd(v.op("f32x4.mul", square, square), q, low));
  const odd = v.op("i32x4.ne", v.op("v128.and", quadrant, v.int(1)), v.int(0));
  const sign = v.shift("i32x4.shl", v.op("v128.and", quadrant, v.int(2)), 30);
  return v.op("v128.xor", v.select(odd, cosine, sine), sign);
}

/** sin(x). */
export function sine(v: Vectors, x: Local): Vector {
  const { quadrant, r } = reduceAngle(v, x);
  // sin(−0) = −0
  return v.select(v.op("f32x4.eq", x, 0), x, sineInQuadrant(v, r, quadrant));
}

/** cos(x). */
export function cosine(v: Vectors, x: Local): Vector {
  const { quadrant, r } = reduceAngle(v, x);
  const next = v.keep(v.op("i32x4.add", quadrant, v.int(1)));
  return sineInQuadrant(v, r, next);
}
