/**
 * Advantages by a value model: what each token was worth more than expected. They are computed once for a rollout and
 * walk back through time, so they are plain numbers in double precision: one row of numbers for each completion.
 *
 * @module
 */

import { UserError } from "../core/errors.ts";
import { variantOf } from "./variants.ts";

/** Numbers of the steps of each completion. */
export type Rows = readonly ArrayLike<number>[];

/** A name of {@link klEstimators}. */
export type KlEstimator = "k1" | "k3" | "abs" | "mse";

/** Estimates of the divergence from the reference by one token, from d = log π/π_ref. */
export const klEstimators: Readonly<Record<KlEstimator, (logRatio: number) => number>> = {
  /** d: unbiased, of either sign. Called `kl` before TRL 0.12. */
  k1: (d) => d,
  /** e⁻ᵈ − 1 + d: unbiased and never negative (Schulman, "Approximating KL divergence", 2020). */
  k3: (d) => Math.expm1(-d) + d,
  /** |d|. */
  abs: (d) => Math.abs(d),
  /** d²/2, Schulman's k2. */
  mse: (d) => d * d / 2,
};

/** What {@link klRewards} needs of a rollout. */
export interface ScoredRollout {
  /** log p of each completion's tokens under the policy that sampled. */
  readonly logProbs: Rows;
  /** The same under the reference model. */
  readonly refLogProbs: Rows;
  /** Score of each completion as a whole. */
  readonly scores: readonly number[];
}

/** Options of {@link klRewards}. */
export interface KlRewardOptions {
  /** Weight of the divergence; 0.05 by default. */
  readonly klCoef?: number;
  /** How it is estimated; `k1` by default. */
  readonly klEstimator?: KlEstimator;
  /**
   * Numbers of steps of each completion, no fewer than its tokens; those are the default. The score is the reward of
   * the last step: TRL 0.12–1.11 has one step more than tokens, unless the completion is as long as it may be.
   */
  readonly steps?: readonly number[] | undefined;
}

/** Rewards of steps and what they are made of. */
export interface KlRewards {
  /** One row of rewards for each completion. */
  readonly rewards: readonly number[][];
  /** Estimated divergence of each whole completion. */
  readonly divergences: readonly number[];
  /** `objective/kl`, `…/entropy`, `…/non_score_reward`, `…/scores` and `…/rlhf_reward`, means over completions. */
  readonly metrics: Readonly<Record<string, number>>;
}

/**
 * Rewards −kl_coef·KL of each token, and the score at the last step (Ouyang et al., "Training language models to
 * follow instructions", 2022, equation 2). Unlike TRL's, entropies do not count padding.
 *
 * @throws UserError if there is no such estimator, or rows do not fit together.
 */
export function klRewards(rollout: ScoredRollout, options: KlRewardOptions = {}): KlRewards {
  const { klCoef = 0.05, klEstimator = "k1", steps } = options;
  const { logProbs, refLogProbs, scores } = rollout;
  checkRows(logProbs, refLogProbs, "reference log-probs");
  const estimate = variantOf(klEstimators, klEstimator, "kl_estimator");
  const kl = logProbs.map((row, i) => Array.from(row, (x, t) => estimate(x - refLogProbs[i]![t]!)));
  const rewards = kl.map((row, i) => {
    const found = row.map((x) => -klCoef * x);
    while (found.length < (steps?.[i] ?? 0)) found.push(0);
    if (found.length > 0) found[found.length - 1]! += scores[i]!;
    return found;
  });
  const divergences = kl.map(sum);
  const [divergence, score] = [mean(divergences), mean(scores)];
  return {
    rewards,
    divergences,
    metrics: {
      "objective/kl": divergence,
      "objective/entropy": -mean(logProbs.map((row) => sum(Array.from(row)))),
      "objective/non_score_reward": -klCoef * divergence,
      "objective/scores": score,
      "objective/rlhf_reward": score - klCoef * divergence,
    },
  };
}

/** Options of {@link gae}. */
export interface GaeOptions {
  /** Discount γ of a step; 1 by default. */
  readonly gamma?: number;
  /** λ, between trusting the values (0) and the rewards (1); 0.95 by default. */
  readonly lam?: number;
}

/** Rows of numbers of the same lengths as the rewards. */
export interface GaeResult {
  /** A_t. */
  readonly advantages: readonly number[][];
  /** A_t + V_t: what the values should have been. */
  readonly returns: readonly number[][];
}

/**
 * Generalised advantage estimation (Schulman et al., 2015, equation 16): A_t = δ_t + γλ A_{t+1} with
 * δ_t = r_t + γ V_{t+1} − V_t. The value after the last step is 0.
 *
 * @throws UserError if rows of rewards and values differ in length.
 */
export function gae(rewards: Rows, values: Rows, options: GaeOptions = {}): GaeResult {
  const { gamma = 1, lam = 0.95 } = options;
  checkRows(rewards, values, "values");
  const advantages = rewards.map((row, i) => {
    const value = values[i]!;
    const found = new Array<number>(row.length).fill(0);
    let next = 0;
    for (let t = row.length - 1; t >= 0; t--) {
      const delta = row[t]! + gamma * (value[t + 1] ?? 0) - value[t]!;
      next = delta + gamma * lam * next;
      found[t] = next;
    }
    return found;
  });
  const returns = advantages.map((row, i) => row.map((x, t) => x + values[i]![t]!));
  return { advantages, returns };
}

/** Options of {@link whiten}. */
export interface WhitenOptions {
  /** Whether the mean becomes 0 (default) or stays. */
  readonly shiftMean?: boolean;
  /** How many numbers at the start of each row mean and variance are taken of; all by default. */
  readonly lengths?: readonly number[];
}

/** Numbers scaled to unit variance (by n − 1) over all rows. */
export function whiten(rows: Rows, options: WhitenOptions = {}): readonly number[][] {
  const { shiftMean = true, lengths } = options;
  const counted = rows.flatMap((row, i) => Array.from(row).slice(0, lengths?.[i]));
  const centre = mean(counted);
  const squares = sum(counted.map((x) => (x - centre) ** 2));
  const scale = 1 / Math.sqrt(squares / Math.max(counted.length - 1, 1) + 1e-8);
  const offset = shiftMean ? 0 : centre;
  return rows.map((row) => Array.from(row, (x) => (x - centre) * scale + offset));
}

function checkRows(rows: Rows, others: Rows, what: string): void {
  const wrong = rows.findIndex((row, i) => row.length !== others[i]?.length);
  if (wrong < 0 && rows.length === others.length) return;
  throw new UserError(
    `Rows of ${what} do not fit: completion ${Math.max(wrong, 0)} has ${
      rows[wrong]?.length ?? 0
    } steps and ${
      others[wrong]?.length ?? 0
    } ${what} (${rows.length} and ${others.length} completions).`,
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((total, x) => total + x, 0);
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}
