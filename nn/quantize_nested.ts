/** Double quantisation: the scales of blocks as 8-bit codes. On the host. @module */

import { dynamicMapValues } from "./optimizers/dynamic_map.ts";

/** Values of the signed 8-bit dynamic codes, rising. */
export const dynamicMap: Float32Array = dynamicMapValues({ signed: true });

/** The code of the nearest value of the dynamic map to x in [−1, 1]. */
function dynamicCode(x: number): number {
  let [low, high] = [0, 255];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (dynamicMap[middle]! <= x) low = middle;
    else high = middle;
  }
  return x - dynamicMap[low]! > dynamicMap[high]! - x ? high : low;
}

/** Scales that share one scale. */
export const nestedBlock = 256;

/** Scales as codes. */
export interface NestedQuantized {
  /** Positions in the dynamic map. */
  readonly codes: Uint8Array;
  /** The largest magnitude of each 256 scales less the offset. */
  readonly absmax: Float32Array;
  /** The mean of the scales. */
  readonly offset: number;
}

/** Quantises scales: positions in the dynamic map of their distances from the mean. */
export function quantizeScales(scales: Float32Array): NestedQuantized {
  const offset = Math.fround(scales.reduce((sum, x) => sum + x, 0) / Math.max(scales.length, 1));
  const codes = new Uint8Array(scales.length);
  const absmax = new Float32Array(Math.ceil(scales.length / nestedBlock));
  for (let b = 0; b < absmax.length; b++) {
    const part = scales.subarray(b * nestedBlock, (b + 1) * nestedBlock)
      .map((x) => x - offset);
    const largest = part.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    absmax[b] = largest;
    part.forEach((x, i) => {
      codes[b * nestedBlock + i] = dynamicCode(largest > 0 ? Math.fround(x / largest) : 0);
    });
  }
  return { codes, absmax, offset };
}

/** The scales that codes stand for. */
export function dequantizeScales(
  { codes, absmax, offset }: NestedQuantized,
  map: ArrayLike<number> = dynamicMap,
): Float32Array {
  return Float32Array.from(
    codes,
    (code, i) => Math.fround(map[code]! * absmax[Math.floor(i / nestedBlock)]!) + offset,
  );
}
