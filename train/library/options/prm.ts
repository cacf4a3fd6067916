/** Options of prm. Written by `deno task options` from the declarations of the settings. @module */

import type { OwnObjective, TokenClasses } from "../../../rl/mod.ts";
import type { TrainingOptions } from "./training.ts";

/** A process reward model: is each step of a solution right? */
export interface PrmOptions extends TrainingOptions {
  /** Tokens of prompt and answer together. none: no limit. Default: `1024`. */
  readonly maxLength?: number | null | undefined;
  /** Order of rows. random is TRL's own order for the seed. Default: `"random"`. */
  readonly trainSamplingStrategy?: "random" | "sequential" | "group_by_length" | undefined;
  /** Highest learning rate. Default: `0.00001`. */
  readonly learningRate?: number | undefined;
  /** Tokens of a solution. */
  readonly maxCompletionLength?: number | undefined;
  /** What stands behind each step. Default: `"\n"`. */
  readonly stepSeparator?: string | undefined;
  /** Learn the last step's label only. Default: `false`. */
  readonly trainOnLastStepOnly?: boolean | undefined;
  /** A module whose default export is the loss, a function of the steps' logits and labels that returns { losses }. Not in TRL. */
  readonly loss?: string | ((steps: TokenClasses) => OwnObjective) | undefined;
}
