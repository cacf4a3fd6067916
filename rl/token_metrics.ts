/**
 * What trainers report of tokens: entropies, accuracies and logits, from statistics that the output head gives. TRL's
 * trainers average over different tokens; each function says over which.
 *
 * @module
 */

import { stopGradient, type Tensor, where } from "../core/mod.ts";
import { undesirable } from "./labels.ts";
import { maskedMean } from "./means.ts";
import type { Metrics } from "./metrics.ts";
import type { TokenLogProbs } from "./types.ts";

/** What is known of N tokens: any of the optional statistics of {@link TokenLogProbs}; metrics follow what is there. */
export type TokenStatistics = Omit<TokenLogProbs, "logProbs">;

/** Mean entropy and the share of tokens that greedy decoding would have got right, over the tokens that count. */
export function tokenMetrics(tokens: TokenStatistics): Metrics {
  return { ...entropyMetric(tokens), ...accuracyMetric(tokens, tokens.mask) };
}

/**
 * Of DPO and TPO, from completion tokens: `entropy` over those of all answers (with TPO's gold ones), `logits/chosen` and
 * `logits/rejected` over those of the chosen and the rejected, `mean_token_accuracy` over those of the chosen. 0 where
 * there are none.
 */
export function pairTokenMetrics(tokens: TokenStatistics, pairs: number): Metrics {
  const [chosen] = pairMasks(tokens, pairs);
  return {
    ...entropyMetric(tokens),
    ...pairLogitMetrics(tokens, pairs),
    ...accuracyMetric(tokens, chosen),
  };
}

/**
 * `logits/chosen` and `logits/rejected`: mean logit over the tokens of chosen and rejected sequences. CPO and ORPO give
 * all positions here, of prompts and completions (ORPO without the last one), instead of completion tokens.
 */
export function pairLogitMetrics(tokens: TokenStatistics, pairs: number): Metrics {
  const [chosen, rejected] = pairMasks(tokens, pairs);
  return logitMetrics(tokens, chosen, rejected, 0);
}

/**
 * Of KTO, from the completion tokens of B rows: `entropy` over all, `logits/chosen` and `logits/rejected` over those of
 * desirable and undesirable rows; NaN where there are none.
 *
 * @param labels 1 for desirable rows, 0 for undesirable ones, f32 [B].
 */
export function unpairedTokenMetrics(tokens: TokenStatistics, labels: Tensor): Metrics {
  const [chosen, rejected] = labelMasks(tokens, labels);
  return { ...entropyMetric(tokens), ...logitMetrics(tokens, chosen, rejected, NaN) };
}

/**
 * Of BCO, from all positions of B rows, prompts and completions: `logits/chosen` and `logits/rejected` are the sums of all
 * logits of desirable and undesirable rows per such row; NaN where there are none. A window is averaged by rows.
 *
 * @param labels 1 for desirable rows, 0 for undesirable ones, f32 [B].
 * @param vocabulary Number of logits of a position.
 */
export function rowLogitMetrics(
  tokens: TokenStatistics,
  labels: Tensor,
  vocabulary: number,
): Metrics {
  const { meanLogits } = tokens;
  if (!meanLogits) return {};
  const [chosen, rejected] = labelMasks(tokens, labels);
  const perRow = (mask: Tensor, rows: Tensor) => {
    const total = where(mask.ne(0), stopGradient(meanLogits), 0).sum().mul(vocabulary);
    return where(rows.eq(0), NaN, total.div(rows.maximum(1)));
  };
  return {
    "logits/chosen": perRow(chosen, labels.sum()),
    "logits/rejected": perRow(rejected, undesirable(labels).sum()),
  };
}

function pairMasks({ mask, segments }: TokenStatistics, pairs: number): [Tensor, Tensor] {
  const of = (inside: Tensor) => mask.mul(inside.cast("f32"));
  return [
    of(segments.ge(0).and(segments.lt(pairs))),
    of(segments.ge(pairs).and(segments.lt(2 * pairs))),
  ];
}

function labelMasks({ mask, segments }: TokenStatistics, labels: Tensor): [Tensor, Tensor] {
  const desirable = labels.gather(segments);
  return [mask.mul(desirable), mask.mul(undesirable(desirable))];
}

function entropyMetric({ entropies, mask }: TokenStatistics): Metrics {
  return entropies ? { entropy: maskedMean(stopGradient(entropies), mask) } : {};
}

function accuracyMetric({ predictions, targets }: TokenStatistics, mask: Tensor): Metrics {
  if (!predictions || !targets) return {};
  return { mean_token_accuracy: maskedMean(predictions.eq(targets).cast("f32"), mask) };
}

function logitMetrics(
  { meanLogits }: TokenStatistics,
  chosen: Tensor,
  rejected: Tensor,
  empty: number,
): Metrics {
  if (!meanLogits) return {};
  const mean = (mask: Tensor) => maskedMean(stopGradient(meanLogits), mask, empty);
  return { "logits/chosen": mean(chosen), "logits/rejected": mean(rejected) };
}
