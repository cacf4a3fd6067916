/** Options of online-dpo. Written by `deno task options` from the declarations of the settings. @module */

import type { AnswerLogProbs, OwnObjective } from "../../../rl/mod.ts";
import type { OnlineOptions } from "./training.ts";

/** Online DPO: of two sampled answers to a prompt the better is preferred. */
export interface OnlineDpoOptions extends OnlineOptions {
  /** The most tokens of an answer. Default: `64`. */
  readonly maxNewTokens?: number | undefined;
  /** Divisor of the logits. Default: `0.9`. */
  readonly temperature?: number | undefined;
  /** Highest learning rate. Default: `5e-7`. */
  readonly learningRate?: number | undefined;
  /** A reward model (or MODEL:LABEL), the first reward. */
  readonly rewardModelPath?: string | undefined;
  /** What an answer loses that is cut off. */
  readonly missingEosPenalty?: number | undefined;
  /** Pull to the reference; several: one for each epoch. Default: `[0.1]`. */
  readonly beta?: number | readonly number[] | undefined;
  /** The variant. Default: `"sigmoid"`. */
  readonly lossType?: "sigmoid" | "ipo" | undefined;
  /** Tokens of prompt and answer that are learned from; the first ones are cut off. Default: `512`. */
  readonly maxLength?: number | undefined;
  /** A module whose default export is the loss, a function of answers' log-probs and rewards that returns { losses }. Not in TRL. */
  readonly loss?: string | ((answers: AnswerLogProbs) => OwnObjective) | undefined;
}
