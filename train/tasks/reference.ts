/**
 * Log-probs under a reference model, computed once before training: the policy is still the reference then, so no
 * second copy of the weights is needed.
 *
 * @module
 */

import type { CausalModel, DecoderParams, RotaryTables } from "../../nn/mod.ts";
import type { CompletionBatch } from "./completions.ts";
import { tokenScorer } from "./token_scores.ts";

/** Log-probs of tokens by example and by the completion's place in it. */
export type ReferenceLogProbs = ReadonlyMap<number, readonly Float32Array[]>;

/** What {@link referenceLogProbs} goes through. */
export interface ReferencePass {
  /** The model. */
  readonly model: CausalModel;
  /** Its parameters. */
  readonly params: DecoderParams;
  /** Rotary position embedding. */
  readonly rotary: RotaryTables;
  /** Numbers of the examples. */
  readonly examples: readonly number[];
  /** Completions per example. */
  readonly completions: number;
  /** Examples of a micro-batch. */
  readonly batchSize: number;
  /**
   * Lays examples out: completion k of the batch's i-th example has the number k·examples + i.
   */
  readonly batch: (examples: readonly number[]) => CompletionBatch;
  /** Called after each batch. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Goes through examples and keeps the log-prob of every completion token. */
export async function referenceLogProbs(pass: ReferencePass): Promise<ReferenceLogProbs> {
  const { model, params, rotary, examples, completions, batchSize } = pass;
  const score = tokenScorer({ model, rotary, name: "the reference pass" });
  const found = new Map<number, Float32Array[]>();
  for (let start = 0; start < examples.length; start += batchSize) {
    const chunk = examples.slice(start, start + batchSize);
    const lists = await score(params, pass.batch(chunk), completions * chunk.length);
    chunk.forEach((example, i) => {
      found.set(
        example,
        Array.from({ length: completions }, (_, k) => lists[k * chunk.length + i]!),
      );
    });
    pass.onProgress?.(Math.min(start + batchSize, examples.length), examples.length);
  }
  return found;
}
