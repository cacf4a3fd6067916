/** Options of tpo. Written by `deno task options` from the declarations of the settings. @module */

import type { OwnObjective, TpoLogProbs } from "../../../rl/mod.ts";
import type { TrainingOptions } from "./training.ts";

/** Triple preference optimisation: a pair to compare and a gold answer to imitate. */
export interface TpoOptions extends TrainingOptions {
  /** Tokens of prompt and answer together. none: no limit. Default: `1024`. */
  readonly maxLength?: number | null | undefined;
  /** Order of rows. random is TRL's own order for the seed. Default: `"random"`. */
  readonly trainSamplingStrategy?: "random" | "sequential" | "group_by_length" | undefined;
  /** Highest learning rate. Default: `5e-7`. */
  readonly learningRate?: number | undefined;
  /** Which end of a row that is too long is kept. Default: `"keep_start"`. */
  readonly truncationMode?: "keep_start" | "keep_end" | undefined;
  /** The loss. Default: `"sigmoid"`. */
  readonly lossType?: "sigmoid" | "hinge" | "ipo" | "tpo-l" | undefined;
  /** Scale of the rewards (β). Default: `0.01`. */
  readonly beta?: number | undefined;
  /** Share of labels taken to be wrong (ε). Default: `0`. */
  readonly labelSmoothing?: number | undefined;
  /** Weight of the gold answers' negative log-likelihood. Default: `1`. */
  readonly tpoAlpha?: number | undefined;
  /** Target margin of tpo-l. Default: `0.5`. */
  readonly tpoLGamma?: number | undefined;
  /** A module whose default export is the loss, a function of pairs' and gold answers' log-probs that returns { losses }. Not in TRL. */
  readonly loss?: string | ((triples: TpoLogProbs) => OwnObjective) | undefined;
}
