/** Answers to prompts, sampled by the policy or given from elsewhere, and what rewards make of them. @module */

import { UserError } from "../../core/mod.ts";
import type { PromptExample } from "../../data/prepare/prepare_prompts.ts";
import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";
import {
  type CausalModel,
  type DecoderParams,
  type GenerateOptions,
  type Generator,
  generator,
  type SamplingOptions,
  type StopCriterion,
} from "../../nn/mod.ts";
import {
  type NamedReward,
  rewardMetrics,
  type RewardScores,
  type RewardText,
  runRewards,
} from "../../rl/mod.ts";
import { lengthMetrics } from "./answer_metrics.ts";
import { unlessAborted } from "../loop/stopping.ts";
import { rewardNotices } from "./reward_notices.ts";
import type {
  AnswerColumns,
  GivenAnswer,
  RolloutContext,
  RolloutFunction,
  RolloutPrompt,
  RolloutRequest,
} from "./rollout.ts";

/** An answer to a prompt. */
export interface Answer {
  /** The number of its prompt among those of the call. */
  readonly prompt: number;
  /** Token ids, with the token that ended it. */
  readonly ids: readonly number[];
  /** Whether it ended by itself, and was not cut off. */
  readonly ended: boolean;
  /** Log-probs under a sampler that may not be the policy, where one reports them. */
  readonly logProbs?: readonly number[] | undefined;
}

/** Answers, n to each prompt, with their rewards. */
export interface Answered {
  /** The prompts. */
  readonly prompts: readonly RolloutPrompt[];
  /** Their answers; those of a prompt stand together. */
  readonly answers: readonly Answer[];
  /** What the reward functions say. */
  readonly scores: RewardScores;
  /** `completions/…`, `rewards/…` and what reward functions logged. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Tokens of prompts and answers, prompts counted for each of their answers. */
  readonly tokens: number;
  /** Prompts and answers as texts, and rewards. */
  readonly table: AnswerColumns;
  /** What the user should know. */
  readonly notices: readonly string[];
}

/** Settings of {@link answering}. */
export interface AnsweringOptions {
  /** The model. */
  readonly model: CausalModel;
  /** Its tokenizer. */
  readonly tokenizer: Tokenizer;
  /** The prompts. */
  readonly examples: readonly PromptExample[];
  /** What judges answers; may be empty where they are given with their rewards. */
  readonly rewards: readonly NamedReward[];
  /** Weights of the functions, in place of their own. */
  readonly rewardWeights?: readonly number[] | undefined;
  /** How tokens are drawn. */
  readonly sampling: SamplingOptions;
  /** What ends an answer beside tokens. */
  readonly stop?: StopCriterion;
  /** The most tokens of an answer; `sampling.maxNewTokens` may be fewer. */
  readonly maxCompletionLength: number;
  /** Tokens that end an answer. */
  readonly eosTokenIds: readonly number[];
  /** Seed of the sampling. */
  readonly seed: number;
}

/** Answers rows by their numbers, `completions` times each. */
export type Answering = (
  rows: readonly number[],
  context: RolloutContext<DecoderParams>,
  completions: number,
) => Promise<Answered>;

/** Samples answers to the prompts of a generation; those of a prompt stand together. */
export type GenerationSampler = (
  context: RolloutContext<DecoderParams>,
  prompts: readonly PromptExample[],
  completions: number,
) => Promise<readonly Answer[]>;

/**
 * Makes what answers and judges; the sampler compiles when it is first needed.
 *
 * @param sample Who answers; the policy by default.
 */
export function answering(
  options: AnsweringOptions,
  sample: GenerationSampler = ofPolicy(answerSampler(options)),
): Answering {
  const notices = rewardNotices(options.rewards);
  const sampled = async (
    examples: readonly PromptExample[],
    context: RolloutContext<DecoderParams>,
    completions: number,
  ): Promise<Judged> => {
    const answers = await sample(context, examples, completions);
    const scores = scoreAnswers(examples, answers, context, options);
    return { answers, scores: await unlessAborted(context.signal, scores) };
  };
  return async (rows, context, completions) => {
    const examples = rows.map((row) => options.examples[row]!);
    const { rollout, number: generation, signal } = context;
    const { answers, scores } = rollout
      ? await unlessAborted(
        signal,
        givenBy(rollout, examples, { completions, generation, ...options }),
      )
      : await sampled(examples, context, completions);
    return {
      ...describeAnswers(examples, answers, scores, options),
      notices: notices(scores, context.number),
    };
  };
}

interface Judged {
  readonly answers: readonly Answer[];
  readonly scores: RewardScores;
}

function ofPolicy(sample: AnswerSampler): GenerationSampler {
  return (context, prompts, completions) => sample(context.params, prompts, completions, context);
}

/** Samples answers to prompts; the same seed and number give the same ones. `P` is the tree of parameters. */
export type AnswerSampler<P = DecoderParams> = (
  params: P,
  prompts: readonly Pick<PromptExample, "promptIds">[],
  completions: number,
  context: Pick<RolloutContext<unknown>, "number" | "signal">,
) => Promise<readonly Answer[]>;

/** The policy as a sampler. */
export function answerSampler(
  options: Omit<AnsweringOptions, "rewards" | "examples">,
): AnswerSampler {
  return samplerWith(generator(options.model, generateOptionsOf(options)), options.seed);
}

/** How answers are generated. */
export function generateOptionsOf(
  { sampling, stop, maxCompletionLength, eosTokenIds }: Omit<
    AnsweringOptions,
    "rewards" | "examples"
  >,
): GenerateOptions {
  return {
    ...sampling,
    doSample: true,
    maxNewTokens: sampling.maxNewTokens ?? maxCompletionLength,
    eosTokenIds,
    ...(stop ? { stop } : {}),
  };
}

/** A generator as a sampler; an aborted signal ends it where tokens are looked at next. */
export function samplerWith<P>(generate: Generator<P>, seed: number): AnswerSampler<P> {
  return async (params, prompts, completions, { number, signal }) => {
    const answers = Array.from(
      { length: prompts.length * completions },
      (_, i) => ({ prompt: Math.floor(i / completions), ids: new Array<number>(), ended: false }),
    );
    const ids = prompts.map(({ promptIds }) => promptIds);
    const call = { completions, seed: seedOf(seed, number) };
    for await (const { sequence, tokens, finished } of generate.stream(params, ids, call)) {
      signal?.throwIfAborted();
      const answer = answers[sequence]!;
      answer.ids.push(...tokens);
      answer.ended = finished === "eos" || finished === "stop";
    }
    return answers;
  };
}

/** Has answers judged by the reward functions. */
export async function scoreAnswers(
  examples: readonly PromptExample[],
  answers: readonly Answer[],
  { progress }: Pick<RolloutContext<DecoderParams>, "progress">,
  options: Pick<AnsweringOptions, "tokenizer" | "rewards">,
): Promise<RewardScores> {
  const of = answers.map(({ prompt }) => examples[prompt]!);
  const columns = Object.keys(examples[0]?.columns ?? {});
  return await runRewards(options.rewards, {
    prompts: of.map(({ prompt }) => prompt),
    completions: answers.map(({ ids }, i) => asCompletion(textOf(ids, options), of[i]!)),
    completionIds: answers.map(({ ids }) => ids),
    columns: Object.fromEntries(columns.map((name) => [name, of.map((e) => e.columns[name])])),
    trainerState: {
      global_step: progress.step,
      max_steps: progress.totalSteps,
      epoch: progress.epoch,
    },
  });
}

function describeAnswers(
  examples: readonly PromptExample[],
  answers: readonly Answer[],
  scores: RewardScores,
  options: Pick<AnsweringOptions, "tokenizer" | "rewardWeights">,
): Omit<Answered, "notices"> {
  return {
    prompts: examples.map(({ row, promptIds }) => ({ row, ids: promptIds })),
    answers,
    scores: { ...scores, weights: options.rewardWeights ?? scores.weights },
    metrics: {
      ...lengthMetrics(answers),
      ...rewardMetrics(scores.table, scores.names),
      ...scores.metrics,
    },
    tokens: answers.reduce(
      (sum, { prompt, ids }) => sum + examples[prompt]!.promptIds.length + ids.length,
      0,
    ),
    table: {
      prompt: answers.map(({ prompt }) => textOf(examples[prompt]!.promptIds, options)),
      completion: answers.map(({ ids }) => textOf(ids, options)),
      ...Object.fromEntries(scores.names.map((name, k) => [name, scores.table.map((r) => r[k]!)])),
      ...scores.extras,
    },
  };
}

function textOf(
  ids: readonly number[],
  { tokenizer }: Pick<AnsweringOptions, "tokenizer">,
): string {
  return tokenizer.decode(ids, { skipSpecialTokens: true });
}

/** A text, or a message where the prompt is a conversation. */
function asCompletion(text: string, { prompt }: PromptExample): RewardText {
  return typeof prompt === "string" ? text : [{ role: "assistant", content: text }];
}

/** Answers that come from elsewhere, with their rewards. */
async function givenBy(
  rollout: RolloutFunction,
  examples: readonly PromptExample[],
  options: AnsweringOptions & Pick<RolloutRequest, "completions" | "generation">,
): Promise<Judged> {
  const { completions, generation } = options;
  const given = await rollout({
    rows: examples.map(({ row }) => row),
    promptIds: examples.map(({ promptIds }) => promptIds),
    completions,
    generation,
  });
  checkGiven(given, examples, completions, options);
  const answers = given.flatMap((list, prompt) => list.map((a) => givenAnswer(a, prompt, options)));
  return { answers, scores: givenScores(given.flat(), options.rewards) };
}

function givenAnswer(
  { ids, logProbs }: GivenAnswer,
  prompt: number,
  { eosTokenIds, tokenizer }: AnsweringOptions,
): Answer {
  const last = ids.at(-1);
  const ended = last !== undefined && (eosTokenIds.includes(last) || last === tokenizer.padTokenId);
  return { prompt, ids, ended, logProbs };
}

function givenScores(given: readonly GivenAnswer[], rewards: readonly NamedReward[]): RewardScores {
  const table = given.map(({ rewards }) => rewards.map((reward) => reward ?? NaN));
  const count = table[0]?.length ?? 0;
  const names = Array.from({ length: count }, (_, k) => rewards[k]?.name ?? `reward_${k + 1}`);
  return {
    table,
    names,
    weights: names.map((_, k) => rewards[k]?.weight ?? 1),
    extras: {},
    metrics: {},
    unscored: table.flatMap((row, i) => row.every(Number.isNaN) ? [i] : []),
  };
}

/** Checks answers that come from elsewhere. */
function checkGiven(
  given: readonly (readonly GivenAnswer[])[],
  examples: readonly PromptExample[],
  completions: number,
  { maxCompletionLength, model }: AnsweringOptions,
): void {
  if (given.length !== examples.length) {
    throw new UserError(
      `The rollout has answers to ${given.length} prompts where ${examples.length} were asked for.`,
    );
  }
  const rewards = given[0]?.[0]?.rewards.length ?? 0;
  given.forEach((answers, i) => {
    const fail = (what: string) => {
      throw new UserError(`The rollout's answers to row ${examples[i]!.row + 1}: ${what}`);
    };
    if (answers.length !== completions) {
      fail(`there are ${answers.length} where ${completions} were asked for.`);
    }
    for (const { ids, rewards: own, logProbs } of answers) {
      const unknown = ids.find((id) => !(id >= 0 && id < model.config.vocabularySize));
      if (unknown !== undefined) {
        fail(`token id ${unknown} is not in the vocabulary of ${model.config.vocabularySize}.`);
      }
      if (ids.length > maxCompletionLength) {
        fail(
          `one has ${ids.length} tokens; at most ${maxCompletionLength} are allowed.`,
        );
      }
      if (own.length !== rewards || own.length === 0) {
        fail(
          `one has ${own.length} rewards, the first answer has ${rewards}. Give each the same number, null where one does not apply.`,
        );
      }
      if (own.some((reward) => reward !== null && !Number.isFinite(reward))) {
        fail(`a reward is ${own.join(", ")}; expected finite numbers or null.`);
      }
      if (logProbs && logProbs.length !== ids.length) {
        fail(`one has ${ids.length} tokens and ${logProbs.length} log-probs.`);
      }
    }
  });
}

/** A seed for each generation: Weyl's sequence over 32 bits. */
function seedOf(seed: number, number: number): number {
  return (seed + Math.imul(number + 1, 0x9e3779b9)) >>> 0;
}
