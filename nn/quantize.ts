/** From full precision to quantised weights. @module */

import { fromBytes, type Tensor, tensor } from "../core/mod.ts";
import { quantizeBlocks } from "./quantize_blocks.ts";
import { dynamicMap, type NestedQuantized, quantizeScales } from "./quantize_nested.ts";
import { quantizeRows } from "./quantize_rows.ts";
import type { NestedScales, Quantized } from "./quantized.ts";

/** How to store weights. */
export interface QuantizeOptions {
  /** The code. */
  readonly format: Quantized["format"];
  /** Store the scales of a 4-bit format as 8-bit codes too. */
  readonly nested?: boolean;
}

/**
 * Quantises a matrix on the host.
 *
 * @param weights [out, in], row-major.
 */
export function quantizeMatrix(
  weights: Float32Array,
  [rows, columns]: readonly [number, number],
  { format, nested = false }: QuantizeOptions,
): Quantized {
  const shape = `${rows}x${columns}`;
  if (format === "int8") {
    const { codes, absmax } = quantizeRows(weights, columns);
    return { format, shape, codes: bytesTensor(codes, [rows, columns]), absmax: tensor(absmax) };
  }
  const { codes, absmax } = quantizeBlocks(weights, format);
  return {
    format,
    shape,
    codes: bytesTensor(codes, [codes.length]),
    absmax: nested ? nestedScales(quantizeScales(absmax)) : tensor(absmax),
  };
}

/** Quantised scales as tensors. */
export function nestedScales(
  { codes, absmax, offset }: NestedQuantized,
  map: Float32Array = dynamicMap,
): NestedScales {
  return {
    codes: bytesTensor(codes, [codes.length]),
    map: tensor(map),
    absmax: tensor(absmax),
    offset: tensor([offset]),
  };
}

/** 8-bit codes as a u8 tensor; negative ones in two's complement. */
export function bytesTensor(codes: Uint8Array | Int8Array, shape: readonly number[]): Tensor {
  return fromBytes(new Uint8Array(codes.buffer, codes.byteOffset, codes.length), shape, "u8");
}

/** A matrix on a device, quantised on the host. */
export async function quantize(weight: Tensor, options: QuantizeOptions): Promise<Quantized> {
  const values = await weight.cast("f32").data();
  return quantizeMatrix(Float32Array.from(values), weight.shape as [number, number], options);
}
