/** The norm of a gradient, and its limit. @module */

import { leavesOf, mapTree, type Tensor, zeros } from "../../core/mod.ts";

/** The Euclidean norm of all leaves together. */
export function globalNorm(tree: unknown): Tensor {
  const squares = leavesOf(tree).map(([, leaf]) => (leaf as Tensor).square().sum());
  return squares.reduce((total, square) => total.add(square), zeros([])).sqrt();
}

/** Gradients scaled down so that their norm is at most `maxNorm`, as PyTorch's `clip_grad_norm_` does. */
export function clipByNorm<P>(gradients: P, norm: Tensor, maxNorm: number): P {
  const factor = norm.add(1e-6).pow(-1).mul(maxNorm).minimum(1);
  return mapTree(gradients, (leaf) => (leaf as Tensor).mul(factor)) as P;
}
