/** Rollouts of several answers to each prompt, which are compared with each other: GRPO's and RLOO's. @module */

import type { DecoderParams } from "../../nn/mod.ts";
import type { Advantages, RewardTable } from "../../rl/mod.ts";
import type { Answered, Answering } from "./answers.ts";
import type { ReferenceScorer } from "../tasks/online.ts";
import { rolloutBatch, scoreGeneration } from "./rollout_batch.ts";
import type { Generation, Rollout, RolloutContext, RolloutStage, Sample } from "./rollout.ts";
import type { TokenScorer } from "../tasks/token_scores.ts";

/** How a generation is cut and used, as TRL's flags of the same names say. */
export interface GroupPlan {
  /** Answers of a micro-batch. */
  readonly batchSize: number;
  /** Answers to each prompt. */
  readonly numGenerations: number;
  /** Micro-batches that a generation is cut into. */
  readonly stepsPerGeneration: number;
  /** How often each of them is learned from. */
  readonly numIterations: number;
  /** Micro-batches of an optimiser step. */
  readonly gradientAccumulationSteps: number;
  /** Whether prompts come in random order. */
  readonly shuffle: boolean;
}

/** What advantages are made of. */
export interface JudgedGroups {
  /** Rewards of the answers by each function. */
  readonly table: RewardTable;
  /** Weights of the functions. */
  readonly weights: readonly number[];
  /** Σ log π_old/π_ref of each answer, if there is a reference. */
  readonly divergences: readonly number[] | undefined;
  /** Tokens of the answers that count. */
  readonly tokens: number;
}

/** Settings of {@link groupRollout}. */
export interface GroupRolloutOptions {
  /** Answers and judges. */
  readonly answer: Answering;
  /** How a generation is cut. */
  readonly plan: GroupPlan;
  /** Log-probs of answers. */
  readonly score: TokenScorer;
  /** Log-probs under the reference, if the policy is compared with any. */
  readonly reference: ReferenceScorer | undefined;
  /** Whether advantages contain the divergence from the reference. */
  readonly divergenceInReward: boolean;
  /** Whether answers that were cut off count for nothing. */
  readonly maskTruncated: boolean;
  /** The estimator. */
  readonly advantages: (groups: JudgedGroups) => Advantages;
  /** What a micro-batch counts for in its window: its answers, or its share of the generation's tokens. */
  readonly items: "answers" | "tokens";
}

/**
 * Whether the policy may have changed between sampling and learning, so that its log-probs have to be kept: not if one
 * optimiser step uses up whole generations.
 */
export function learnsFromOldAnswers(plan: GroupPlan): boolean {
  return plan.gradientAccumulationSteps % (plan.stepsPerGeneration * plan.numIterations) !== 0;
}

/**
 * Samples groups and cuts them into micro-batches. Unlike TRL, which shuffles the answers of a generation first, groups
 * stay together wherever a micro-batch holds whole ones, so that their prompt is computed once in training too.
 */
export function groupRollout(options: GroupRolloutOptions): RolloutStage<DecoderParams> {
  const { plan, answer } = options;
  const size = plan.batchSize * plan.stepsPerGeneration;
  const slice = (count: number, index: number) => {
    const first = (index % plan.stepsPerGeneration) * plan.batchSize;
    const length = Math.max(0, Math.min(plan.batchSize, count - first));
    return Array.from({ length }, (_, i) => first + i);
  };
  return {
    prompts: size / plan.numGenerations,
    microBatches: plan.stepsPerGeneration * plan.numIterations,
    shuffle: plan.shuffle,
    generate: async (rows, context) => {
      const answered = await answer(rows, context, plan.numGenerations);
      return await withAdvantages(answered, context, options);
    },
    batch: (generation, index) => {
      const numbers = slice(generation.samples.length, index);
      return rolloutBatch(generation, numbers, {
        items: options.items === "answers"
          ? numbers.length
          : countedTokens(generation.samples) / plan.stepsPerGeneration,
      });
    },
  };
}

async function withAdvantages(
  answered: Answered,
  { params, taskState }: RolloutContext<DecoderParams>,
  options: GroupRolloutOptions,
): Promise<Rollout> {
  const { prompts, answers, scores } = answered;
  const plain = answers.map(({ prompt, ids, ended, logProbs }): Sample => ({
    prompt,
    ids,
    values: { counts: options.maskTruncated && !ended ? 0 : 1 },
    tokenValues: { ...(logProbs && { samplingLogProbs: logProbs }) },
  }));
  const generation: Generation = { prompts, samples: plain };
  const hasLogProbs = plain.some(({ tokenValues }) => "samplingLogProbs" in tokenValues);
  const keepsOld = learnsFromOldAnswers(options.plan) || hasLogProbs;
  const scored = (score: TokenScorer, p: DecoderParams) =>
    scoreGeneration(generation, options.plan.batchSize, (batch, count) => score(p, batch, count));
  const old = keepsOld || options.divergenceInReward
    ? await scored(options.score, params)
    : undefined;
  const reference = options.reference &&
    await scored(options.reference.score, options.reference.params(taskState));

  const found = options.advantages({
    table: scores.table,
    weights: scores.weights,
    divergences: old && reference &&
      old.map((row, i) => plain[i]!.values["counts"]! * logRatio(row, reference[i]!)),
    tokens: countedTokens(plain),
  });
  const samples = plain.map((sample, i): Sample => ({
    ...sample,
    values: { ...sample.values, advantages: found.advantages[i]! },
    tokenValues: {
      ...sample.tokenValues,
      ...(keepsOld && old ? { oldLogProbs: Array.from(old[i]!) } : {}),
      ...(reference ? { refLogProbs: Array.from(reference[i]!) } : {}),
    },
  }));
  return {
    generation: { prompts, samples },
    metrics: { ...answered.metrics, ...found.metrics },
    tokens: answered.tokens,
    notices: answered.notices,
    table: { ...answered.table, advantage: found.advantages },
  };
}

function logRatio(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, x, t) => sum + x - b[t]!, 0);
}

/** Tokens of answers that are not left out. */
function countedTokens(samples: readonly Sample[]): number {
  return samples.reduce((sum, { ids, values }) => sum + ids.length * values["counts"]!, 0);
}
