/** Thresholds in a row of numbers without sorting it. @module */

import { type Tensor, tensor, where } from "../core/mod.ts";

/** Bits settled by one pass over the row. */
const bitsPerPass = 2;

/**
 * Finite and infinite f32 as u32 in the same order: −∞ is the smallest, +∞ the largest.
 *
 * @param x f32, no NaN. −0 counts as less than 0.
 */
export function orderedBits(x: Tensor): Tensor {
  const bits = x.bitcast("u32");
  return bits.xor(where(bits.shiftRight(31).eq(1), 0xffffffff, word(0x80000000)));
}

/**
 * The largest threshold t at which `holds` is still true. Bisection on the bits of f32 instead of on the range
 * of values: 16 passes over the row, whatever its values, end at exactly one f32, so the kept set is that of a
 * sort. Each pass is one reduction over [B, 3, V], which is never in memory.
 *
 * @param keys u32 [B, V], from {@link orderedBits}.
 * @param holds From which keys are below a threshold — bool [B, C, V], for C thresholds at once — whether the
 *   threshold may stand, bool [B, C, 1]. Once false, it stays false for larger thresholds.
 * @returns u32 [B, 1], comparable with the keys.
 */
export function largestThreshold(keys: Tensor, holds: (below: Tensor) => Tensor): Tensor {
  const [rows, width] = keys.shape as [number, number];
  const digits = 2 ** bitsPerPass - 1;
  const wide = keys.reshape(rows, 1, width);
  let threshold = keys.slice(0, 1, 1).mul(0);
  for (let shift = 32 - bitsPerPass; shift >= 0; shift -= bitsPerPass) {
    const steps = tensor(Uint32Array.from({ length: digits }, (_, i) => (i + 1) * 2 ** shift));
    const candidates = threshold.reshape(rows, 1, 1).add(steps.reshape(1, digits, 1));
    const passed = holds(wide.lt(candidates)).cast("u32");
    const digit = Array.from({ length: digits }, (_, i) => passed.slice(i, i + 1, 1))
      .reduce((a, b) => a.add(b));
    threshold = threshold.add(digit.reshape(rows, 1).mul(word(2 ** shift)));
  }
  return threshold;
}

function word(value: number): Tensor {
  return tensor(Uint32Array.of(value));
}
