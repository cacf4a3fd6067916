/**
 * What objectives take and give. They see log-probabilities, never a model; whatever computes these may use them.
 *
 * Sequences are numbered within a batch: of B pairs, chosen completions are sequences 0 … B − 1 and rejected ones
 * B … 2B − 1; further answers to the same prompts (TPO's) follow.
 *
 * @module
 */

import type { Tensor } from "../core/mod.ts";

/**
 * What a batch costs and what to report beside it. An objective gives `losses`; who minimises them takes their mean over
 * a whole accumulation window, so that a step is the same however it is cut into batches. Only where there is no loss of
 * each pair, row or token does it give a single `loss` instead. {@link lossOf} makes one number of either.
 */
export interface Objective {
  /** The loss of each pair [B], row [B] or token [N]. */
  readonly losses?: Tensor;
  /** 1 for the losses that count, 0 for padding, f32 of their shape; all count by default. */
  readonly mask?: Tensor;
  /** A further term beside `losses`, a single number: a mean over the batch, weighed by its share of the window. */
  readonly term?: Tensor;
  /**
   * Instead of `losses`, a single number: a mean over the batch, weighed by its share of the window. That is exact for
   * means over what the window counts (pairs, rows, or the tokens of supervised fine-tuning); a mean over anything else,
   * such as the tokens of answers of unequal length, depends on how the window is cut.
   */
  readonly loss?: Tensor;
  /**
   * Numbers to report, by TRL's names; not differentiated. NaN says that a metric does not apply to this batch
   * (rewards of chosen answers where there are none): it is then neither averaged nor reported.
   */
  readonly metrics: Readonly<Record<string, Tensor>>;
  /**
   * How many things a metric is the mean of, by its name, where TRL averages a logging window by these numbers.
   * The other metrics are averaged over a window as they are.
   */
  readonly counts?: Readonly<Record<string, Tensor>>;
}

/** What a loss of one's own returns: an {@link Objective} that need not report anything. */
export type OwnObjective = Omit<Objective, "metrics"> & Partial<Pick<Objective, "metrics">>;

/** Log-probabilities of single tokens, N of them, of any number of sequences. */
export interface TokenLogProbs {
  /** log p of each token, f32 [N]; 0 where the mask is. */
  readonly logProbs: Tensor;
  /** 1 for tokens that count, 0 for padding, f32 [N]. */
  readonly mask: Tensor;
  /** The sequence each token belongs to, i32 [N]; −1 for padding. */
  readonly segments: Tensor;
  /**
   * Of each sequence, by its number, the number of the first of its example that is the same, its own as a rule, i32;
   * absent where no two are the same.
   */
  readonly sameAs?: Tensor;
  /** log p under the reference model, f32 [N], where an objective has one. */
  readonly refLogProbs?: Tensor;
  /** Number (from 0) of each token within its completion, i32 [N], for LD-DPO. */
  readonly positions?: Tensor;
  /** Entropies of the distributions the tokens were drawn from, f32 [N], where a formula needs them. */
  readonly entropies?: Tensor;
  /** Means of the logits over the vocabulary, f32 [N], for `logits/chosen` and `logits/rejected`. */
  readonly meanLogits?: Tensor;
  /** Σ p² over the vocabulary, f32 [N], for WPO. */
  readonly sumSquares?: Tensor;
  /** Means of log p over the vocabulary, f32 [N], for label smoothing. Differentiable. */
  readonly meanLogProbs?: Tensor;
  /** Most probable token ids, i32 [N], for accuracies. */
  readonly predictions?: Tensor;
  /** The actual token ids, i32 [N]. */
  readonly targets?: Tensor;
}

/** Log-probabilities of pairs of completions, summed over each completion's tokens. */
export interface PairLogProbs {
  /** Of the chosen completions, f32 [B]. */
  readonly chosen: Tensor;
  /** Of the rejected ones, f32 [B]. */
  readonly rejected: Tensor;
  /** Of the chosen ones under the reference model, f32 [B], where the objective has one. */
  readonly refChosen?: Tensor;
  /** Of the rejected ones under the reference model, f32 [B]. */
  readonly refRejected?: Tensor;
  /** Numbers of tokens of the chosen completions, f32 [B], for objectives that average. */
  readonly chosenLengths?: Tensor;
  /** Numbers of tokens of the rejected ones, f32 [B]. */
  readonly rejectedLengths?: Tensor;
  /** What each pair's loss is multiplied by, f32 [B], as in WPO; no gradient flows through it. */
  readonly pairWeights?: Tensor;
  /** Mean negative log-likelihood of the tokens to imitate, a single number, where the sums do not give it. */
  readonly nll?: Tensor;
}

/** Log-probabilities of completions that are desirable or not, summed over each completion's tokens. */
export interface UnpairedLogProbs {
  /** Under the policy, f32 [B]. */
  readonly logProbs: Tensor;
  /** Under the reference model, f32 [B]. */
  readonly refLogProbs: Tensor;
  /** 1 for desirable completions, 0 for undesirable ones, f32 [B]. */
  readonly labels: Tensor;
}

/** An objective over tokens: the type of `nll`, and of a loss of your own. */
export type TokenObjective = (tokens: TokenLogProbs) => Objective;

/** An objective over pairs: the type of `dpo`, `orpo` and `cpo`, and of a loss of your own. */
export type PairObjective = (logProbs: PairLogProbs) => Objective;

/** An objective over single completions with a label: the type of `kto`, and of a loss of your own. */
export type UnpairedObjective = (logProbs: UnpairedLogProbs) => Objective;
