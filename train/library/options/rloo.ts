/** Options of rloo. Written by `deno task options` from the declarations of the settings. @module */

import type { OwnObjective, RolloutTokens } from "../../../rl/mod.ts";
import type { OnlineOptions } from "./training.ts";

/** REINFORCE leave-one-out: an answer's baseline is the mean of the others. */
export interface RlooOptions extends OnlineOptions {
  /** Answers to each prompt. Default: `2`. */
  readonly numGenerations?: number | undefined;
  /** The same in evaluation; unset: num_generations. */
  readonly numGenerationsEval?: number | undefined;
  /** The most tokens of an answer. Default: `512`. */
  readonly maxCompletionLength?: number | undefined;
  /** Take prompts in random order. Default: `true`. */
  readonly shuffleDataset?: boolean | undefined;
  /** Answers sampled at once; unset: batch size times steps_per_generation. */
  readonly generationBatchSize?: number | undefined;
  /** Micro-batches that a generation is cut into; unset: gradient_accumulation_steps. */
  readonly stepsPerGeneration?: number | undefined;
  /** How often a generation is learned from. Default: `1`. */
  readonly numIterations?: number | undefined;
  /** Divisor of the logits. Default: `1`. */
  readonly temperature?: number | undefined;
  /** A reward model (or MODEL:LABEL), the first reward. */
  readonly rewardModel?: string | undefined;
  /** Highest learning rate. Default: `0.000001`. */
  readonly learningRate?: number | undefined;
  /** Tokens of a prompt, its last ones. Removed from TRL; unset: prompts stay whole. */
  readonly maxPromptLength?: number | undefined;
  /** Let the reference follow the policy (TR-DPO). Default: `false`. */
  readonly syncRefModel?: boolean | undefined;
  /** The policy's share in an update of it. Default: `0.6`. */
  readonly refModelMixupAlpha?: number | undefined;
  /** Optimiser steps between two updates. Default: `512`. */
  readonly refModelSyncSteps?: number | undefined;
  /** Weight of the divergence, in the reward. Default: `0.05`. */
  readonly beta?: number | undefined;
  /** Ratios are clipped to 1 ± this. Default: `0.2`. */
  readonly epsilon?: number | undefined;
  /** Upper bound of clipping; unset: epsilon. */
  readonly epsilonHigh?: number | undefined;
  /** Learn nothing from answers that were cut off. Default: `false`. */
  readonly maskTruncatedCompletions?: boolean | undefined;
  /** Centre and scale advantages over the batch. Default: `false`. */
  readonly normalizeAdvantages?: boolean | undefined;
  /** Limits of the summed rewards, two numbers. */
  readonly rewardClipRange?: number | readonly number[] | undefined;
  /** A module whose default export is the loss, a function of answers' tokens and advantages that returns { losses }. Not in TRL. */
  readonly loss?: string | ((tokens: RolloutTokens) => OwnObjective) | undefined;
}
