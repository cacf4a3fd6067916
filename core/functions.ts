/** Functions that join or restructure, and the numerically careful ones. @module */

import { stopGradient } from "./grad.ts";
import * as rowsOf from "./operations/rows.ts";
import * as p from "./primitives.ts";
import type { Axes, ReduceOptions } from "./reduction.ts";
import { normalizeAxis, sameShape } from "./shape.ts";
import { Tensor, where } from "./tensor.ts";

/**
 * Tensors one after the other along an axis.
 *
 * @throws RangeError if other axes or dtypes differ.
 */
export function concat(tensors: readonly Tensor[], axis = 0): Tensor {
  const [first] = tensors;
  if (!first) throw new RangeError("Cannot concatenate: there are no tensors");
  const along = normalizeAxis(axis, first.shape, "concatenate");
  const others = (t: Tensor) => t.shape.map((n, i) => i === along ? 0 : n);
  for (const t of tensors) {
    if (!sameShape(others(t), others(first)) || t.dtype !== first.dtype) {
      throw new RangeError(`Cannot concatenate ${first} and ${t} along axis ${axis}`);
    }
  }
  const total = tensors.reduce((sum, t) => sum + t.shape[along]!, 0);
  const shape = first.shape.map((n, i) => i === along ? total : n);
  let offset = 0;
  // Each in its place among zeros; one kernel adds them all.
  const placed = tensors.filter((t) => t.size > 0).map((t) => {
    const low = shape.map((_, i) => i === along ? offset : 0);
    offset += t.shape[along]!;
    return new Tensor(p.pad(t.node, low, shape));
  });
  if (placed.length === 0) return new Tensor(p.full(0, shape, first.dtype));
  const join = (parts: Tensor[]): Tensor => {
    if (parts.length === 1) return parts[0]!;
    const half = parts.length >> 1;
    const [a, b] = [join(parts.slice(0, half)), join(parts.slice(half))];
    return a.dtype === "bool" ? a.or(b) : a.add(b);
  };
  return join(placed).cast(first.dtype);
}

/** Tensors of one shape along a new axis. */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  return concat(tensors.map((t) => t.unsqueeze(axis)), axis);
}

/** log σ(x), exact for large |x|: logSigmoid(−100) = −100. */
export function logSigmoid(x: Tensor): Tensor {
  return x.minimum(0).sub(x.abs().neg().exp().log1p());
}

/** log(1 + eˣ). */
export function softplus(x: Tensor): Tensor {
  return logSigmoid(x.neg()).neg();
}

/** x·σ(x). */
export function silu(x: Tensor): Tensor {
  return x.mul(x.sigmoid());
}

/** max(x, 0), with slope 0 at 0. */
export function relu(x: Tensor): Tensor {
  return where(x.gt(0), x, 0);
}

/** x·Φ(x), Φ the distribution function of the normal distribution (Hendrycks and Gimpel, arXiv:1606.08415). */
export function gelu(x: Tensor): Tensor {
  return x.mul(x.mul(Math.SQRT1_2).erf().add(1)).mul(0.5);
}

/** The approximation of {@link gelu} by tanh: ½x(1 + tanh(√(2/π)(x + 0.044715x³))). */
export function geluTanh(x: Tensor): Tensor {
  const inner = x.add(x.mul(x).mul(x).mul(0.044715)).mul(Math.sqrt(2 / Math.PI));
  return x.mul(inner.tanh().add(1)).mul(0.5);
}

/** log Σ eˣ over axes; −∞, with zero gradient, where all elements are −∞. */
export function logSumExp(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  const largest = stopGradient(x.max(axes, { keepDims: true }));
  const shift = where(largest.eq(-Infinity), 0, largest);
  const total = x.sub(shift).exp().sum(axes, { keepDims: true });
  const empty = total.eq(0);
  const result = where(empty, -Infinity, where(empty, 1, total).log().add(shift));
  if (options.keepDims) return result;
  return result.reshape(...x.sum(axes).shape);
}

/** eˣ / Σ eˣ along an axis; zeros, with zero gradient, where all elements are −∞. */
export function softmax(x: Tensor, axis = -1): Tensor {
  const largest = stopGradient(x.max(axis, { keepDims: true }));
  const exponentials = x.sub(where(largest.eq(-Infinity), 0, largest)).exp();
  const total = exponentials.sum(axis, { keepDims: true });
  return exponentials.div(where(total.eq(0), 1, total));
}

/** x − log Σ eˣ along an axis. */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  const largest = stopGradient(x.max(axis, { keepDims: true }));
  const shifted = x.sub(where(largest.eq(-Infinity), 0, largest));
  return shifted.sub(logSumExp(shifted, axis, { keepDims: true }));
}

/** Variance over axes in two passes, divided by n − `correction`. */
export function variance(
  x: Tensor,
  axes?: Axes,
  options: ReduceOptions & { readonly correction?: number } = {},
): Tensor {
  const centred = x.sub(x.mean(axes, { keepDims: true }));
  const sum = centred.square().sum(axes, options);
  return sum.div(x.size / sum.size - (options.correction ?? 0));
}

/**
 * Sums of values by segment: result[s] = Σ values[i] over the i with segments[i] = s.
 *
 * @param values f32 [N].
 * @param segments i32 [N]; ids outside [0, count) are left out.
 * @returns f32 [count].
 */
export function segmentSum(values: Tensor, segments: Tensor, count: number): Tensor {
  const n = values.shape[0]!;
  const ids = new Tensor(p.iota(count)).reshape(count, 1);
  return where(segments.reshape(1, n).eq(ids), values.reshape(1, n), 0).sum(1);
}

/**
 * base with rows[n] put in place of (or, with `add`, added to) its row ids[n]. In place where base's memory
 * is free, as in `jit` with donation.
 *
 * @param base [V, …].
 * @param ids i32 [N], distinct unless `add`; ids outside [0, V) are skipped.
 * @param rows [N, …].
 */
export function scatterRows(
  base: Tensor,
  ids: Tensor,
  rows: Tensor,
  options: { readonly add?: boolean } = {},
): Tensor {
  return new Tensor(rowsOf.scatterRows(base.node, ids.node, rows.node, options.add ?? false));
}
