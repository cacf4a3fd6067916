/**
 * What objectives of sampled answers share: ratios of policies, how they are clipped, and the distance to a reference.
 *
 * @module
 */

import { stopGradient, type Tensor, where } from "../core/mod.ts";
import { UserError } from "../core/errors.ts";
import { maskedMean } from "./means.ts";
import type { Metrics } from "./metrics.ts";
import { masked, sequenceMeans } from "./sequences.ts";
import type { TokenLogProbs } from "./types.ts";

/** Tokens of sampled completions. */
export interface PolicyTokens extends TokenLogProbs {
  /**
   * log p under the policy that the rollout is credited to, f32 [N]. Left out when no update came between: the
   * present log-probs without their gradient stand in, and every ratio is 1.
   */
  readonly oldLogProbs?: Tensor;
}

/** Tokens of B completions with what each was worth. */
export interface RolloutTokens extends PolicyTokens {
  /** Of the completions, f32 [B]; a constant. Its size says how many completions there are. */
  readonly advantages: Tensor;
  /** Of single tokens, f32 [N], where they differ within a completion. */
  readonly tokenAdvantages?: Tensor;
  /** log p as the sampler reported it, f32 [N], for the off-policy mask; the old log-probs by default. */
  readonly samplingLogProbs?: Tensor;
  /** What corrects for a sampler that differs from the policy, f32 [N]: see `samplingCorrection`. */
  readonly importanceRatios?: Tensor;
}

/** How far a ratio of policies may go before it stops being a reason to go on. */
export interface ClipRange {
  /** ε: ratios below 1 − ε are clipped. */
  readonly epsilon: number;
  /** Ratios above 1 + this are clipped; ε by default. */
  readonly epsilonHigh?: number | undefined;
  /** Upper bound of the ratio that is not clipped (two-sided clipping); none by default. */
  readonly delta?: number | undefined;
}

// e⁴⁰ and products of two of them stay finite in f32; true ratios are nowhere near.
const largestExponent = 40;

/** eˣ, constant above x = 40: log-ratios of 1000 occur and must not become 0·∞. */
export function boundedExp(x: Tensor): Tensor {
  return x.minimum(largestExponent).exp();
}

/** log π/π_old of each token, f32 [N]; 0 where the mask is. */
export function logRatios({ logProbs, oldLogProbs, mask }: PolicyTokens): Tensor {
  return where(mask.ne(0), logProbs.sub(stopGradient(oldLogProbs ?? logProbs)), 0);
}

/**
 * Estimate eᵈ − d − 1, d = log π_ref/π, of the KL divergence from the reference at each token, f32 [N] (Schulman,
 * "Approximating KL divergence", 2020, k3): not negative, and 0 where the mask is.
 *
 * @throws UserError if there are no log-probs of a reference.
 */
export function referenceKl({ logProbs, refLogProbs, mask }: TokenLogProbs): Tensor {
  if (!refLogProbs) {
    throw new UserError(
      "beta is not 0, so the policy is held near a reference model, whose log-probs are missing. Give refLogProbs " +
        "(f32 [N]), or set beta to 0.",
    );
  }
  const d = where(mask.ne(0), stopGradient(refLogProbs).sub(logProbs), 0).minimum(largestExponent);
  return d.expm1().sub(d);
}

/** Both bounds of a clipped ratio. */
export function clipBounds(range: ClipRange): readonly [low: number, high: number] {
  return [1 - range.epsilon, 1 + (range.epsilonHigh ?? range.epsilon)];
}

/** The ratio, no larger than δ if there is one. */
export function limitedRatio(ratio: Tensor, { delta }: ClipRange): Tensor {
  return delta === undefined ? ratio : ratio.minimum(delta);
}

/**
 * −min(min(ρ, δ)·A, clip(ρ, 1 − ε, 1 + ε_high)·A) (Schulman et al., "Proximal Policy Optimization", 2017, equation 7).
 *
 * @param ratio,advantages f32 of one shape: tokens or completions.
 */
export function clippedSurrogate(ratio: Tensor, advantages: Tensor, range: ClipRange): Tensor {
  const [low, high] = clipBounds(range);
  const free = limitedRatio(ratio, range).mul(advantages);
  return free.minimum(ratio.clamp(low, high).mul(advantages)).neg();
}

/** 1 where the clipped branch decides, f32 of the ratio's shape: too low with A < 0, too high with A > 0. */
export function clipped(
  ratio: Tensor,
  advantages: Tensor,
  range: ClipRange,
): { readonly low: Tensor; readonly high: Tensor } {
  const [lowest, highest] = clipBounds(range);
  const limited = limitedRatio(stopGradient(ratio), range);
  return {
    low: limited.lt(lowest).and(advantages.lt(0)).cast("f32"),
    high: limited.gt(highest).and(advantages.gt(0)).cast("f32"),
  };
}

/** How values of tokens [N] are averaged for metrics. */
export interface Meter {
  /** Mean, a single number. */
  readonly mean: (x: Tensor, empty?: number) => Tensor;
  /** Smallest of the completions' means of values in [0, 1]; NaN if no completion has tokens. */
  readonly lowest: (x: Tensor) => Tensor;
  /** Largest of them. */
  readonly highest: (x: Tensor) => Tensor;
}

/** Averages over all tokens; completions without tokens are left out of extremes. */
export function tokenMeter(tokens: TokenLogProbs, count: number): Meter {
  const means = (x: Tensor, empty: number) => sequenceMeans(x, tokens, count, empty);
  const inRange = (x: Tensor) => where(x.lt(0).or(x.gt(1)), NaN, x);
  return {
    mean: (x) => maskedMean(x, tokens.mask),
    lowest: (x) => inRange(means(x, 2).min()),
    highest: (x) => inRange(means(x, -1).max()),
  };
}

/** Averages over completions, for values that are the same throughout one; `empty` for one without tokens. */
export function sequenceMeter(tokens: TokenLogProbs, count: number): Meter {
  const means = (x: Tensor, empty = 0) => sequenceMeans(x, tokens, count, empty);
  return {
    mean: (x, empty) => means(x, empty).mean(),
    lowest: (x) => means(x).min(),
    highest: (x) => means(x).max(),
  };
}

/** `clip_ratio/…`: shares of tokens or completions whose ratio is clipped. */
export function clipMetrics(
  { low, high }: { readonly low: Tensor; readonly high: Tensor },
  meter: Meter,
): Metrics {
  return {
    "clip_ratio/low_mean": meter.mean(low),
    "clip_ratio/low_min": meter.lowest(low),
    "clip_ratio/high_mean": meter.mean(high),
    "clip_ratio/high_max": meter.highest(high),
    "clip_ratio/region_mean": meter.mean(low.add(high)),
  };
}

/** `entropy`: mean over the tokens, if entropies are there. */
export function entropyMetrics({ entropies, mask }: TokenLogProbs): Metrics {
  return entropies ? { entropy: maskedMean(stopGradient(entropies), mask) } : {};
}

/** The same tokens without those of completions that were cut off, by 1 and 0, f32 [B] (DAPO's overlong filtering). */
export function withoutTruncated<T extends TokenLogProbs>(tokens: T, truncated: Tensor): T {
  const kept = where(truncated.gather(tokens.segments).ne(0), 0, 1);
  return { ...tokens, mask: masked(kept, tokens.mask) };
}
