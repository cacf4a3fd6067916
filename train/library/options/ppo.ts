/** Options of ppo. Written by `deno task options` from the declarations of the settings. @module */

import type { OwnObjective, PpoTokens, PpoValues } from "../../../rl/mod.ts";
import type { OnlineOptions } from "./training.ts";

/** Proximal policy optimisation: a value function says what each token was worth. */
export interface PpoOptions extends OnlineOptions {
  /** The most tokens of an answer. Default: `53`. */
  readonly responseLength?: number | undefined;
  /** eos: answers end at the end-of-sequence token. Unset: they go on to their full length, as TRL's do. */
  readonly stopToken?: "eos" | undefined;
  /** A token id that ends answers, instead. */
  readonly stopTokenId?: number | undefined;
  /** Answers that are scored at once, without a gradient. Default: `64`. */
  readonly localRolloutForwardBatchSize?: number | undefined;
  /** Divisor of the logits. Default: `0.7`. */
  readonly temperature?: number | undefined;
  /** A reward model (or MODEL:LABEL), the first reward. */
  readonly rewardModel?: string | undefined;
  /** Order of the prompts. Default: `"random"`. */
  readonly trainSamplingStrategy?: "random" | "sequential" | undefined;
  /** Highest learning rate. Default: `0.000003`. */
  readonly learningRate?: number | undefined;
  /** The policy; model_name_or_path is then where the tokenizer is. */
  readonly sftModelPath?: string | undefined;
  /** How often the answers of a generation are learned from. Default: `4`. */
  readonly numPpoEpochs?: number | undefined;
  /** Optimiser steps that this takes each time; a generation has as many times more answers. Default: `1`. */
  readonly numMiniBatches?: number | undefined;
  /** Answers to sample in all, instead of num_train_epochs or max_steps. */
  readonly totalEpisodes?: number | undefined;
  /** What an answer without an end token loses. */
  readonly missingEosPenalty?: number | undefined;
  /** Scale the rewards of tokens to unit variance. Default: `false`. */
  readonly whitenRewards?: boolean | undefined;
  /** Weight of the divergence from the reference, in the reward. Default: `0.05`. */
  readonly klCoef?: number | undefined;
  /** How it is estimated from a token's log-probs. Default: `"k1"`. */
  readonly klEstimator?: "k1" | "k3" | "abs" | "mse" | undefined;
  /** Let this weight follow the divergence. Default: `false`. */
  readonly adapKlCtrl?: boolean | undefined;
  /** Its first value; unset: kl_coef. */
  readonly initKlCoef?: number | undefined;
  /** Divergence of an answer to aim at. Default: `6`. */
  readonly target?: number | undefined;
  /** Answers after which it may change by 20 %. Default: `10000`. */
  readonly horizon?: number | undefined;
  /** Ratios are clipped to 1 ± this. Default: `0.2`. */
  readonly cliprange?: number | undefined;
  /** Weight of the value loss. Default: `0.1`. */
  readonly vfCoef?: number | undefined;
  /** Values are clipped to the old ones ± this. Default: `0.2`. */
  readonly cliprangeValue?: number | undefined;
  /** Discount of a token. Default: `1`. */
  readonly gamma?: number | undefined;
  /** λ of the advantages. Default: `0.95`. */
  readonly lam?: number | undefined;
  /** A sequence classifier with one label, trained along; unset: a value head on the policy. Not in TRL's command. */
  readonly valueModel?: string | undefined;
  /** How a value head begins; unset: uniform, as PyTorch's linear layers. */
  readonly vHeadInitStrategy?: "normal" | undefined;
  /** Standard deviation of a normal beginning. Default: `0.2`. */
  readonly vHeadInitializerRange?: number | undefined;
  /** Dropout under the value head, in training. Default: `0.1`. */
  readonly summaryDropoutProb?: number | undefined;
  /** A module whose default export is the loss, a function of answers' tokens, advantages and values that returns { losses }. Not in TRL. */
  readonly loss?: string | ((tokens: PpoTokens, values: PpoValues) => OwnObjective) | undefined;
}
