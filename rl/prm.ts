/** Process reward modelling: is each step of a solution right? @module */

import { iota, logSoftmax, stopGradient, type Tensor, where } from "../core/mod.ts";
import { maskedMean } from "./means.ts";
import type { Objective } from "./types.ts";

/** Tokens to classify, N of them. */
export interface TokenClasses {
  /** f32 [N, classes]. */
  readonly logits: Tensor;
  /** The class of each token, i32 [N]; negative where there is none. */
  readonly labels: Tensor;
}

/**
 * Classification of tokens (Uesato et al., "Process- and Outcome-Based Feedback", 2022; Lightman et al., "Let's Verify
 * Step by Step", 2023): mean of −log p(class) over the labelled tokens, which are the separators after the steps.
 *
 * `accuracy` is the share of labelled tokens whose class has the highest logit; TRL reports it in evaluation only,
 * over all tokens of the set, whose number is in `counts`.
 */
export function tokenClassification({ logits, labels }: TokenClasses): Objective {
  const mask = labels.ge(0).cast("f32");
  const hit = labels.unsqueeze(1).eq(iota(logits.shape[1]!));
  const losses = where(hit, logSoftmax(logits), 0).sum(1).neg();
  const count = mask.sum();
  const right = stopGradient(logits).argMax(-1).eq(labels).cast("f32");
  return {
    losses,
    mask,
    metrics: { accuracy: maskedMean(right, mask, NaN) },
    counts: { accuracy: count },
  };
}
