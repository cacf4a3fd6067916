/** Tasks over pairs of answers: DPO, CPO, ORPO, TPO, and losses of your own. @module */

import { segmentSum, type Tensor } from "../../core/mod.ts";
import type { PreferenceExample } from "../../data/prepare/prepare_pairs.ts";
import type { CausalModel, DecoderParams } from "../../nn/mod.ts";
import {
  orpoLogProbs,
  pairLogitMetrics,
  pairLogProbs,
  type PairObjective,
  type PairOptions,
  pairTokenMetrics,
  type TpoLogProbs,
  withLossesFor,
} from "../../rl/mod.ts";
import { type CompletionSpec, completionTask } from "./completion_task.ts";
import { type FollowingReference, followPolicy, withFollowingReference } from "./following.ts";
import type { ReferenceLogProbs } from "./reference.ts";
import type { Task, TaskObjective } from "../loop/task.ts";

/** Settings that all tasks over pairs share. */
export interface PairTaskOptions<O> {
  /** The model. */
  readonly model: CausalModel;
  /** The prepared rows. */
  readonly examples: readonly PreferenceExample[];
  /** The loss, from the pairs' log-probs. */
  readonly objective: O;
  /** Recompute layers in the backward pass. */
  readonly gradientCheckpointing?: boolean;
  /** Whether a pair's answers share their prompt's tokens; true by default. */
  readonly sharePrompts?: boolean;
}

/** What the examples are to `completionTask`. */
export function pairSpec(
  examples: readonly PreferenceExample[],
): Pick<CompletionSpec<PreferenceExample>, "examples" | "answers" | "row"> {
  return {
    examples,
    answers: (
      { chosen, rejected, reference },
    ) => [chosen, rejected, ...(reference ? [reference] : [])],
    row: ({ row }) => row,
  };
}

/** Settings of {@link dpoTask}. */
export interface DpoTaskOptions extends PairTaskOptions<PairObjective>, PairOptions {
  /** Log-probs under the reference model, computed ahead. */
  readonly reference?: ReferenceLogProbs;
  /** A reference that changes along the way, instead. */
  readonly following?: FollowingReference;
}

/** Pairs against a reference model. */
export function dpoTask(options: DpoTaskOptions): Task<DecoderParams> {
  const { following, objective, ldAlpha, useWeighting } = options;
  return completionTask({
    ...common(options),
    reference: options.reference,
    ...(following ? followPolicy(following) : {}),
    objective: (batch, context) => {
      const tokens = following ? withFollowingReference(batch, context) : batch.tokens;
      const pairs = pairLogProbs(tokens, batch.size, { ldAlpha, useWeighting });
      return ofPairs(objective(pairs), batch.size, pairTokenMetrics(tokens, batch.size));
    },
  });
}

/** Settings of tasks whose metrics TRL takes over padding too. */
export interface PaddedMetricsOptions {
  /** The token other programs pad with. */
  readonly padTokenId: number;
}

/** Pairs without a reference model: CPO and SimPO. */
export function cpoTask(
  options: PairTaskOptions<PairObjective> & PaddedMetricsOptions,
): Task<DecoderParams> {
  return completionTask({
    ...common(options),
    layout: { ...common(options).layout, padTokenId: options.padTokenId },
    objective: ({ tokens, everywhere, size }) =>
      ofPairs(
        options.objective(pairLogProbs(tokens, size)),
        size,
        pairLogitMetrics(everywhere!, size),
      ),
  });
}

/** Pairs of which the chosen answer, with its prompt, is imitated too: ORPO. */
export function orpoTask(
  options: PairTaskOptions<PairObjective> & PaddedMetricsOptions,
): Task<DecoderParams> {
  return completionTask({
    ...common(options),
    layout: { ...common(options).layout, padTokenId: options.padTokenId, withoutLast: true },
    learnPrompts: true,
    objective: ({ tokens, everywhere, size }) =>
      ofPairs(
        options.objective(orpoLogProbs(tokens, size)),
        size,
        pairLogitMetrics(everywhere!, size),
      ),
  });
}

/** Pairs with a third answer to imitate: TPO. */
export function tpoTask(
  options: PairTaskOptions<(logProbs: TpoLogProbs) => TaskObjective>,
): Task<DecoderParams> {
  return completionTask({
    ...common(options),
    objective: ({ tokens, size }) => {
      const sums = (x: Tensor) => segmentSum(x, tokens.segments, 3 * size).slice(2 * size);
      const triples: TpoLogProbs = {
        ...pairLogProbs(tokens, size),
        reference: sums(tokens.logProbs.mul(tokens.mask)),
        referenceLengths: sums(tokens.mask),
      };
      return ofPairs(options.objective(triples), size, pairTokenMetrics(tokens, size));
    },
  });
}

function common<O>({ model, examples, gradientCheckpointing, sharePrompts }: PairTaskOptions<O>) {
  return {
    model,
    ...pairSpec(examples),
    gradientCheckpointing: gradientCheckpointing ?? false,
    layout: { share: sharePrompts ?? true },
  };
}

/** An objective of so many pairs with metrics of their tokens. */
function ofPairs(
  objective: TaskObjective,
  pairs: number,
  metrics: TaskObjective["metrics"],
): TaskObjective {
  const checked = withLossesFor({ pair: pairs }, objective);
  return { ...checked, metrics: { ...metrics, ...checked.metrics } };
}
