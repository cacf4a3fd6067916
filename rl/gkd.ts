/** Distillation: a student that gives each token the teacher's distribution. @module */

import { logSoftmax, stopGradient, type Tensor } from "../core/mod.ts";
import { UserError } from "../core/errors.ts";
import type { Objective } from "./types.ts";

/** Options of {@link generalizedJsd}. */
export interface JsdOptions {
  /** 0: KL(teacher ‖ student); 1: KL(student ‖ teacher); between: Jensen–Shannon with this share of the teacher. */
  readonly beta?: number;
  /** Divides the logits of both; 1 by default. */
  readonly temperature?: number;
}

/**
 * Generalised Jensen–Shannon divergence of each row (Agarwal et al., "On-Policy Distillation of Language Models", 2023,
 * equation 1): β KL(T ‖ M) + (1 − β) KL(S ‖ M), M = β T + (1 − β) S. Whole distributions go in, so call it in the core's
 * `mapLogits`, which never holds all of them.
 *
 * @param student,teacher Logits f32 [N, V]; no gradient flows to the teacher.
 * @returns f32 [N].
 */
export function generalizedJsd(student: Tensor, teacher: Tensor, options: JsdOptions = {}): Tensor {
  const { beta = 0.5, temperature = 1 } = options;
  if (!(beta >= 0 && beta <= 1)) {
    throw new UserError(`beta is ${beta}; as a share of the teacher it lies in [0, 1].`);
  }
  const s = logSoftmax(belowZero(student.div(temperature)));
  const t = logSoftmax(belowZero(stopGradient(teacher).div(temperature)));
  if (beta === 0) return klDivergence(t, s);
  if (beta === 1) return klDivergence(s, t);
  const m = logAddExp(t.add(Math.log(beta)), s.add(Math.log1p(-beta)));
  return klDivergence(t, m).mul(beta).add(klDivergence(s, m).mul(1 - beta));
}

/** Logits moved so that each row's largest is 0: their softmax is the same and keeps more digits. */
function belowZero(logits: Tensor): Tensor {
  return logits.sub(stopGradient(logits.max(-1, { keepDims: true })));
}

/** KL(P ‖ Q) of each row from log P, log Q, f32 [N, V] to f32 [N]. */
function klDivergence(p: Tensor, q: Tensor): Tensor {
  return p.exp().mul(p.sub(q)).sum(-1);
}

/** log(eˣ + eʸ). */
function logAddExp(x: Tensor, y: Tensor): Tensor {
  return x.maximum(y).add(x.sub(y).abs().neg().exp().log1p());
}

/** Divergences of single tokens, N of them. */
export interface TokenDivergences {
  /** f32 [N]. */
  readonly divergences: Tensor;
  /** 1 for tokens that count, 0 for padding, f32 [N]. */
  readonly mask: Tensor;
}

/** Generalised knowledge distillation: the mean divergence from the teacher over the completions' tokens. */
export function gkd({ divergences, mask }: TokenDivergences): Objective {
  return { losses: divergences.mul(mask), mask, metrics: {} };
}
