/** Odds ratio preference optimisation: imitation and preference in one loss, without a reference. @module */

import { logSigmoid, stopGradient, type Tensor, where } from "../core/mod.ts";
import { UserError } from "../core/errors.ts";
import { averageLogProbs, maskedMean } from "./means.ts";
import { pairMetrics } from "./metrics.ts";
import { pairLogProbs } from "./pairs.ts";
import type { Objective, PairLogProbs, TokenLogProbs } from "./types.ts";

/** Options of {@link orpo}. */
export interface OrpoOptions {
  /** Weight of the odds-ratio term (λ of the paper); 0.1 by default. */
  readonly beta?: number;
}

/**
 * Odds ratio preference optimisation (Hong et al., "ORPO", 2024, equations 4 to 7):
 * NLL − β·mean log σ(log odds(chosen) − log odds(rejected)), odds = P/(1 − P), P = e^(log-prob per token).
 *
 * @param logProbs Summed completion log-probs and lengths, f32 [B], and `nll`: the mean negative log-likelihood of
 * all tokens of prompt and chosen completion but the first, over the batch's tokens.
 */
export function orpo(logProbs: PairLogProbs, options: OrpoOptions = {}): Objective {
  const { beta = 0.1 } = options;
  const { nll } = logProbs;
  if (!nll) {
    throw new UserError(
      "ORPO imitates prompt and chosen answer, and their mean negative log-likelihood is missing. Give nll, a " +
        "single number, with the log-probs.",
    );
  }
  const { chosen, rejected } = averageLogProbs(logProbs);
  const logOdds = chosen.sub(rejected).sub(log1mExp(chosen).sub(log1mExp(rejected)));
  const ratio = logSigmoid(logOdds);
  const losses = ratio.mul(-beta);
  return {
    losses,
    term: nll,
    metrics: {
      ...pairMetrics(chosen.mul(beta), rejected.mul(beta), { chosen, rejected }),
      nll_loss: stopGradient(nll),
      log_odds_ratio: stopGradient(ratio).mean(),
      log_odds_chosen: stopGradient(logOdds).mean(),
    },
  };
}

/**
 * The log-probs of ORPO from those of tokens: sequences 0 … B − 1 are the chosen completions, B … 2B − 1 the rejected
 * ones, 2B … 3B − 1 the pairs' prompts, whose tokens are imitated like the chosen ones.
 */
export function orpoLogProbs(tokens: TokenLogProbs, pairs: number): PairLogProbs {
  const { mask, segments } = tokens;
  const imitated = segments.lt(pairs).or(segments.ge(2 * pairs));
  const nll = maskedMean(tokens.logProbs, mask.mul(imitated.cast("f32"))).neg();
  return { ...pairLogProbs(tokens, pairs), nll };
}

/**
 * log(1 − eˣ) for x ≤ 0, exact at both ends. At 0, the log-prob of an empty completion, it is a large negative
 * number without gradient instead of −∞.
 */
export function log1mExp(x: Tensor): Tensor {
  const below = x.minimum(-1e-30);
  // Each branch where it has all its digits; the other one gets a number that does no harm.
  const near = below.gt(-Math.LN2);
  return where(
    near,
    where(near, below, -1).expm1().neg().log(),
    where(near, -1, below).exp().neg().log1p(),
  );
}
