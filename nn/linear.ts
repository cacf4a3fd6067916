/** Affine maps. @module */

import { matmul, type Tensor } from "../core/mod.ts";

/** A weight matrix [out, in]. */
export type Weight = Tensor;

/** Parameters of {@link linear}, under their Hugging Face names. */
export interface LinearParams {
  readonly weight: Weight;
  /** Whether a bias by relative position is added. */
  readonly bias?: Tensor | null;
}

/** x·Wᵀ + b on the last axis: [..., in] → [..., out]. */
export function linear({ weight, bias }: LinearParams, x: Tensor): Tensor {
  const y = matmul(x, weight, { transposeB: true });
  return bias ? y.add(bias) : y;
}
