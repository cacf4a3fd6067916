/**
 * Fused kernels as values. A kernel says what is computed, with no size in it: sizes, strides and offsets
 * are `ints` of the launch, so that one compiled kernel serves every length. A kernel can be
 * printed, hashed, compared, and emitted as WGSL or as WebAssembly. Kernels made by hand are in `operations/`.
 *
 * @module
 */

import type { ComputeType, DType } from "./dtype.ts";

/** One-operand functions. `not` is on bool; `floor`… on f32; `neg` and `abs` also on i32. */
export type UnaryFunction =
  | "neg"
  | "abs"
  | "sign"
  | "floor"
  | "exp"
  | "expm1"
  | "log"
  | "log1p"
  | "sqrt"
  | "rsqrt"
  | "sin"
  | "cos"
  | "tanh"
  | "sigmoid"
  | "erf"
  | "not";

/**
 * Two-operand functions; both operands have one type. Comparisons give bool. `and`, `or`, `xor` are
 * bitwise on integers and logical on bool. `shl` and `shr` are on u32, shift amounts below 32.
 * Integer `div` truncates; `mod` is the remainder with the sign of the dividend (f32: x − y·trunc(x/y)).
 * `max` and `min` of a NaN and a number are NaN.
 */
export type BinaryFunction =
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "mod"
  | "pow"
  | "max"
  | "min"
  | "lt"
  | "le"
  | "eq"
  | "ne"
  | "and"
  | "or"
  | "xor"
  | "shl"
  | "shr";

/** Associative functions a row or column can be reduced with. */
export type ReduceFunction = "sum" | "max" | "min";

/** A number of the launch (`ints[slot]`), or the literal 1, which emitters may exploit. */
export type Int = { readonly slot: number } | 1;

/**
 * Where an access reads or writes: element `offset + Σ coordinate[dim]·stride`. A dim that is not
 * among the terms has stride 0.
 */
export interface Access {
  /** Added to the index; null is 0. */
  readonly offset: { readonly slot: number } | null;
  /** Strides along dims. */
  readonly terms: readonly { readonly dim: number; readonly stride: Int }[];
  /** The load is 0 unless low ≤ coordinate[dim] < high for each of these. Never on stores. */
  readonly masks: readonly { readonly dim: number; readonly low: Int; readonly high: Int }[];
  /**
   * A row index computed by instruction `index` (i32): adds index·stride; where the index is not in
   * [0, count) the load is 0. Never on stores.
   */
  readonly gather: { readonly index: number; readonly stride: Int; readonly count: Int } | null;
}

/** One instruction; operands are indices of earlier instructions. */
export type Instruction =
  | {
    readonly op: "load";
    readonly arg: number;
    readonly access: Access;
    readonly type: ComputeType;
  }
  | { readonly op: "store"; readonly arg: number; readonly access: Access; readonly x: number }
  /** `value` is a number, or "Infinity", "-Infinity", "NaN" or "-0" for f32, an integer for i32 and u32, 0 or 1 for bool. */
  | { readonly op: "const"; readonly value: number | string; readonly type: ComputeType }
  /** A number that changes from run to run: element `index` of the run's f32 scalars. */
  | { readonly op: "scalar"; readonly index: number; readonly type: "f32" }
  /** The coordinate along `dim`. */
  | { readonly op: "index"; readonly dim: number; readonly type: "i32" }
  | {
    readonly op: "unary";
    readonly fn: UnaryFunction;
    readonly x: number;
    readonly type: ComputeType;
  }
  | {
    readonly op: "binary";
    readonly fn: BinaryFunction;
    readonly x: number;
    readonly y: number;
    /** Type of the result; the operands' type is that of instruction `x`. */
    readonly type: ComputeType;
  }
  | {
    readonly op: "where";
    readonly condition: number;
    readonly x: number;
    readonly y: number;
    readonly type: ComputeType;
  }
  /** Numeric conversion; f32 to integer truncates and saturates, to bool is `≠ 0`. */
  | { readonly op: "cast"; readonly x: number; readonly type: ComputeType }
  /** The same 32 bits as another type (f32, i32, u32). */
  | { readonly op: "bitcast"; readonly x: number; readonly type: ComputeType }
  | {
    readonly op: "reduce";
    readonly fn: ReduceFunction;
    readonly x: number;
    readonly type: ComputeType;
  };

/** How a kernel uses a buffer. One buffer that is read and written in place is one argument. */
export interface KernelArgument {
  /** Element type. */
  readonly dtype: DType;
  /** How it is used. */
  readonly access: "read" | "write" | "readwrite";
}

/**
 * A fused kernel over an iteration space of `rank` dims, whose sizes are `ints[0 … rank−1]`.
 *
 * - `map`: every point runs the body. No `reduce`.
 * - `row`: the last dim is the row. `reduce` runs over it and its result is one value per row; an
 *   instruction that depends only on row values, or on loads that do not vary along the row, is
 *   itself one value per row. A store whose access has no term in the last dim writes one value per
 *   row (its operand is a row value). Chains of reductions (softmax) are several passes over the row.
 * - `column`: the dim before the last is summed away: space [P…, R, C], parallel over P and C.
 *   Results of `reduce`, and what depends on them, live on [P…, C]; all stores take such values.
 *   There is one level of reductions only.
 *
 * Stores are contiguous on the space they live on unless their access says otherwise. A `readwrite`
 * argument is loaded only at the very element that the same point later stores, and the store comes
 * after every load of it, in the kernel's last pass.
 */
export interface FusedKernel {
  /** Which kind of kernel. */
  readonly op: "fused";
  /** How the index space is walked. */
  readonly kind: "map" | "row" | "column";
  /** Number of dims of the index space. */
  readonly rank: number;
  /** Buffers, in order. */
  readonly args: readonly KernelArgument[];
  /** Instructions; operands are earlier ones. */
  readonly body: readonly Instruction[];
}
