/** Dropout. @module */

import { type Key, type Operand, randomUniform, Tensor, where } from "../core/mod.ts";

/**
 * x with each element zero with a probability, and the others divided by that of staying (Srivastava et al.,
 * "Dropout", 2014).
 *
 * @param key Which elements; the same key drops the same ones.
 */
export function dropOut(x: Tensor, probability: Operand, key: Key): Tensor {
  const kept = x.div(probability instanceof Tensor ? probability.neg().add(1) : 1 - probability);
  return where(randomUniform(key, x.shape).lt(probability), 0, kept);
}
