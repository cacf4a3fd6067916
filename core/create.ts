/** Tensors from numbers. @module */

import { bytesPerElement, type DType } from "./dtype.ts";
import { makeNode } from "./graph.ts";
import { toBytes } from "./host.ts";
import * as p from "./primitives.ts";
import { inferShape, type Shape, showShape, sizeOf } from "./shape.ts";
import { Tensor } from "./tensor.ts";

/** Nested arrays of numbers, all rows of one length. */
export type NestedNumbers = number | boolean | readonly NestedNumbers[];

/** Numbers a tensor can be made of. */
export type HostData =
  | NestedNumbers
  | Float32Array
  | Int32Array
  | Uint32Array
  | Uint8Array
  | Uint16Array;

/** Options of {@link tensor}. */
export interface TensorOptions {
  /** f32 for numbers, bool for booleans, the array's own type for typed arrays. Uint16Array holds bf16 or f16 bits and needs one of them. */
  readonly dtype?: DType;
  /** The nesting of the arrays, or one axis for typed arrays. */
  readonly shape?: Shape;
}

function nestedShape(data: NestedNumbers): number[] {
  return Array.isArray(data) ? [data.length, ...(data.length > 0 ? nestedShape(data[0]) : [])] : [];
}

function flatten(data: NestedNumbers, shape: Shape, into: (number | boolean)[]): void {
  const [first, ...rest] = shape;
  if (!Array.isArray(data)) {
    if (first !== undefined) throw new RangeError(`Cannot make a tensor: rows are nested unevenly`);
    into.push(data as number | boolean);
    return;
  }
  if (data.length !== first) {
    throw new RangeError(`Cannot make a tensor: rows have ${first} and ${data.length} elements`);
  }
  for (const row of data) flatten(row, rest, into);
}

function inferDType(data: HostData, first: number | boolean | undefined): DType {
  if (data instanceof Int32Array) return "i32";
  if (data instanceof Uint32Array) return "u32";
  if (data instanceof Uint8Array) return "u8";
  if (data instanceof Uint16Array) {
    throw new TypeError('Cannot make a tensor of a Uint16Array without { dtype: "bf16" } or "f16"');
  }
  return typeof first === "boolean" ? "bool" : "f32";
}

/**
 * A tensor of the given numbers. The data is copied.
 *
 * @example
 * ```ts
 * import { tensor } from "@plumb/plumb/core";
 *
 * const x = tensor([[1, 2], [3, 4]]);
 * console.log(x.shape); // [2, 2]
 * ```
 */
export function tensor(data: HostData, options: TensorOptions = {}): Tensor {
  let values: ArrayLike<number | boolean>;
  let natural: number[];
  if (ArrayBuffer.isView(data)) {
    values = data;
    natural = [data.length];
  } else {
    natural = nestedShape(data);
    const list: (number | boolean)[] = [];
    flatten(data, natural, list);
    values = list;
  }
  const dtype = options.dtype ?? inferDType(data, values[0]);
  const shape = inferShape(options.shape ?? natural, values.length, natural);
  return new Tensor(makeNode({ name: "host", bytes: toBytes(values, dtype) }, [], shape, dtype));
}

/**
 * A tensor over bytes in the layout of its dtype (little-endian; bool as 32-bit 0 or 1), which must not
 * change afterwards.
 */
export function fromBytes(bytes: Uint8Array, shape: Shape, dtype: DType): Tensor {
  if (bytes.length !== sizeOf(shape) * bytesPerElement[dtype]) {
    throw new RangeError(
      `Cannot make a tensor ${dtype}${showShape(shape)} of ${bytes.length} bytes: ` +
        `it takes ${sizeOf(shape) * bytesPerElement[dtype]}`,
    );
  }
  return new Tensor(makeNode({ name: "host", bytes }, [], shape, dtype));
}

/** A constant in every element. */
export function full(shape: Shape, value: number, dtype: DType = "f32"): Tensor {
  return new Tensor(p.full(value, shape, dtype));
}

/** Zeros. */
export function zeros(shape: Shape, dtype: DType = "f32"): Tensor {
  return full(shape, 0, dtype);
}

/** Ones. */
export function ones(shape: Shape, dtype: DType = "f32"): Tensor {
  return full(shape, 1, dtype);
}

/** 0, 1, …, count − 1, i32. */
export function iota(count: number): Tensor {
  return new Tensor(p.iota(count));
}
