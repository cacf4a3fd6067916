/** Matrices of small codes with a scale for each block of them. @module */

/**
 * A storage of weights as codes: a weight is its code's value times the scale of its block.
 *
 * - `nf4`: 4-bit normal floats (QLoRA, arXiv:2305.14314, appendix E), blocks of 64.
 * - `fp4`: 4-bit floats as bitsandbytes has them, blocks of 64.
 * - `int8`: 127ths of the largest magnitude of the row (LLM.int8, arXiv:2208.07339).
 */
export type BlockCode = "nf4" | "fp4" | "int8";

/** What kernels need to know of a code. */
export interface BlockCodeFormat {
  /** Two 4-bit codes share a byte, the first in the high half; 8-bit ones are two's complement. */
  readonly bits: 4 | 8;
  /** Adjacent weights of the flat matrix that share a scale; null: those of a row. */
  readonly block: number | null;
  /** Values of 4-bit codes at scale 1; null: the code, a number from −127 to 127, over 127. */
  readonly values: readonly number[] | null;
}

/** All codes, with the values of bitsandbytes. */
export const blockCodes: Readonly<Record<BlockCode, BlockCodeFormat>> = {
  nf4: {
    bits: 4,
    block: 64,
    values: [
      ...[-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453],
      ...[-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0],
      ...[0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224],
      ...[0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1],
    ],
  },
  fp4: {
    bits: 4,
    block: 64,
    values: [0, 0.0625, 8, 12, 4, 6, 2, 3, 0, -0.0625, -8, -12, -4, -6, -2, -3].map((x) => x / 12),
  },
  int8: { bits: 8, block: null, values: null },
};

/** Whether a storage is one of codes. */
export function isBlockCode(storage: string): storage is BlockCode {
  return Object.hasOwn(blockCodes, storage);
}

/** Bytes of so many codes. */
export function codeBytes(code: BlockCode, count: number): number {
  return Math.ceil(count * blockCodes[code].bits / 8);
}

/** Scales of a matrix of `rows` by `columns` codes. */
export function scaleCount(code: BlockCode, rows: number, columns: number): number {
  const { block } = blockCodes[code];
  return block === null ? rows : Math.ceil(rows * columns / block);
}
