/** 8-bit codes by row, on the host (Dettmers et al., "LLM.int8()", arXiv:2208.07339). @module */

/** Codes and scales of a matrix. */
export interface RowQuantized {
  /** From −127 to 127, row-major. */
  readonly codes: Int8Array;
  /** The largest magnitude of each row. */
  readonly absmax: Float32Array;
  /** Columns, ascending, that hold magnitudes at or beyond the threshold. */
  readonly outlierColumns: Int32Array;
}

/** The nearest integer; of two, the even one. */
function roundToEven(x: number): number {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/**
 * Quantises a matrix row by row: the code of w is 127·w / absmax. Elements at or beyond the threshold are left
 * out of the scales and get code 0; their columns are to be multiplied in full precision.
 */
export function quantizeRows(
  weights: Float32Array,
  columns: number,
  { threshold = Infinity }: { readonly threshold?: number } = {},
): RowQuantized {
  const rows = columns === 0 ? 0 : weights.length / columns;
  const codes = new Int8Array(weights.length);
  const absmax = new Float32Array(rows);
  const outliers = new Set<number>();
  for (let row = 0; row < rows; row++) {
    let largest = 0;
    for (let column = 0; column < columns; column++) {
      const size = Math.abs(weights[row * columns + column]!);
      if (size >= threshold) outliers.add(column);
      else largest = Math.max(largest, size);
    }
    absmax[row] = largest;
    if (largest === 0) continue;
    for (let i = row * columns; i < (row + 1) * columns; i++) {
      const w = weights[i]!;
      if (Math.abs(w) < threshold) codes[i] = roundToEven(Math.fround(w * 127) / largest);
    }
  }
  return { codes, absmax, outlierColumns: Int32Array.from(outliers).sort() };
}

/** The weights that codes and scales stand for. */
export function dequantizeRows(
  { codes, absmax }: Pick<RowQuantized, "codes" | "absmax">,
  columns: number,
): Float32Array {
  return Float32Array.from(
    codes,
    (code, i) => Math.fround(code * absmax[Math.floor(i / columns)]!) / 127,
  );
}
