/** Options of bco. Written by `deno task options` from the declarations of the settings. @module */

import type { BcoLogProbs, OwnObjective } from "../../../rl/mod.ts";
import type { TrainingOptions } from "./training.ts";

/** Binary classifier optimisation on single answers that are good or bad. */
export interface BcoOptions extends TrainingOptions {
  /** Tokens of prompt and answer together. none: no limit. Default: `1024`. */
  readonly maxLength?: number | null | undefined;
  /** Order of rows. random is TRL's own order for the seed. Default: `"random"`. */
  readonly trainSamplingStrategy?: "random" | "sequential" | "group_by_length" | undefined;
  /** Highest learning rate. Default: `5e-7`. */
  readonly learningRate?: number | undefined;
  /** Tokens of a prompt, its last ones. Removed from TRL; unset: prompts stay whole. */
  readonly maxPromptLength?: number | undefined;
  /** Keep the reference's log-probs in a file beside the dataset and reuse them. They are computed once ahead in any case. Default: `false`. */
  readonly precomputeRefLogProbs?: boolean | undefined;
  /** Batch size of that pass; unset: the training one. */
  readonly precomputeRefBatchSize?: number | undefined;
  /** The reference model; unset: the policy as it begins. Not in TRL's command. */
  readonly refModel?: string | undefined;
  /** Scale of the rewards (β). Default: `0.1`. */
  readonly beta?: number | undefined;
  /** A module whose default export is the loss, a function of answers' log-probs and labels that returns { losses }. Not in TRL. */
  readonly loss?: string | ((logProbs: BcoLogProbs) => OwnObjective) | undefined;
}
