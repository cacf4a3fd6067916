/** AdamW and clipping, as functions of trees. @module */

import { leavesOf, mapTree, type Operand, replaceLeaves, Tensor, zeros } from "../core/mod.ts";

/** First and second moments of every parameter. */
export interface AdamWState<P> {
  readonly first: P;
  readonly second: P;
}

/** Settings of {@link adamW}. */
export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** Which parameters decay, by path. All of them by default. */
  readonly decays?: (path: string) => boolean;
}

/** Numbers that change from step to step. */
export interface AdamWStep {
  readonly learningRate: Operand;
  /** 1 − β₁ᵗ and 1 − β₂ᵗ, where t counts from 1. */
  readonly correction1: Operand;
  readonly correction2: Operand;
}

/** The corrections of step t, counted from 1. */
export function adamWStep(
  learningRate: number,
  t: number,
  { beta1, beta2 }: AdamWOptions,
): Record<keyof AdamWStep, number> {
  return { learningRate, correction1: 1 - beta1 ** t, correction2: 1 - beta2 ** t };
}

/** Moments of zero. */
export function initAdamW<P>(params: P): AdamWState<P> {
  const zero = () => mapTree(params, (leaf) => zeros((leaf as Tensor).shape)) as P;
  return { first: zero(), second: zero() };
}

/**
 * One step of AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019), as PyTorch computes
 * it.
 */
export function adamW<P>(
  params: P,
  gradients: P,
  state: AdamWState<P>,
  step: AdamWStep,
  options: AdamWOptions,
): [params: P, state: AdamWState<P>] {
  const { beta1, beta2, epsilon, weightDecay, decays = () => true } = options;
  const [g, m, v] = [gradients, state.first, state.second].map((tree) =>
    leavesOf(tree).map(([, leaf]) => leaf as Tensor)
  );
  const next = leavesOf(params).map(([path, leaf], i) => {
    const p = leaf as Tensor;
    const first = m![i]!.mul(beta1).add(g![i]!.mul(1 - beta1));
    const second = v![i]!.mul(beta2).add(g![i]!.square().mul(1 - beta2));
    const rate = scalar(step.learningRate);
    const kept = weightDecay !== 0 && decays(path) ? p.mul(rate.mul(-weightDecay).add(1)) : p;
    const denominator = second.sqrt().div(scalar(step.correction2).sqrt()).add(epsilon);
    const update = first.div(denominator).mul(rate.div(step.correction1));
    return { params: kept.sub(update), first, second };
  });
  return [
    replaceLeaves(params, next.map((n) => n.params)),
    {
      first: replaceLeaves(state.first, next.map((n) => n.first)),
      second: replaceLeaves(state.second, next.map((n) => n.second)),
    },
  ];
}

function scalar(value: Operand): Tensor {
  return value instanceof Tensor ? value : zeros([]).add(value);
}

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
