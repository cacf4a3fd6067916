/** Exploratory preference optimisation. @module */

import { type Operand, stopGradient, type Tensor } from "../core/mod.ts";
import { pairMetrics } from "./metrics.ts";
import { byPreference, onlineDpoLosses, type OnlineDpoLossType } from "./online_dpo.ts";
import type { Objective } from "./types.ts";
import { variantOf } from "./variants.ts";

/** The policy's and the reference model's answers to B prompts: sums over the answers' tokens, f32 [B] each. */
export interface XpoLogProbs {
  /** Policy on its own answers. */
  readonly policyOnModel: Tensor;
  /** Policy on the reference model's answers. */
  readonly policyOnReference: Tensor;
  /** Reference model on the policy's answers. */
  readonly referenceOnModel: Tensor;
  /** Reference model on its own answers. */
  readonly referenceOnReference: Tensor;
  /** Scores of the policy's answers. */
  readonly modelScores: Tensor;
  /** Scores of the reference model's answers. */
  readonly referenceScores: Tensor;
}

/** Options of {@link xpo}. */
export interface XpoOptions {
  /** The variant; `sigmoid` by default. */
  readonly lossType?: OnlineDpoLossType;
  /** Strength of the pull to the reference, a number or f32 []; 0.1 by default. */
  readonly beta?: Operand;
  /** Weight of the bonus for leaving the reference's answers, a number or f32 []; 1e-5 by default. */
  readonly alpha?: Operand;
}

/**
 * XPO (Xie et al., "Exploratory Preference Optimization", 2024): DPO between the policy's answer and the reference
 * model's, plus α Σ log π(reference's answer), which makes the policy try others. The policy's answer wins if scores
 * are equal.
 *
 * @returns Losses of prompts [B]. As in TRL, `logps/…` add the policy's and the reference's log-probs.
 */
export function xpo(logProbs: XpoLogProbs, options: XpoOptions = {}): Objective {
  const { lossType = "sigmoid", beta = 0.1, alpha = 1e-5 } = options;
  const { policyOnModel, policyOnReference, referenceOnModel, referenceOnReference } = logProbs;
  const { modelScores, referenceScores } = logProbs;
  const wins = modelScores.ge(referenceScores);
  const policy = byPreference(wins, policyOnModel, policyOnReference);
  const reference = byPreference(wins, referenceOnModel, referenceOnReference);
  const chosen = policy.chosen.sub(reference.chosen);
  const rejected = policy.rejected.sub(reference.rejected);

  const loss = variantOf(onlineDpoLosses, lossType, "loss_type");
  const preference = loss(chosen.sub(rejected), beta);
  const exploration = policyOnReference.mul(alpha);
  const losses = preference.add(exploration);
  const both = stopGradient(policyOnModel.add(policyOnReference));
  return {
    losses,
    metrics: {
      ...pairMetrics(chosen.mul(beta), rejected.mul(beta), {
        chosen: policy.chosen.add(reference.chosen),
        rejected: policy.rejected.add(reference.rejected),
      }),
      "loss/dpo": stopGradient(preference).mean(),
      "loss/xpo": stopGradient(exploration).mean(),
      "objective/kl": both.sub(referenceOnModel).sub(referenceOnReference).mean().mul(0.5),
      "objective/entropy": both.mean().mul(-0.5),
      "objective/model_scores": modelScores.mean(),
      "objective/ref_scores": referenceScores.mean(),
      "objective/scores_margin": modelScores.sub(referenceScores).mean(),
    },
  };
}
