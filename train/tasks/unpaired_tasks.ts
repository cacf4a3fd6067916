/** Tasks over single answers, good or bad: KTO and BCO. @module */

import { segmentSum, type Tensor } from "../../core/mod.ts";
import type { UnpairedExample } from "../../data/prepare/prepare_unpaired.ts";
import type { CausalModel, DecoderParams } from "../../nn/mod.ts";
import {
  type BcoLogProbs,
  type BcoOptions,
  emptyRunningMean,
  type KtoLogProbs,
  type Objective,
  rowLogitMetrics,
  type RunningMean,
  type TokenLogProbs,
  undesirable,
  unpairedTokenMetrics,
  withLossesFor,
} from "../../rl/mod.ts";
import { type CompletionSpec, completionTask } from "./completion_task.ts";
import { type FollowingReference, followPolicy, withFollowingReference } from "./following.ts";
import type { ReferenceLogProbs } from "./reference.ts";
import type { Task, TaskObjective } from "../loop/task.ts";

/** Settings of the tasks of this module. */
export interface UnpairedTaskOptions {
  /** The model. */
  readonly model: CausalModel;
  /** The prepared rows. */
  readonly examples: readonly UnpairedExample[];
  /** Log-probs under the reference model, computed ahead. */
  readonly reference?: ReferenceLogProbs | undefined;
  /** Recompute layers in the backward pass. */
  readonly gradientCheckpointing?: boolean;
}

/** Settings of {@link ktoTask}. */
export interface KtoTaskOptions extends UnpairedTaskOptions {
  /** The loss, from the answers' log-probs. */
  readonly objective: (logProbs: KtoLogProbs) => TaskObjective;
  /** Whether mismatched answers are scored too, for `klLogProbs`; the examples must have them. */
  readonly mismatched: boolean;
  /** A reference that changes along the way, instead of `reference`. */
  readonly following?: FollowingReference;
}

/** What the examples are to `completionTask`: an answer each, and with `kl` another prompt's answer. */
export function unpairedSpec(
  examples: readonly UnpairedExample[],
  kl: boolean,
): Pick<CompletionSpec<UnpairedExample>, "examples" | "answers" | "row" | "label"> {
  return {
    examples,
    answers: ({ promptIds, completionIds, klCompletionIds }) => [
      { promptIds, completionIds },
      ...(kl && klCompletionIds ? [{ promptIds, completionIds: klCompletionIds }] : []),
    ],
    row: ({ row }) => row,
    label: ({ label }) => label ? 1 : 0,
  };
}

/** Sums over the answers, and over the mismatched ones behind them. */
function sums(
  { segments, mask }: TokenLogProbs,
  values: Tensor,
  size: number,
): [own: Tensor, kl: Tensor] {
  const all = segmentSum(values.mul(mask), segments, 2 * size);
  return [all.slice(0, size), all.slice(size)];
}

/** Kahneman–Tversky optimisation. */
export function ktoTask(options: KtoTaskOptions): Task<DecoderParams> {
  const { following } = options;
  const usesKl = options.mismatched;
  const task = completionTask({
    model: options.model,
    ...unpairedSpec(options.examples, usesKl),
    reference: options.reference,
    gradientCheckpointing: options.gradientCheckpointing ?? false,
    ...(following ? followPolicy(following) : {}),
    objective: (batch, context) => {
      const { size, labels } = batch;
      const tokens = following ? withFollowingReference(batch, context) : batch.tokens;
      const [logProbs, klLogProbs] = sums(tokens, tokens.logProbs, size);
      const [refLogProbs, refKlLogProbs] = sums(tokens, tokens.refLogProbs!, size);
      const objective = withLossesFor(
        { answer: size },
        options.objective({
          logProbs,
          refLogProbs,
          labels,
          ...(usesKl ? { klLogProbs, refKlLogProbs } : {}),
        }),
      );
      const own = { ...tokens, mask: tokens.mask.mul(tokens.segments.lt(size).cast("f32")) };
      return {
        ...objective,
        metrics: { ...unpairedTokenMetrics(own, labels), ...objective.metrics },
      };
    },
  });
  // Mismatched answers are not part of the data.
  const lengths = options.examples.map(({ promptIds, completionIds }) =>
    promptIds.length + completionIds.length
  );
  return {
    ...task,
    lengths,
    batch: (indices) => ({
      ...task.batch(indices),
      tokens: Array.from(indices, (i) => lengths[i]!).reduce((a, b) => a + b, 0),
    }),
  };
}

/** A loss from the answers' log-probs; it may give the running mean of the rewards, and the counts of its metrics. */
export type BcoTaskObjective = (
  logProbs: BcoLogProbs,
  options: Pick<BcoOptions, "updateRunning">,
) => Objective & { readonly running?: RunningMean };

/** Binary classifier optimisation. */
export function bcoTask(
  options: UnpairedTaskOptions & {
    readonly objective: BcoTaskObjective;
    readonly padTokenId: number;
  },
): Task<DecoderParams> {
  return completionTask({
    model: options.model,
    ...unpairedSpec(options.examples, false),
    reference: options.reference,
    gradientCheckpointing: options.gradientCheckpointing ?? false,
    layout: { padTokenId: options.padTokenId },
    initialState: () => ({ running: emptyRunningMean() }),
    objective: ({ tokens, everywhere, size, labels }, context) => {
      const { running } = context.state as { running: RunningMean };
      const { running: next, ...objective } = withLossesFor(
        { answer: size },
        options.objective(
          {
            logProbs: sums(tokens, tokens.logProbs, size)[0],
            refLogProbs: sums(tokens, tokens.refLogProbs!, size)[0],
            labels,
            running,
          },
          { updateRunning: context.key !== null },
        ),
      );
      const vocabulary = options.model.config.vocabularySize;
      const logits = rowLogitMetrics(everywhere!, labels, vocabulary);
      return {
        ...objective,
        metrics: { ...objective.metrics, ...logits },
        counts: {
          ...objective.counts,
          "logits/chosen": labels.sum(),
          "logits/rejected": undesirable(labels).sum(),
        },
        state: { running: next ?? running },
      };
    },
  });
}
