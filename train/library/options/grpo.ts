/** Options of grpo. Written by `deno task options` from the declarations of the settings. @module */

import type { OwnObjective, RolloutTokens } from "../../../rl/mod.ts";
import type { OnlineOptions } from "./training.ts";

/** Group-relative policy optimisation: answers are compared with others to the prompt. */
export interface GrpoOptions extends OnlineOptions {
  /** Answers to each prompt. Default: `8`. */
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
  /** The variant; gmpo is TRL's experimental one. Default: `"dapo"`. */
  readonly lossType?:
    | "grpo"
    | "dr_grpo"
    | "dapo"
    | "bnpo"
    | "cispo"
    | "sapo"
    | "luspo"
    | "vespo"
    | "gmpo"
    | undefined;
  /** Weight of the divergence from the reference. Default: `0`. */
  readonly beta?: number | undefined;
  /** Ratios are clipped to 1 ± this. Default: `0.2`. */
  readonly epsilon?: number | undefined;
  /** Upper bound of clipping; unset: epsilon. */
  readonly epsilonHigh?: number | undefined;
  /** Learn nothing from answers that were cut off. Default: `false`. */
  readonly maskTruncatedCompletions?: boolean | undefined;
  /** Upper bound of the ratio that is not clipped. */
  readonly delta?: number | undefined;
  /** Multiply the divergence by the ratio. Default: `true`. */
  readonly useBiasCorrectionKl?: boolean | undefined;
  /** What ratios are of; sequence is GSPO. Default: `"token"`. */
  readonly importanceSamplingLevel?: "token" | "sequence" | "sequence_token" | undefined;
  /** SAPO's, of good answers. Default: `1`. */
  readonly sapoTemperaturePos?: number | undefined;
  /** SAPO's, of bad answers. Default: `1.05`. */
  readonly sapoTemperatureNeg?: number | undefined;
  /** VESPO's power, of good answers. Default: `2`. */
  readonly vespoKPos?: number | undefined;
  /** VESPO's decay, of good answers. Default: `3`. */
  readonly vespoLambdaPos?: number | undefined;
  /** VESPO's power, of bad answers. Default: `3`. */
  readonly vespoKNeg?: number | undefined;
  /** VESPO's decay, of bad answers. Default: `2`. */
  readonly vespoLambdaNeg?: number | undefined;
  /** Share of the tokens that are learned from, those of largest entropy. Default: `1`. */
  readonly topEntropyQuantile?: number | undefined;
  /** Weight of the entropy bonus. Default: `0`. */
  readonly entropyCoef?: number | undefined;
  /** Let this weight follow the entropy. Default: `false`. */
  readonly useAdaptiveEntropy?: boolean | undefined;
  /** Its least value. Default: `0`. */
  readonly entropyCoefMin?: number | undefined;
  /** Its largest value. Default: `1`. */
  readonly entropyCoefMax?: number | undefined;
  /** Its change at each step. Default: `0.005`. */
  readonly entropyCoefDelta?: number | undefined;
  /** Entropy to stay above. Default: `0.2`. */
  readonly entropyTarget?: number | undefined;
  /** Leave out bad answers that the policy has moved away from by more than this. */
  readonly offPolicyMaskThreshold?: number | undefined;
  /** What advantages are divided by: a standard deviation, or nothing. Default: `"group"`. */
  readonly scaleRewards?: "group" | "batch" | "none" | undefined;
  /** Add the rewards first, or compare each with the group first (GDPO). Default: `"sum_then_normalize"`. */
  readonly multiObjectiveAggregation?: "sum_then_normalize" | "normalize_then_sum" | undefined;
  /** Correct for the sampler, where --rollouts gives its log-probs. Default: `true`. */
  readonly vllmImportanceSamplingCorrection?: boolean | undefined;
  /** How: of tokens or sequences; ratios out of range are cut, or count 0. Default: `"sequence_mask"`. */
  readonly vllmImportanceSamplingMode?:
    | "token_truncate"
    | "token_mask"
    | "sequence_truncate"
    | "sequence_mask"
    | undefined;
  /** Largest ratio. Default: `3`. */
  readonly vllmImportanceSamplingClipMax?: number | null | undefined;
  /** Smallest ratio. */
  readonly vllmImportanceSamplingClipMin?: number | undefined;
  /** A module whose default export is the loss, a function of answers' tokens and advantages that returns { losses }. Not in TRL. */
  readonly loss?: string | ((tokens: RolloutTokens) => OwnObjective) | undefined;
}
