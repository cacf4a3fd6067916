/** Options of gkd. Written by `deno task options` from the declarations of the settings. @module */

import type { TrainingOptions } from "./training.ts";

/** Generalised knowledge distillation: a student takes on its teacher's distributions. */
export interface GkdOptions extends TrainingOptions {
  /** Tokens of prompt and answer together. none: no limit. Default: `1024`. */
  readonly maxLength?: number | null | undefined;
  /** Order of rows. random is TRL's own order for the seed. Default: `"random"`. */
  readonly trainSamplingStrategy?: "random" | "sequential" | "group_by_length" | undefined;
  /** Highest learning rate. Default: `0.00002`. */
  readonly learningRate?: number | undefined;
  /** The teacher. */
  readonly teacherModel?: string | undefined;
  /** 0: KL(teacher‖student); 1: KL(student‖teacher). Default: `0.5`. */
  readonly beta?: number | undefined;
  /** Share of batches whose answers the student samples, in place of the data's. Default: `0.5`. */
  readonly lmbda?: number | undefined;
  /** Divisor of the logits where answers are sampled. Default: `0.9`. */
  readonly temperature?: number | undefined;
  /** The most tokens of a sampled answer. Default: `128`. */
  readonly maxNewTokens?: number | undefined;
  /** Let the teacher sample the answers that the student does not, in place of the data's. Default: `false`. */
  readonly seqKd?: boolean | undefined;
}
