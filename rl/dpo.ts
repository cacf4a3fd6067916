/** Direct preference optimisation: learning from pairs of answers, held near a reference model. @module */

import { stopGradient, type Tensor, zeros } from "../core/mod.ts";
import { UserError } from "../core/errors.ts";
import {
  dpoLosses,
  type DpoLossOptions,
  type DpoLossType,
  type DpoTerms,
  logRatioDpoLosses,
} from "./dpo_losses.ts";
import { divergenceScores, type FDivergence } from "./f_divergence.ts";
import { pairMetrics } from "./metrics.ts";
import type { Objective, PairLogProbs } from "./types.ts";
import { variantOf } from "./variants.ts";

/** Options of {@link dpo}. */
export interface DpoOptions extends Partial<DpoLossOptions> {
  /** The variant, or several whose losses are added (Wang et al., "Mixed Preference Optimization", 2024). */
  readonly lossType?: DpoLossType | readonly DpoLossType[];
  /** A factor for each variant; 1 by default. */
  readonly lossWeights?: readonly number[];
  /** The divergence that holds the policy near the reference. */
  readonly fDivergence?: FDivergence;
  /** α of the α-divergence. */
  readonly fAlphaDivergenceCoef?: number;
  /** Adds this much of the chosen answers' mean negative log-likelihood (RPO, Pang et al., 2024). */
  readonly rpoAlpha?: number;
  /** Takes a uniform reference: its log-probs count as 0. */
  readonly referenceFree?: boolean;
}

const defaults = {
  beta: 0.1,
  labelSmoothing: 0,
  discopopTau: 0.05,
  fDivergence: "reverse_kl" as FDivergence,
  fAlphaDivergenceCoef: 0.5,
  referenceFree: false,
};

/**
 * Direct preference optimisation (Rafailov et al., 2023) and its variants ({@link dpoLosses}):
 * −log σ(β(c − r)) with c, r = log π/π_ref of the chosen and the rejected answer.
 *
 * @param logProbs Summed completion log-probs of policy and reference, f32 [B]; `chosenLengths` and
 * `rejectedLengths` for `ipo`, `sigmoid_norm` and `sft`; `pairWeights` for WPO.
 * @throws UserError if options contradict each other or a variant lacks an input.
 */
export function dpo(logProbs: PairLogProbs, options: DpoOptions = {}): Objective {
  const settings = { ...defaults, ...options };
  const { beta, fDivergence, fAlphaDivergenceCoef: alpha } = settings;
  const variants = weightedVariants(options);
  checkDpo(variants.map(([name]) => name), settings, logProbs.pairWeights !== undefined);

  const pairs = withReference(logProbs, settings.referenceFree);
  const chosen = pairs.chosen.sub(pairs.refChosen);
  const rejected = pairs.rejected.sub(pairs.refRejected);
  const score = variantOf(divergenceScores, fDivergence, "f_divergence_type");
  const [chosenScores, rejectedScores] = [score(chosen, { alpha }), score(rejected, { alpha })];
  const margin = chosenScores.sub(rejectedScores).mul(beta);
  const terms = { chosen, rejected, chosenScores, rejectedScores, margin, logProbs: pairs };

  const total = variants
    .map(([name, weight]) => dpoLosses[name](terms, settings).mul(weight))
    .reduce((sum, losses) => sum.add(losses));
  const losses = pairs.pairWeights ? total.mul(stopGradient(pairs.pairWeights)) : total;
  return {
    losses,
    metrics: pairMetrics(chosen.mul(beta), rejected.mul(beta), pairs),
  };
}

/** Variants with their factors; RPO's term is the variant `sft` under another name. */
function weightedVariants(options: DpoOptions): [DpoLossType, number][] {
  const { lossType = "sigmoid", lossWeights, rpoAlpha } = options;
  const names = typeof lossType === "string" ? [lossType] : lossType;
  if (lossWeights && lossWeights.length !== names.length) {
    throw new UserError(
      `loss_weights has ${lossWeights.length} numbers for ${names.length} loss types ` +
        `(${names.join(", ")}). Give one for each.`,
    );
  }
  const variants = names.map((name, i): [DpoLossType, number] => [name, lossWeights?.[i] ?? 1]);
  return rpoAlpha === undefined ? variants : [...variants, ["sft", rpoAlpha]];
}

/**
 * Refuses options of {@link dpo} that do not go together.
 *
 * @throws UserError naming the loss types and what they allow.
 */
export function checkDpo(
  names: readonly string[],
  options: { readonly fDivergence?: string; readonly labelSmoothing?: number },
  weighted = false,
): void {
  const { fDivergence = defaults.fDivergence, labelSmoothing = 0 } = options;
  for (const name of names) {
    variantOf(dpoLosses, name, "loss_type");
    if (fDivergence !== "reverse_kl" && Object.hasOwn(logRatioDpoLosses, name)) {
      const allowed = Object.keys(dpoLosses).filter((key) =>
        !Object.hasOwn(logRatioDpoLosses, key)
      );
      throw new UserError(
        `f_divergence_type "${fDivergence}" does not go with loss_type "${name}", which is defined for ` +
          `"reverse_kl" only. Loss types for other divergences: ${allowed.join(", ")}.`,
      );
    }
    if (name === "exo_pair" && !(labelSmoothing > 0 && labelSmoothing < 1)) {
      throw new UserError(
        `loss_type "exo_pair" compares with label probabilities and needs label_smoothing between 0 and 1, ` +
          `not ${labelSmoothing}. Its paper recommends 0.001.`,
      );
    }
    if (name === "robust" && !(labelSmoothing >= 0 && labelSmoothing < 0.5)) {
      throw new UserError(
        `loss_type "robust" needs label_smoothing in [0, 0.5), not ${labelSmoothing}: it is the share of ` +
          "flipped labels.",
      );
    }
    if (weighted && (name === "aot" || name === "aot_unpaired")) {
      throw new UserError(
        `use_weighting does not go with loss_type "${name}": it sorts its values, after which weights of pairs ` +
          "have no meaning.",
      );
    }
  }
}

function withReference(logProbs: PairLogProbs, referenceFree: boolean): DpoTerms["logProbs"] {
  if (referenceFree) {
    const nothing: Tensor = zeros(logProbs.chosen.shape);
    return { ...logProbs, refChosen: nothing, refRejected: nothing };
  }
  const { refChosen, refRejected } = logProbs;
  if (refChosen && refRejected) return { ...logProbs, refChosen, refRejected };
  throw new UserError(
    "DPO compares with a reference model, and its log-probs are missing. Give refChosen and refRejected " +
      "(f32 [B]), or set referenceFree.",
  );
}
