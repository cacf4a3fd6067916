/**
 * How much better a completion is than the others to its prompt. Rewards come from functions on the host and are shown
 * to people, so all of this is plain numbers in double precision; completions of one prompt stand next to each other.
 *
 * @module
 */

import { UserError } from "../core/errors.ts";
import { variantOf } from "./variants.ts";

/** Rewards of N completions by K functions: rows of K numbers, NaN where a function does not apply. */
export type RewardTable = readonly (readonly number[])[];

/** Options of both estimators. */
export interface RewardOptions {
  /** Number of completions of each prompt, G. */
  readonly numGenerations: number;
  /** Weights of the functions; 1 each by default. */
  readonly rewardWeights?: readonly number[] | undefined;
}

/** Advantages and what was made of the rewards. */
export interface Advantages {
  /** Of the completions, N numbers; 0 for completions to which no reward function applies. */
  readonly advantages: readonly number[];
  /** Weighted sums of the rewards, N numbers; NaN for such completions. */
  readonly rewards: readonly number[];
  /**
   * `reward`, `reward_std`, and `frac_reward_zero_std`, the share of completions that no other differs from; `kl` per
   * token where rewards contain it.
   */
  readonly metrics: Readonly<Record<string, number>>;
}

/** A name of what advantages are divided by. */
export type ScaleRewards = "group" | "batch" | "none";

/** Options of {@link groupAdvantages}. */
export interface GroupAdvantageOptions extends RewardOptions {
  /** What the advantages are divided by: the standard deviation of the group (default), of the batch, or nothing. */
  readonly scaleRewards?: ScaleRewards;
  /**
   * Whether rewards are added and then compared with the group (default), or each function's are compared first, which
   * keeps one of large spread from drowning the others (GDPO, arXiv 2601.05242).
   */
  readonly multiObjectiveAggregation?: "sum_then_normalize" | "normalize_then_sum";
}

/** Options of {@link leaveOneOutAdvantages}. */
export interface LeaveOneOutOptions extends RewardOptions {
  /** Weight of the divergence from the reference in the reward; 0 by default. */
  readonly beta?: number;
  /** Σ log π_old/π_ref over each completion's tokens, N numbers, where beta is not 0. */
  readonly divergences?: ArrayLike<number> | undefined;
  /** Number of tokens of all completions, for the metric `kl`. */
  readonly tokens?: number | undefined;
  /** Limits of the weighted rewards, before the divergence. */
  readonly rewardClipRange?: readonly [low: number, high: number] | undefined;
  /** Centres and scales the advantages over the batch; false by default. */
  readonly normalizeAdvantages?: boolean;
}

const epsilon = 1e-4; // TRL's, beside a standard deviation

/**
 * (R − mean) / (std + 10⁻⁴) over each group of completions (Shao et al., "DeepSeekMath", 2024), with TRL's variants.
 * A lone applicable completion has nothing to be compared with and gets 0.
 *
 * @throws UserError if the table does not fit the options.
 */
export function groupAdvantages(table: RewardTable, options: GroupAdvantageOptions): Advantages {
  const { multiObjectiveAggregation = "sum_then_normalize" } = options;
  const rewards = weightedRewards(table, options);
  const estimate = variantOf(
    { sum_then_normalize: sumThenNormalize, normalize_then_sum: normalizeThenSum },
    multiObjectiveAggregation,
    "multi_objective_aggregation",
  );
  const { advantages, deviations } = estimate(table, rewards, options);
  return result(rewards, advantages, deviations);
}

/**
 * R minus the mean of the group's other completions, R = clip(Σ w r) − β Σ log π_old/π_ref (Ahmadian et al., "Back to
 * Basics", 2024).
 *
 * @throws UserError if the table does not fit the options, or divergences are missing.
 */
export function leaveOneOutAdvantages(table: RewardTable, options: LeaveOneOutOptions): Advantages {
  const { numGenerations, beta = 0, divergences, rewardClipRange, normalizeAdvantages } = options;
  const [low, high] = rewardClipRange ?? [-Infinity, Infinity];
  const rewards = weightedRewards(table, options);
  if (beta !== 0 && divergences?.length !== rewards.length) {
    throw new UserError(
      `beta is ${beta}, so rewards contain the divergence from the reference, of which ${
        divergences?.length ?? "none"
      } were given for ${rewards.length} completions. Give Σ log π_old/π_ref of each completion, or set beta to 0.`,
    );
  }
  const kept = rewards.map((r, i) =>
    Math.min(Math.max(r, low), high) - (beta === 0 ? 0 : beta * divergences![i]!)
  );
  const raw = byGroup(kept, numGenerations, (group) => {
    const [sum, size] = [sumOf(group), group.filter(applies).length];
    return group.map((r) => numGenerations === 1 ? 0 : r - (sum - r) / (size - 1));
  });
  const advantages = normalizeAdvantages ? normalized(raw) : raw;
  const found = result(rewards, advantages, groupDeviations(kept, numGenerations));
  if (beta === 0 || options.tokens === undefined) return found;
  const kl = sumOf(Array.from(divergences!)) / Math.max(options.tokens, 1);
  return { ...found, metrics: { ...found.metrics, kl } };
}

/**
 * `rewards/<name>/mean` and `…/std` over the completions that a function applies to; NaN without such.
 *
 * @param names Of the functions, K.
 */
export function rewardMetrics(
  table: RewardTable,
  names: readonly string[],
): Readonly<Record<string, number>> {
  return Object.fromEntries(names.flatMap((name, k) => {
    const column = table.map((row) => row[k]!);
    return [
      [`rewards/${name}/mean`, meanOf(column)],
      [`rewards/${name}/std`, deviationOf(column)],
    ];
  }));
}

/** Scores less a penalty for completions that do not end: ones without an end-of-sequence token. */
export function penalizeMissingEos(
  scores: readonly number[],
  hasEos: readonly boolean[],
  penalty: number,
): readonly number[] {
  return scores.map((score, i) => hasEos[i] ? score : score - penalty);
}

interface Estimate {
  readonly advantages: readonly number[];
  /** The standard deviation that each completion was compared by. */
  readonly deviations: readonly number[];
}

function sumThenNormalize(
  _table: RewardTable,
  rewards: readonly number[],
  { numGenerations, scaleRewards = "group" }: GroupAdvantageOptions,
): Estimate {
  const ofGroup = () => groupDeviations(rewards, numGenerations);
  const ofBatch = () => rewards.map(() => spread(rewards));
  const deviations = variantOf(
    { group: ofGroup, batch: ofBatch, none: ofGroup },
    scaleRewards,
    "scale_rewards",
  )();
  const centred = byGroup(rewards, numGenerations, centre);
  const advantages = scaleRewards === "none"
    ? centred
    : centred.map((x, i) => x / (deviations[i]! + epsilon));
  return { advantages, deviations };
}

function normalizeThenSum(
  table: RewardTable,
  _rewards: readonly number[],
  options: GroupAdvantageOptions,
): Estimate {
  const columns = (table[0] ?? []).map((_, k) =>
    byGroup(table.map((row) => row[k]!), options.numGenerations, normalized)
  );
  const scored = table.map((row, i) =>
    // A function that applies to one completion of a group only cannot compare it: it adds nothing.
    row.map((reward, k) => Number.isNaN(columns[k]![i]!) && applies(reward) ? 0 : columns[k]![i]!)
  );
  const rewards = weightedRewards(scored, options);
  return { advantages: normalized(rewards), deviations: rewards.map(() => spread(rewards)) };
}

function result(
  rewards: readonly number[],
  advantages: readonly number[],
  deviations: readonly number[],
): Advantages {
  const alike = deviations.filter((deviation) => Math.abs(deviation) <= 1e-8).length;
  return {
    advantages: advantages.map((x) => applies(x) ? x : 0),
    rewards,
    metrics: {
      reward: meanOf(rewards),
      reward_std: deviationOf(rewards),
      frac_reward_zero_std: alike / deviations.length,
    },
  };
}

/**
 * Σ w r of each row over the functions that apply; NaN where none does.
 *
 * @throws UserError if the table does not fit the options.
 */
export function weightedRewards(table: RewardTable, options: RewardOptions): readonly number[] {
  const { numGenerations, rewardWeights } = options;
  if (!(numGenerations >= 1) || table.length % numGenerations !== 0) {
    throw new UserError(
      `There are ${table.length} completions, which are not whole groups of num_generations = ${numGenerations}.`,
    );
  }
  return table.map((row) => {
    if (rewardWeights && rewardWeights.length !== row.length) {
      throw new UserError(
        `reward_weights has ${rewardWeights.length} numbers for ${row.length} reward functions. Give one for each.`,
      );
    }
    return row.some(applies) ? sumOf(row.map((r, k) => r * (rewardWeights?.[k] ?? 1))) : NaN;
  });
}

function byGroup(
  values: readonly number[],
  size: number,
  f: (group: readonly number[]) => readonly number[],
): readonly number[] {
  const groups = Array.from({ length: values.length / size }, (_, g) => g * size);
  return groups.flatMap((start) => f(values.slice(start, start + size)));
}

function groupDeviations(rewards: readonly number[], size: number): readonly number[] {
  return byGroup(rewards, size, (group) => group.map(() => spread(group)));
}

function centre(values: readonly number[]): readonly number[] {
  const mean = meanOf(values);
  return values.map((x) => x - mean);
}

function normalized(values: readonly number[]): readonly number[] {
  const deviation = spread(values);
  return centre(values).map((x) => x / (deviation + epsilon));
}

/** The standard deviation; 0 of a list of one, where the question does not arise. */
function spread(values: readonly number[]): number {
  return values.length === 1 ? 0 : deviationOf(values);
}

function applies(x: number): boolean {
  return !Number.isNaN(x);
}

function sumOf(values: readonly number[]): number {
  return values.filter(applies).reduce((sum, x) => sum + x, 0);
}

function meanOf(values: readonly number[]): number {
  return sumOf(values) / values.filter(applies).length;
}

/** Standard deviation by n − 1 of the numbers that apply; NaN of fewer than two. */
function deviationOf(values: readonly number[]): number {
  const kept = values.filter(applies);
  const mean = meanOf(kept);
  const squares = kept.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  return kept.length < 2 ? NaN : Math.sqrt(squares / (kept.length - 1));
}
