/** Options of orpo. Written by `deno task options` from the declarations of the settings. @module */

import type { OwnObjective, PairLogProbs } from "../../../rl/mod.ts";
import type { TrainingOptions } from "./training.ts";

/** Odds ratio preference optimisation: imitation and preference in one, without a reference model. */
export interface OrpoOptions extends TrainingOptions {
  /** Tokens of prompt and answer together. none: no limit. Default: `1024`. */
  readonly maxLength?: number | null | undefined;
  /** Order of rows. random is TRL's own order for the seed. Default: `"random"`. */
  readonly trainSamplingStrategy?: "random" | "sequential" | "group_by_length" | undefined;
  /** Highest learning rate. Default: `0.000001`. */
  readonly learningRate?: number | undefined;
  /** Tokens of a prompt, its last ones. Removed from TRL; unset: prompts stay whole. */
  readonly maxPromptLength?: number | undefined;
  /** Scale of the rewards (β). Default: `0.1`. */
  readonly beta?: number | undefined;
  /** A module whose default export is the loss, a function of pairs' log-probs that returns { losses }. Not in TRL. */
  readonly loss?: string | ((pairs: PairLogProbs) => OwnObjective) | undefined;
}
