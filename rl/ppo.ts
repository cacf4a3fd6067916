/** Proximal policy optimisation: a policy and a value model learn from the same rollout. @module */

import { stopGradient, type Tensor } from "../core/mod.ts";
import { maskedMean } from "./means.ts";
import type { Metrics } from "./metrics.ts";
import { boundedExp, clipped, clippedSurrogate, logRatios, type PolicyTokens } from "./policy.ts";
import { masked } from "./sequences.ts";
import type { Objective } from "./types.ts";

/** Tokens of sampled completions with the advantage of each, as `gae` gives them. */
export interface PpoTokens extends PolicyTokens {
  /** f32 [N]; a constant. */
  readonly tokenAdvantages: Tensor;
}

/** Values of M steps: those of the tokens, and perhaps one more for each completion. */
export interface PpoValues {
  /** What the value model says now, f32 [M]. */
  readonly values: Tensor;
  /** What it said at the rollout, f32 [M]. */
  readonly oldValues: Tensor;
  /** What it should have said, f32 [M]; a constant. */
  readonly returns: Tensor;
  /** 1 for steps that count, 0 for padding, f32 [M]. */
  readonly mask: Tensor;
}

/** Options of {@link ppo}. */
export interface PpoOptions {
  /** Ratios are clipped to 1 ± this; 0.2 by default. */
  readonly cliprange?: number;
  /** Values are clipped to the old ones ± this; 0.2 by default. */
  readonly cliprangeValue?: number;
  /** Weight of the value loss; 0.1 by default. */
  readonly vfCoef?: number;
  /** Number of tokens with padding, over which TRL averages `policy/approxkl_avg`; the tokens themselves by default. */
  readonly paddedSize?: number;
}

/**
 * Proximal policy optimisation (Schulman et al., 2017): clipped surrogate of the tokens plus a clipped squared error
 * of the values, ½·max((V − R)², (clip(V, V_old ± c) − R)²).
 *
 * @returns The mean over the batch's tokens, as a single number; metrics with TRL's names, of this batch.
 */
export function ppo(tokens: PpoTokens, values: PpoValues, options: PpoOptions = {}): Objective {
  const { cliprange = 0.2, cliprangeValue = 0.2, vfCoef = 0.1 } = options;
  const range = { epsilon: cliprange };
  const advantages = stopGradient(tokens.tokenAdvantages);
  const ratio = boundedExp(logRatios(tokens));
  const losses = masked(clippedSurrogate(ratio, advantages, range), tokens.mask);
  const policy = maskedMean(losses, tokens.mask);
  const { loss: value, clipped: clippedValues } = valueLoss(values, cliprangeValue);
  const outside = clipped(ratio, advantages, range);
  return {
    loss: policy.add(value.mul(vfCoef)),
    metrics: {
      "loss/policy_avg": stopGradient(policy),
      "loss/value_avg": stopGradient(value),
      "policy/clipfrac_avg": maskedMean(outside.low.add(outside.high), tokens.mask),
      "val/clipfrac_avg": clippedValues,
      ...policyMetrics(tokens, options.paddedSize),
    },
  };
}

/** The value model's loss, and the share of its values that are clipped. */
function valueLoss(
  { values, oldValues, returns, mask }: PpoValues,
  clip: number,
): { readonly loss: Tensor; readonly clipped: Tensor } {
  const old = stopGradient(oldValues);
  const target = stopGradient(returns);
  const free = values.sub(target).square();
  const near = values.clamp(old.sub(clip), old.add(clip)).sub(target).square();
  return {
    loss: maskedMean(free.maximum(near), mask).mul(0.5),
    clipped: maskedMean(stopGradient(near).gt(stopGradient(free)).cast("f32"), mask),
  };
}

function policyMetrics(tokens: PpoTokens, paddedSize?: number): Metrics {
  const { mask, entropies } = tokens;
  const logRatio = stopGradient(logRatios(tokens));
  const squares = logRatio.square().mul(0.5);
  const approximateKl = maskedMean(squares, mask);
  return {
    "policy/approxkl": approximateKl,
    "policy/approxkl_avg": paddedSize === undefined
      ? approximateKl
      : masked(squares, mask).sum().div(paddedSize),
    "val/ratio": maskedMean(boundedExp(logRatio), mask),
    ...(entropies && { "policy/entropy_avg": maskedMean(stopGradient(entropies), mask) }),
  };
}
