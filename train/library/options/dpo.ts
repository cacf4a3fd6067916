/** Options of dpo. Written by `deno task options` from the declarations of the settings. @module */

import type { OwnObjective, PairLogProbs } from "../../../rl/mod.ts";
import type { TrainingOptions } from "./training.ts";

/** Direct preference optimisation, and its variants, on pairs of answers. */
export interface DpoOptions extends TrainingOptions {
  /** Tokens of prompt and answer together. none: no limit. Default: `1024`. */
  readonly maxLength?: number | null | undefined;
  /** Order of rows. random is TRL's own order for the seed. Default: `"random"`. */
  readonly trainSamplingStrategy?: "random" | "sequential" | "group_by_length" | undefined;
  /** Highest learning rate. Default: `0.000001`. */
  readonly learningRate?: number | undefined;
  /** Tokens of a prompt, its last ones. Removed from TRL; unset: prompts stay whole. */
  readonly maxPromptLength?: number | undefined;
  /** Tokens of an answer, its first ones. Removed from TRL; unset: max_length alone. */
  readonly maxCompletionLength?: number | undefined;
  /** Which end of a row that is too long is kept. Default: `"keep_start"`. */
  readonly truncationMode?: "keep_start" | "keep_end" | undefined;
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
  /** The loss, or several that are added (MPO). Default: `["sigmoid"]`. */
  readonly lossType?:
    | "sigmoid"
    | "hinge"
    | "ipo"
    | "exo_pair"
    | "nca_pair"
    | "robust"
    | "bco_pair"
    | "sppo_hard"
    | "aot"
    | "aot_unpaired"
    | "apo_zero"
    | "apo_down"
    | "discopop"
    | "sft"
    | "sigmoid_norm"
    | "sigmoid_cdpo"
    | readonly (
      | "sigmoid"
      | "hinge"
      | "ipo"
      | "exo_pair"
      | "nca_pair"
      | "robust"
      | "bco_pair"
      | "sppo_hard"
      | "aot"
      | "aot_unpaired"
      | "apo_zero"
      | "apo_down"
      | "discopop"
      | "sft"
      | "sigmoid_norm"
      | "sigmoid_cdpo"
    )[]
    | undefined;
  /** A factor for each loss; 1 by default. */
  readonly lossWeights?: string | readonly string[] | undefined;
  /** Scale of the rewards (β). Default: `0.1`. */
  readonly beta?: number | undefined;
  /** Share of labels taken to be wrong (ε). Default: `0`. */
  readonly labelSmoothing?: number | undefined;
  /** What holds the policy near the reference. Default: `"reverse_kl"`. */
  readonly fDivergenceType?:
    | "reverse_kl"
    | "forward_kl"
    | "js_divergence"
    | "alpha_divergence"
    | undefined;
  /** α of alpha_divergence. Default: `0.5`. */
  readonly fAlphaDivergenceCoef?: number | undefined;
  /** Weigh pairs by the policy's own probability (WPO). Default: `false`. */
  readonly useWeighting?: boolean | undefined;
  /** Factor of tokens beyond the shorter answer's length (LD-DPO). */
  readonly ldAlpha?: number | undefined;
  /** Temperature of discopop. Default: `0.05`. */
  readonly discopopTau?: number | undefined;
  /** Weight of the chosen answers' negative log-likelihood (RPO). */
  readonly rpoAlpha?: number | undefined;
  /** Take a uniform reference. Default: `false`. */
  readonly referenceFree?: boolean | undefined;
  /** A module whose default export is the loss, a function of pairs' log-probs that returns { losses }. Not in TRL. */
  readonly loss?: string | ((pairs: PairLogProbs) => OwnObjective) | undefined;
}
