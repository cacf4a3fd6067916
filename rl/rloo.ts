/** REINFORCE with leave-one-out baselines. @module */

import { stopGradient } from "../core/mod.ts";
import {
  boundedExp,
  clipMetrics,
  clipped,
  clippedSurrogate,
  type ClipRange,
  entropyMetrics,
  logRatios,
  type RolloutTokens,
} from "./policy.ts";
import { sequenceSums } from "./sequences.ts";
import type { Objective } from "./types.ts";

/** Options of {@link rloo}. */
export type RlooOptions = Partial<ClipRange>;

/**
 * REINFORCE leave-one-out (Ahmadian et al., "Back to Basics", 2024) with TRL's clipping: the ratio is that of whole
 * completions, the product over their tokens. Advantages are those of `leaveOneOutAdvantages`.
 *
 * @returns Losses of completions [B].
 */
export function rloo(tokens: RolloutTokens, options: RlooOptions = {}): Objective {
  const range: ClipRange = { epsilon: 0.2, ...options };
  const advantages = stopGradient(tokens.advantages);
  const ratio = boundedExp(sequenceSums(logRatios(tokens), tokens, advantages.size));
  const losses = clippedSurrogate(ratio, advantages, range);
  return {
    losses,
    metrics: {
      ...entropyMetrics(tokens),
      ...clipMetrics(clipped(ratio, advantages, range), {
        mean: (x) => x.mean(),
        lowest: (x) => x.min(),
        highest: (x) => x.max(),
      }),
    },
  };
}
