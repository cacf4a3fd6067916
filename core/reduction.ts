/** Reductions over any axes, by the primitive one over adjacent axes. @module */

import { computeType } from "./dtype.ts";
import type { Node } from "./graph.ts";
import type { ReduceFunction } from "./kernel.ts";
import * as p from "./primitives.ts";
import { normalizeAxis, sizeOf } from "./shape.ts";

/** Axes to reduce over: one, several, or (not given) all. Negative ones count from the end. */
export type Axes = number | readonly number[] | undefined;

/** Options of reductions. */
export interface ReduceOptions {
  /** Keep the reduced axes with size 1. */
  readonly keepDims?: boolean;
}

/**
 * Reduces axes block by block. A long block is reduced in two stages, which keeps all threads busy
 * and the sum's rounding error small.
 */
export function reduceAxes(fn: ReduceFunction, x: Node, axes: Axes, options: ReduceOptions): Node {
  const list = axes === undefined
    ? x.shape.map((_, i) => i)
    : typeof axes === "number"
    ? [axes]
    : axes;
  const chosen = new Set(list.map((axis) => normalizeAxis(axis, x.shape, `take the ${fn}`)));
  let node = p.cast(x, x.dtype === "bool" ? "i32" : computeType(x.dtype));
  for (let end = x.shape.length; end > 0; end--) {
    if (!chosen.has(end - 1)) continue;
    let start = end - 1;
    while (chosen.has(start - 1)) start--;
    node = reduceBlock(fn, node, start, end);
    end = start;
  }
  return options.keepDims ? node : p.reshape(node, x.shape.filter((_, i) => !chosen.has(i)));
}

function reduceBlock(fn: ReduceFunction, x: Node, start: number, end: number): Node {
  const [outer, length, inner] = [
    sizeOf(x.shape.slice(0, start)),
    sizeOf(x.shape.slice(start, end)),
    sizeOf(x.shape.slice(end)),
  ];
  const split = inner === 1
    ? (outer < 64 && length > 16384 ? divisorNear(length, Math.sqrt(length) * 2) : 1)
    : (length >= 256 ? divisorNear(length, Math.sqrt(length)) : 1);
  if (split === 1) return p.reduce(fn, x, start, end);
  const blocks = p.reshape(x, [outer, length / split, split, inner]);
  const partial = p.reduce(fn, blocks, 2, inner === 1 ? 4 : 3);
  const whole = p.reduce(
    fn,
    p.reshape(partial, [outer, length / split, inner]),
    1,
    inner === 1 ? 3 : 2,
  );
  return p.reshape(whole, x.shape.map((n, i) => i >= start && i < end ? 1 : n));
}

/** The divisor of n whose ratio to the target is nearest to 1, or 1 if none is within a factor of 8. */
function divisorNear(n: number, target: number): number {
  for (let distance = 0; distance < target * 8; distance++) {
    for (const candidate of [Math.floor(target) - distance, Math.floor(target) + distance]) {
      if (candidate >= target / 8 && candidate > 1 && n % candidate === 0) return candidate;
    }
  }
  return 1;
}
