/**
 * The variants of group-relative policy optimisation by TRL's `loss_type`: a loss of each token, how tokens are
 * averaged, and what is reported.
 *
 * @module
 */

import { stopGradient, type Tensor, where } from "../core/mod.ts";
import { UserError } from "../core/errors.ts";
import type { Metrics } from "./metrics.ts";
import {
  boundedExp,
  clipMetrics,
  clipped,
  clippedSurrogate,
  type ClipRange,
  type Meter,
  type RolloutTokens,
} from "./policy.ts";
import { sequenceMeans, sequenceSums } from "./sequences.ts";
import type { Objective } from "./types.ts";

/** What the variants are made of. */
export interface GrpoTerms {
  /** The tokens themselves. */
  readonly tokens: RolloutTokens;
  /** Number of completions B. */
  readonly count: number;
  /** log π/π_old of each token, f32 [N]. */
  readonly logRatios: Tensor;
  /** ρ by the importance level, f32 [N]. */
  readonly ratios: Tensor;
  /** A of each token, f32 [N]. */
  readonly advantages: Tensor;
}

/** Options of the variants. */
export interface GrpoLossOptions extends ClipRange {
  /** Temperature of SAPO's gate for tokens with A > 0. */
  readonly sapoTemperaturePos: number;
  /** The same for the others. */
  readonly sapoTemperatureNeg: number;
  /** VESPO's power k for A ≥ 0. */
  readonly vespoKPos: number;
  /** VESPO's decay λ for A ≥ 0. */
  readonly vespoLambdaPos: number;
  /** k for A < 0. */
  readonly vespoKNeg: number;
  /** λ for A < 0. */
  readonly vespoLambdaNeg: number;
  /** Longest completion that may be sampled, for `dr_grpo`. */
  readonly maxCompletionLength?: number | undefined;
}

/** A variant of the objective. */
export interface GrpoVariant {
  /** Losses of tokens, f32 [N]. */
  readonly losses: (terms: GrpoTerms, options: GrpoLossOptions) => Tensor;
  /** What the losses [N] are averaged over. */
  readonly average: GrpoAverage;
  /** What it reports of its ratios. */
  readonly metrics: (terms: GrpoTerms, options: GrpoLossOptions, meter: Meter) => Metrics;
  /** Whether the losses contain the correction for the sampler already. */
  readonly correctsSampling?: boolean;
}

/** From losses of tokens, f32 [N], to those whose mean over the accumulation window is minimised. */
export type GrpoAverage = (
  losses: Tensor,
  terms: GrpoTerms,
  options: GrpoLossOptions,
) => Pick<Objective, "losses" | "mask" | "loss">;

/** Ways of averaging. */
export const grpoAverages: Readonly<
  Record<"completions" | "batch" | "length" | "window" | "sums", GrpoAverage>
> = {
  /** The mean of each completion over its tokens: long answers count no more than short ones. */
  completions: (losses, { tokens, count }) => ({ losses: sequenceMeans(losses, tokens, count) }),
  /** Mean over the batch's tokens. */
  batch: (losses, { tokens, count }) => ({
    loss: sequenceSums(losses, tokens, count).sum().div(tokens.mask.sum().maximum(1)),
  }),
  /** The sum over each completion's tokens by the longest possible length, which no answer can change. */
  length: (losses, { tokens, count }, { maxCompletionLength }) => {
    if (maxCompletionLength === undefined) {
      throw new UserError(
        'loss_type "dr_grpo" divides by the longest possible completion; give max_completion_length.',
      );
    }
    return { losses: sequenceSums(losses, tokens, count).div(maxCompletionLength) };
  },
  /** The tokens of the whole window. */
  window: (losses, { tokens }) => ({ losses, mask: tokens.mask }),
  /** The sum over each completion's tokens: length is paid for. */
  sums: (losses, { tokens, count }) => ({ losses: sequenceSums(losses, tokens, count) }),
};

const surrogate = {
  losses: ({ ratios, advantages }: GrpoTerms, options: GrpoLossOptions): Tensor =>
    clippedSurrogate(ratios, advantages, options),
  metrics: ({ ratios, advantages }: GrpoTerms, options: GrpoLossOptions, meter: Meter): Metrics =>
    clipMetrics(clipped(ratios, advantages, options), meter),
};

/** A name of {@link grpoVariants}. */
export type GrpoLossType =
  | "grpo"
  | "bnpo"
  | "dr_grpo"
  | "dapo"
  | "luspo"
  | "cispo"
  | "sapo"
  | "vespo";

/** All variants by name. */
export const grpoVariants: Readonly<Record<GrpoLossType, GrpoVariant>> = {
  /** Shao et al., "DeepSeekMath", 2024, equation 3. */
  grpo: { ...surrogate, average: grpoAverages.completions },

  /** The same, averaged over the tokens of a batch. */
  bnpo: { ...surrogate, average: grpoAverages.batch },

  /** Liu et al., "Understanding R1-Zero-Like Training", 2025: without the bias for length. */
  dr_grpo: { ...surrogate, average: grpoAverages.length },

  /** Yu et al., "DAPO", 2025, equation 8. */
  dapo: { ...surrogate, average: grpoAverages.window },

  /** LUSPO (arXiv 2602.05261); meant for ratios of sequences. */
  luspo: { ...surrogate, average: grpoAverages.sums },

  /** CISPO (MiniMax, "MiniMax-M1", 2025): every token keeps its gradient; `epsilonHigh` caps its weight. */
  cispo: {
    losses: ({ ratios, advantages, tokens }, options) =>
      stopGradient(ratios).minimum(cispoCap(options)).mul(advantages).mul(tokens.logProbs).neg(),
    average: grpoAverages.window,
    metrics: ({ ratios, advantages }, options, meter) => {
      const capped = stopGradient(ratios).gt(cispoCap(options)).and(advantages.gt(0));
      return { cispo_clip_ratio: meter.mean(capped.cast("f32")) };
    },
  },

  /** Gao et al., "Soft Adaptive Policy Optimization", 2025: −σ(τ(ρ − 1))·4/τ·A instead of a clip. */
  sapo: {
    losses: ({ ratios, advantages }, { sapoTemperaturePos, sapoTemperatureNeg }) => {
      const temperature = where(advantages.gt(0), sapoTemperaturePos, sapoTemperatureNeg);
      const gate = temperature.mul(ratios.sub(1)).sigmoid().mul(4).div(temperature);
      return gate.mul(advantages).neg();
    },
    average: grpoAverages.completions,
    metrics: () => ({}),
  },

  /** VESPO (arXiv 2602.10693): weights φ(w) of sequences, no gradient. */
  vespo: {
    losses: (terms, options) =>
      gammaWeights(terms, options).mul(terms.advantages).mul(terms.tokens.logProbs).neg(),
    average: grpoAverages.window,
    metrics: (terms, options, meter) => ({
      "vespo/phi_seq_mean": meter.mean(gammaWeights(terms, options), 1),
    }),
    correctsSampling: true,
  },
};

function cispoCap({ epsilon, epsilonHigh }: GrpoLossOptions): number {
  return epsilonHigh ?? epsilon;
}

/**
 * φ(w) = e^λ wᵏ e^(−λw) of each token, f32 [N]: 1 for w = 1, the ratio of whole sequences times the correction for the
 * sampler, and falling off on both sides.
 */
function gammaWeights(
  { tokens, count, logRatios, advantages }: GrpoTerms,
  options: GrpoLossOptions,
): Tensor {
  const [least, most] = [Math.log(1e-8), 20];
  const sums = (x: Tensor) => sequenceSums(x, tokens, count);
  const policy = sums(stopGradient(logRatios).clamp(-most, most));
  const correction = tokens.importanceRatios;
  const logW = correction
    ? policy.add(sums(correction.maximum(Math.exp(least)).log().clamp(least, most)))
    : policy;
  const w = logW.clamp(least, most).gather(tokens.segments);
  const positive = advantages.ge(0);
  const k = where(positive, options.vespoKPos, options.vespoKNeg);
  const lambda = where(positive, options.vespoLambdaPos, options.vespoLambdaNeg).maximum(1e-4);
  return boundedExp(lambda.add(k.mul(w)).sub(lambda.mul(w.exp())));
}
