/** Options of xpo. Written by `deno task options` from the declarations of the settings. @module */

import type { OwnObjective, XpoLogProbs } from "../../../rl/mod.ts";
import type { OnlineOptions } from "./training.ts";

/** XPO: online DPO against the reference's answers, with a bonus for leaving them. */
export interface XpoOptions extends OnlineOptions {
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
  /** Bonus for leaving the reference's answers; several: one for each epoch. Default: `[0.00001]`. */
  readonly alpha?: number | readonly number[] | undefined;
  /** A module whose default export is the loss, a function of both answerers' log-probs and scores that returns { losses }. Not in TRL. */
  readonly loss?: string | ((logProbs: XpoLogProbs) => OwnObjective) | undefined;
}
