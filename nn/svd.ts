/**
 * The largest singular values of a matrix and their vectors, on the host: Golub–Kahan–Lanczos
 * bidiagonalisation with full reorthogonalisation (Golub and Van Loan, "Matrix Computations", section 10.4),
 * grown until the wanted ones have settled, and a Jacobi decomposition of what it gives.
 *
 * @module
 */

/** The largest singular values, falling, and their vectors. */
export interface TruncatedSvd {
  /** [count] vectors of [rows]. */
  readonly left: readonly Float64Array[];
  readonly values: Float64Array;
  /** [count] vectors of [columns]. */
  readonly right: readonly Float64Array[];
}

/**
 * The `count` largest singular values of W and their vectors, to about 1e-10 of the largest.
 *
 * @param weights [rows, columns], row-major.
 * @param count At most the smaller size.
 */
export function truncatedSvd(
  weights: ArrayLike<number>,
  [rows, columns]: readonly [number, number],
  count: number,
): TruncatedSvd {
  if (columns > rows) {
    // The iteration begins on the side of the columns, whose space it must be able to fill.
    const flipped = Float64Array.from(
      { length: rows * columns },
      (_, i) => weights[(i % rows) * columns + Math.floor(i / rows)]!,
    );
    const { left, values, right } = truncatedSvd(flipped, [columns, rows], count);
    return { left: right, values, right: left };
  }
  const w = Float64Array.from(weights);
  const random = uniforms();
  const whole = columns;
  const lefts: Float64Array[] = [];
  const rights: Float64Array[] = [fresh([], columns, random)];
  const diagonal: number[] = [];
  const above: number[] = [];
  let size = Math.min(whole, 2 * count + 20);
  for (;;) {
    while (lefts.length < size) {
      const k = lefts.length;
      const u = times(w, rights[k]!, columns);
      diagonal.push(normalize(u, lefts));
      if (diagonal[k] === 0) u.set(fresh(lefts, rows, random));
      lefts.push(u);
      if (k === whole - 1) break;
      const v = timesTransposed(w, u, columns);
      above.push(normalize(v, rights));
      if (above[k] === 0) v.set(fresh(rights, columns, random));
      rights.push(v);
    }
    const small = jacobi(diagonal, above, size);
    // What W's singular vectors lack of being those of the whole: β·|the last entry|.
    const beta = size === whole ? 0 : above[size - 1]!;
    const tolerance = 1e-11 * small.values[0]!;
    const settled = small.left.slice(0, count)
      .every((u) => beta * Math.abs(u[size - 1]!) <= tolerance);
    if (settled || size === whole) {
      return {
        left: small.left.slice(0, count).map((u) => sumOf(lefts, u)),
        values: small.values.slice(0, count),
        right: small.right.slice(0, count).map((v) => sumOf(rights, v)),
      };
    }
    size = Math.min(whole, Math.ceil(size * 1.5));
  }
}

/** Numbers of (−½, ½), always the same ones: they only begin the iteration. */
function uniforms(): () => number {
  let state = 0x2545f491;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32 - 0.5;
  };
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** W·v. */
function times(w: Float64Array, v: Float64Array, columns: number): Float64Array {
  return Float64Array.from(
    { length: w.length / columns },
    (_, i) => dot(w.subarray(i * columns, (i + 1) * columns), v),
  );
}

/** Wᵀ·u. */
function timesTransposed(w: Float64Array, u: Float64Array, columns: number): Float64Array {
  const v = new Float64Array(columns);
  for (let i = 0; i < u.length; i++) {
    for (let j = 0; j < columns; j++) v[j]! += u[i]! * w[i * columns + j]!;
  }
  return v;
}

/** Makes x orthogonal to the others and of length 1; its length before, or 0 if nothing was left of it. */
function normalize(x: Float64Array, others: readonly Float64Array[]): number {
  const before = Math.sqrt(dot(x, x));
  for (let pass = 0; pass < 2; pass++) {
    for (const other of others) {
      const part = dot(x, other);
      for (let i = 0; i < x.length; i++) x[i]! -= part * other[i]!;
    }
  }
  const length = Math.sqrt(dot(x, x));
  if (length <= 1e-14 * before || before === 0) return 0;
  for (let i = 0; i < x.length; i++) x[i]! /= length;
  return length;
}

/** A vector of length 1 orthogonal to others. */
function fresh(
  others: readonly Float64Array[],
  length: number,
  random: () => number,
): Float64Array {
  const x = Float64Array.from({ length }, random);
  normalize(x, others);
  return x;
}

/** Σ xᵢ·vectorᵢ. */
function sumOf(vectors: readonly Float64Array[], x: Float64Array): Float64Array {
  const sum = new Float64Array(vectors[0]!.length);
  x.forEach((factor, k) => {
    for (let i = 0; i < sum.length; i++) sum[i]! += factor * vectors[k]![i]!;
  });
  return sum;
}

/** The decomposition of an upper bidiagonal matrix, by one-sided Jacobi rotations of its columns. */
function jacobi(diagonal: readonly number[], above: readonly number[], size: number): TruncatedSvd {
  const unit = (k: number) => Float64Array.from({ length: size }, (_, i) => i === k ? 1 : 0);
  const columns = Array.from({ length: size }, (_, k) => {
    const column = new Float64Array(size);
    column[k] = diagonal[k]!;
    if (k > 0) column[k - 1] = above[k - 1]!;
    return column;
  });
  const turns = Array.from({ length: size }, (_, k) => unit(k));
  for (let rotated = true, sweep = 0; rotated && sweep < 60; sweep++) {
    rotated = false;
    for (let p = 0; p < size; p++) {
      for (let q = p + 1; q < size; q++) {
        const [a, b] = [columns[p]!, columns[q]!];
        const [aa, bb, ab] = [dot(a, a), dot(b, b), dot(a, b)];
        if (Math.abs(ab) <= 1e-15 * Math.sqrt(aa * bb)) continue;
        rotated = true;
        const zeta = (bb - aa) / (2 * ab);
        const tangent = (zeta >= 0 ? 1 : -1) / (Math.abs(zeta) + Math.hypot(1, zeta));
        const cosine = 1 / Math.hypot(1, tangent);
        rotate(a, b, cosine, cosine * tangent);
        rotate(turns[p]!, turns[q]!, cosine, cosine * tangent);
      }
    }
  }
  const norms = columns.map((column) => Math.sqrt(dot(column, column)));
  const order = norms.map((_, k) => k).sort((p, q) => norms[q]! - norms[p]!);
  return {
    left: order.map((k) => columns[k]!.map((x) => norms[k] === 0 ? 0 : x / norms[k]!)),
    values: Float64Array.from(order, (k) => norms[k]!),
    right: order.map((k) => turns[k]!),
  };
}

function rotate(a: Float64Array, b: Float64Array, cosine: number, sine: number): void {
  for (let i = 0; i < a.length; i++) {
    const x = a[i]!;
    a[i] = cosine * x - sine * b[i]!;
    b[i] = sine * x + cosine * b[i]!;
  }
}
