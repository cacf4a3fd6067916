/** Four-lane exponential, logarithm and hyperbolic tangent for the attention kernels. @module */

import type { FunctionBuilder, Local } from "./wasm.ts";

/** log2(e): scores are kept in powers of two, where the exponential is cheapest. */
export const log2e = 1.4426950408889634;

/**
 * Vector constants of a function, each set once in a local: an engine materialises a literal anew
 * at every use, a local stays in a register or on the stack.
 */
export type Constants = (value: number) => Local;

/** Constants of `f`; all those that loops use must be asked for before the loops. */
export function constants(f: FunctionBuilder): Constants {
  const known = new Map<number, Local>();
  return (value) => {
    let local = known.get(value);
    if (local === undefined) {
      known.set(value, local = f.local("v128"));
      f.f32x4(value).set(local);
    }
    return local;
  };
}

// Cephes exp2f on [−½, ½], lowest power last.
const exp2Polynomial = [
  1.535336188319500e-4,
  1.339887440266574e-3,
  9.618437357674640e-3,
  5.550332471162809e-2,
  2.402264791363012e-1,
  6.931472028550421e-1,
  1,
];

// Added to a float below 2^22 it leaves the nearest integer in the low bits of the mantissa.
const roundingShift = 12582912;

/** Asks for the constants of {@link exp2}. */
export function prepareExp2(constant: Constants): void {
  for (const value of [...exp2Polynomial, roundingShift, -127]) constant(value);
}

/**
 * x ← 2^x, relative error about 2e-7, for x ≤ 127; below −126.5 (and for −∞) exactly 0; NaN stays.
 */
export function exp2(f: FunctionBuilder, constant: Constants, x: Local, scratch: Local): void {
  const shift = constant(roundingShift);
  // pmax(x, c) = x < c ? c : x keeps a NaN.
  f.get(x, constant(-127)).op("f32x4.pmax").set(x);
  f.get(x, shift).op("f32x4.add").set(scratch);
  f.get(x, scratch, shift).op("f32x4.sub", "f32x4.sub").set(x);
  const [first, ...rest] = exp2Polynomial;
  f.get(constant(first!));
  for (const coefficient of rest) f.get(x, constant(coefficient)).op("f32x4.relaxed_madd");
  // At n = −127 the exponent bits are 0, and so is the product.
  f.get(scratch).i32(23).op("i32x4.shl").i32x4(127 << 23).op("i32x4.add", "f32x4.mul").set(x);
}

/** Asks for the constants of {@link tanh}. */
export function prepareTanh(constant: Constants): void {
  prepareExp2(constant);
  for (const value of [...tanhPolynomial, 0.625, 1, 2, 2 * log2e, 60]) constant(value);
}

// Cephes tanhf on [−0.625, 0.625]: x + x³·p(x²).
const tanhPolynomial = [
  -5.70498872745e-3,
  2.06390887954e-2,
  -5.37397155531e-2,
  1.33314422036e-1,
  -3.33332819422e-1,
];

/** x ← tanh(x), relative error about 3e-7; NaN stays. `scratch` are three vectors. */
export function tanh(
  f: FunctionBuilder,
  constant: Constants,
  x: Local,
  scratch: readonly [Local, Local, Local],
): void {
  const [large, small, other] = scratch;
  // 1 − 2/(2^(2|x|·log2e) + 1), with the sign of x put back.
  f.get(x).op("f32x4.abs").get(constant(2 * log2e)).op("f32x4.mul").set(large);
  f.get(large, constant(60)).op("f32x4.pmin").set(large);
  exp2(f, constant, large, other);
  f.get(constant(1), constant(2), large, constant(1)).op("f32x4.add", "f32x4.div", "f32x4.sub");
  f.get(x).i32x4(0x80000000).op("v128.and", "v128.or").set(large);
  f.get(x, x).op("f32x4.mul").set(other);
  const [first, ...rest] = tanhPolynomial;
  f.get(constant(first!));
  for (const coefficient of rest) f.get(other, constant(coefficient)).op("f32x4.relaxed_madd");
  f.get(other).op("f32x4.mul").get(x, x).op("f32x4.relaxed_madd").set(small);
  f.get(large, small).get(x).op("f32x4.abs").get(constant(0.625)).op("f32x4.gt");
  f.op("v128.bitselect").set(x);
}

/** x ← ln(x) for normal positive x and for 0 (−∞); relative error about 2e-7; NaN stays. */
export function log(f: FunctionBuilder, x: Local, scratch: readonly [Local, Local]): void {
  const [exponent, s] = scratch;
  const original = x;
  // x = m·2^e with m in [√½, √2).
  f.get(x).i32x4(0x3f3504f3).op("i32x4.sub").i32(23).op("i32x4.shr_s").set(exponent);
  f.get(x).get(exponent).i32(23).op("i32x4.shl", "i32x4.sub").set(s);
  // ln m = 2·artanh((m − 1)/(m + 1)).
  f.get(s).f32x4(1).op("f32x4.sub").get(s).f32x4(1).op("f32x4.add", "f32x4.div").set(s);
  f.f32x4(2 / 9);
  for (const coefficient of [2 / 7, 2 / 5, 2 / 3]) {
    f.get(s, s).op("f32x4.mul").f32x4(coefficient).op("f32x4.relaxed_madd");
  }
  f.get(s, s).op("f32x4.mul").get(s).op("f32x4.mul", "f32x4.mul");
  f.get(s, s).op("f32x4.add", "f32x4.add");
  f.get(exponent).op("f32x4.convert_i32x4_s").f32x4(Math.LN2).op("f32x4.mul", "f32x4.add").set(s);
  f.f32x4(-Infinity).get(s).get(original).f32x4(0).op("f32x4.eq", "v128.bitselect").set(s);
  f.get(s).get(original).get(original).get(original).op("f32x4.eq", "v128.bitselect").set(x);
}
