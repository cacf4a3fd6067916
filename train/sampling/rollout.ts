/**
 * What learning from the model's own answers adds to the loop: prompts are answered, the answers are judged, and some
 * micro-batches learn from them before the next are sampled.
 *
 * @module
 */

import type { MicroBatch, TaskState } from "../loop/task.ts";

/** A prompt that was answered. */
export interface RolloutPrompt {
  /** The number, from 0, of the data set's row. */
  readonly row: number;
  /** Token ids. */
  readonly ids: readonly number[];
}

/** An answer, and what an objective has to know of it. */
export interface Sample {
  /** The number of its prompt in the generation. */
  readonly prompt: number;
  /** Token ids, with the token that ended it. */
  readonly ids: readonly number[];
  /** Numbers of the whole answer, such as its advantage. */
  readonly values: Readonly<Record<string, number>>;
  /** Numbers of its tokens, such as log-probs at the time it was sampled. */
  readonly tokenValues: Readonly<Record<string, readonly number[]>>;
}

/** What is sampled at once. Plain data: a checkpoint in the middle of it holds it as JSON. */
export interface Generation {
  /** The prompts. */
  readonly prompts: readonly RolloutPrompt[];
  /** Their answers; those of a prompt stand together. */
  readonly samples: readonly Sample[];
  /** What the next generation begins with, such as an adaptive coefficient. */
  readonly carried?: Readonly<Record<string, number>> | undefined;
}

/** A column of a table of answers. */
export type AnswerColumns = Readonly<Record<string, readonly unknown[]>>;

/** A generation with what there is to report of it. */
export interface Rollout {
  /** What is learned from. */
  readonly generation: Generation;
  /** Metrics, by TRL's names; NaN for those that do not apply. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Tokens of prompts and answers, for `num_tokens`. */
  readonly tokens: number;
  /** Prompts, answers, rewards and advantages, for people. */
  readonly table: AnswerColumns;
  /** What the user should know. */
  readonly notices?: readonly string[];
}

/** Who answers. */
export interface Policy<P> {
  /** The policy's parameters. */
  readonly params: P;
  /** What the task carries along. */
  readonly taskState: TaskState;
  /** How far the run is, as reward functions see it. */
  readonly progress: { readonly step: number; readonly totalSteps: number; readonly epoch: number };
}

/** What a generation is sampled with. */
export interface RolloutContext<P> extends Policy<P> {
  /** The number of the generation in the run, from 0. */
  readonly number: number;
  /** What the generation before left; empty at first. */
  readonly carried: Readonly<Record<string, number>>;
  /** Answers that come from elsewhere. */
  readonly rollout?: RolloutFunction | undefined;
  /** Aborted where the run is to stop: sampling then ends by throwing its reason, and what it had is thrown away. */
  readonly signal?: AbortSignal | undefined;
}

/** How an online task samples, and how micro-batches are cut from what was sampled. */
export interface RolloutStage<P> {
  /** Prompts of a generation. */
  readonly prompts: number;
  /** Micro-batches that learn from a generation. */
  readonly microBatches: number;
  /** Whether prompts come in random order. */
  readonly shuffle: boolean;
  /** Samples answers to the data set's rows of these numbers, and judges them. */
  readonly generate: (rows: readonly number[], context: RolloutContext<P>) => Promise<Rollout>;
  /** The tensors of a micro-batch, by its number from 0. */
  readonly batch: (generation: Generation, index: number) => MicroBatch;
}

/** An answer that was sampled and judged elsewhere. */
export interface GivenAnswer {
  /** Token ids, with the token that ended it. */
  readonly ids: readonly number[];
  /** By each reward function; null where one does not apply. */
  readonly rewards: readonly (number | null)[];
  /** Log-probs of the tokens under the sampler, where it may differ from the policy. */
  readonly logProbs?: readonly number[];
}

/** What answers are wanted from elsewhere. */
export interface RolloutRequest {
  /** Numbers of the data set's rows. */
  readonly rows: readonly number[];
  /** Their prompts' token ids. */
  readonly promptIds: readonly (readonly number[])[];
  /** Answers to each prompt. */
  readonly completions: number;
  /** The number of the generation in the run, from 0. */
  readonly generation: number;
}

/** Gives the answers to each row: TRL's `rollout_func`, with rewards. */
export type RolloutFunction = (
  request: RolloutRequest,
) => readonly (readonly GivenAnswer[])[] | Promise<readonly (readonly GivenAnswer[])[]>;

/** A generation in the middle of its use. */
export interface SavedGeneration {
  /** Its number in the run. */
  readonly number: number;
  /** What was sampled. */
  readonly generation: Generation;
}
