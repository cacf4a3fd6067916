/**
 * The element types of the safetensors format and their conversion to the arrays the rest of the
 * library computes with.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { bfloat16ToFloat32, float16ToFloat32 } from "./half.ts";

/** Bytes per element of each supported element type, under its safetensors name. */
export const storedDtypeBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const satisfies Readonly<Record<string, number>>;

/** An element type as safetensors names it. */
export type StoredDtype = keyof typeof storedDtypeBytes;

/** Whether `name` is an element type this library reads. */
export function isStoredDtype(name: unknown): name is StoredDtype {
  return typeof name === "string" && Object.hasOwn(storedDtypeBytes, name);
}

/** Raw tensor contents: little-endian elements in row-major order. */
export type StoredValues = {
  readonly dtype: StoredDtype;
  readonly bytes: Uint8Array;
  /** Named in error messages. */
  readonly name?: string;
};

/** The bytes as a buffer of their own, copied only where a typed array could not start. */
function alignedBuffer({ dtype, bytes, name }: StoredValues): [ArrayBufferLike, number, number] {
  const size = storedDtypeBytes[dtype];
  if (bytes.length % size !== 0) {
    throw new UserError(
      `Cannot read ${label(name)} as ${dtype}: it has ${bytes.length} bytes, which is not a ` +
        `multiple of the element size, ${size}.`,
    );
  }
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  return [aligned.buffer, aligned.byteOffset, bytes.length / size];
}

function label(name: string | undefined): string {
  return name === undefined ? "the tensor" : `tensor "${name}"`;
}

/**
 * Widens F32, F16, BF16 (exact) or F64 (rounded to nearest) to 32-bit floats. F32 input is viewed,
 * not copied, where its alignment allows.
 *
 * Throws a `UserError` for integer types.
 */
export function toFloat32Array(values: StoredValues): Float32Array {
  const [buffer, offset, length] = alignedBuffer(values);
  switch (values.dtype) {
    case "F32":
      return new Float32Array(buffer, offset, length);
    case "F16":
      return float16ToFloat32(new Uint16Array(buffer, offset, length));
    case "BF16":
      return bfloat16ToFloat32(new Uint16Array(buffer, offset, length));
    case "F64":
      return Float32Array.from(new Float64Array(buffer, offset, length));
    default:
      throw new UserError(
        `Cannot read ${label(values.name)} as floating-point numbers: its dtype is ` +
          `${values.dtype}, and F32, F16, BF16 or F64 was expected.`,
      );
  }
}

/**
 * Converts any integer type, or BOOL (0 and 1), to 32-bit integers. I32 input is viewed, not copied,
 * where its alignment allows.
 *
 * Throws a `UserError` for floating-point types and for values beyond 32 bits.
 */
export function toInt32Array(values: StoredValues): Int32Array {
  const [buffer, offset, length] = alignedBuffer(values);
  switch (values.dtype) {
    case "I32":
      return new Int32Array(buffer, offset, length);
    case "BOOL":
    case "U8":
      return Int32Array.from(new Uint8Array(buffer, offset, length));
    case "I8":
      return Int32Array.from(new Int8Array(buffer, offset, length));
    case "I16":
      return Int32Array.from(new Int16Array(buffer, offset, length));
    case "U16":
      return Int32Array.from(new Uint16Array(buffer, offset, length));
    case "U32":
      return checkedInt32(new Uint32Array(buffer, offset, length), values);
    case "I64":
      return checkedInt32(new BigInt64Array(buffer, offset, length), values);
    case "U64":
      return checkedInt32(new BigUint64Array(buffer, offset, length), values);
    default:
      throw new UserError(
        `Cannot read ${label(values.name)} as integers: its dtype is ${values.dtype}, and an ` +
          `integer type or BOOL was expected.`,
      );
  }
}

function checkedInt32(
  source: Uint32Array | BigInt64Array | BigUint64Array,
  { dtype, name }: StoredValues,
): Int32Array {
  const result = new Int32Array(source.length);
  for (let i = 0; i < source.length; i++) {
    const value = source[i]!;
    result[i] = Number(value);
    if (result[i] !== Number(value)) {
      throw new UserError(
        `Cannot read ${
          label(name)
        } as 32-bit integers: element ${i} is ${value} (${dtype}), which ` +
          `is outside −2147483648 … 2147483647.`,
      );
    }
  }
  return result;
}
