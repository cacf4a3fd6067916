/** Four floats worked on as two pairs of doubles. @module */

import type { Vector, Vectors } from "./vectors.ts";
import type { Local } from "./wasm_function.ts";

const highToLow = [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15];
const joinLows = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];

/** Lanes 0 and 1, or 2 and 3, of four 32-bit numbers, moved to lanes 0 and 1. */
export function pair(v: Vectors, x: Local, half: 0 | 1): Vector {
  if (half === 0) return x;
  return () => {
    v.f.get(x, x).shuffle(highToLow);
  };
}

/** Lanes 0 and 1 of `low`, then those of `high`. */
export function join(v: Vectors, low: Vector, high: Vector): Vector {
  return () => {
    v.push(low);
    v.push(high);
    v.f.shuffle(joinLows);
  };
}

/** c₀·xⁿ + … + cₙ in double precision. */
export function polynomial2(v: Vectors, x: Local, coefficients: readonly number[]): Vector {
  const [first, ...rest] = coefficients.map((c) => v.double(c));
  return rest.reduce<Vector>(
    (sum, coefficient) => v.op("f64x2.add", v.op("f64x2.mul", sum, x), coefficient),
    first!,
  );
}
