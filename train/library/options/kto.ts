/** Options of kto. Written by `deno task options` from the declarations of the settings. @module */

import type { KtoLogProbs, OwnObjective } from "../../../rl/mod.ts";
import type { TrainingOptions } from "./training.ts";

/** Kahneman–Tversky optimisation on single answers that are good or bad. */
export interface KtoOptions extends TrainingOptions {
  /** Tokens of prompt and answer together. none: no limit. Default: `1024`. */
  readonly maxLength?: number | null | undefined;
  /** Order of rows. random is TRL's own order for the seed. Default: `"sequential"`. */
  readonly trainSamplingStrategy?: "random" | "sequential" | "group_by_length" | undefined;
  /** Highest learning rate. Default: `0.000001`. */
  readonly learningRate?: number | undefined;
  /** Tokens of a prompt, its last ones. Removed from TRL; unset: prompts stay whole. */
  readonly maxPromptLength?: number | undefined;
  /** Keep the reference's log-probs in a file beside the dataset and reuse them. They are computed once ahead in any case. Default: `false`. */
  readonly precomputeRefLogProbs?: boolean | undefined;
  /** Batch size of that pass; unset: the training one. */
  readonly precomputeRefBatchSize?: number | undefined;
  /** The reference model; unset: the policy as it begins. Not in TRL's command. */
  readonly refModel?: string | undefined;
  /** Let the reference follow the policy (TR-DPO). Default: `false`. */
  readonly syncRefModel?: boolean | undefined;
  /** The policy's share in an update of it. Default: `0.6`. */
  readonly refModelMixupAlpha?: number | undefined;
  /** Optimiser steps between two updates. Default: `512`. */
  readonly refModelSyncSteps?: number | undefined;
  /** The loss. Default: `"kto"`. */
  readonly lossType?: "kto" | "apo_zero_unpaired" | undefined;
  /** Scale of the rewards (β). Default: `0.1`. */
  readonly beta?: number | undefined;
  /** Factor of good answers' losses. Default: `1`. */
  readonly desirableWeight?: number | undefined;
  /** Factor of bad answers' losses. Default: `1`. */
  readonly undesirableWeight?: number | undefined;
  /** A module whose default export is the loss, a function of answers' log-probs and labels that returns { losses }. Not in TRL. */
  readonly loss?: string | ((logProbs: KtoLogProbs) => OwnObjective) | undefined;
}
