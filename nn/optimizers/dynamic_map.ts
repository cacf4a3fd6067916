/**
 * Numbers from −1 to 1 in 8 bits, with the dynamic map of bitsandbytes (Dettmers et al., "8-bit Optimizers via
 * Block-wise Quantization", 2022): between 10⁻⁷ and 1 seven decades, each cut into twice as many steps as the one
 * below it, and a number in the middle of each step; beside them 0 and 1.
 *
 * From number to number the steps grow, so the magnitude is a convex function of the code and the code a concave
 * function of the magnitude: the largest and the smallest of a few straight lines. That is arithmetic which fuses
 * into the kernel around it, where a table would be read element by element.
 *
 * @module
 */

import { full, type Tensor, where } from "../../core/mod.ts";

/** Which of the two maps. */
export interface DynamicMap {
  /** With signs, for first moments: code 127 is 0 and there is no −1. Without, for second moments: code 0 is 0. */
  readonly signed: boolean;
}

/** slope·x + offset. */
interface Line {
  readonly slope: number;
  readonly offset: number;
}

/** A decade: what is above a tenth of `top`, in so many steps. */
interface Decade {
  readonly top: number;
  readonly steps: number;
}

function decadesOf({ signed }: DynamicMap): Decade[] {
  return Array.from({ length: 7 }, (_, i) => ({
    top: 10 ** (i - 6),
    steps: 2 ** (signed ? i : i + 1),
  }));
}

/** The 256 numbers of the map, by code, rising, as `create_dynamic_map` of bitsandbytes gives them. */
export function dynamicMapValues(map: DynamicMap): Float32Array {
  const magnitudes = decadesOf(map).flatMap(({ top, steps }) =>
    Array.from({ length: steps }, (_, i) => top * (0.1 + 0.9 * (i + 0.5) / steps))
  );
  const negative = map.signed ? magnitudes.map((x) => -x) : [];
  return Float32Array.from([...negative, 0, ...magnitudes, 1]).sort();
}

// Levels count magnitudes so that each decade begins at level `steps`: its numbers are then
// top·(0.1 + 0.9·(level − steps + ½) / steps).

/** The level of 0. */
function zeroLevel({ signed }: DynamicMap): number {
  return signed ? 0 : 1;
}

/** The numbers that codes (u8) stand for, f32. */
export function decode(map: DynamicMap, codes: Tensor): Tensor {
  const lines = decadesOf(map).map(({ top, steps }): Line => ({
    slope: 0.9 * top / steps,
    offset: top * (0.45 / steps - 0.8),
  }));
  const offset = codes.cast("f32").add(map.signed ? -127 : 1);
  const level = map.signed ? offset.abs() : offset;
  const values = lines.map((line) => bitsOn(line, level));
  const magnitude = values.reduce((a, b) => a.maximum(b)).maximum(0).bitcast("f32").minimum(1);
  return map.signed ? where(offset.lt(0), magnitude.neg(), magnitude) : magnitude;
}

/** The codes (u8) of the numbers that are nearest to x (f32) in [−1, 1]. */
export function encode(map: DynamicMap, x: Tensor): Tensor {
  const decades = decadesOf(map);
  const zero = zeroLevel(map);
  const first = decades[0]!;
  const last = decades.at(-1)!;
  // Within a decade a level begins where its step does.
  const inside = decades.map(({ top, steps }): Line => ({
    slope: steps / (0.9 * top),
    offset: 8 / 9 * steps,
  }));
  // Between decades the border lies halfway between a small step's middle and a large one's. Lines through it
  // with slopes from 1/3.6 to 1/1.8 leave the levels before and after it alone.
  const between = decades.slice(0, -1).map(({ top, steps }) =>
    through(top * (1 + 0.9 / steps), 2 * steps, steps / (2.5 * top))
  );
  const smallest = first.top * (0.1 + 0.45 / first.steps);
  const bottom = through(smallest / 2, zero + 1, 1 / smallest);
  const magnitude = x.abs();
  const bits = [bottom, ...inside, ...between].map((line) => bitsOn(line, magnitude));
  const level = bits.reduce((a, b) => a.minimum(b)).bitcast("f32").floor();
  const nearOne = magnitude.ge(1 - 0.225 / last.steps);
  if (!map.signed) return where(nearOne, 256, level).sub(1).cast("u32").cast("u8");
  const positive = where(nearOne, 128, level);
  return where(x.lt(0), level.neg(), positive).add(127).cast("u32").cast("u8");
}

function through(x: number, y: number, slope: number): Line {
  return { slope, offset: y - slope * x };
}

/** The line's values as integers of the same order, where not both are negative: comparing these is cheaper. */
function bitsOn({ slope, offset }: Line, x: Tensor): Tensor {
  return x.mul(slope).add(full([], offset)).bitcast("i32");
}
