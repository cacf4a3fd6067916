/** Rollouts of two answers to each prompt, of which the better is preferred: Online DPO's, Nash-MD's and XPO's. @module */

import type { DecoderParams } from "../../nn/mod.ts";
import { penalizeMissingEos, type TokenLogProbs, weightedRewards } from "../../rl/mod.ts";
import {
  type Answer,
  type Answered,
  answering,
  type AnsweringOptions,
  type AnswerSampler,
  type GenerationSampler,
} from "./answers.ts";
import {
  type OnlineReference,
  onlineScorers,
  onlineTables,
  type OnlineTaskOptions,
  scoreRollout,
} from "../tasks/online.ts";
import { rolloutBatch, type RolloutInputs, scoreGeneration } from "./rollout_batch.ts";
import type { Rollout, RolloutContext, RolloutPrompt, Sample } from "./rollout.ts";
import type { ObjectiveContext, OnlineTask, TaskObjective } from "../loop/task.ts";

/** A number for each epoch; the last one counts from then on. */
export type PerEpoch = readonly number[];

/** What the tasks that prefer one of two answers are told. */
export interface PreferenceSettings extends Omit<OnlineTaskOptions, "reference"> {
  /** The reference model: one that stays. */
  readonly reference: Extract<OnlineReference, { readonly kind: "fixed" }>;
  /** Prompts of a micro-batch; answers are sampled anew for each. */
  readonly batchSize: number;
  /** Strength of the pull to the reference; 0.1 by default. */
  readonly beta?: PerEpoch;
  /** What an answer loses that does not end; nothing by default. */
  readonly missingEosPenalty?: number | undefined;
}

/** The tokens that are learned from, with a number for each of the answers, f32 [B] or [2B]. */
export interface PreferenceTokens {
  /** Log-probs under the policy and the reference. */
  readonly tokens: TokenLogProbs & Required<Pick<TokenLogProbs, "refLogProbs">>;
  /** What the answers are worth; where only first answers are learned from, `opponentScore` is that of the others. */
  readonly values: RolloutInputs["values"];
}

/** Settings of {@link preferenceTask}. */
export interface PreferenceTaskOptions extends PreferenceSettings {
  /** Samples both answers; the policy by default. */
  readonly sample?: GenerationSampler;
  /** Whether both answers are learned from (all first ones, then all second ones), or the first only. */
  readonly learned: "both" | "first";
  /** Coefficients beside `beta`, by TRL's names; `values` has them too. */
  readonly coefficients?: Readonly<Record<string, PerEpoch>>;
  /** Who gives the first and the second answers, for people, where they are two. */
  readonly answerers?: readonly [first: string, second: string];
  /** The most tokens of prompt and answer that log-probs are computed of: the prompt's first ones are cut off. */
  readonly maxLength?: number | undefined;
  /** The loss. */
  readonly objective: (batch: PreferenceTokens, context: ObjectiveContext) => TaskObjective;
}

/** A task that samples two answers to each prompt and learns which of them is better. */
export function preferenceTask(options: PreferenceTaskOptions): OnlineTask<DecoderParams> {
  const { answering: settings, batchSize } = options;
  // As in TRL, log-probs are those of the model, whatever the temperature of sampling.
  const scored: OnlineTaskOptions = {
    ...options,
    answering: { ...settings, sampling: { ...settings.sampling, temperature: 1 } },
  };
  const rotary = onlineTables(settings);
  const { reference } = onlineScorers(scored);
  const answer = answering(settings, options.sample);
  const perPrompt = options.learned === "both" ? 2 : 1;
  return {
    examples: settings.examples.length,
    lengths: settings.examples.map(({ promptIds }) => promptIds.length),
    normalize: "batch",
    rollout: {
      prompts: batchSize,
      microBatches: 1,
      shuffle: true,
      generate: async (rows, context) => {
        const answered = await answer(rows, context, 2);
        const { generation, ...rollout } = judged(answered, context, options);
        const logProbs = await scoreGeneration(
          generation,
          perPrompt * batchSize,
          (batch, count) => reference!.score(options.reference.params, batch, count),
        );
        const samples = generation.samples.map((sample, i) => ({
          ...sample,
          tokenValues: { refLogProbs: Array.from(logProbs[i]!) },
        }));
        return { ...rollout, generation: { ...generation, samples } };
      },
      batch: (generation) => {
        const { prompts, samples } = generation;
        const numbers = Array.from(
          { length: perPrompt },
          (_, k) => Array.from(prompts, (_, p) => perPrompt * p + k),
        );
        if (numbers.flat().length !== samples.length) {
          throw new Error(`${samples.length} answers to ${prompts.length} prompts`);
        }
        return rolloutBatch(generation, numbers.flat(), {
          items: prompts.length,
          ...(options.learned === "both" ? { pairs: prompts.length } : {}),
        });
      },
    },
    objective: (params: DecoderParams, inputs: RolloutInputs, context: ObjectiveContext) => {
      const tokens = scoreRollout(params, inputs, rotary, scored, context);
      const refLogProbs = inputs.tokenValues["refLogProbs"]!;
      return options.objective(
        { tokens: { ...tokens, refLogProbs }, values: inputs.values },
        context,
      );
    },
  };
}

/** The answers with what they are worth; those of a prompt stand together. */
function judged(
  answered: Answered,
  { progress }: RolloutContext<DecoderParams>,
  options: PreferenceTaskOptions,
): Rollout {
  const { answers, scores: { table, weights } } = answered;
  const { beta = [0.1], answerers, missingEosPenalty = 0 } = options;
  const scores = penalizeMissingEos(
    // As in TRL, an answer that no reward applies to is worth 0.
    weightedRewards(table, { numGenerations: 2, rewardWeights: weights })
      .map((reward) => Number.isNaN(reward) ? 0 : reward),
    answers.map(({ ids }) => hasEnd(ids, options.answering)),
    missingEosPenalty,
  );
  const coefficients = Object.fromEntries(
    Object.entries({ ...options.coefficients, beta }).map((
      [name, list],
    ) => [name, atEpoch(list, progress.epoch)]),
  );
  const all = answers.map(({ prompt, ids }, i): Sample => ({
    prompt,
    ids,
    values: {
      score: scores[i]!,
      ...(options.learned === "both" ? {} : { opponentScore: scores[i + 1] ?? NaN }),
      ...coefficients,
    },
    tokenValues: {},
  }));
  const samples = options.learned === "both" ? all : all.filter((_, i) => i % 2 === 0);
  return {
    generation: { prompts: cutPrompts(answered.prompts, samples, options.maxLength), samples },
    metrics: { ...answered.metrics, ...endingMetrics(answers, options), ...coefficients },
    tokens: answered.tokens,
    notices: answered.notices,
    table: {
      ...answered.table,
      ...(answerers ? { by: answers.map((_, i) => answerers[i % 2]!) } : {}),
      score: scores,
    },
  };
}

/** A list's number for an epoch. */
export function atEpoch(list: PerEpoch, epoch: number): number {
  return list[Math.min(Math.floor(epoch), list.length - 1)]!;
}

/** Prompts without the first tokens that make them too long; one token stays, which predicts the answer's first. */
function cutPrompts(
  prompts: readonly RolloutPrompt[],
  samples: readonly Sample[],
  maxLength: number | undefined,
): readonly RolloutPrompt[] {
  if (maxLength === undefined) return prompts;
  return prompts.map(({ row, ids }, number) => {
    const longest = samples.reduce(
      (most, { prompt, ids }) => prompt === number ? Math.max(most, ids.length) : most,
      0,
    );
    return { row, ids: ids.slice(-Math.max(1, maxLength - longest)) };
  });
}

/** `val/…contain_eos_token`: the share of answers with the token that ends them. */
function endingMetrics(
  answers: readonly Answer[],
  { answerers, answering }: Pick<PreferenceTaskOptions, "answerers" | "answering">,
): Readonly<Record<string, number>> {
  const share = (some: readonly Answer[]) =>
    some.filter(({ ids }) => hasEnd(ids, answering)).length / some.length;
  if (!answerers) return { "val/contain_eos_token": share(answers) };
  return {
    "val/model_contain_eos_token": share(answers.filter((_, i) => i % 2 === 0)),
    "val/ref_contain_eos_token": share(answers.filter((_, i) => i % 2 === 1)),
  };
}

/** Whether an answer has its end-of-sequence token; unlike in GRPO, padding is none. */
function hasEnd(
  ids: readonly number[],
  { eosTokenIds }: Pick<AnsweringOptions, "eosTokenIds">,
): boolean {
  const last = ids.at(-1);
  return last !== undefined && eosTokenIds.includes(last);
}

/** A sampler of two answers to each prompt: the policy's, and another's. */
export function withOpponent(
  policy: AnswerSampler,
  opponent: GenerationSampler,
): GenerationSampler {
  return async (context, prompts) => {
    const own = await policy(context.params, prompts, 1, context);
    const others = await opponent(context, prompts, 1);
    return own.flatMap((answer, i) => [answer, others[i]!]);
  };
}

/** The seed of the other answers, so that equal models do not give equal answers; evaluation's is one more than training's. */
export function opponentSeed({ seed }: Pick<AnsweringOptions, "seed">): number {
  return seed + 2;
}
