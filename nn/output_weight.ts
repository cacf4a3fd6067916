/** The matrix of an output head. @module */

import { Tensor } from "../core/mod.ts";
import { denseWeight, type Weight } from "./weight.ts";

/** The matrix [V, D] that turns hidden states into logits: a head's, or a tied embedding's. */
export function outputWeight(weight: Weight): Tensor {
  return weight instanceof Tensor ? weight : denseWeight(weight);
}
