/** What labels of desirable (1) and undesirable (0) answers mean to formulas. @module */

import type { Tensor } from "../core/mod.ts";

/** +1 for desirable answers, −1 for undesirable ones, f32 [B]. */
export function signOf(labels: Tensor): Tensor {
  return labels.mul(2).sub(1);
}

/** 1 for undesirable answers, 0 for desirable ones, f32 of the labels' shape. */
export function undesirable(labels: Tensor): Tensor {
  return labels.neg().add(1);
}
