/** AdamW. @module */

import { mapTree, type Operand, type Tensor, zeros } from "../../core/mod.ts";
import { decayed, movingAverage, optimizerOf, type ParameterRule, stateTensor } from "./rule.ts";
import type { Optimizer, OptimizerState } from "./types.ts";

/** First and second moments of every parameter. */
export interface AdamWState<P> {
  /** Moving averages of gradients. */
  readonly first: P;
  /** Moving averages of their squares. */
  readonly second: P;
}

/** Settings of {@link adamW}. */
export interface AdamWOptions {
  /** Weight of the old first moment in the new one. */
  readonly beta1: number;
  /** Weight of the old second moment in the new one. */
  readonly beta2: number;
  /** Added to the root of the second moment. */
  readonly epsilon: number;
  /** Share of a parameter that goes at each step, times the learning rate. */
  readonly weightDecay: number;
  /** Which parameters decay, by path. All of them by default. */
  readonly decays?: (path: string) => boolean;
}

/** Numbers that change from step to step. */
export interface AdamWStep {
  /** The rate of this step. */
  readonly learningRate: Operand;
  /** 1 − β₁ᵗ, where t counts from 1. */
  readonly correction1: Operand;
  /** 1 − β₂ᵗ. */
  readonly correction2: Operand;
}

/** Names of {@link AdamWStep}'s numbers. */
export type AdamWScalar = keyof AdamWStep;

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

/** A parameter and its moments after a step of AdamW, given its moments decayed and averaged. */
export function adamWUpdate(
  kept: Tensor,
  { first, second }: { readonly first: Tensor; readonly second: Tensor },
  scalars: Readonly<Record<AdamWScalar, Tensor>>,
  epsilon: number,
): Tensor {
  const { learningRate, correction1, correction2 } = scalars;
  const denominator = second.sqrt().div(correction2.sqrt()).add(epsilon);
  return kept.sub(first.div(denominator).mul(learningRate.div(correction1)));
}

/** AdamW of a single parameter. */
export function adamWRule(options: AdamWOptions): ParameterRule<AdamWScalar> {
  const { beta1, beta2, epsilon, weightDecay, decays = () => true } = options;
  return {
    scalars: (learningRate, t) => adamWStep(learningRate, t, options),
    init: ({ shape }) => ({ first: zeros(shape), second: zeros(shape) }),
    update: (step, scalars) => {
      const first = movingAverage(stateTensor(step, "first"), step.gradient, beta1);
      const second = movingAverage(stateTensor(step, "second"), step.gradient.square(), beta2);
      const kept = decayed(step, scalars.learningRate, { weightDecay, decays });
      const param = adamWUpdate(kept, { first, second }, scalars, epsilon);
      return { param, state: { first, second } };
    },
  };
}

/**
 * AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019), as PyTorch computes it. The state
 * is an {@link AdamWState}.
 */
export function adamWOptimizer(options: AdamWOptions): Optimizer {
  return optimizerOf(adamWRule(options));
}

/** One step of {@link adamWOptimizer}, with its state and numbers typed. */
export function adamW<P>(
  params: P,
  gradients: P,
  state: AdamWState<P>,
  step: AdamWStep,
  options: AdamWOptions,
): [params: P, state: AdamWState<P>] {
  const trees = { first: state.first, second: state.second } as OptimizerState;
  const [next, moments] = adamWOptimizer(options).update(params, gradients, trees, { ...step });
  return [next, { first: moments["first"] as P, second: moments["second"] as P }];
}
