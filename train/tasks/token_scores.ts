/** Log-probs of completions without a gradient: of a reference, or of the policy as it sampled. @module */

import { jit, scope } from "../../core/mod.ts";
import type { CausalModel, DecoderParams, RotaryTables } from "../../nn/mod.ts";
import {
  type CompletionBatch,
  type CompletionInputs,
  scoreCompletions,
  valuesOfCompletions,
} from "./completions.ts";

/** What {@link tokenScorer} computes with. */
export interface TokenScorerOptions {
  /** The model. */
  readonly model: CausalModel;
  /** Rotary position embedding. */
  readonly rotary: RotaryTables;
  /** Divides the logits; 1 by default. */
  readonly temperature?: number;
  /** For messages. */
  readonly name: string;
}

/** Log-probs of the tokens of a batch's `count` completions, by their numbers. */
export type TokenScorer = (
  params: DecoderParams,
  batch: CompletionBatch,
  count: number,
) => Promise<Float32Array[]>;

/** Compiles (at first use) a pass over completions. */
export function tokenScorer(options: TokenScorerOptions): TokenScorer {
  const { model, rotary, temperature = 1, name } = options;
  const score = jit(
    (params: DecoderParams, inputs: CompletionInputs, tables: RotaryTables) =>
      scoreCompletions(model, params, inputs, { rotary: tables, temperature }).tokens.logProbs,
    { name },
  );
  return async (params, { arrays, inputs }, count) => {
    const values = await scope(async () => await score(params, inputs, rotary).data());
    return valuesOfCompletions(arrays, values, count);
  };
}
