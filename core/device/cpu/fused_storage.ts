/** Stored elements to lanes and back. @module */

import type { DType } from "../../dtype.ts";
import type { Vector, Vectors } from "./vectors.ts";
import type { Local } from "./wasm_function.ts";

/** How many places a count of elements is shifted to be one of bytes. */
export const log2Bytes: Readonly<Record<DType, 0 | 1 | 2>> = {
  f32: 2,
  f16: 1,
  bf16: 1,
  i32: 2,
  u32: 2,
  u8: 0,
  bool: 2,
};

/** Loads four adjacent elements at the address on the stack, as 32-bit lanes of their bits. */
export function loadFour(v: Vectors, dtype: DType, offset: number): void {
  switch (log2Bytes[dtype]) {
    case 2:
      v.f.memory("v128.load", offset);
      break;
    case 1:
      v.f.memory("v128.load16x4_u", offset);
      break;
    case 0:
      v.f.memory("v128.load32_zero", offset);
      v.f.op("i16x8.extend_low_i8x16_u", "i32x4.extend_low_i16x8_u");
  }
}

/** Loads the bits of one element at the address on the stack, as an i32. */
export function loadOne(v: Vectors, dtype: DType): void {
  v.f.memory((["i32.load8_u", "i32.load16_u", "i32.load"] as const)[log2Bytes[dtype]]);
}

/** Bits of stored elements to values. */
export function widen(v: Vectors, dtype: DType, bits: Local): Vector {
  switch (dtype) {
    case "bf16":
      return v.shift("i32x4.shl", bits, 16);
    case "bool":
      return v.op("i32x4.ne", bits, v.int(0));
    case "f16":
      return halfToFloat(v, bits);
    default:
      return bits;
  }
}

/** Values to the bits of stored elements, packed into the low lanes. */
export function narrow(v: Vectors, dtype: DType, x: Local): Vector {
  switch (dtype) {
    case "bool":
      return v.op("v128.and", x, v.int(1));
    case "bf16":
      return pack16(v, floatToBrain(v, x));
    case "f16":
      return pack16(v, floatToHalf(v, x));
    case "u8": {
      const words = pack16(v, v.op("v128.and", x, v.int(0xff)));
      const zero = v.int(0);
      return v.op("i8x16.narrow_i16x8_u", words, zero);
    }
    default:
      return x;
  }
}

/** Stores four packed elements; the address is on the stack below `packed`. */
export function storeFour(v: Vectors, dtype: DType, packed: Local, offset: number): void {
  v.f.get(packed);
  switch (log2Bytes[dtype]) {
    case 2:
      v.f.memory("v128.store", offset);
      break;
    case 1:
      v.f.memoryLane("v128.store64_lane", 0, offset);
      break;
    case 0:
      v.f.memoryLane("v128.store32_lane", 0, offset);
  }
}

/** Stores one of the packed elements; the address is on the stack. */
export function storeOne(v: Vectors, dtype: DType, packed: Local, lane: number, offset: number) {
  const name = (["v128.store8_lane", "v128.store16_lane", "v128.store32_lane"] as const)[
    log2Bytes[dtype]
  ];
  v.f.get(packed).memoryLane(name, lane, offset);
}

function pack16(v: Vectors, x: Vector): Vector {
  return v.op("i16x8.narrow_i32x4_u", x, v.int(0));
}

function halfToFloat(v: Vectors, bits: Local): Vector {
  // The exponent moved to its place in f32 is short by 112, subnormals included.
  const shifted = v.shift("i32x4.shl", v.op("v128.and", bits, v.int(0x7fff)), 13);
  const scaled = v.keep(v.op("f32x4.mul", shifted, 2 ** 112));
  // Infinity and NaN come out as 2¹⁶ and above, where no finite half is.
  const special = v.op("v128.and", v.op("f32x4.ge", scaled, 65536), v.int(0x7f800000));
  const sign = v.shift("i32x4.shl", v.op("v128.and", bits, v.int(0x8000)), 16);
  return v.op("v128.or", v.op("v128.or", scaled, special), sign);
}

/** Rounds the low `dropped` bits away, to nearest even, and shifts the rest down. */
function roundBits(v: Vectors, bits: Local, dropped: number): Vector {
  const odd = v.op("v128.and", v.shift("i32x4.shr_u", bits, dropped), v.int(1));
  const bias = v.op("i32x4.add", odd, v.int((1 << (dropped - 1)) - 1));
  return v.shift("i32x4.shr_u", v.op("i32x4.add", bits, bias), dropped);
}

function floatToBrain(v: Vectors, x: Local): Vector {
  const quiet = v.op("v128.or", v.shift("i32x4.shr_u", x, 16), v.int(0x40));
  return v.select(v.op("f32x4.eq", x, x), roundBits(v, x, 16), quiet);
}

function floatToHalf(v: Vectors, x: Local): Vector {
  const magnitude = v.keep(v.op("f32x4.abs", x));
  const rebased = v.keep(v.op("i32x4.sub", magnitude, v.int(112 << 23)));
  // Adding ½ leaves a subnormal half, rounded, in the low bits of the sum.
  const half = v.int(0x3f000000);
  const subnormal = v.op("i32x4.sub", v.op("f32x4.add", magnitude, half), half);
  const isSubnormal = v.op("f32x4.lt", magnitude, 2 ** -14);
  const finite = v.select(isSubnormal, subnormal, roundBits(v, rebased, 13));
  const nan = v.op("v128.and", v.op("f32x4.ne", x, x), v.int(0x200));
  const special = v.op("v128.or", nan, v.int(0x7c00));
  const result = v.select(v.op("f32x4.lt", magnitude, 65536), finite, special);
  const sign = v.op("v128.and", v.shift("i32x4.shr_u", x, 16), v.int(0x8000));
  return v.op("v128.or", result, sign);
}
