/** Affine maps. @module */

import type { Tensor } from "../core/mod.ts";
import { denseVector, project, type VectorWeight, type Weight } from "./weight.ts";

/** Parameters of {@link linear}, under their Hugging Face names. */
export interface LinearParams {
  /** A matrix [out, in]. */
  readonly weight: Weight;
  /** [out]. */
  readonly bias?: VectorWeight | null;
}

/** x·Wᵀ + b on the last axis: [..., in] → [..., out]. */
export function linear({ weight, bias }: LinearParams, x: Tensor): Tensor {
  const y = project(weight, x);
  return bias ? y.add(denseVector(bias)) : y;
}
