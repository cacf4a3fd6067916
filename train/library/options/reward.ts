/** Options of reward. Written by `deno task options` from the declarations of the settings. @module */

import type { OwnObjective, PairRewards } from "../../../rl/mod.ts";
import type { TrainingOptions } from "./training.ts";

/** A reward model: scores that put the better answer of each pair first. */
export interface RewardOptions extends TrainingOptions {
  /** Tokens of prompt and answer together. none: no limit. Default: `1024`. */
  readonly maxLength?: number | null | undefined;
  /** Order of rows. random is TRL's own order for the seed. Default: `"random"`. */
  readonly trainSamplingStrategy?: "random" | "sequential" | "group_by_length" | undefined;
  /** Highest learning rate. Default: `0.0001`. */
  readonly learningRate?: number | undefined;
  /** Weight of (r₁ + r₂)², which keeps scores near 0. */
  readonly centerRewardsCoefficient?: number | undefined;
  /** A module whose default export is the loss, a function of pairs' scores that returns { losses }. Not in TRL. */
  readonly loss?: string | ((rewards: PairRewards) => OwnObjective) | undefined;
}
