/** 4-bit codes of blocks of 64 weights, on the host, as bitsandbytes makes them. @module */

import { blockCodes } from "../core/block_codes.ts";

/** Formats with 4-bit codes. */
export type FourBitFormat = "nf4" | "fp4";

/** Codes and scales of a flat list of weights. */
export interface BlockQuantized {
  /** Two codes a byte, the first in the high half; an odd count is padded with code 0. */
  readonly codes: Uint8Array;
  /** The largest magnitude of each block. */
  readonly absmax: Float32Array;
}

/** A format's codes in the order of their values, and the borders between them. */
interface Scale {
  readonly borders: Float64Array;
  readonly codes: Uint8Array;
  /** The code of a block of zeros. */
  readonly zero: number;
}

function scaleOf(format: FourBitFormat): Scale {
  const values = blockCodes[format].values!;
  const order = values.map((_, code) => code).sort((a, b) => values[a]! - values[b]! || b - a);
  const borders = order.slice(1).map((code, i) => (values[order[i]!]! + values[code]!) / 2);
  // FP4 has two zeros: codes 8 (negative) and 0. The border between them is 0.
  return {
    borders: Float64Array.from(borders),
    codes: Uint8Array.from(order),
    zero: values.indexOf(0),
  };
}

const scales: Readonly<Record<FourBitFormat, Scale>> = {
  nf4: scaleOf("nf4"),
  fp4: scaleOf("fp4"),
};

/** Quantises weights block by block: the code is the nearest value to w / absmax. */
export function quantizeBlocks(weights: Float32Array, format: FourBitFormat): BlockQuantized {
  const { borders, codes: coded, zero } = scales[format];
  const block = blockCodes[format].block!;
  const codes = new Uint8Array(Math.ceil(weights.length / 2));
  const absmax = new Float32Array(Math.ceil(weights.length / block));
  for (let b = 0; b < absmax.length; b++) {
    const start = b * block;
    const end = Math.min(start + block, weights.length);
    let largest = 0;
    for (let i = start; i < end; i++) largest = Math.max(largest, Math.abs(weights[i]!));
    absmax[b] = largest;
    for (let i = start; i < end; i++) {
      let code = zero;
      if (largest > 0) {
        const x = Math.fround(weights[i]! / largest);
        let [low, high] = [0, borders.length];
        while (low < high) {
          const middle = (low + high) >> 1;
          if (x < borders[middle]!) high = middle;
          else low = middle + 1;
        }
        code = coded[low]!;
      }
      codes[i >> 1]! |= i % 2 === 0 ? code << 4 : code;
    }
  }
  return { codes, absmax };
}

/** The weights that codes and scales stand for. */
export function dequantizeBlocks(
  { codes, absmax }: BlockQuantized,
  format: FourBitFormat,
  count: number,
): Float32Array {
  const { values, block } = blockCodes[format];
  return Float32Array.from(
    { length: count },
    (_, i) =>
      Math.fround(values![(codes[i >> 1]! >> (i % 2 === 0 ? 4 : 0)) & 15]!) *
      absmax[Math.floor(i / block!)]!,
  );
}

/** The values of a format's codes. */
export function codeTable(format: FourBitFormat): Float32Array {
  return Float32Array.from(blockCodes[format].values!);
}
