/**
 * What objectives take and give. They see log-probabilities, never a model; whatever computes these may use them.
 *
 * @module
 */

import type { Operand, Tensor } from "../core/mod.ts";

/** A loss to minimise and what to report beside it. */
export interface Objective {
  /** The loss, a single number. */
  readonly loss: Tensor;
  /** Numbers to report, by TRL's names; not differentiated. */
  readonly metrics: Readonly<Record<string, Tensor>>;
}

/** Log-probabilities of single tokens, N of them, of any number of sequences. */
export interface TokenLogProbs {
  /** log p of each token, f32 [N]; 0 where the mask is. */
  readonly logProbs: Tensor;
  /** 1 for tokens that count, 0 for padding, f32 [N]. */
  readonly mask: Tensor;
  /** The sequence each token belongs to, i32 [N]; −1 for padding. */
  readonly segments: Tensor;
  /** Entropies of the distributions the tokens were drawn from, f32 [N], where a formula needs them. */
  readonly entropies?: Tensor;
  /** Most probable token ids and the actual ones, i32 [N], for accuracies. */
  readonly predictions?: Tensor;
  readonly targets?: Tensor;
}

/** Log-probabilities of pairs of completions, f32 [B], summed over each completion's tokens. */
export interface PairLogProbs {
  readonly chosen: Tensor;
  readonly rejected: Tensor;
  /** The same under the reference model, where the objective has one. */
  readonly refChosen?: Tensor;
  readonly refRejected?: Tensor;
  /** Numbers of completion tokens, f32 [B], for objectives that average. */
  readonly chosenLengths?: Tensor;
  readonly rejectedLengths?: Tensor;
}

/** Options of objectives that are means. */
export interface MeanOptions {
  /**
   * What the sum is divided by: its own count by default. The training loop passes the count of a whole
   * accumulation window, so that the loss does not depend on how the window is cut.
   */
  readonly normalizer?: Operand;
}

/** An objective over tokens: the type of `nll`, and of a loss of your own. */
export type TokenObjective = (tokens: TokenLogProbs, options?: MeanOptions) => Objective;
