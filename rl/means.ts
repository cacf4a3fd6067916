/** The means that objectives and metrics are made of. @module */

import { type Tensor, where } from "../core/mod.ts";
import { UserError } from "../core/errors.ts";
import type { PairLogProbs } from "./types.ts";

/** Σ values·mask / Σ mask, a single number; `empty` where nothing counts. Values that do not count may be anything. */
export function maskedMean(values: Tensor, mask: Tensor, empty = 0): Tensor {
  const count = mask.sum();
  const total = where(mask.ne(0), values.mul(mask), 0).sum();
  return where(count.eq(0), empty, total.div(count.maximum(1)));
}

/** Log-probability per token: sums [B] over lengths [B]; 0 for an empty completion. */
export function perToken(sums: Tensor, lengths: Tensor): Tensor {
  return sums.div(lengths.maximum(1));
}

/** Mean negative log-likelihood of all tokens of some completions, from sums [B] and lengths [B]. */
export function meanNll(sums: Tensor, lengths: Tensor): Tensor {
  return sums.sum().div(lengths.sum().maximum(1)).neg();
}

/** The lengths of a pair's completions. @throws UserError if they were left out. */
export function lengthsOf(
  { chosenLengths, rejectedLengths }: PairLogProbs,
): readonly [chosen: Tensor, rejected: Tensor] {
  if (chosenLengths && rejectedLengths) return [chosenLengths, rejectedLengths];
  throw new UserError(
    "This objective averages over tokens, and the lengths of the completions are missing. " +
      "Give chosenLengths and rejectedLengths (numbers of completion tokens, f32 [B]) with the log-probs.",
  );
}

/** Mean negative log-likelihood of the chosen completions' tokens: `nll` if it is given, else from sums and lengths. */
export function chosenNll(logProbs: PairLogProbs): Tensor {
  return logProbs.nll ?? meanNll(logProbs.chosen, lengthsOf(logProbs)[0]);
}

/** Log-probs per token of a pair's completions, f32 [B] each. */
export function averageLogProbs(
  logProbs: PairLogProbs,
): { readonly chosen: Tensor; readonly rejected: Tensor } {
  const [chosenLengths, rejectedLengths] = lengthsOf(logProbs);
  return {
    chosen: perToken(logProbs.chosen, chosenLengths),
    rejected: perToken(logProbs.rejected, rejectedLengths),
  };
}
