/** RMSprop. @module */

import { zeros } from "../../core/mod.ts";
import { movingAverage, optimizerOf, type ParameterRule, penalized, stateTensor } from "./rule.ts";
import type { Decays, Optimizer } from "./types.ts";

/** Settings of {@link rmsprop}. */
export interface RmspropOptions {
  /** Weight of the old mean of squares. 0.99 by default. */
  readonly alpha?: number;
  /** 1e-8 by default. */
  readonly epsilon?: number;
  /** Weight of the old momentum; 0, the default, for none. */
  readonly momentum?: number;
  /** Divide by the standard deviation instead of the root mean square. */
  readonly centered?: boolean;
  /** An L2 penalty. */
  readonly weightDecay?: number;
  /** Which parameters decay, by path. All of them by default. */
  readonly decays?: Decays;
}

/** RMSprop (Tieleman and Hinton, 2012), as PyTorch computes it. */
export function rmsprop(options: RmspropOptions = {}): Optimizer {
  const { alpha = 0.99, epsilon = 1e-8, momentum = 0, centered = false } = options;
  const { weightDecay = 0, decays = () => true } = options;
  const rule: ParameterRule<"learningRate"> = {
    scalars: (learningRate) => ({ learningRate }),
    init: ({ shape }) => ({
      second: zeros(shape),
      ...(centered ? { first: zeros(shape) } : {}),
      ...(momentum === 0 ? {} : { momentum: zeros(shape) }),
    }),
    update: (step, { learningRate }) => {
      const gradient = penalized(step, { weightDecay, decays });
      const second = movingAverage(stateTensor(step, "second"), gradient.square(), alpha);
      const first = centered ? movingAverage(stateTensor(step, "first"), gradient, alpha) : null;
      // A variance that is 0 may come out below it by rounding.
      const variance = first ? second.sub(first.square()).maximum(0) : second;
      const scaled = gradient.div(variance.sqrt().add(epsilon));
      const buffer = momentum === 0
        ? null
        : stateTensor(step, "momentum").mul(momentum).add(scaled);
      return {
        param: step.param.sub((buffer ?? scaled).mul(learningRate)),
        state: {
          second,
          ...(first ? { first } : {}),
          ...(buffer ? { momentum: buffer } : {}),
        },
      };
    },
  };
  return optimizerOf(rule);
}
