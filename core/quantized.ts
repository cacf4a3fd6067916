/** Matrices in 4 or 8 bits, and products with them. @module */

import { type BlockCode, blockCodes, codeBytes, scaleCount } from "./block_codes.ts";
import { tensor } from "./create.ts";
import { isFloat } from "./dtype.ts";
import { multiplyCoded } from "./operations/matmul.ts";
import * as p from "./primitives.ts";
import { showShape, sizeOf } from "./shape.ts";
import { Tensor } from "./tensor.ts";

/**
 * A constant matrix whose elements, in row-major order, are small codes; an element is the value of its
 * code times the scale of its block. As bitsandbytes stores it:
 *
 * - `nf4`, `fp4`: blocks of 64 elements, running across rows; scale = largest magnitude in the block.
 * - `int8`: a block is a row; element = code · absmax / 127.
 */
export interface QuantizedMatrix {
  /** The code. */
  readonly format: BlockCode;
  /** Shape of the matrix: [out, in] for the weight of a linear layer. Numbers, never arguments of `jit`. */
  readonly shape: readonly [outputs: number, inputs: number];
  /** u8: two 4-bit codes per byte, the first in the high half; or two's-complement bytes. */
  readonly codes: Tensor;
  /** f32: the largest magnitude of each block. */
  readonly absmax: Tensor;
}

/** Options of {@link quantizedMatmul}. */
export interface QuantizedMatmulOptions {
  /** Whether to multiply by the matrix transposed. */
  readonly transpose?: boolean;
}

function check({ format, shape, codes, absmax }: QuantizedMatrix): void {
  const [rows, columns] = shape;
  if (shape.some((size) => typeof size !== "number")) {
    throw new TypeError(
      `Cannot use a ${format} matrix whose sizes are tensors: jit takes numbers among its arguments ` +
        `for values. Pass codes and absmax, and make the matrix of them inside the function`,
    );
  }
  const wanted = [codeBytes(format, rows * columns), scaleCount(format, rows, columns)] as const;
  if (
    codes.dtype !== "u8" || absmax.dtype !== "f32" || codes.size !== wanted[0] ||
    absmax.size !== wanted[1]
  ) {
    throw new RangeError(
      `Cannot use a ${format} matrix ${
        showShape(shape)
      }: its codes are ${codes} and its absmax is ` +
        `${absmax}, but it takes ${wanted[0]} bytes of codes (u8) and ${wanted[1]} scales (f32)`,
    );
  }
}

/**
 * x·W, or x·Wᵀ with `transpose`, accumulated in f32. Elements of W are decoded where the product reads them;
 * the decoded matrix is never in memory. Gradients flow to x only.
 *
 * @param x Float, [..., out], or [..., in] with `transpose`.
 * @param w [out, in].
 * @returns f32 [..., in], or [..., out] with `transpose`.
 * @throws RangeError if inner sizes differ, or if the codes or scales are not as many as the shape takes.
 */
export function quantizedMatmul(
  x: Tensor,
  w: QuantizedMatrix,
  options: QuantizedMatmulOptions = {},
): Tensor {
  const { transpose = false } = options;
  check(w);
  const inner = w.shape[transpose ? 1 : 0];
  if (x.rank < 1 || !isFloat(x.dtype) || x.shape.at(-1) !== inner) {
    throw new RangeError(
      `Cannot multiply ${x} and the ${w.format} matrix ${showShape(w.shape)}` +
        `${transpose ? " transposed" : ""}: need a float tensor whose last axis has size ${inner}`,
    );
  }
  const outer = x.shape.slice(0, -1);
  const rows = x.reshape(sizeOf(outer), inner);
  const coded = { code: w.format, shape: w.shape };
  const product = multiplyCoded(rows.node, w.codes.node, w.absmax.node, coded, transpose);
  return new Tensor(product).reshape(...outer, w.shape[transpose ? 0 : 1]);
}

/** The matrix in full, f32 [out, in]: to merge weights into. A constant to differentiation. */
export function dequantize(w: QuantizedMatrix): Tensor {
  check(w);
  const [rows, columns] = w.shape;
  const { values } = blockCodes[w.format];
  const absmax = new Tensor(p.alias(w.absmax.node, "stopGradient")).reshape(-1, 1);
  const codes = w.codes.reshape(-1);
  if (values === null) {
    const numbers = codes.xor(0x80).cast("i32").sub(0x80).cast("f32").reshape(rows, columns);
    return numbers.mul(absmax.mul(1 / 127));
  }
  const shifts = tensor(Uint32Array.of(4, 0));
  const nibbles = codes.reshape(-1, 1).shiftRight(shifts).and(15).cast("i32");
  const table = tensor(Float32Array.from(values));
  const flat = table.gather(nibbles.reshape(-1)).slice(0, rows * columns);
  const { block } = blockCodes[w.format];
  const blocks = absmax.size;
  const scaled = flat.pad(0, blocks * block! - flat.size).reshape(blocks, block!).mul(absmax);
  return scaled.reshape(-1).slice(0, rows * columns).reshape(rows, columns);
}
