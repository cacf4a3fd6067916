/** Reward modelling: scores that put the better answer of a pair above the other. @module */

import { stopGradient, type Tensor } from "../core/mod.ts";
import { logistic } from "./margin_losses.ts";
import type { Objective } from "./types.ts";

/** Scores of pairs of answers. */
export interface PairRewards {
  /** Scores of the chosen answers, f32 [B]. */
  readonly chosen: Tensor;
  /** Scores of the rejected ones, f32 [B]. */
  readonly rejected: Tensor;
  /** By how much the chosen answer should be better, f32 [B]. */
  readonly margins?: Tensor;
}

/** Options of {@link bradleyTerry}. */
export interface BradleyTerryOptions {
  /** Weight of (r_w + r_l)², which keeps scores near 0 (Eisenstein et al., "Helping or Herding", 2023). */
  readonly centerRewardsCoefficient?: number;
}

/**
 * Bradley–Terry reward modelling (Ouyang et al., "InstructGPT", 2022; margins: Touvron et al., "Llama 2", 2023):
 * −log σ(r_w − r_l − margin).
 *
 * The metrics are of the scores of both answers of all pairs; `accuracy` asks for a strictly higher score.
 */
export function bradleyTerry(rewards: PairRewards, options: BradleyTerryOptions = {}): Objective {
  const { chosen, rejected, margins } = rewards;
  const { centerRewardsCoefficient: centring } = options;
  const difference = chosen.sub(rejected);
  const preference = logistic(margins ? difference.sub(margins) : difference, 0);
  const losses = centring === undefined
    ? preference
    : preference.add(chosen.add(rejected).square().mul(centring));
  const [better, worse] = [stopGradient(chosen), stopGradient(rejected)];
  return {
    losses,
    metrics: {
      min_reward: better.min().minimum(worse.min()),
      mean_reward: better.mean().add(worse.mean()).mul(0.5),
      max_reward: better.max().maximum(worse.max()),
      accuracy: better.gt(worse).cast("f32").mean(),
      margin: better.sub(worse).mean(),
    },
  };
}
