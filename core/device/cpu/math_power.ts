/** xʸ. @module */

import { join, pair, polynomial2 } from "./math_halves.ts";
import type { Vector, Vectors } from "./vectors.ts";
import type { Local } from "./wasm_function.ts";

const signBit = 0x80000000;

// Coefficients 1/n!, highest power first: eᶠ for |f| ≤ ½ ln 2 to 10⁻¹¹.
const exponentialSeries: number[] = [1];
for (let n = 1; n <= 9; n++) exponentialSeries.unshift(exponentialSeries[0]! / n);

/** log₂ of two positive doubles that came from floats; −∞ and ∞ of 0 and ∞. */
function log2(v: Vectors, x: Local): Vector {
  // x = 2ᵉ·m with √½ ≤ m < √2, by the bits of √½.
  const rootHalf = v.constant(0x667f3bcd, 0x3fe6a09e, 0x667f3bcd, 0x3fe6a09e);
  const bias = v.constant(0, 0x40000000, 0, 0x40000000);
  const mantissaMask = v.constant(-1, 0x000fffff, -1, 0x000fffff);
  const bits = v.keep(v.op("i64x2.sub", x, rootHalf));
  // There is no arithmetic shift of 64-bit lanes to rely on: 1024 is added before, and taken after.
  const exponentBits = v.shift("i64x2.shr_u", v.op("i64x2.add", bits, bias), 52);
  const exponent = v.op("f64x2.convert_low_i32x4_s", lowWords(v, exponentBits));
  const e = v.keep(v.op("f64x2.sub", exponent, v.double(1024)));
  const m = v.keep(v.op("i64x2.add", v.op("v128.and", bits, mantissaMask), rootHalf));
  // ln m = 2·artanh(s) = 2(s + s³/3 + s⁵/5 + …) with s = (m − 1)/(m + 1), |s| < 0.172.
  const one = v.double(1);
  const s = v.keep(
    v.op("f64x2.div", v.op("f64x2.sub", m, one), v.op("f64x2.add", m, one)),
  );
  const square = v.keep(v.op("f64x2.mul", s, s));
  const series = polynomial2(
    v,
    square,
    [13, 11, 9, 7, 5, 3, 1].map((odd) => 2 * Math.LOG2E / odd),
  );
  const finite = v.op("f64x2.add", e, v.op("f64x2.mul", s, series));
  const infinity = v.double(Infinity);
  const zeroToo = v.select(v.op("f64x2.eq", x, v.double(0)), v.double(-Infinity), finite);
  return v.select(v.op("f64x2.eq", x, infinity), infinity, zeroToo);
}

/** The low 32 bits of two 64-bit lanes, in lanes 0 and 1. */
function lowWords(v: Vectors, x: Vector): Vector {
  return () => {
    const kept = v.keep(x);
    v.f.get(kept, kept).shuffle([0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11]);
  };
}

/** 2ᶻ of two doubles, as floats in lanes 0 and 1. */
function exp2(v: Vectors, x: Vector): Vector {
  const z = v.keep(v.op("f64x2.pmax", v.op("f64x2.pmin", x, v.double(1000)), v.double(-1000)));
  const n = v.keep(v.op("f64x2.nearest", z));
  const f = v.keep(v.op("f64x2.mul", v.op("f64x2.sub", z, n), v.double(Math.LN2)));
  const whole = v.op("i64x2.extend_low_i32x4_s", v.op("i32x4.trunc_sat_f64x2_s_zero", n));
  const scale = v.shift("i64x2.shl", v.op("i64x2.add", whole, v.constant(1023, 0, 1023, 0)), 52);
  const result = v.op("f64x2.mul", polynomial2(v, f, exponentialSeries), scale);
  return v.op("f32x4.demote_f64x2_zero", result);
}

/** |x|ʸ where both are numbers and y ≠ 0, through 2^(y·log₂|x|) in double precision. */
function magnitude(v: Vectors, x: Local, y: Local): Vector {
  const [low, high] = ([0, 1] as const).map((half) => {
    const base = v.keep(v.op("f64x2.promote_low_f32x4", pair(v, x, half)));
    const exponent = v.op("f64x2.promote_low_f32x4", pair(v, y, half));
    const logarithm = v.keep(log2(v, base));
    const product = v.keep(v.op("f64x2.mul", exponent, logarithm));
    // 1^±∞ = 1: no 0·∞ here.
    const isOne = v.op("f64x2.eq", logarithm, v.double(0));
    return v.keep(exp2(v, v.select(isOne, logarithm, product)));
  });
  return join(v, low!, high!);
}

/**
 * xʸ with the special cases of IEEE 754 `pow`: 1 for y = 0 and for x = 1 whatever the other is,
 * NaN for negative finite x and fractional y.
 */
export function power(v: Vectors, x: Local, y: Local): Vector {
  const result = v.keep(magnitude(v, v.keep(v.op("f32x4.abs", x)), y));
  const half = v.keep(v.op("f32x4.mul", y, 0.5));
  const whole = v.keep(v.op("f32x4.eq", v.op("f32x4.floor", y), y));
  const odd = v.op("v128.andnot", whole, v.op("f32x4.eq", v.op("f32x4.floor", half), half));
  const sign = v.op("v128.and", v.op("v128.and", odd, x), v.int(signBit));
  const negative = v.op("v128.and", v.op("f32x4.lt", x, 0), v.op("f32x4.gt", x, -Infinity));
  const undefinedThere = v.op("v128.andnot", negative, whole);
  const unordered = v.op("v128.or", v.op("f32x4.ne", x, x), v.op("f32x4.ne", y, y));
  const signed = v.op("v128.xor", result, sign);
  const defined = v.op("v128.or", signed, v.op("v128.or", undefinedThere, unordered));
  const one = v.op("v128.or", v.op("f32x4.eq", y, 0), v.op("f32x4.eq", x, 1));
  return v.select(one, 1, defined);
}
