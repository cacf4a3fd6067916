/** Coefficients that follow what training does: pure steps, whose state is the coefficient itself. @module */

import { type Tensor, where } from "../core/mod.ts";

/** Options of {@link adaptiveKlCoef}. */
export interface KlControllerOptions {
  /** Divergence to aim at; 6 by default. */
  readonly target?: number;
  /** Samples after which the coefficient could have changed by 20 %; 10000 by default. */
  readonly horizon?: number;
}

/**
 * The next weight of the divergence from the reference: coef·(1 + clip(KL/target − 1, ±0.2)·n/horizon) (Ziegler et
 * al., "Fine-Tuning Language Models from Human Preferences", 2019, section 2.2).
 *
 * @param kl Mean divergence of the last n completions.
 * @param samples Their number n.
 */
export function adaptiveKlCoef(
  coef: number,
  kl: number,
  samples: number,
  options: KlControllerOptions = {},
): number {
  const { target = 6, horizon = 10000 } = options;
  const error = Math.min(Math.max(kl / target - 1, -0.2), 0.2);
  return coef * (1 + error * samples / horizon);
}

/** Options of {@link adaptiveEntropyCoef}. */
export interface EntropyControllerOptions {
  /** Entropy to stay above; 0.2 by default. */
  readonly target?: number;
  /** Change at each step; 0.005 by default. */
  readonly delta?: number;
  /** Smallest coefficient; 0 by default. */
  readonly min?: number;
  /** Largest one; 1 by default. */
  readonly max?: number;
}

/** What to use now and what to go on with; single numbers. */
export interface EntropyCoefficient {
  /** The state. */
  readonly coef: Tensor;
  /** What the next step multiplies the bonus by: the coefficient, or 0 while entropy is above its target. */
  readonly applied: Tensor;
}

/**
 * The next weight of the entropy bonus (He et al., "Skywork Open Reasoner 1", 2025): larger while the entropy is at
 * or below its target, smaller above. The first step has no bonus yet, as in TRL.
 *
 * @param coef The coefficient, a single number.
 * @param entropy Mean entropy of the last step's tokens, a single number.
 */
export function adaptiveEntropyCoef(
  coef: Tensor,
  entropy: Tensor,
  options: EntropyControllerOptions = {},
): EntropyCoefficient {
  const { target = 0.2, delta = 0.005, min = 0, max = 1 } = options;
  const low = entropy.le(target);
  const next = where(low, coef.add(delta).minimum(max), coef.sub(delta).maximum(min));
  return { coef: next, applied: where(low, next, 0) };
}
