/**
 * Losses of a margin: how much better the chosen answer scores than the rejected one, f32 [B]. What the score is
 * (a log-ratio to a reference, a summed or an average log-prob) is the objective's affair.
 *
 * @module
 */

import { logSigmoid, type Tensor } from "../core/mod.ts";

/** Options of {@link MarginLoss}. */
export interface MarginLossOptions {
  /** Scale of the margin. */
  readonly beta: number;
  /** Probability that a label is wrong. */
  readonly labelSmoothing: number;
  /** The margin to reach before the loss falls off, in units of β·margin. */
  readonly gamma: number;
}

/** A loss [B] of margins [B]. */
export type MarginLoss = (margin: Tensor, options: MarginLossOptions) => Tensor;

/** −(1 − ε) log σ(x) − ε log σ(−x), f32 [B]: logistic loss with a share ε of flipped labels. */
export function logistic(x: Tensor, smoothing: number): Tensor {
  return logSigmoid(x).mul(smoothing - 1).sub(logSigmoid(x.neg()).mul(smoothing));
}

/** max(0, 1 − x) (Zhao et al., "SLiC-HF", 2023). */
export function hinge(x: Tensor): Tensor {
  return x.neg().add(1).maximum(0);
}

/** (z − 1/(2β))² (Azar et al., "A General Theoretical Paradigm", 2023, equation 17; β is its τ). */
export function squaredMargin(margin: Tensor, beta: number): Tensor {
  return margin.sub(1 / (2 * beta)).square();
}

/** A loss that needs no reference model. */
export interface MarginLossVariant {
  /** Whether its scores are log-probs per token; else they are sums over the tokens. */
  readonly average: boolean;
  /** From margins to losses. */
  readonly loss: MarginLoss;
}

/** The losses of CPO and TPO by name. */
export const marginLosses: Readonly<
  Record<"sigmoid" | "hinge" | "ipo" | "simpo", MarginLossVariant>
> = {
  /** CPO's own: logistic loss of summed log-probs. */
  sigmoid: {
    average: false,
    loss: (z, { beta, labelSmoothing }) => logistic(z.mul(beta), labelSmoothing),
  },
  hinge: { average: false, loss: (z, { beta }) => hinge(z.mul(beta)) },
  ipo: { average: true, loss: (z, { beta }) => squaredMargin(z, beta) },
  /** SimPO (Meng et al., 2024): logistic loss of average log-probs with a target margin γ. */
  simpo: {
    average: true,
    loss: (z, { beta, gamma, labelSmoothing }) => logistic(z.mul(beta).sub(gamma), labelSmoothing),
  },
};
