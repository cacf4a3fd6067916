/** Element types of tensors, and what kernels compute in. @module */

/**
 * How an element is stored. Kernels widen `f16`, `bf16` and `u8` when they load and round to
 * nearest even when they store; arithmetic is in f32, i32, u32 or bool. A stored bool is a 32-bit
 * 0 or 1.
 */
export type DType = "f32" | "f16" | "bf16" | "i32" | "u32" | "u8" | "bool";

/** The types kernels compute in. */
export type ComputeType = "f32" | "i32" | "u32" | "bool";

/** Bytes of one stored element. */
export const bytesPerElement: Readonly<Record<DType, number>> = {
  f32: 4,
  f16: 2,
  bf16: 2,
  i32: 4,
  u32: 4,
  u8: 1,
  bool: 4,
};

/** The type a stored element has once it is loaded. */
export function computeType(dtype: DType): ComputeType {
  switch (dtype) {
    case "f16":
    case "bf16":
      return "f32";
    case "u8":
      return "u32";
    default:
      return dtype;
  }
}

/** Whether the dtype holds real numbers, the only ones that gradients flow through. */
export function isFloat(dtype: DType): boolean {
  return dtype === "f32" || dtype === "f16" || dtype === "bf16";
}

/** Whether storing rounds: the dtype holds less than kernels compute with. */
export function isNarrow(dtype: DType): boolean {
  return dtype === "f16" || dtype === "bf16" || dtype === "u8";
}
