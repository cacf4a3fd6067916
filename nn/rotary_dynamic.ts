/**
 * Rotary embeddings whose frequencies depend on how long a stream is (`dynamic`: NTK-aware scaling). For streams of
 * another length than those of pre-training there can be no table of all positions, so that angles become cosines and
 * sines on the device; not by its own functions, which on GPUs are coarse.
 *
 * @module
 */

import { type Operand, type Tensor, tensor, where } from "../core/mod.ts";

/** Frequencies for streams longer than the original positions. */
export interface LongFrequencies {
  /** f32 [lengths, width / 2]: of streams of `after` + 1, `after` + 2, … positions. */
  readonly frequencies: Tensor;
  /** The original positions. */
  readonly after: Operand;
}

/**
 * Radians per position in a stream of so many positions, by bloc97's and emozilla's formula, rounded where
 * transformers rounds.
 */
export function dynamicFrequencies(
  { width, theta, factor, positions }: {
    readonly width: number;
    readonly theta: number;
    readonly factor: number;
    /** Those of pre-training. */
    readonly positions: number;
  },
  length: number,
): Float32Array {
  const { fround } = Math;
  const stretched = fround(fround(fround(factor * length) / positions) - (factor - 1));
  const base = length <= positions
    ? theta
    : fround(theta * fround(Math.pow(stretched, width / (width - 2))));
  return Float32Array.from(
    { length: width / 2 },
    (_, i) => 1 / fround(Math.pow(base, fround(2 * i / width))),
  );
}

/**
 * Cosines and sines f32 [T, width / 2] of positions i32 [T] in a stream as long as the largest of them says: from the
 * tables if it is no longer than the original positions.
 */
export function dynamicRows(
  positions: Tensor,
  table: { readonly cos: Tensor; readonly sin: Tensor },
  { frequencies, after }: LongFrequencies,
): { readonly cos: Tensor; readonly sin: Tensor } {
  const count = positions.shape[0]!;
  const beyond = positions.cast("f32").max().sub(after);
  const own = frequencies.gather(beyond.maximum(0).cast("i32").reshape(1));
  const angles = positions.cast("f32").reshape(count, 1).mul(own);
  const long = cosineAndSine(angles);
  const choose = (ours: Tensor, short: Tensor) =>
    where(beyond.ge(0).broadcastTo(...ours.shape), ours, short.gather(positions));
  return { cos: choose(long.cos, table.cos), sin: choose(long.sin, table.sin) };
}

/** π/2 in parts whose products with whole numbers below 2¹⁶ are exact, or nearly. */
const quarterTurn = [1.5703125, 4.837512969970703e-4, 7.549789415861596e-8] as const;

/** Of angles f32 up to some ten thousand radians, to 1e-6. */
function cosineAndSine(angles: Tensor): { readonly cos: Tensor; readonly sin: Tensor } {
  const turns = angles.mul(2 / Math.PI).add(0.5).floor();
  const [a, b, c] = quarterTurn;
  const rest = angles.sub(turns.mul(a)).sub(turns.mul(b)).sub(turns.mul(c));
  const square = rest.square();
  const series = (...coefficients: number[]) =>
    coefficients.reduceRight(
      (sum: Tensor, x) => sum.mul(square).add(x),
      tensor(0).broadcastTo(...angles.shape),
    );
  const sine = rest.mul(series(1, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880));
  const cosine = series(1, -1 / 2, 1 / 24, -1 / 720, 1 / 40320);
  // A quarter turn makes a cosine of a sine, two of them change the sign.
  const quarter = turns.sub(turns.mul(0.25).floor().mul(4));
  const isOdd = quarter.eq(1).or(quarter.eq(3));
  const [s, k] = [where(isOdd, cosine, sine), where(isOdd, sine, cosine)];
  return {
    sin: where(quarter.ge(2), s.neg(), s),
    cos: where(quarter.eq(1).or(quarter.eq(2)), k.neg(), k),
  };
}
