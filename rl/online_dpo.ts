/** Direct preference optimisation of the policy's own answers, compared by rewards. @module */

import { type Operand, stopGradient, type Tensor, tensor, where } from "../core/mod.ts";
import { logistic } from "./margin_losses.ts";
import { pairMetrics } from "./metrics.ts";
import type { Objective } from "./types.ts";
import { variantOf } from "./variants.ts";

/** A name of {@link onlineDpoLosses}. */
export type OnlineDpoLossType = "sigmoid" | "ipo";

/** Losses [B] of margins of summed log-ratios [B], by TRL's `loss_type`; `ipo` does not average over tokens here. */
export const onlineDpoLosses: Readonly<
  Record<OnlineDpoLossType, (margin: Tensor, beta: Operand) => Tensor>
> = {
  /** Rafailov et al., "Direct Preference Optimization", 2023. */
  sigmoid: (margin, beta) => logistic(margin.mul(beta), 0),
  /** Azar et al., "A General Theoretical Paradigm", 2023. */
  ipo: (margin, beta) => margin.sub(tensor(0.5).div(beta)).square(),
};

/** Two answers to each of B prompts: all first ones, then all second ones; sums over the answers' tokens. */
export interface AnswerLogProbs {
  /** Under the policy, f32 [2B]. */
  readonly logProbs: Tensor;
  /** Under the reference model, f32 [2B]. */
  readonly refLogProbs: Tensor;
  /** What the answers are worth, f32 [2B]. */
  readonly rewards: Tensor;
}

/** Options of {@link onlineDpo}. */
export interface OnlineDpoOptions {
  /** The variant; `sigmoid` by default. */
  readonly lossType?: OnlineDpoLossType;
  /** Strength of the pull to the reference, a number or f32 []; 0.1 by default. */
  readonly beta?: Operand;
}

/**
 * Online DPO (Guo et al., "Direct Language Model Alignment from Online AI Feedback", 2024): of two sampled answers
 * the one of higher reward is chosen, the first if they are equal. Penalties for answers that do not end are part of
 * the rewards.
 *
 * @returns Losses of prompts [B]. Unlike TRL's, `objective/…` do not count padding.
 */
export function onlineDpo(answers: AnswerLogProbs, options: OnlineDpoOptions = {}): Objective {
  const { lossType = "sigmoid", beta = 0.1 } = options;
  const rewards = stopGradient(answers.rewards);
  const logRatios = answers.logProbs.sub(answers.refLogProbs);
  const size = rewards.size / 2;
  const firstWins = rewards.slice(0, size).ge(rewards.slice(size));
  const ordered = (x: Tensor) => byPreference(firstWins, x.slice(0, size), x.slice(size));
  const [ratios, logProbs, scores] = [
    ordered(logRatios),
    ordered(answers.logProbs),
    ordered(rewards),
  ];
  const losses = variantOf(onlineDpoLosses, lossType, "loss_type")(
    ratios.chosen.sub(ratios.rejected),
    beta,
  );
  return {
    losses,
    metrics: {
      ...pairMetrics(ratios.chosen.mul(beta), ratios.rejected.mul(beta), logProbs),
      ...rewardMetrics(stopGradient(logRatios), rewards, beta),
      "objective/entropy": stopGradient(answers.logProbs).mean().neg(),
      "objective/scores_margin": scores.chosen.sub(scores.rejected).mean(),
    },
  };
}

/** Values [B] of the better and the worse answers. */
export interface Preferred {
  /** Of the better ones. */
  readonly chosen: Tensor;
  /** Of the worse ones. */
  readonly rejected: Tensor;
}

/** Values [B] of first and second answers, ordered by who wins, bool [B]. */
export function byPreference(firstWins: Tensor, first: Tensor, second: Tensor): Preferred {
  return { chosen: where(firstWins, first, second), rejected: where(firstWins, second, first) };
}

function rewardMetrics(logRatios: Tensor, rewards: Tensor, beta: Operand): Objective["metrics"] {
  const kl = logRatios.mean();
  const [scores, nonScore] = [rewards.mean(), kl.mul(beta).neg()];
  return {
    "objective/kl": kl,
    "objective/non_score_reward": nonScore,
    "objective/scores": scores,
    "objective/rlhf_reward": scores.add(nonScore),
  };
}
