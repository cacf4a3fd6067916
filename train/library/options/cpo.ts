/** Options of cpo. Written by `deno task options` from the declarations of the settings. @module */

import type { OwnObjective, PairLogProbs } from "../../../rl/mod.ts";
import type { TrainingOptions } from "./training.ts";

/** Preference optimisation without a reference model: CPO, SimPO, AlphaPO. */
export interface CpoOptions extends TrainingOptions {
  /** Tokens of prompt and answer together. none: no limit. Default: `1024`. */
  readonly maxLength?: number | null | undefined;
  /** Order of rows. random is TRL's own order for the seed. Default: `"random"`. */
  readonly trainSamplingStrategy?: "random" | "sequential" | "group_by_length" | undefined;
  /** Highest learning rate. Default: `0.000001`. */
  readonly learningRate?: number | undefined;
  /** Tokens of a prompt, its last ones. Removed from TRL; unset: prompts stay whole. */
  readonly maxPromptLength?: number | undefined;
  /** simpo with cpo_alpha 0 is SimPO. Default: `"sigmoid"`. */
  readonly lossType?: "sigmoid" | "hinge" | "ipo" | "simpo" | "alphapo" | undefined;
  /** Scale of the rewards (β). Default: `0.1`. */
  readonly beta?: number | undefined;
  /** Share of labels taken to be wrong (ε). Default: `0`. */
  readonly labelSmoothing?: number | undefined;
  /** Weight of the chosen answers' negative log-likelihood. Default: `1`. */
  readonly cpoAlpha?: number | undefined;
  /** SimPO's target margin. Default: `0.5`. */
  readonly simpoGamma?: number | undefined;
  /** AlphaPO's α; 0 is log-probs as they are. Default: `0`. */
  readonly alpha?: number | undefined;
  /** A module whose default export is the loss, a function of pairs' log-probs that returns { losses }. Not in TRL. */
  readonly loss?: string | ((pairs: PairLogProbs) => OwnObjective) | undefined;
}
