/** Correcting for a sampler that is not quite the policy: another engine, another precision, an older copy. @module */

import { stopGradient, type Tensor, where } from "../core/mod.ts";
import { boundedExp } from "./policy.ts";
import { sequenceSums, type TokenLayout } from "./sequences.ts";
import { variantOf } from "./variants.ts";

/** Options of {@link samplingCorrection}. */
export interface SamplingCorrectionOptions {
  /** Of tokens or whole sequences; ratios outside the bounds are cut to them or set to 0. Default `sequence_mask`. */
  readonly mode?: "token_truncate" | "token_mask" | "sequence_truncate" | "sequence_mask";
  /** Largest ratio that is kept; 3 by default. */
  readonly clipMax?: number;
  /** Smallest one; none by default. */
  readonly clipMin?: number;
}

const levels = {
  token_truncate: false,
  token_mask: false,
  sequence_truncate: true,
  sequence_mask: true,
};

/**
 * Importance ratios exp(log π_old − log π_sampler), f32 [N]: of tokens, or the product over a sequence given to each
 * of its tokens. 1 throughout when sampler and policy agree, which is the case within one engine. TRL's
 * `vllm_importance_sampling_correction`.
 *
 * @param oldLogProbs,samplingLogProbs f32 [N].
 * @param count Number of sequences.
 * @throws UserError if there is no such mode.
 */
export function samplingCorrection(
  oldLogProbs: Tensor,
  samplingLogProbs: Tensor,
  tokens: TokenLayout,
  count: number,
  options: SamplingCorrectionOptions = {},
): Tensor {
  const { mode = "sequence_mask", clipMax = 3, clipMin } = options;
  const bySequence = variantOf<boolean>(levels, mode, "importance_sampling_mode");
  const difference = where(tokens.mask.ne(0), oldLogProbs.sub(samplingLogProbs), 0);
  const logRatio = bySequence
    ? sequenceSums(difference, tokens, count).gather(tokens.segments)
    : difference;
  const ratio = stopGradient(boundedExp(logRatio));
  const low = clipMin ?? 0;
  if (mode.endsWith("truncate")) return ratio.clamp(low, clipMax);
  return where(ratio.lt(low).or(ratio.gt(clipMax)), 0, ratio);
}
