/** Adagrad. @module */

import { full } from "../../core/mod.ts";
import { optimizerOf, type ParameterRule, penalized, stateTensor } from "./rule.ts";
import type { Decays, Optimizer } from "./types.ts";

/** Settings of {@link adagrad}. */
export interface AdagradOptions {
  /** The learning rate is divided by 1 + (t − 1)·this at step t. 0 by default. */
  readonly learningRateDecay?: number;
  /** 1e-10 by default. */
  readonly epsilon?: number;
  /** The sum of squares to begin with. 0 by default. */
  readonly initialAccumulator?: number;
  /** An L2 penalty. */
  readonly weightDecay?: number;
  /** Which parameters decay, by path. All of them by default. */
  readonly decays?: Decays;
}

/** Adagrad (Duchi, Hazan and Singer, 2011), as PyTorch computes it. */
export function adagrad(options: AdagradOptions = {}): Optimizer {
  const { learningRateDecay = 0, epsilon = 1e-10, initialAccumulator = 0 } = options;
  const { weightDecay = 0, decays = () => true } = options;
  const rule: ParameterRule<"learningRate"> = {
    scalars: (learningRate, t) => ({
      learningRate: learningRate / (1 + (t - 1) * learningRateDecay),
    }),
    init: ({ shape }) => ({ sum: full(shape, initialAccumulator) }),
    update: (step, { learningRate }) => {
      const gradient = penalized(step, { weightDecay, decays });
      const sum = stateTensor(step, "sum").add(gradient.square());
      const update = gradient.div(sum.sqrt().add(epsilon)).mul(learningRate);
      return { param: step.param.sub(update), state: { sum } };
    },
  };
  return optimizerOf(rule);
}
