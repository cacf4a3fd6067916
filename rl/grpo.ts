/** Group-relative policy optimisation: answers are better or worse than others to the same prompt. @module */

import { type Operand, stopGradient, type Tensor } from "../core/mod.ts";
import { UserError } from "../core/errors.ts";
import {
  type GrpoLossOptions,
  type GrpoLossType,
  type GrpoTerms,
  grpoVariants,
} from "./grpo_losses.ts";
import type { Metrics } from "./metrics.ts";
import {
  boundedExp,
  entropyMetrics,
  logRatios,
  referenceKl,
  type RolloutTokens,
  sequenceMeter,
  tokenMeter,
} from "./policy.ts";
import { maskedQuantile } from "./quantile.ts";
import { masked, sequenceMeans, type TokenLayout } from "./sequences.ts";
import type { Objective, TokenLogProbs } from "./types.ts";
import { variantOf } from "./variants.ts";
import { lossOf, type WindowShare } from "./window.ts";

/** A name of {@link importanceLevels}. */
export type ImportanceLevel = "token" | "sequence" | "sequence_token";

/** log ρ of each token, f32 [N], from log-ratios [N] of tokens of `count` completions. */
export type ImportanceWeights = (logRatios: Tensor, tokens: TokenLayout, count: number) => Tensor;

const meanOfSequence: ImportanceWeights = (logRatios, tokens, count) =>
  sequenceMeans(logRatios, tokens, count).gather(tokens.segments);

/** What a ratio is of, by TRL's `importance_sampling_level`. */
export const importanceLevels: Readonly<Record<ImportanceLevel, ImportanceWeights>> = {
  /** Each token's own. */
  token: (logRatios) => logRatios,
  /** The geometric mean over the completion (Zheng et al., "Group Sequence Policy Optimization", 2025, equation 7). */
  sequence: meanOfSequence,
  /** The same value, but each token's own gradient (GSPO-token there). */
  sequence_token: (logRatios, tokens, count) =>
    stopGradient(meanOfSequence(logRatios, tokens, count)).add(logRatios)
      .sub(stopGradient(logRatios)),
};

/** Options of {@link grpo}. */
export interface GrpoOptions extends Partial<GrpoLossOptions> {
  /** The variant; `dapo` by default. */
  readonly lossType?: GrpoLossType;
  /** What ratios are of; `token` by default. */
  readonly importanceSamplingLevel?: ImportanceLevel;
  /** Weight of the divergence from the reference; 0 by default, which needs no reference. */
  readonly beta?: number;
  /** Multiplies the divergence by ρ, which makes its gradient unbiased; true by default. */
  readonly useBiasCorrectionKl?: boolean;
  /** Learns from this share of the tokens only, those of largest entropy; 1 by default. */
  readonly topEntropyQuantile?: number;
  /** Weight of the entropy bonus, perhaps changing ({@link adaptiveEntropyCoef}); no bonus by default. */
  readonly entropyCoef?: Operand;
  /** Leaves out bad answers whose mean log π_sampler/π is larger than this; keeps all by default. */
  readonly offPolicyMaskThreshold?: number;
  /**
   * How the batch stands in its window, for `policy_loss` alone, which is the batch's part of the window's mean where
   * that is over tokens.
   */
  readonly window?: WindowShare | undefined;
}

/** What {@link grpo} gives. */
export interface GrpoObjective extends Objective {
  /** Sum of the entropies that the bonus is the mean of, and how many they are, to steer its weight by. */
  readonly bonusEntropy?: { readonly sum: Tensor; readonly count: Tensor };
}

const defaults = {
  lossType: "dapo" as GrpoLossType,
  importanceSamplingLevel: "token" as ImportanceLevel,
  beta: 0,
  useBiasCorrectionKl: true,
  topEntropyQuantile: 1,
  epsilon: 0.2,
  sapoTemperaturePos: 1,
  sapoTemperatureNeg: 1.05,
  vespoKPos: 2,
  vespoLambdaPos: 3,
  vespoKNeg: 3,
  vespoLambdaNeg: 2,
};

/**
 * Group-relative policy optimisation (Shao et al., "DeepSeekMath", 2024) and its variants ({@link grpoVariants}). The
 * value is near 0 by construction (advantages of a group sum to 0, ratios start at 1); its gradient is what counts.
 *
 * @param tokens Completion tokens with the completions' advantages; `refLogProbs` for `beta`, `entropies` for the
 * entropy options (differentiable for the bonus).
 * @returns Losses of completions [B] or of tokens [N], or the batch's loss for `bnpo`; `kl`, `entropy`, and the variant's
 * own metrics; `policy_loss` with a bonus.
 * @throws UserError if an option lacks its input or is not known.
 */
export function grpo(tokens: RolloutTokens, options: GrpoOptions = {}): GrpoObjective {
  const settings = { ...defaults, ...options };
  const { entropyCoef, window } = options;
  const variant = variantOf(grpoVariants, settings.lossType, "loss_type");
  const terms = grpoTerms(tokens, settings.importanceSamplingLevel);
  const learned = entropyMask(tokens, settings.topEntropyQuantile);

  const kl = settings.beta === 0 ? undefined : klTerm(terms, settings.useBiasCorrectionKl);
  const surrogate = [
    learned,
    offPolicyMask(terms, settings.offPolicyMaskThreshold),
    variant.correctsSampling ? undefined : tokens.importanceRatios,
  ].reduce<Tensor>((x, weight) => weight ? x.mul(weight) : x, variant.losses(terms, settings));
  const each = masked(kl ? surrogate.add(kl.mul(settings.beta)) : surrogate, tokens.mask);

  const policy = { ...variant.average(each, terms, settings), metrics: {} };
  const metrics = grpoMetrics(terms, settings, kl);
  if (entropyCoef === undefined) return { ...policy, metrics };

  const bonus = bonusEntropy(tokens, learned);
  const term = bonus.sum.div(bonus.count.maximum(1)).mul(entropyCoef).neg();
  const { loss } = policy;
  const policyLoss = lossOf(policy, policy.mask ? window : undefined);
  return {
    ...policy,
    ...(loss ? { loss: loss.add(term) } : { term }),
    metrics: { ...metrics, policy_loss: stopGradient(policyLoss) },
    bonusEntropy: { sum: stopGradient(bonus.sum), count: bonus.count },
  };
}

function grpoTerms(tokens: RolloutTokens, level: ImportanceLevel): GrpoTerms {
  const count = tokens.advantages.shape[0]!;
  const ofTokens = logRatios(tokens);
  const weights = variantOf(importanceLevels, level, "importance_sampling_level");
  return {
    tokens,
    count,
    logRatios: ofTokens,
    ratios: boundedExp(weights(ofTokens, tokens, count)),
    advantages: stopGradient(tokens.tokenAdvantages ?? tokens.advantages.gather(tokens.segments)),
  };
}

/** Divergence from the reference at each token, unbiased if ρ multiplies it ("DeepSeek-V3.2", 2025). */
function klTerm({ tokens, ratios }: GrpoTerms, corrected: boolean): Tensor {
  return corrected ? referenceKl(tokens).mul(ratios) : referenceKl(tokens);
}

function grpoMetrics(
  terms: GrpoTerms,
  options: typeof defaults & GrpoOptions,
  kl: Tensor | undefined,
): Metrics {
  const { tokens, count } = terms;
  const byToken = tokenMeter(tokens, count);
  const bySequence = sequenceMeter(tokens, count);
  const variant = variantOf(grpoVariants, options.lossType, "loss_type");
  const whole = options.importanceSamplingLevel === "sequence" || variant.correctsSampling;
  return {
    ...(kl && { kl: byToken.mean(stopGradient(kl)) }),
    ...entropyMetrics(tokens),
    ...variant.metrics(terms, options, whole ? bySequence : byToken),
  };
}

/**
 * 1 for the tokens whose entropy is among the largest, f32 [N]; undefined if that is all of them (Wang et al.,
 * "Beyond the 80/20 Rule", 2025).
 */
export function entropyMask(tokens: TokenLogProbs, share: number): Tensor | undefined {
  if (share >= 1) return undefined;
  const entropies = stopGradient(entropiesOf(tokens, "top_entropy_quantile"));
  const threshold = maskedQuantile(entropies, tokens.mask, 1 - share);
  return entropies.maximum(0).ge(threshold).and(tokens.mask.ne(0)).cast("f32");
}

/** 1 for tokens of answers that are good, or that the policy would still give, f32 [N] ("DeepSeek-V3.2", 2025). */
function offPolicyMask(
  { tokens, count, advantages }: GrpoTerms,
  threshold: number | undefined,
): Tensor | undefined {
  if (threshold === undefined) return undefined;
  const now = stopGradient(tokens.logProbs);
  const then = tokens.samplingLogProbs ?? tokens.oldLogProbs ?? now;
  const drift = sequenceMeans(then.sub(now), tokens, count).gather(tokens.segments);
  return advantages.ge(0).or(drift.le(threshold)).cast("f32");
}

function bonusEntropy(
  tokens: TokenLogProbs,
  learned: Tensor | undefined,
): { readonly sum: Tensor; readonly count: Tensor } {
  const mask = learned ? tokens.mask.mul(learned) : tokens.mask;
  return { sum: masked(entropiesOf(tokens, "entropy_coef"), mask).sum(), count: mask.sum() };
}

function entropiesOf({ entropies }: TokenLogProbs, option: string): Tensor {
  if (entropies) return entropies;
  throw new UserError(
    `${option} needs the entropies of the tokens' distributions (entropies, f32 [N]).`,
  );
}
