/** Loading matrix elements as f32, whatever they are stored as. @module */

import type { DType } from "../../dtype.ts";
import type { FunctionBuilder, Local } from "./wasm_function.ts";

/** How the elements of a matrix are stored. */
export type MatrixType = "f32" | "f16" | "bf16";

/** Whether the matrix product takes operands of this dtype. */
export function isMatrixType(dtype: DType): dtype is MatrixType {
  return dtype === "f32" || dtype === "f16" || dtype === "bf16";
}

/** log2 of the bytes of one element. */
export function shiftOf(type: MatrixType): number {
  return type === "f32" ? 2 : 1;
}

/** Four halves in the low bits of i32 lanes, on the stack, to f32. `scratch` is overwritten. */
function widenHalf(f: FunctionBuilder, scratch: Local): void {
  const magnitude = () => f.get(scratch).i32x4(0x7fff).op("v128.and").i32(13).op("i32x4.shl");
  f.set(scratch);
  // The exponent's bias grows by 112; multiplying is right for subnormal halves too.
  magnitude().f32x4(2 ** 112).op("f32x4.mul");
  // Infinity and NaN have the largest exponent, which multiplying does not give.
  magnitude().i32x4(0x0f7fffff).op("i32x4.gt_s").i32x4(0x7f800000).op("v128.and", "v128.or");
  f.get(scratch).i32x4(0x8000).op("v128.and").i32(16).op("i32x4.shl", "v128.or");
}

/** Four adjacent elements at the address on the stack plus `offset` bytes. */
export function loadVector(
  f: FunctionBuilder,
  type: MatrixType,
  offset: number,
  scratch: Local,
): void {
  if (type === "f32") {
    f.memory("v128.load", offset);
    return;
  }
  f.memory("v128.load16x4_u", offset);
  if (type === "bf16") f.i32(16).op("i32x4.shl");
  else widenHalf(f, scratch);
}

/** One element at the address on the stack. */
export function loadScalar(f: FunctionBuilder, type: MatrixType, scratch: Local): void {
  if (type === "f32") {
    f.memory("f32.load");
    return;
  }
  f.memory("i32.load16_u");
  if (type === "bf16") f.i32(16).op("i32.shl", "f32.reinterpret_i32");
  else {
    f.op("i32x4.splat");
    widenHalf(f, scratch);
    f.lane("f32x4.extract_lane", 0);
  }
}
