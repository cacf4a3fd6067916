/** Stochastic gradient descent. @module */

import { zeros } from "../../core/mod.ts";
import { optimizerOf, type ParameterRule, penalized, stateTensor } from "./rule.ts";
import type { Decays, Optimizer } from "./types.ts";

/** Settings of {@link sgd}. */
export interface SgdOptions {
  /** Weight of the old momentum; 0, the default, for none. */
  readonly momentum?: number;
  /** Share of a gradient that does not enter the momentum. 0 by default; the first one enters whole. */
  readonly dampening?: number;
  /** Step along the gradient and the momentum that follows (Nesterov). */
  readonly nesterov?: boolean;
  /** An L2 penalty. */
  readonly weightDecay?: number;
  /** Which parameters decay, by path. All of them by default. */
  readonly decays?: Decays;
}

/**
 * Stochastic gradient descent, as PyTorch computes it.
 *
 * @throws RangeError for Nesterov's step without momentum, or with dampening.
 */
export function sgd(options: SgdOptions = {}): Optimizer {
  const { momentum = 0, dampening = 0, nesterov = false } = options;
  const { weightDecay = 0, decays = () => true } = options;
  if (nesterov && (momentum <= 0 || dampening !== 0)) {
    throw new RangeError(
      `SGD with nesterov has momentum ${momentum} and dampening ${dampening}: it needs a momentum above 0 and ` +
        "no dampening.",
    );
  }
  const rule: ParameterRule<"learningRate" | "entering"> = {
    scalars: (learningRate, t) => ({ learningRate, entering: t === 1 ? 1 : 1 - dampening }),
    init: ({ shape }) => momentum === 0 ? {} : { momentum: zeros(shape) },
    update: (step, { learningRate, entering }) => {
      const gradient = penalized(step, { weightDecay, decays });
      if (momentum === 0) {
        return { param: step.param.sub(gradient.mul(learningRate)), state: {} };
      }
      const buffer = stateTensor(step, "momentum").mul(momentum).add(gradient.mul(entering));
      const direction = nesterov ? gradient.add(buffer.mul(momentum)) : buffer;
      return {
        param: step.param.sub(direction.mul(learningRate)),
        state: { momentum: buffer },
      };
    },
  };
  return optimizerOf(rule);
}
