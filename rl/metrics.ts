/** What objectives report of sequences, by TRL's names. @module */

import { stopGradient, type Tensor, where } from "../core/mod.ts";
import { undesirable } from "./labels.ts";
import { maskedMean } from "./means.ts";

/** Single numbers by name. */
export type Metrics = Readonly<Record<string, Tensor>>;

/**
 * Rewards and log-probs of pairs, averaged over the pairs. `rewards/accuracies` is the share of pairs whose chosen
 * answer has the strictly higher reward: 0 for a policy that equals its reference.
 *
 * @param chosenRewards,rejectedRewards f32 [B].
 * @param logProbs The log-probs to report, f32 [B] each.
 */
export function pairMetrics(
  chosenRewards: Tensor,
  rejectedRewards: Tensor,
  logProbs: { readonly chosen: Tensor; readonly rejected: Tensor },
): Metrics {
  const [chosen, rejected] = [stopGradient(chosenRewards), stopGradient(rejectedRewards)];
  return {
    "rewards/chosen": chosen.mean(),
    "rewards/rejected": rejected.mean(),
    "rewards/accuracies": chosen.gt(rejected).cast("f32").mean(),
    "rewards/margins": chosen.sub(rejected).mean(),
    "logps/chosen": stopGradient(logProbs.chosen).mean(),
    "logps/rejected": stopGradient(logProbs.rejected).mean(),
  };
}

/**
 * Rewards and log-probs of desirable and undesirable answers, each averaged over its own; NaN where there are none.
 * `rewards/margins` is the difference of the two means, NaN if one is missing.
 *
 * @param rewards,logProbs f32 [B].
 * @param labels 1 for desirable answers, 0 for undesirable ones, f32 [B].
 */
export function unpairedMetrics(rewards: Tensor, logProbs: Tensor, labels: Tensor): Metrics {
  const others = undesirable(labels);
  const mean = (x: Tensor, mask: Tensor) => maskedMean(stopGradient(x), mask, NaN);
  const [chosen, rejected] = [mean(rewards, labels), mean(rewards, others)];
  const either = labels.sum().mul(others.sum()).eq(0);
  return {
    "rewards/chosen": chosen,
    "rewards/rejected": rejected,
    "rewards/margins": where(either, NaN, chosen.sub(rejected)),
    "logps/chosen": mean(logProbs, labels),
    "logps/rejected": mean(logProbs, others),
  };
}
