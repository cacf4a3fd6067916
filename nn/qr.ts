/** QR decomposition, on the host. @module */

/** The first columns of Q and rows of R. */
export interface TruncatedQr {
  /** [rows, count], row-major. */
  readonly q: Float64Array;
  /** [count, columns], row-major. */
  readonly r: Float64Array;
}

/**
 * The first `count` columns of Q and rows of R in W = QR by Householder reflections, with LAPACK's signs.
 *
 * @param weights [rows, columns], row-major.
 * @param count At most the smaller size.
 */
export function truncatedQr(
  weights: ArrayLike<number>,
  [rows, columns]: readonly [number, number],
  count: number,
): TruncatedQr {
  const work = Float64Array.from(weights);
  const reflectors: Float64Array[] = [];
  for (let k = 0; k < count; k++) {
    const v = new Float64Array(rows);
    let norm = 0;
    for (let i = k; i < rows; i++) {
      v[i] = work[i * columns + k]!;
      norm += v[i]! ** 2;
    }
    norm = Math.sqrt(norm);
    v[k]! += v[k]! >= 0 ? norm : -norm;
    reflectors.push(k === rows - 1 || norm === 0 ? new Float64Array(rows) : v);
    reflect(reflectors[k]!, work, columns, k);
  }
  const q = new Float64Array(rows * count);
  for (let k = 0; k < count; k++) q[k * count + k] = 1;
  for (let k = count - 1; k >= 0; k--) reflect(reflectors[k]!, q, count, k);
  const r = work.slice(0, count * columns);
  for (let i = 0; i < count; i++) r.fill(0, i * columns, i * columns + Math.min(i, columns));
  return { q, r };
}

/** Applies I − 2vvᵀ / vᵀv, where v is zero before `start`, to a matrix. */
function reflect(v: Float64Array, matrix: Float64Array, columns: number, start: number): void {
  const length = v.reduce((sum, x) => sum + x * x, 0);
  if (length === 0) return;
  const dots = new Float64Array(columns);
  for (let i = start; i < v.length; i++) {
    for (let j = 0; j < columns; j++) dots[j]! += v[i]! * matrix[i * columns + j]!;
  }
  for (let i = start; i < v.length; i++) {
    const factor = 2 * v[i]! / length;
    for (let j = 0; j < columns; j++) matrix[i * columns + j]! -= factor * dots[j]!;
  }
}
