/** What the tasks that learn from their own answers share. @module */

import type { RotaryTables } from "../nn/mod.ts";
import type { DecoderParams } from "../nn/mod.ts";
import type { TokenLogProbs } from "../rl/mod.ts";
import type { AnsweringOptions } from "./answers.ts";
import { scoreCompletions } from "./completions.ts";
import { type FollowingReference, followPolicy, referenceIn } from "./following.ts";
import type { RolloutInputs } from "./rollout_batch.ts";
import type { Learning, ObjectiveContext, TaskState } from "./task.ts";

/** A model that the policy is held near: one that stays, or one that follows. */
export type OnlineReference =
  | { readonly kind: "fixed"; readonly params: DecoderParams }
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

/** The reference's parameters, from the task's state if it follows. */
export function referenceParams(
  reference: OnlineReference | undefined,
): ((state: TaskState) => DecoderParams) | undefined {
  if (!reference) return undefined;
  return reference.kind === "fixed" ? () => reference.params : referenceIn;
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
