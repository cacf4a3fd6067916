/** Lion. @module */

import { zeros } from "../../core/mod.ts";
import { decayed, movingAverage, optimizerOf, type ParameterRule, stateTensor } from "./rule.ts";
import type { Decays, Optimizer } from "./types.ts";

/** Settings of {@link lion}. */
export interface LionOptions {
  /** Weight of the old momentum in the direction of the step. 0.9 by default. */
  readonly beta1?: number;
  /** Weight of the old momentum in the new one. 0.99 by default. */
  readonly beta2?: number;
  /** Decoupled weight decay. 0 by default. */
  readonly weightDecay?: number;
  /** Which parameters decay, by path. All of them by default. */
  readonly decays?: Decays;
}

/**
 * Lion: steps of one size, in the direction of the momentum's sign (Chen et al., "Symbolic Discovery of
 * Optimization Algorithms", 2023).
 */
export function lion(options: LionOptions = {}): Optimizer {
  const { beta1 = 0.9, beta2 = 0.99, weightDecay = 0, decays = () => true } = options;
  const rule: ParameterRule<"learningRate"> = {
    scalars: (learningRate) => ({ learningRate }),
    init: ({ shape }) => ({ momentum: zeros(shape) }),
    update: (step, { learningRate }) => {
      const old = stateTensor(step, "momentum");
      const direction = movingAverage(old, step.gradient, beta1).sign();
      const kept = decayed(step, learningRate, { weightDecay, decays });
      return {
        param: kept.sub(direction.mul(learningRate)),
        state: { momentum: movingAverage(old, step.gradient, beta2) },
      };
    },
  };
  return optimizerOf(rule);
}
