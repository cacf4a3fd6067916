/** Options of sft. Written by `deno task options` from the declarations of the settings. @module */

import type { OwnObjective, TokenLogProbs } from "../../../rl/mod.ts";
import type { TrainingOptions } from "./training.ts";

/** Supervised fine-tuning of a causal language model on texts, prompt-completion pairs or conversations. */
export interface SftOptions extends TrainingOptions {
  /** Column that holds the text of language-modelling rows. Default: `"text"`. */
  readonly datasetTextField?: string | undefined;
  /** Tokens of a row, or of a pack; longer rows are cut. none: no limit. Default: `1024`. */
  readonly maxLength?: number | null | undefined;
  /** Which end of a row that is too long is kept. Default: `"keep_start"`. */
  readonly truncationMode?: "keep_start" | "keep_end" | undefined;
  /** Shuffle the rows before they are packed. Default: `false`. */
  readonly shuffleDataset?: boolean | undefined;
  /** Put several rows into one sequence of max_length. Default: `false`. */
  readonly packing?: boolean | undefined;
  /** bfd: best fit, long rows cut. bfd_split: best fit, long rows split. wrapped: cut anywhere. Default: `"bfd"`. */
  readonly packingStrategy?: "bfd" | "bfd_split" | "wrapped" | undefined;
  /** Pack the evaluation rows; unset: as packing. */
  readonly evalPacking?: boolean | undefined;
  /** Round lengths up to a multiple; only NEFTune's scale depends on it, as nothing is padded. */
  readonly padToMultipleOf?: number | undefined;
  /** nll and chunked_nll are the same number here; dft weighs tokens by their probability. Unset: chunked_nll. */
  readonly lossType?: "chunked_nll" | "nll" | "dft" | undefined;
  /** Loss on the completion only. Unset: yes for prompt-completion rows. */
  readonly completionOnlyLoss?: boolean | undefined;
  /** Loss on what the assistant says only; the chat template needs generation markers. Default: `false`. */
  readonly assistantOnlyLoss?: boolean | undefined;
  /** Order of rows. random is TRL's own order for the seed. Default: `"random"`. */
  readonly trainSamplingStrategy?: "random" | "sequential" | "group_by_length" | undefined;
  /** Highest learning rate. Default: `0.00002`. */
  readonly learningRate?: number | undefined;
  /** A module whose default export is the loss, a function of tokens' log-probs that returns { losses }. Not in TRL. */
  readonly loss?: string | ((tokens: TokenLogProbs) => OwnObjective) | undefined;
}
