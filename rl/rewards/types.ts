/** What a reward function is given and what it returns. @module */

/** A turn of a completion or of a prompt. */
export interface RewardMessage {
  /** Who speaks. */
  readonly role: string;
  /** What is said: a text, or a list of parts. */
  readonly content?: unknown;
  /** Whatever else the message carries. */
  readonly [field: string]: unknown;
}

/** A prompt or a completion: a text, or messages where the prompt is a conversation. */
export type RewardText = string | readonly RewardMessage[];

/** How far training is: these fields of transformers' TrainerState, by their names there. */
export interface RewardTrainerState {
  /** Optimiser steps done. */
  readonly global_step: number;
  /** Optimiser steps of the whole run. */
  readonly max_steps: number;
  /** Passes over the data so far, with their fraction. */
  readonly epoch: number;
}

/** N completions and what is known of them; everything is in the order of the completions. */
export interface RewardArguments {
  /** Of each completion, N: those of one prompt repeat it. */
  readonly prompts: readonly RewardText[];
  /** What the model wrote, N. */
  readonly completions: readonly RewardText[];
  /** The completions' tokens, N lists. */
  readonly completionIds: readonly (readonly number[])[];
  /** Every other column of the data set by its name, N values each. */
  readonly columns: Readonly<Record<string, readonly unknown[]>>;
  /** How far training is; null outside of training. */
  readonly trainerState: RewardTrainerState | null;
  /** Adds a column of N values to the table of completions. */
  readonly logExtra: (column: string, values: readonly unknown[]) => void;
  /** Logs a number beside the metrics; of several by one name, the mean. */
  readonly logMetric: (name: string, value: number) => void;
}

/** A reward: a number, true for 1 and false for 0, or null where the function does not apply to the completion. */
export type Reward = number | boolean | null;

/** N rewards, in an array (also of promises) or a typed array. */
export type Rewards = readonly (Reward | Promise<Reward>)[] | ArrayLike<number> & ArrayBufferView;

/** Scores completions: `reward(prompts, completions, completion_ids, **columns)` of TRL. */
export type RewardFunction = (args: RewardArguments) => Rewards | Promise<Rewards>;
