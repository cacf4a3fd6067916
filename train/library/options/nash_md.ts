/** Options of nash-md. Written by `deno task options` from the declarations of the settings. @module */

import type { NashMdTokens, OwnObjective } from "../../../rl/mod.ts";
import type { OnlineOptions } from "./training.ts";

/** Nash-MD: answers that win against a mixture of the policy and its reference. */
export interface NashMdOptions extends OnlineOptions {
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
  /** The reference's share in the opponent, 0 to 1; several: one for each epoch. Default: `[0.5]`. */
  readonly mixtureCoef?: number | readonly number[] | undefined;
  /** A module whose default export is the loss, a function of answers' tokens and both answerers' scores that returns { losses }. Not in TRL. */
  readonly loss?: string | ((tokens: NashMdTokens) => OwnObjective) | undefined;
}
