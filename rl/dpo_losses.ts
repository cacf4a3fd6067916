/**
 * The variants of direct preference optimisation: losses of single pairs, f32 [B], by TRL's `loss_type`.
 *
 * @module
 */

import { logSigmoid, type Tensor } from "../core/mod.ts";
import { chosenNll, lengthsOf, perToken } from "./means.ts";
import { hinge, logistic, squaredMargin } from "./margin_losses.ts";
import { sortAscending } from "./sort.ts";
import type { PairLogProbs } from "./types.ts";

/** What the variants are made of, f32 [B] each. */
export interface DpoTerms {
  /** Log-ratios c = log π/π_ref of the chosen completions. */
  readonly chosen: Tensor;
  /** Log-ratios r of the rejected ones. */
  readonly rejected: Tensor;
  /** Scores f(c) by the f-divergence. */
  readonly chosenScores: Tensor;
  /** Scores f(r). */
  readonly rejectedScores: Tensor;
  /** x = β(f(c) − f(r)). */
  readonly margin: Tensor;
  /** The log-probs themselves. */
  readonly logProbs: PairLogProbs & { readonly refChosen: Tensor; readonly refRejected: Tensor };
}

/** Options of the variants. */
export interface DpoLossOptions {
  /** Strength of the pull to the reference. */
  readonly beta: number;
  /** Probability ε that a label is wrong. */
  readonly labelSmoothing: number;
  /** Temperature of DiscoPOP's blend. */
  readonly discopopTau: number;
}

/** Losses [B] of pairs: the type of a variant. */
export type DpoLoss = (terms: DpoTerms, options: DpoLossOptions) => Tensor;

/** Difference of the scores per token, f32 [B]. */
function marginPerToken({ chosenScores, rejectedScores, logProbs }: DpoTerms): Tensor {
  const [chosenLengths, rejectedLengths] = lengthsOf(logProbs);
  return perToken(chosenScores, chosenLengths).sub(perToken(rejectedScores, rejectedLengths));
}

/** A name of {@link scoredDpoLosses}. */
export type ScoredDpoLossType =
  | "sigmoid"
  | "sigmoid_cdpo"
  | "sigmoid_norm"
  | "hinge"
  | "ipo"
  | "exo_pair"
  | "robust"
  | "discopop"
  | "sft";

/** Variants that see pairs through scores or not at all: any f-divergence goes with them. */
export const scoredDpoLosses: Readonly<Record<ScoredDpoLossType, DpoLoss>> = {
  /** Rafailov et al., "Direct Preference Optimization", 2023. Without smoothing, as in TRL 1.x. */
  sigmoid: ({ margin }) => logistic(margin, 0),

  /** Conservative DPO (Mitchell, 2023): `sigmoid` of TRL 0.x, which honours label smoothing. */
  sigmoid_cdpo: ({ margin }, { labelSmoothing }) => logistic(margin, labelSmoothing),

  /** Logistic loss of scores per token. */
  sigmoid_norm: (terms, { beta }) => logistic(marginPerToken(terms).mul(beta), 0),

  /** Liu et al., "Statistical Rejection Sampling", 2023. */
  hinge: ({ margin }) => hinge(margin),

  /** Azar et al., "A General Theoretical Paradigm", 2023, per token as its authors used it. */
  ipo: (terms, { beta }) => squaredMargin(marginPerToken(terms), beta),

  /** KL(p ‖ (1 − ε, ε)), p = σ(x), σ(−x) (Ji et al., "Towards Efficient Exact Optimization", 2024, equation 16). */
  exo_pair: ({ margin }, { labelSmoothing: e }) => {
    const [win, lose] = [logSigmoid(margin), logSigmoid(margin.neg())];
    return margin.sigmoid().mul(win.sub(Math.log1p(-e)))
      .add(margin.neg().sigmoid().mul(lose.sub(Math.log(e))));
  },

  /** Unbiased under flipped labels (Chowdhury et al., "Provably Robust DPO", 2024). */
  robust: ({ margin }, { labelSmoothing: e }) =>
    logSigmoid(margin).mul(e - 1).add(logSigmoid(margin.neg()).mul(e)).div(1 - 2 * e),

  /** (1 − g)(−log σ(x)) + g·e⁻ˣ, g = σ(x/τ) (Lu et al., "Discovering Preference Optimization", 2024, equation 5). */
  discopop: ({ margin }, { discopopTau }) => {
    const x = margin.div(discopopTau);
    // g·e⁻ˣ in one exponential: e⁻ˣ alone overflows where g is 0.
    const exponential = logSigmoid(x).sub(margin).exp();
    return logistic(margin, 0).mul(x.neg().sigmoid()).add(exponential);
  },

  /** Mean negative log-likelihood of the chosen tokens, the same for each pair. */
  sft: ({ chosen, logProbs }) => chosenNll(logProbs).broadcastTo(...chosen.shape),
};

/** A name of {@link logRatioDpoLosses}. */
export type LogRatioDpoLossType =
  | "nca_pair"
  | "bco_pair"
  | "sppo_hard"
  | "aot"
  | "aot_unpaired"
  | "apo_zero"
  | "apo_down";

/** Variants of the log-ratios themselves: they have no generalisation to other divergences than reverse KL. */
export const logRatioDpoLosses: Readonly<Record<LogRatioDpoLossType, DpoLoss>> = {
  /** Chen et al., "Noise Contrastive Alignment", 2024. */
  nca_pair: ({ chosen, rejected }, { beta }) =>
    logistic(chosen.mul(beta), 0)
      .add(logistic(chosen.mul(-beta), 0).mul(0.5))
      .add(logistic(rejected.mul(-beta), 0).mul(0.5)),

  /** Jung et al., "Binary Classifier Optimization", 2024, without its running mean, as in TRL 1.x. */
  bco_pair: ({ chosen, rejected }, { beta }) =>
    logistic(chosen.mul(beta), 0).add(logistic(rejected.mul(-beta), 0)),

  /** Wu et al., "Self-Play Preference Optimization", 2024, equation 4.7 with probabilities 1 and 0. */
  sppo_hard: ({ chosen, rejected }, { beta }) =>
    chosen.sub(0.5 / beta).square().add(rejected.add(0.5 / beta).square()),

  /** Melnyk et al., "Distributional Preference Alignment via Optimal Transport", 2024: pairs compared by rank. */
  aot: ({ logProbs }, { beta, labelSmoothing }) => {
    const policy = sortAscending(logProbs.chosen.sub(logProbs.rejected));
    const reference = sortAscending(logProbs.refChosen.sub(logProbs.refRejected));
    return logistic(policy.sub(reference).mul(beta), labelSmoothing);
  },

  /** The same for answers that need not belong together. */
  aot_unpaired: ({ chosen, rejected }, { beta, labelSmoothing }) =>
    logistic(sortAscending(chosen).sub(sortAscending(rejected)).mul(beta), labelSmoothing),

  /** D'Oosterlinck et al., "Anchored Preference Optimization", 2024, equation 7: for answers above the model's. */
  apo_zero: ({ chosen, rejected }, { beta }) =>
    chosen.mul(-beta).sigmoid().add(rejected.mul(beta).sigmoid()),

  /** Equation 8 there: for answers below the model's. */
  apo_down: ({ chosen, rejected }, { beta }) =>
    chosen.mul(beta).sigmoid().add(chosen.sub(rejected).mul(-beta).sigmoid()),
};

/** A name of {@link dpoLosses}. */
export type DpoLossType = ScoredDpoLossType | LogRatioDpoLossType;

/** All variants by name. */
export const dpoLosses: Readonly<Record<DpoLossType, DpoLoss>> = {
  ...scoredDpoLosses,
  ...logRatioDpoLosses,
};
