/** Geometric-mean policy optimisation. @module */

import { stopGradient, type Tensor, where } from "../core/mod.ts";
import { entropyMask } from "./grpo.ts";
import {
  boundedExp,
  clipMetrics,
  entropyMetrics,
  logRatios,
  referenceKl,
  type RolloutTokens,
  tokenMeter,
} from "./policy.ts";
import { sequenceMeans } from "./sequences.ts";
import type { Objective } from "./types.ts";

/** Options of {@link gmpo}. */
export interface GmpoOptions {
  /** Log-ratios below minus this are clipped; 0.4 by default. */
  readonly epsilon?: number;
  /** Log-ratios above this are clipped; `epsilon` by default. */
  readonly epsilonHigh?: number | undefined;
  /** Weight of the divergence from the reference; 0 by default. */
  readonly beta?: number;
  /** Takes the mean over this share of the tokens only, those of largest entropy; 1 by default. */
  readonly topEntropyQuantile?: number;
}

/**
 * Geometric-mean policy optimisation (Zhao et al., 2025): −A·exp(mean over the tokens of log ρ), where a token's
 * log ρ is clipped on the side that its advantage pushes to. A single outlier moves it little.
 *
 * @returns Losses of completions [B].
 * @throws UserError if an option lacks its input.
 */
export function gmpo(tokens: RolloutTokens, options: GmpoOptions = {}): Objective {
  const { epsilon = 0.4, epsilonHigh = epsilon, beta = 0, topEntropyQuantile = 1 } = options;
  const count = tokens.advantages.shape[0]!;
  const advantages = stopGradient(tokens.advantages);
  const ofTokens = advantages.gather(tokens.segments);
  const logRatio = logRatios(tokens);

  const pessimistic = where(
    ofTokens.gt(0),
    logRatio.minimum(epsilonHigh),
    logRatio.maximum(-epsilon),
  );
  const learned = entropyMask(tokens, topEntropyQuantile);
  const layout = learned ? { ...tokens, mask: tokens.mask.mul(learned) } : tokens;
  const ratio = boundedExp(sequenceMeans(pessimistic, layout, count));
  const surrogate = ratio.mul(advantages).neg();
  const kl = beta === 0 ? undefined : referenceKl(tokens);
  const losses = kl ? surrogate.add(sequenceMeans(kl, tokens, count).mul(beta)) : surrogate;

  const meter = tokenMeter(tokens, count);
  const outside = outsideOf(stopGradient(logRatio), ofTokens, -epsilon, epsilonHigh);
  return {
    losses,
    metrics: {
      ...(kl && { kl: meter.mean(stopGradient(kl)) }),
      ...entropyMetrics(tokens),
      ...clipMetrics(outside, meter),
    },
  };
}

function outsideOf(
  logRatio: Tensor,
  advantages: Tensor,
  lowest: number,
  highest: number,
): { readonly low: Tensor; readonly high: Tensor } {
  return {
    low: logRatio.lt(lowest).and(advantages.lt(0)).cast("f32"),
    high: logRatio.gt(highest).and(advantages.gt(0)).cast("f32"),
  };
}
