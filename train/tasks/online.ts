/** What the tasks that learn from their own answers share. @module */

import type { CausalModel, RotaryTables } from "../../nn/mod.ts";
import type { DecoderParams } from "../../nn/mod.ts";
import type { TokenLogProbs } from "../../rl/mod.ts";
import type { AnsweringOptions } from "../sampling/answers.ts";
import { scoreCompletions } from "./completions.ts";
import { type FollowingReference, followPolicy, referenceIn } from "./following.ts";
import type { RolloutInputs } from "../sampling/rollout_batch.ts";
import type { Learning, ObjectiveContext, TaskState } from "../loop/task.ts";
import { type TokenScorer, tokenScorer } from "./token_scores.ts";

/** A model that the policy is held near: one that stays, or one that follows. */
export type OnlineReference =
  | {
    readonly kind: "fixed";
    readonly params: DecoderParams;
    /** Its architecture, if it is not the policy's. */
    readonly model?: CausalModel;
  }
  | { readonly kind: "following"; readonly following: FollowingReference };

/** Settings of every online task. */
export interface OnlineTaskOptions {
  /** How prompts are answered and answers judged. */
  readonly answering: AnsweringOptions;
  /** The reference model; none by default. */
  readonly reference?: OnlineReference | undefined;
  /** Recompute layers in the backward pass. */
  readonly gradientCheckpointing?: boolean;
}

/** Tables of the positions that prompts with their answers may reach. */
export function onlineTables(
  { model, examples, maxCompletionLength }: AnsweringOptions,
): RotaryTables {
  const longest = examples.reduce((most, { promptIds }) => Math.max(most, promptIds.length), 0);
  return model.tables(longest + maxCompletionLength);
}

/** Log-probs under a reference. */
export interface ReferenceScorer {
  /** Its parameters, from the task's state if it follows. */
  readonly params: (state: TaskState) => DecoderParams;
  /** Runs it over answers. */
  readonly score: TokenScorer;
}

/** What computes log-probs of answers: under the policy, and under the reference if there is one. */
export function onlineScorers(
  { answering, reference }: OnlineTaskOptions,
): { readonly score: TokenScorer; readonly reference: ReferenceScorer | undefined } {
  const { model, sampling } = answering;
  const temperature = sampling.temperature ?? 1;
  const rotary = onlineTables(answering);
  const score = tokenScorer({ model, rotary, temperature, name: "the scoring of answers" });
  if (!reference) return { score, reference: undefined };
  if (reference.kind === "following") return { score, reference: { params: referenceIn, score } };
  const { params, model: other } = reference;
  const scoreOther = other
    ? tokenScorer({
      model: other,
      rotary: onlineTables({ ...answering, model: other }),
      temperature,
      name: "the reference pass",
    })
    : score;
  return { score, reference: { params: () => params, score: scoreOther } };
}

/** The state that a reference needs, and its changes. */
export function referenceState(
  reference: OnlineReference | undefined,
): Required<Pick<Learning<DecoderParams>, "initialState" | "refreshes">> {
  if (reference?.kind === "following") return followPolicy(reference.following);
  return { initialState: () => null, refreshes: [] };
}

/** Log-probs of a batch's tokens under the policy, of logits divided by the temperature they were sampled with. */
export function scoreRollout(
  params: DecoderParams,
  { completions }: RolloutInputs,
  rotary: RotaryTables,
  { answering, gradientCheckpointing }: OnlineTaskOptions,
  { key }: Pick<ObjectiveContext, "key">,
): TokenLogProbs {
  return scoreCompletions(answering.model, params, completions, {
    rotary,
    temperature: answering.sampling.temperature ?? 1,
    gradientCheckpointing: (gradientCheckpointing ?? false) && key !== null,
  }).tokens;
}
