/** Binary classifier optimisation: a classifier of good and bad answers whose logit is the reward. @module */

import { stopGradient, type Tensor, where, zeros } from "../core/mod.ts";
import { signOf, undesirable } from "./labels.ts";
import { logistic } from "./margin_losses.ts";
import { unpairedMetrics } from "./metrics.ts";
import type { Objective, UnpairedLogProbs } from "./types.ts";

/** The mean of all numbers seen so far. */
export interface RunningMean {
  /** A single number, f32. */
  readonly mean: Tensor;
  /** How many they were, a single number, f32. */
  readonly count: Tensor;
}

/** A mean of nothing yet. */
export function emptyRunningMean(): RunningMean {
  return { mean: zeros([]), count: zeros([]) };
}

/** The mean with further numbers, f32 [B]; not differentiated. */
export function updateRunningMean({ mean, count }: RunningMean, values: Tensor): RunningMean {
  const total = count.add(values.size);
  const step = stopGradient(values).mean().sub(mean).mul(values.size).div(total);
  return { mean: mean.add(step), count: total };
}

/** Inputs of {@link bco}. */
export interface BcoLogProbs extends UnpairedLogProbs {
  /** The mean reward so far; in evaluation, that of training. */
  readonly running: RunningMean;
  /**
   * Factors of undesirable rows' losses, f32 [B]: p/(1 − p), limited, of the probability p that the prompt is one of
   * desirable rows (matching of underlying distributions).
   */
  readonly densityRatios?: Tensor;
}

/** Options of {@link bco}. */
export interface BcoOptions {
  /** Strength of the pull to the reference; 0.1 by default. */
  readonly beta?: number;
  /** Whether this batch's rewards enter the running mean: true, but for evaluation. */
  readonly updateRunning?: boolean;
}

/** {@link bco}'s result: with the state for the next batch. */
export interface BcoObjective extends Objective {
  /** The mean reward, this batch's included. */
  readonly running: RunningMean;
}

/**
 * Binary classifier optimisation (Jung et al., 2024): −log σ(±(β log π/π_ref − δ)), + for desirable answers, − for
 * undesirable ones. δ is the mean of all rewards so far, this batch's included.
 *
 * TRL averages rewards, log-probs and logits of a logging window over its rows of each label: `counts` holds their
 * numbers. Its `rewards/margins` is the difference of these averages.
 *
 * @param logProbs Summed completion log-probs of policy and reference and labels, f32 [B], and the running mean.
 */
export function bco(logProbs: BcoLogProbs, options: BcoOptions = {}): BcoObjective {
  const { beta = 0.1, updateRunning = true } = options;
  const { labels, densityRatios } = logProbs;
  const rewards = logProbs.logProbs.sub(logProbs.refLogProbs).mul(beta);
  const running = updateRunning ? updateRunningMean(logProbs.running, rewards) : logProbs.running;
  const delta = running.mean;
  const single = logistic(rewards.sub(delta).mul(signOf(labels)), 0);
  const losses = densityRatios
    ? single.mul(where(labels.ne(0), 1, stopGradient(densityRatios)))
    : single;
  return {
    losses,
    metrics: { delta, ...unpairedMetrics(rewards, logProbs.logProbs, labels) },
    counts: rowCounts(labels),
    running,
  };
}

function rowCounts(labels: Tensor): Readonly<Record<string, Tensor>> {
  const [chosen, rejected] = [labels.sum(), undesirable(labels).sum()];
  const names = ["rewards", "logps", "logits"];
  return Object.fromEntries(
    names.flatMap((name) => [[`${name}/chosen`, chosen], [`${name}/rejected`, rejected]]),
  );
}
