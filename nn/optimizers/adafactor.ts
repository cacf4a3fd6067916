/** Adafactor. @module */

import { type Tensor, zeros } from "../../core/mod.ts";
import { optimizerOf, type ParameterRule, stateTensor } from "./rule.ts";
import type { Decays, Optimizer } from "./types.ts";

/** Settings of {@link adafactor}. */
export interface AdafactorOptions {
  /** Added to squared gradients (ε₁). 1e-30 by default. */
  readonly epsilon?: number;
  /** The least size of a parameter that scales its steps (ε₂). 1e-3 by default. */
  readonly epsilonScale?: number;
  /** The root mean square an update is limited to. 1 by default. */
  readonly clipThreshold?: number;
  /** The mean of squares keeps the share 1 − t^decayRate of its old value at step t. −0.8 by default. */
  readonly decayRate?: number;
  /** Weight of the old update in the new one; null, the default, for no momentum. */
  readonly beta1?: number | null;
  /** Decoupled weight decay. 0 by default. */
  readonly weightDecay?: number;
  /** Which parameters decay, by path. All of them by default. */
  readonly decays?: Decays;
  /** Scale steps by the root mean square of the parameter. Off by default, as in transformers' Trainer. */
  readonly scaleParameter?: boolean;
  /** Steps of min(10⁻², 1/√t) whatever the learning rate. Off by default, as in transformers' Trainer. */
  readonly relativeStep?: boolean;
  /** Relative steps of min(10⁻⁶·t, 1/√t). */
  readonly warmupInit?: boolean;
}

/**
 * Adafactor: the second moment of a matrix as the product of its rows' and its columns' (Shazeer and Stern,
 * "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", 2018), as transformers computes it.
 *
 * @throws RangeError for `warmupInit` without `relativeStep`.
 */
export function adafactor(options: AdafactorOptions = {}): Optimizer {
  const { epsilon = 1e-30, epsilonScale = 1e-3, clipThreshold = 1, decayRate = -0.8 } = options;
  const { beta1 = null, weightDecay = 0, decays = () => true } = options;
  const { scaleParameter = false, relativeStep = false, warmupInit = false } = options;
  if (warmupInit && !relativeStep) {
    throw new RangeError(
      "Adafactor has warmup_init without relative_step: the warm-up is one of relative steps. Set both, or use a " +
        "schedule with warm-up.",
    );
  }
  const rule: ParameterRule<"learningRate" | "kept"> = {
    scalars: (learningRate, t) => ({
      learningRate: relativeStep
        ? Math.min(warmupInit ? 1e-6 * t : 1e-2, 1 / Math.sqrt(t))
        : learningRate,
      kept: 1 - t ** decayRate,
    }),
    init: ({ shape }) => ({
      ...(shape.length >= 2
        ? { rows: zeros(shape.slice(0, -1)), columns: zeros(withoutRows(shape)) }
        : { second: zeros(shape) }),
      ...(beta1 === null ? {} : { first: zeros(shape) }),
    }),
    update: (step, scalars) => {
      const { path, param, gradient } = step;
      const average = (slot: string, value: Tensor) =>
        stateTensor(step, slot).mul(scalars.kept).add(value.mul(scalars.kept.neg().add(1)));
      const squares = gradient.square().add(epsilon);
      const second = param.rank >= 2
        ? { rows: average("rows", squares.mean(-1)), columns: average("columns", squares.mean(-2)) }
        : { second: average("second", squares) };
      const scaled = second.rows
        // √(row · column / mean of rows) is the estimate's root.
        ? gradient.mul(
          second.rows.div(second.rows.mean(-1, { keepDims: true })).rsqrt().unsqueeze(-1),
        )
          .mul(second.columns.rsqrt().unsqueeze(-2))
        : gradient.mul(second.second.rsqrt());
      const limited = scaled.div(rootMeanSquare(scaled).div(clipThreshold).maximum(1));
      const rate = scaleParameter
        ? rootMeanSquare(param).maximum(epsilonScale).mul(scalars.learningRate)
        : scalars.learningRate;
      const own = limited.mul(rate);
      const first = beta1 === null
        ? null
        : stateTensor(step, "first").mul(beta1).add(own.mul(1 - beta1));
      const kept = weightDecay !== 0 && decays(path)
        ? param.sub(param.mul(rate.mul(weightDecay)))
        : param;
      return {
        param: kept.sub(first ?? own),
        state: { ...second, ...(first ? { first } : {}) },
      };
    },
  };
  return optimizerOf(rule);
}

function withoutRows(shape: readonly number[]): number[] {
  return [...shape.slice(0, -2), shape.at(-1)!];
}

function rootMeanSquare(x: Tensor): Tensor {
  return x.square().mean().sqrt();
}
