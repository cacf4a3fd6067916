/** Rollouts of one answer to each prompt, with the advantage of every token: PPO's. @module */

import { mersenneTwister, randomPermutation } from "../../data/batches/mersenne_twister.ts";
import type { DecoderParams } from "../../nn/mod.ts";
import {
  adaptiveKlCoef,
  gae,
  type KlControllerOptions,
  type KlEstimator,
  klRewards,
  weightedRewards,
  whiten,
} from "../../rl/mod.ts";
import type { Answer, Answered, Answering } from "./answers.ts";
import type { ReferenceScorer } from "../tasks/online.ts";
import type { ScoredAnswer, ValueScorer } from "../tasks/ppo_values.ts";
import { rolloutBatch, scoreGeneration } from "./rollout_batch.ts";
import type { Generation, Rollout, RolloutContext, RolloutStage, Sample } from "./rollout.ts";

/** How a generation is cut and used, as TRL's flags of the same names say. */
export interface PpoPlan {
  /** Answers of a micro-batch. */
  readonly batchSize: number;
  /** Micro-batches of an optimiser step. */
  readonly gradientAccumulationSteps: number;
  /** Optimiser steps that use a generation once. */
  readonly numMiniBatches: number;
  /** How often a generation is used, in another order each time. */
  readonly numPpoEpochs: number;
  /** Answers that are scored at once, without a gradient. */
  readonly scoringBatchSize: number;
  /** Whether prompts come in random order. */
  readonly shuffle: boolean;
  /** Seed of the orders in which answers are learned from. */
  readonly seed: number;
  /** Whether to count the answers in `episode` and, by time, `eps`. */
  readonly countEpisodes: boolean;
}

/** From scores of answers to advantages of tokens. */
export interface PpoRewardOptions {
  /** Weight of the divergence from the reference in the reward, in the beginning. */
  readonly klCoef: number;
  /** How the divergence of a token is estimated. */
  readonly klEstimator: KlEstimator;
  /** Lets the weight follow the divergence; it stays as it is by default. */
  readonly adaptiveKl?: KlControllerOptions | undefined;
  /** Whether rewards of tokens are scaled to unit variance. */
  readonly whitenRewards: boolean;
  /** What an answer without end token loses; nothing by default. */
  readonly missingEosPenalty?: number | undefined;
  /** Discount of a token. */
  readonly gamma: number;
  /** λ of the advantages. */
  readonly lam: number;
}

/** Settings of {@link ppoRollout}. */
export interface PpoRolloutOptions {
  /** Answers and judges. */
  readonly answer: Answering;
  /** How a generation is cut. */
  readonly plan: PpoPlan;
  /** How rewards are made. */
  readonly rewards: PpoRewardOptions;
  /** Log-probs and values of answers. */
  readonly score: ValueScorer;
  /** Log-probs under the reference. */
  readonly reference: ReferenceScorer;
  /** Tokens that end an answer, for the penalty and for `val/num_eos_tokens`. */
  readonly endTokenIds: readonly number[];
}

/** Prompts of a generation, each with one answer. */
export function ppoPrompts(plan: PpoPlan): number {
  return plan.batchSize * plan.gradientAccumulationSteps * plan.numMiniBatches;
}

/** Samples answers, values their tokens, and cuts each of several shuffled passes into micro-batches. */
export function ppoRollout(options: PpoRolloutOptions): RolloutStage<DecoderParams> {
  const { plan, answer } = options;
  const perEpoch = plan.gradientAccumulationSteps * plan.numMiniBatches;
  const episodes = episodeCounter(plan);
  return {
    prompts: ppoPrompts(plan),
    microBatches: plan.numPpoEpochs * perEpoch,
    shuffle: plan.shuffle,
    generate: async (rows, context) => {
      const counted = episodes(context.number);
      const rollout = await withTokenAdvantages(await answer(rows, context, 1), context, options);
      return { ...rollout, metrics: { ...rollout.metrics, ...counted() } };
    },
    batch: (generation, index) => {
      const order = orderOf(generation, Math.floor(index / perEpoch), plan.seed);
      const first = (index % perEpoch) * plan.batchSize;
      return rolloutBatch(generation, order.slice(first, first + plan.batchSize));
    },
  };
}

/** The order in which an epoch of a generation learns from its answers. */
function orderOf({ samples, carried }: Generation, epoch: number, seed: number): number[] {
  const number = carried?.["generations"] ?? 0;
  const mixed = seed + Math.imul(number, 0x9e3779b9) + Math.imul(epoch, 0x85ebca6b);
  return Array.from(randomPermutation(samples.length, mersenneTwister(mixed >>> 0)));
}

/** `episode`, the answers of the run so far, and `eps`, answers per second since this process began to sample. */
function episodeCounter(plan: PpoPlan): (number: number) => () => Readonly<Record<string, number>> {
  if (!plan.countEpisodes) return () => () => ({});
  const size = ppoPrompts(plan);
  let first: { readonly number: number; readonly time: number } | undefined;
  return (number) => {
    const begun = first ??= { number, time: performance.now() };
    return () => {
      const seconds = (performance.now() - begun.time) / 1000;
      return { episode: (number + 1) * size, eps: (number + 1 - begun.number) * size / seconds };
    };
  };
}

async function withTokenAdvantages(
  answered: Answered,
  context: RolloutContext<DecoderParams>,
  options: PpoRolloutOptions,
): Promise<Rollout> {
  const { prompts, answers } = answered;
  const { klCoef: initial, adaptiveKl } = options.rewards;
  const plain = answers.map(({ prompt, ids }): Sample => ({
    prompt,
    ids,
    values: {},
    tokenValues: {},
  }));
  const { scored, refLogProbs } = await scoreAnswers({ prompts, samples: plain }, context, options);
  const klCoef = context.carried["klCoef"] ?? initial;
  const found = tokenAdvantages(answered, scored, refLogProbs, klCoef, options);
  const samples = plain.map((sample, i): Sample => ({
    ...sample,
    tokenValues: {
      oldLogProbs: Array.from(scored[i]!.logProbs),
      oldValues: Array.from(scored[i]!.values),
      advantages: found.advantages[i]!,
      returns: found.returns[i]!,
    },
  }));
  const next = adaptiveKl
    ? adaptiveKlCoef(klCoef, found.divergence, answers.length, adaptiveKl)
    : klCoef;
  return {
    generation: { prompts, samples, carried: { generations: context.number + 1, klCoef: next } },
    metrics: { ...answered.metrics, ...found.metrics },
    tokens: answered.tokens,
    notices: answered.notices,
    table: {
      ...answered.table,
      score: found.scores,
      advantage: found.advantages.map(meanOf),
    },
  };
}

/** Log-probs and values under the policy, log-probs under the reference. */
async function scoreAnswers(
  generation: Generation,
  { params, taskState }: RolloutContext<DecoderParams>,
  { plan, score, reference }: PpoRolloutOptions,
): Promise<
  { readonly scored: readonly ScoredAnswer[]; readonly refLogProbs: readonly Float32Array[] }
> {
  const { scoringBatchSize } = plan;
  const other = reference.params(taskState);
  return {
    scored: await scoreGeneration(
      generation,
      scoringBatchSize,
      (batch, count) => score(params, batch, count),
    ),
    refLogProbs: await scoreGeneration(
      generation,
      scoringBatchSize,
      (batch, count) => reference.score(other, batch, count),
    ),
  };
}

interface TokenAdvantages {
  readonly scores: readonly number[];
  readonly advantages: readonly number[][];
  readonly returns: readonly number[][];
  /** Mean over the answers. */
  readonly divergence: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/**
 * Unlike in TRL, where most answers have one step more than tokens, the score is the reward of the last token, as in
 * Ouyang et al. and in TRL up to 0.11.
 */
function tokenAdvantages(
  { answers, scores: judged }: Answered,
  scored: readonly ScoredAnswer[],
  refLogProbs: readonly Float32Array[],
  klCoef: number,
  { rewards: options, endTokenIds }: PpoRolloutOptions,
): TokenAdvantages {
  const { klEstimator, whitenRewards, missingEosPenalty = 0, gamma, lam } = options;
  const judgements = weightedRewards(judged.table, {
    numGenerations: 1,
    rewardWeights: judged.weights,
  });
  const ends = answers.map(({ ids }) => countOf(ids, endTokenIds));
  const scores = judgements.map((reward, i) =>
    // An answer to which no reward function applies is neither good nor bad.
    (Number.isNaN(reward) ? 0 : reward) - (ends[i] === 0 ? missingEosPenalty : 0)
  );
  const logProbs = scored.map((answer) => answer.logProbs);
  const values = scored.map((answer) => answer.values);
  const { rewards, metrics } = klRewards({ logProbs, refLogProbs, scores }, {
    klCoef,
    klEstimator,
  });
  const scaled = whitenRewards ? whiten(rewards, { shiftMean: false }) : rewards;
  const { advantages, returns } = gae(scaled, values, { gamma, lam });
  return {
    scores,
    advantages: whiten(advantages),
    returns,
    divergence: metrics["objective/kl"]!,
    metrics: {
      reward: meanOf(judgements.filter((reward) => !Number.isNaN(reward))),
      ...metrics,
      "objective/kl_coef": klCoef,
      "val/num_eos_tokens": ends.reduce((sum, count) => sum + count, 0),
    },
  };
}

function countOf(ids: Answer["ids"], wanted: readonly number[]): number {
  return ids.filter((id) => wanted.includes(id)).length;
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, x) => sum + x, 0) / values.length;
}
