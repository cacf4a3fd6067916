/** Numbers to bytes and back, in the layout tensors are stored in. @module */

import { bytesPerElement, type DType } from "./dtype.ts";

/** Elements of a tensor read back: f16 and bf16 are widened, bools are 0 or 1. */
export type TensorData = Float32Array | Int32Array | Uint32Array | Uint8Array;

const scratch = new DataView(new ArrayBuffer(4));

/** The upper half of an f32, rounded to nearest even. */
function toBfloat16(value: number): number {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Stores numbers; u16 arrays are taken as the bits of f16 or bf16. */
export function toBytes(values: ArrayLike<number | boolean>, dtype: DType): Uint8Array {
  const bytes = new Uint8Array(values.length * bytesPerElement[dtype]);
  const view = new DataView(bytes.buffer);
  const bits = values instanceof Uint16Array;
  for (let i = 0; i < values.length; i++) {
    const value = Number(values[i]);
    switch (dtype) {
      case "f32":
        view.setFloat32(4 * i, value, true);
        break;
      case "f16":
        if (bits) view.setUint16(2 * i, value, true);
        else view.setFloat16(2 * i, value, true);
        break;
      case "bf16":
        view.setUint16(2 * i, bits ? value : toBfloat16(value), true);
        break;
      case "i32":
        view.setInt32(4 * i, value, true);
        break;
      case "u32":
        view.setUint32(4 * i, value, true);
        break;
      case "u8":
        bytes[i] = value;
        break;
      case "bool":
        view.setUint32(4 * i, value ? 1 : 0, true);
        break;
    }
  }
  return bytes;
}

/** Reads what {@link toBytes} stored. `bytes` is aligned and not shared. */
export function fromBytes(bytes: Uint8Array, dtype: DType, size: number): TensorData {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  switch (dtype) {
    case "f32":
      return new Float32Array(bytes.buffer, bytes.byteOffset, size);
    case "i32":
      return new Int32Array(bytes.buffer, bytes.byteOffset, size);
    case "u32":
      return new Uint32Array(bytes.buffer, bytes.byteOffset, size);
    case "u8":
      return bytes.subarray(0, size);
    case "bool":
      return Uint8Array.from({ length: size }, (_, i) => view.getUint32(4 * i, true));
    case "f16":
      return Float32Array.from({ length: size }, (_, i) => view.getFloat16(2 * i, true));
    case "bf16": {
      const widened = Uint32Array.from(
        { length: size },
        (_, i) => view.getUint16(2 * i, true) << 16,
      );
      return new Float32Array(widened.buffer);
    }
  }
}
