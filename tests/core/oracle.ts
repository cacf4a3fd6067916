/**
 * The reference the tensor core is compared with: eager arrays of float64, every function written the plain
 * way, and gradients by finite differences. It shares nothing with what it tests.
 *
 * @module
 */

import { generator } from "./attention_cases.ts";

/** Sizes and elements, row-major. */
export interface NdArray {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** Number of elements of a shape. */
export function countOf(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** An array of the given elements. */
export function array(shape: readonly number[], data: ArrayLike<number>): NdArray {
  return { shape, data: Float64Array.from(data) };
}

/** A single number. */
export function scalar(value: number): NdArray {
  return array([], [value]);
}

/** Reproducible numbers in [low, high), exact in f32. */
export function random(
  shape: readonly number[],
  seed: number,
  low = -1,
  high = 1,
): NdArray {
  const next = generator(seed);
  return array(
    shape,
    Float64Array.from({ length: countOf(shape) }, () => Math.fround(low + (high - low) * next())),
  );
}

/** Reproducible integers in [low, high). */
export function randomIntegers(
  shape: readonly number[],
  seed: number,
  low: number,
  high: number,
): NdArray {
  const next = generator(seed);
  return array(
    shape,
    Float64Array.from({ length: countOf(shape) }, () => Math.floor(low + (high - low) * next())),
  );
}

/** All coordinates of a shape, row-major. */
export function* coordinates(shape: readonly number[]): Generator<number[]> {
  const at: number[] = shape.map(() => 0);
  for (let left = countOf(shape); left > 0; left--) {
    yield at.slice();
    for (let d = shape.length - 1; d >= 0 && ++at[d]! === shape[d]; d--) at[d] = 0;
  }
}

function place(shape: readonly number[], at: readonly number[]): number {
  let sum = 0;
  for (let d = 0; d < at.length; d++) sum = sum * shape[d]! + at[d]!;
  return sum;
}

/** Elements between neighbours along each axis. */
function stridesOf(shape: readonly number[]): number[] {
  return shape.map((_, d) => countOf(shape.slice(d + 1)));
}

/** Other places of the same elements: the one at coordinates i is at `offset` + Σ i·strides. */
function strided(
  x: NdArray,
  shape: readonly number[],
  strides: readonly number[],
  offset = 0,
): NdArray {
  const data = new Float64Array(countOf(shape));
  const at = shape.map(() => 0);
  let from = offset;
  for (let i = 0; i < data.length; i++) {
    data[i] = x.data[from]!;
    for (let d = shape.length - 1; d >= 0; d--) {
      from += strides[d]!;
      if (++at[d]! < shape[d]!) break;
      from -= strides[d]! * shape[d]!;
      at[d] = 0;
    }
  }
  return { shape, data };
}

/** An array whose elements are a function of their coordinates. */
export function build(
  shape: readonly number[],
  element: (at: readonly number[]) => number,
): NdArray {
  const data = new Float64Array(countOf(shape));
  let i = 0;
  for (const at of coordinates(shape)) data[i++] = element(at);
  return { shape, data };
}

/** The element at some coordinates. */
export function at(x: NdArray, coordinate: readonly number[]): number {
  return x.data[place(x.shape, coordinate)]!;
}

/** Elementwise function of one array. */
export function map(x: NdArray, f: (value: number) => number): NdArray {
  return { shape: x.shape, data: x.data.map((value) => f(value)) };
}

/** Elementwise function of arrays that broadcast. */
export function zip(f: (...values: number[]) => number, ...xs: readonly NdArray[]): NdArray {
  const rank = Math.max(...xs.map((x) => x.shape.length));
  const shape = Array.from({ length: rank }, (_, i) => {
    const sizes = xs.map((x) => x.shape[i - rank + x.shape.length] ?? 1);
    return sizes.find((n) => n !== 1) ?? 1;
  });
  const wide = xs.map((x) => broadcast(x, shape).data);
  const [a, b] = wide;
  const data = new Float64Array(countOf(shape));
  for (let i = 0; i < data.length; i++) {
    data[i] = wide.length === 1
      ? f(a![i]!)
      : wide.length === 2
      ? f(a![i]!, b![i]!)
      : f(...wide.map((x) => x[i]!));
  }
  return { shape, data };
}

/** Repeats axes of size 1 and adds axes in front. */
export function broadcast(x: NdArray, shape: readonly number[]): NdArray {
  if (x.shape.length === shape.length && x.shape.every((n, d) => n === shape[d])) return x;
  const own = stridesOf(x.shape).map((stride, d) => x.shape[d] === 1 ? 0 : stride);
  return strided(x, shape, [...Array(shape.length - own.length).fill(0), ...own]);
}

/** The same elements in another shape. */
export function reshape(x: NdArray, shape: readonly number[]): NdArray {
  return { shape, data: x.data };
}

/** Axis d of the result is axis order[d] of x. */
export function permute(x: NdArray, order: readonly number[]): NdArray {
  const strides = stridesOf(x.shape);
  return strided(x, order.map((axis) => x.shape[axis]!), order.map((axis) => strides[axis]!));
}

/** Elements start … end − 1 along an axis. */
export function slice(x: NdArray, axis: number, start: number, end: number): NdArray {
  const shape = x.shape.map((n, d) => d === axis ? end - start : n);
  const strides = stridesOf(x.shape);
  return strided(x, shape, strides, start * strides[axis]!);
}

/** Reversed along axes. */
export function flip(x: NdArray, axes: readonly number[]): NdArray {
  const strides = stridesOf(x.shape);
  const turned = strides.map((stride, d) => axes.includes(d) ? -stride : stride);
  const offset = total(axes.map((d) => (x.shape[d]! - 1) * strides[d]!));
  return strided(x, x.shape, turned, offset);
}

/** Zeros before and after along an axis. */
export function pad(x: NdArray, axis: number, before: number, after: number): NdArray {
  const shape = x.shape.map((n, d) => d === axis ? before + n + after : n);
  return build(shape, (i) => {
    const inner = i.map((n, d) => d === axis ? n - before : n);
    return inner[axis]! < 0 || inner[axis]! >= x.shape[axis]! ? 0 : at(x, inner);
  });
}

/** Arrays one after the other along an axis. */
export function concat(xs: readonly NdArray[], axis: number): NdArray {
  const total = xs.reduce((sum, x) => sum + x.shape[axis]!, 0);
  return build(xs[0]!.shape.map((n, d) => d === axis ? total : n), (i) => {
    let rest = i[axis]!;
    for (const x of xs) {
      if (rest < x.shape[axis]!) return at(x, i.with(axis, rest));
      rest -= x.shape[axis]!;
    }
    throw new RangeError("outside");
  });
}

/** Folds axes (all of them if null); they stay with size 1 if `keep`. */
export function reduce(
  x: NdArray,
  axes: readonly number[] | null,
  f: (values: readonly number[]) => number,
  keep = false,
): NdArray {
  const gone = x.shape.map((_, d) => axes === null || axes.includes(d));
  const folded = [...coordinates(x.shape.map((n, d) => gone[d] ? n : 1))]
    .map((j) => place(x.shape, j));
  const kept = build(x.shape.map((n, d) => gone[d] ? 1 : n), (i) => {
    const first = place(x.shape, i);
    return f(folded.map((step) => x.data[first + step]!));
  });
  return keep ? kept : reshape(kept, x.shape.filter((_, d) => !gone[d]));
}

/** Sum of numbers. */
export function total(values: readonly number[]): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}

/** Product of the last two axes; the axes before them broadcast. */
export function matmul(a: NdArray, b: NdArray, transposeA = false, transposeB = false): NdArray {
  const swap = (x: NdArray) => {
    const rank = x.shape.length;
    return permute(x, x.shape.map((_, d) => d < rank - 2 ? d : 2 * rank - 3 - d));
  };
  const [left, right] = [transposeA ? swap(a) : a, transposeB ? swap(b) : b];
  const batch = zip(
    () => 0,
    ...[left, right].map((x) => build(x.shape.slice(0, -2), () => 0)),
  ).shape;
  const [m, k, n] = [left.shape.at(-2)!, left.shape.at(-1)!, right.shape.at(-1)!];
  const [l, r] = [broadcast(left, [...batch, m, k]), broadcast(right, [...batch, k, n])];
  return build([...batch, m, n], (i) => {
    const [outer, row, column] = [place(batch, i.slice(0, -2)), i.at(-2)!, i.at(-1)!];
    let sum = 0;
    for (let j = 0; j < k; j++) {
      sum += l.data[(outer * m + row) * k + j]! * r.data[(outer * k + j) * n + column]!;
    }
    return sum;
  });
}

/** Rows of a table by number; a row outside the table is zeros. */
export function gather(table: NdArray, ids: NdArray): NdArray {
  const inner = table.shape.slice(1);
  return build([...ids.shape, ...inner], (i) => {
    const row = at(ids, i.slice(0, ids.shape.length));
    if (row < 0 || row >= table.shape[0]!) return 0;
    return at(table, [row, ...i.slice(ids.shape.length)]);
  });
}

/** base with rows put in place of, or added to, its rows `ids`; ids outside are skipped. */
export function scatterRows(base: NdArray, ids: NdArray, rows: NdArray, add: boolean): NdArray {
  const data = base.data.slice();
  const width = countOf(base.shape.slice(1));
  ids.data.forEach((row, n) => {
    if (row < 0 || row >= base.shape[0]!) return;
    for (let c = 0; c < width; c++) {
      const value = rows.data[n * width + c]!;
      data[row * width + c] = add ? data[row * width + c]! + value : value;
    }
  });
  return { shape: base.shape, data };
}

/** eˣ / Σ eˣ along an axis; zeros where all elements are −∞. */
export function softmax(x: NdArray, axis: number): NdArray {
  const largest = reduce(x, [axis], (values) => Math.max(...values), true);
  const e = zip((v, m) => m === -Infinity ? 0 : Math.exp(v - m), x, largest);
  return zip((v, sum) => sum === 0 ? 0 : v / sum, e, reduce(e, [axis], total, true));
}

/** log Σ eˣ over axes. */
export function logSumExp(x: NdArray, axes: readonly number[] | null, keep = false): NdArray {
  return reduce(x, axes, (values) => {
    const largest = Math.max(...values);
    if (largest === -Infinity) return -Infinity;
    return largest + Math.log(total(values.map((v) => Math.exp(v - largest))));
  }, keep);
}

/** The error function, by Simpson's rule. */
export function erf(x: number): number {
  const end = Math.min(Math.abs(x), 6);
  const steps = 2000;
  let sum = 0;
  for (let i = 0; i <= steps; i++) {
    const weight = i === 0 || i === steps ? 1 : i % 2 === 1 ? 4 : 2;
    sum += weight * Math.exp(-((end * i / steps) ** 2));
  }
  return Math.sign(x) * 2 / Math.sqrt(Math.PI) * sum * end / steps / 3;
}

/**
 * Gradients of Σ cotangent·f(inputs), by central differences of the fourth order with one step per element.
 *
 * @param chosen Which inputs to differentiate with respect to; the others give null.
 */
export function gradients(
  f: (inputs: readonly NdArray[]) => NdArray,
  inputs: readonly NdArray[],
  cotangent: NdArray,
  chosen: readonly boolean[] = inputs.map(() => true),
): (NdArray | null)[] {
  const value = (changed: readonly NdArray[]) => {
    const y = f(changed);
    return y.data.reduce((sum, v, i) => sum + v * cotangent.data[i]!, 0);
  };
  return inputs.map((x, k) => {
    if (!chosen[k]) return null;
    return {
      shape: x.shape,
      data: x.data.map((center, i) => {
        const step = 1e-3 * Math.max(1, Math.abs(center));
        const moved = (by: number) =>
          value(inputs.with(k, { shape: x.shape, data: x.data.with(i, center + by * step) }));
        return (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12 * step);
      }),
    };
  });
}
