/**
 * Finding floats that are not finite. All are looked at by their bits: the exponent of a NaN or an infinity is all
 * ones, so that adding its lowest bit to the number without its sign carries into the place of the sign, and of
 * nothing else. One addition looks at two halves at once.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { type StoredDtype, storedDtypeBytes, toFloat32Array } from "./safetensors_dtypes.ts";

/** What one 32-bit word takes: the bits without signs, the lowest bit of each exponent, the signs. */
const words: Partial<Record<StoredDtype, readonly [number, number, number]>> = {
  F32: [0x7fffffff, 0x00800000, 0x80000000 | 0],
  BF16: [0x7fff7fff, 0x00800080, 0x80008000 | 0],
  F16: [0x7fff7fff, 0x04000400, 0x80008000 | 0],
};

/**
 * Whether all of some floats are finite as f32; integers are. Little-endian bytes of whole elements.
 */
export function allFinite(dtype: StoredDtype, bytes: Uint8Array): boolean {
  if (dtype === "F64") return firstNotFinite(dtype, bytes) === null;
  const masks = words[dtype];
  if (masks === undefined) return true;
  const even = bytes.length - bytes.length % 4;
  if (bytes.byteOffset % 4 !== 0) return firstNotFinite(dtype, bytes) === null;
  const [unsigned, one, signs] = masks;
  const view = new Int32Array(bytes.buffer, bytes.byteOffset, even / 4);
  let carried = 0;
  for (let i = 0; i < view.length; i++) carried |= (view[i]! & unsigned) + one;
  if ((carried & signs) !== 0) return false;
  // An odd half at the end.
  return even === bytes.length || firstNotFinite(dtype, bytes.slice(even)) === null;
}

/** The first element that is not finite as f32, if any. */
function firstNotFinite(dtype: StoredDtype, bytes: Uint8Array): number | null {
  const found = toFloat32Array({ dtype, bytes }).findIndex((x) => !Number.isFinite(x));
  return found < 0 ? null : found;
}

/** Bytes that are looked at while they are in the processor's cache. */
const pieceBytes = 1 << 18;

/**
 * Looks at floats as they arrive in a buffer. Call it with how many bytes of it are filled so far.
 *
 * @throws UserError naming the tensor, its file, and the place and value of the first that is not finite.
 */
export function finiteSoFar(
  { name, path, dtype, shape }: {
    readonly name: string;
    readonly path: string;
    readonly dtype: StoredDtype;
    readonly shape: readonly number[];
  },
  target: Uint8Array,
): { readonly pieceBytes: number; readonly look: (filled: number) => void } {
  const size = storedDtypeBytes[dtype];
  let seen = 0;
  const look = (filled: number) => {
    const whole = filled === target.length ? filled : filled - filled % 8;
    const piece = target.subarray(seen, whole);
    if (!allFinite(dtype, piece)) {
      const at = firstNotFinite(dtype, piece)!;
      const [value] = toFloat32Array({ dtype, bytes: piece.slice(at * size, (at + 1) * size) });
      throw new UserError(
        `${name} in ${path} has weights that are not finite: the one at ${
          placeOf(seen / size + at, shape)
        } is ` +
          `${value}. Such a model computes nothing but NaN. Use an earlier checkpoint if a run went astray, or fetch ` +
          "the file again.",
      );
    }
    seen = whole;
  };
  return { pieceBytes, look };
}

/** As in [3, 17]. */
function placeOf(index: number, shape: readonly number[]): string {
  const place: number[] = [];
  let rest = index;
  for (const size of shape.toReversed()) {
    place.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return `[${place.join(", ")}]`;
}
