/**
 * Elementary functions on vectors of four floats.
 *
 * Polynomials for exp, log, sine and cosine are those of Cephes (S. L. Moshier, single precision:
 * expf.c, logf.c, sinf.c); those of erf were fitted here by reweighted least squares in 40 digits,
 * and power sums plain series in double precision. Errors are at most 2 units in the last place for
 * exp and log and 4 for the others, the sine and cosine below 4·10⁸ in magnitude.
 *
 * @module
 */

import type { UnaryFunction } from "../../kernel.ts";
import { power } from "./math_power.ts";
import { cosine, sine } from "./math_trigonometry.ts";
import type { Vector, Vectors } from "./vectors.ts";
import type { Local } from "./wasm_function.ts";

const signBit = 0x80000000;
const log2e = 1.44269504088896341;
// ln 2 in two parts; the first has so few bits that its products with exponents are exact.
const ln2High = 0.693359375;
const ln2Low = -2.12194440e-4;
// Adding 1.5·2²³ rounds to an integer, which the low bits of the sum then hold.
const rounder = 12582912;
const rounderBits = 0x4b400000;

/** x with the sign bit of y, for an x whose own is clear or the same. */
function withSign(v: Vectors, x: Vector, y: Local): Vector {
  return v.op("v128.or", x, v.op("v128.and", y, v.int(signBit)));
}

/** x clamped to [low, high]; NaN stays. */
function clamp(v: Vectors, x: Vector, low: number, high: number): Vector {
  return v.op("f32x4.pmax", v.op("f32x4.pmin", x, high), low);
}

/** 2ⁿ of integers, in the range of normal numbers. */
function exponential2(v: Vectors, n: Vector): Vector {
  return v.shift("i32x4.shl", v.op("i32x4.add", n, v.int(127)), 23);
}

/** x = n·ln 2 + r with |r| ≤ ½ ln 2: n as integers, and eʳ = 1 + r + r²·p. */
function reduceExponent(v: Vectors, x: Local): { n: Local; r: Local; p: Vector } {
  const rounded = v.keep(v.madd(x, log2e, rounder));
  const n = v.keep(v.op("i32x4.sub", rounded, v.int(rounderBits)));
  const whole = v.keep(v.op("f32x4.sub", rounded, rounder));
  const r = v.keep(v.nmadd(whole, ln2Low, v.nmadd(whole, ln2High, x)));
  const p = v.polynomial(r, [
    1.9875691500e-4,
    1.3981999507e-3,
    8.3334519073e-3,
    4.1665795894e-2,
    1.6666665459e-1,
    5.0000001201e-1,
  ]);
  return { n, r, p };
}

function exp(v: Vectors, x: Local): Vector {
  const { n, r, p } = reduceExponent(v, v.keep(clamp(v, x, -104, 89)));
  const fraction = v.op("f32x4.add", v.madd(v.op("f32x4.mul", r, r), p, r), 1);
  // 2ⁿ as a product of two, since n goes beyond the exponents of normal numbers.
  const half = v.keep(v.shift("i32x4.shr_s", n, 1));
  const rest = v.op("i32x4.sub", n, half);
  return v.op(
    "f32x4.mul",
    v.op("f32x4.mul", fraction, exponential2(v, half)),
    exponential2(v, rest),
  );
}

function expm1(v: Vectors, x: Local): Vector {
  const { n, r, p } = reduceExponent(v, v.keep(clamp(v, x, -40, 89)));
  // 2ⁿeʳ − 1 = 2(s(eʳ − 1) + (s − ½)) with s = 2ⁿ⁻¹, which does not overflow before the result.
  const q = v.keep(v.madd(v.op("f32x4.mul", r, r), p, r));
  const s = v.keep(exponential2(v, v.op("i32x4.sub", n, v.int(1))));
  const half = v.keep(v.madd(s, q, v.op("f32x4.sub", s, 0.5)));
  return withSign(v, v.op("f32x4.add", half, half), x);
}

function log(v: Vectors, x: Local): Vector {
  const tiny = v.keep(v.op("f32x4.lt", x, 1.17549435e-38));
  const scaled = v.select(tiny, v.op("f32x4.mul", x, 8388608), x);
  // x = 2ᵉ·(1 + f) with √½ ≤ 1 + f < √2.
  const rootHalf = v.int(0x3f3504f3);
  const bits = v.keep(v.op("i32x4.sub", scaled, rootHalf));
  const exponent = v.op(
    "i32x4.sub",
    v.shift("i32x4.shr_s", bits, 23),
    v.op("v128.and", tiny, v.int(23)),
  );
  const e = v.keep(v.op("f32x4.convert_i32x4_s", exponent));
  const fraction = v.op("i32x4.add", v.op("v128.and", bits, v.int(0x7fffff)), rootHalf);
  const f = v.keep(v.op("f32x4.sub", fraction, 1));
  const square = v.keep(v.op("f32x4.mul", f, f));
  const p = v.polynomial(f, [
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
  ]);
  const cubic = v.op("f32x4.mul", v.op("f32x4.mul", f, square), p);
  const tail = v.nmadd(square, 0.5, v.madd(e, ln2Low, cubic));
  const result = v.madd(e, ln2High, v.op("f32x4.add", f, tail));
  const finite = v.select(v.op("f32x4.eq", x, Infinity), x, result);
  const zeroToo = v.select(v.op("f32x4.eq", x, 0), -Infinity, finite);
  // All bits set is a NaN: below zero, and for NaN.
  return v.op("v128.or", zeroToo, v.op("v128.not", v.op("f32x4.ge", x, 0)));
}

function log1p(v: Vectors, x: Local): Vector {
  const u = v.keep(v.op("f32x4.add", x, 1));
  const part = v.keep(v.op("f32x4.sub", u, 1));
  // u + error = 1 + x exactly (Knuth's two-sum), so ln(1 + x) ≈ ln u + error / u.
  const error = v.op(
    "f32x4.add",
    v.op("f32x4.sub", 1, v.op("f32x4.sub", u, part)),
    v.op("f32x4.sub", x, part),
  );
  const correction = v.keep(v.op("f32x4.div", error, u));
  const known = v.op("v128.and", correction, v.op("f32x4.eq", correction, correction));
  return withSign(v, v.op("f32x4.add", log(v, u), known), x);
}

function tanh(v: Vectors, x: Local): Vector {
  // −t / (t + 2) with t = e^(−2|x|) − 1.
  const t = v.keep(expm1(v, v.keep(v.op("f32x4.mul", v.op("f32x4.abs", x), -2))));
  const magnitude = v.op("f32x4.div", v.op("f32x4.neg", t), v.op("f32x4.add", t, 2));
  return withSign(v, v.op("f32x4.abs", magnitude), x);
}

function sigmoid(v: Vectors, x: Local): Vector {
  // With e = e^(−|x|): 1 / (1 + e), or e / (1 + e) below zero.
  const minus = v.keep(v.op("f32x4.neg", v.op("f32x4.abs", x)));
  const e = v.keep(exp(v, minus));
  const numerator = v.select(v.op("f32x4.lt", x, 0), e, 1);
  return v.op("f32x4.div", numerator, v.op("f32x4.add", e, 1));
}

function erf(v: Vectors, x: Local): Vector {
  const a = v.keep(clamp(v, v.op("f32x4.abs", x), 0, 4));
  const square = v.keep(v.op("f32x4.mul", x, x));
  // erf(x) / x as a polynomial of x² for |x| ≤ 1, relative error 1.2·10⁻⁹.
  const small = v.keep(v.op(
    "f32x4.mul",
    x,
    v.polynomial(square, [
      7.85385742e-5,
      -8.01019243e-4,
      5.18832755e-3,
      -2.68538119e-2,
      1.12835851e-1,
      -3.76126258e-1,
      1.12837917,
    ]),
  ));
  // −ln(1 − erf(x)) as a polynomial of x for 1 ≤ x ≤ 4; the error this leaves in erf is 1.1·10⁻⁹.
  const exponent = v.keep(v.op(
    "f32x4.neg",
    v.polynomial(a, [
      -1.86380086e-4,
      2.94766681e-3,
      -2.18380970e-2,
      1.03106821e-1,
      6.38144758e-1,
      1.12708923,
      3.41512576e-4,
    ]),
  ));
  const large = withSign(v, v.op("f32x4.sub", 1, exp(v, exponent)), x);
  // Not greater than 1, so that NaN takes the side that keeps it.
  return v.select(v.op("f32x4.gt", a, 1), large, small);
}

/** One-operand functions of floats that are more than an instruction or two. */
type ElementaryFunction = Exclude<UnaryFunction, "neg" | "abs" | "sign" | "floor" | "not">;

/** The elementary functions by name. `x` is read-only; the result uses temporaries of the scope. */
export const elementary: Readonly<
  Record<ElementaryFunction, (v: Vectors, x: Local) => Vector>
> = {
  exp,
  expm1,
  log,
  log1p,
  sqrt: (v, x) => v.op("f32x4.sqrt", x),
  rsqrt: (v, x) => v.op("f32x4.div", 1, v.op("f32x4.sqrt", x)),
  sin: sine,
  cos: cosine,
  tanh,
  sigmoid,
  erf,
};

export { power };
