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

import { full, type Tensor } from "../../core/mod.ts";

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
  const level = codes.cast("i32").cast("f32").add(map.signed ? -127 : 1);
  const magnitude = lines.map((line) => bitsOn(line, map.signed ? level.abs() : level))
    .reduce((a, b) => a.maximum(b)).clamp(0, bitsOfOne);
  return (map.signed ? withSign(magnitude, level) : magnitude).bitcast("f32");
}

/** The codes (u8) of the numbers that are nearest to x (f32) in [−1, 1]; without signs, in [0, 1]. */
export function encode(map: DynamicMap, x: Tensor): Tensor {
  const decades = decadesOf(map);
  const zero = zeroLevel(map);
  const { top: lowest, steps: fewest } = decades[0]!;
  const { steps: most } = decades.at(-1)!;
  // A level begins halfway between its number and the one before. Within a decade that is where the step
  // begins.
  const inside = decades.map(({ top, steps }) =>
    through(top, 2 * steps - tolerance, steps / (0.9 * top))
  );
  // Between decades it lies between a small step's middle and a large one's: a line through it whose slope is
  // between 1/3.6 and 1/1.8 of steps/top leaves the levels before and after alone. So do these at both ends.
  const between = decades.slice(0, -1).map(({ top, steps }) =>
    through(top * (1 + 0.9 / steps), 2 * steps, steps / (2.5 * top))
  );
  const smallest = lowest * (0.1 + 0.45 / fewest);
  const bottom = through(smallest / 2, zero + 1, 0.87 / smallest);
  const one = through(1 - 0.225 / most, 2 * most, 3 * most);
  const magnitude = map.signed ? x.abs() : x;
  const level = [bottom, ...inside, ...between].map((line) => bitsOn(line, magnitude))
    .reduce((a, b) => a.minimum(b))
    // There is no −1.
    .maximum(bitsOn(one, x))
    .bitcast("f32");
  if (!map.signed) return wholeBits(level.sub(1)).cast("u8");
  const negative = x.bitcast("u32").shiftRight(31);
  // Two's complement of the level where x is negative.
  const signed = wholeBits(level).xor(full([], 0, "u32").sub(negative)).add(negative);
  return signed.add(127).cast("u8");
}

/** A number from 0 to 1023 rounded down, u32. Beside 1024 its whole part stands above 13 bits of fraction. */
function wholeBits(x: Tensor): Tensor {
  return x.add(1024).bitcast("u32").shiftRight(13).and(0x3ff);
}

/** A part of a level: more than rounding adds to a line's value, and nothing beside a step. */
const tolerance = 1e-4;

function through(x: number, y: number, slope: number): Line {
  return { slope, offset: y - slope * x };
}

/** The line's values as integers of the same order, where not both are negative: comparing these is cheaper. */
function bitsOn({ slope, offset }: Line, x: Tensor): Tensor {
  return x.mul(slope).add(full([], offset)).bitcast("i32");
}

const bitsOfOne = 0x3f800000;

/** The bits of a number that is not negative, given the sign of another. */
function withSign(bits: Tensor, like: Tensor): Tensor {
  return bits.or(like.bitcast("i32").and(-0x80000000));
}
