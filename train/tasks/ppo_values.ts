/** Log-probs and values of answers' tokens: by a head on the policy, or by a model of their own. @module */

import { jit, type Key, scope, stack, type Tensor } from "../../core/mod.ts";
import {
  type CausalModel,
  type DecoderParams,
  headValues,
  type RotaryTables,
  scoreValues,
  type ValueHeadParams,
} from "../../nn/mod.ts";
import type { TokenLogProbs } from "../../rl/mod.ts";
import {
  type CompletionBatch,
  type CompletionInputs,
  scoreCompletions,
  valuesOfCompletions,
} from "./completions.ts";
import type { ValueModelParams } from "../files/value_model.ts";

/** What says how much is to be expected before a token. */
export type ValueFunction =
  /** A value head among the policy's parameters; `dropout` of the hidden states under it, 0.1 by default. */
  | { readonly kind: "head"; readonly dropout?: number }
  /** A sequence classifier with one label, under `value_model` among the parameters. */
  | { readonly kind: "model"; readonly model: CausalModel };

/** What {@link scoreWithValues} computes with. */
export interface ValueScoring {
  /** The policy. */
  readonly model: CausalModel;
  /** What gives values. */
  readonly values: ValueFunction;
  /** Divides the logits; 1 by default. */
  readonly temperature?: number;
}

/** Rotary position embedding of the policy and of the value model. */
export interface ValueTables {
  /** The policy's. */
  readonly policy: RotaryTables;
  /** The value model's; null where there is none. */
  readonly values: RotaryTables | null;
}

/** Tables for so many positions. */
export function valueTables({ model, values }: ValueScoring, positions: number): ValueTables {
  return {
    policy: model.tables(positions),
    values: values.kind === "model" ? values.model.tables(positions) : null,
  };
}

/** Log-probs of N tokens, and the values f32 [N] of what they continue. */
export interface ValuedTokens {
  /** Of the policy. */
  readonly tokens: TokenLogProbs;
  /** Expected return before each token. */
  readonly values: Tensor;
}

/** Runs policy and value function over answers. */
export function scoreWithValues(
  params: DecoderParams,
  inputs: CompletionInputs,
  tables: ValueTables,
  { model, values, temperature = 1, gradientCheckpointing = false, key = null }: ValueScoring & {
    readonly gradientCheckpointing?: boolean;
    /** Randomness of dropout; none without it. */
    readonly key?: Key | null;
  },
): ValuedTokens {
  const { tokens, hidden } = scoreCompletions(model, params, inputs, {
    rotary: tables.policy,
    temperature,
    gradientCheckpointing,
  });
  if (values.kind === "head") {
    const { dropout } = values;
    return {
      tokens,
      values: headValues(params as ValueHeadParams, hidden, {
        key,
        ...(dropout === undefined ? {} : { dropout }),
      }),
    };
  }
  const { value_model: own } = params as ValueModelParams;
  const states = values.model.hidden(own, inputs.stream, {
    rotary: tables.values!,
    gradientCheckpointing,
  });
  return { tokens, values: scoreValues(own, states.gather(inputs.sources)) };
}

/** An answer's numbers as it was sampled: of each of its tokens. */
export interface ScoredAnswer {
  /** log p under the policy. */
  readonly logProbs: Float32Array;
  /** Expected return before the token. */
  readonly values: Float32Array;
}

/** Log-probs and values of a batch's `count` answers, by their numbers. */
export type ValueScorer = (
  params: DecoderParams,
  batch: CompletionBatch,
  count: number,
) => Promise<ScoredAnswer[]>;

/** Compiles (at first use) a pass without a gradient. */
export function valueScorer(scoring: ValueScoring, tables: ValueTables): ValueScorer {
  const score = jit((params: DecoderParams, inputs: CompletionInputs, own: ValueTables) => {
    const { tokens, values } = scoreWithValues(params, inputs, own, scoring);
    return stack([tokens.logProbs, values]);
  }, { name: "the scoring of answers" });
  return async (params, { arrays, inputs }, count) => {
    const both = await scope(async () => await score(params, inputs, tables).data());
    const half = both.length / 2;
    const logProbs = valuesOfCompletions(arrays, both.subarray(0, half), count);
    const values = valuesOfCompletions(arrays, both.subarray(half), count);
    return logProbs.map((row, i) => ({ logProbs: row, values: values[i]! }));
  };
}
