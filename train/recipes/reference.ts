/** Reference log-probs for the commands that compare with a reference model. @module */

import { leavesOf, Tensor, UserError } from "../../core/mod.ts";
import { type CompletionSpec, referenceFor } from "../tasks/completion_task.ts";
import { copied, type FollowingReference } from "../tasks/following.ts";
import type { OpenModel } from "../files/model_directory.ts";
import { openModel, trainableOf } from "../files/model_directory.ts";
import type { TrainOptions } from "../loop/options.ts";
import type { ReferenceLogProbs } from "../tasks/reference.ts";
import { cachedReference, referenceKey } from "../tasks/reference_cache.ts";
import { visitedExamples } from "../loop/visited.ts";

/** What the reference pass is called with. */
export interface ReferenceRequest<E> {
  readonly opened: OpenModel;
  readonly spec: Pick<CompletionSpec<E>, "examples" | "answers" | "row">;
  readonly options: TrainOptions;
  readonly evaluation: boolean;
  readonly values: {
    readonly dataset_name: string;
    readonly ref_model_name_or_path: string | undefined;
    readonly model_name_or_path: string | undefined;
    readonly precompute_ref_log_probs: boolean;
    readonly precompute_ref_batch_size: number | undefined;
    readonly seed: number;
    readonly use_peft: boolean;
  };
  readonly say: (text: string) => void;
}

/** The settings of a reference that follows the policy. */
export interface FollowingValues {
  readonly sync_ref_model: boolean;
  readonly ref_model_mixup_alpha: number;
  readonly ref_model_sync_steps: number;
  readonly ref_model_name_or_path: string | undefined;
  readonly precompute_ref_log_probs: boolean;
  readonly use_peft: boolean;
}

/**
 * Refuses settings that want the reference to follow and to stay.
 *
 * @throws UserError naming both.
 */
export function checkFollowing(values: FollowingValues): void {
  if (values.sync_ref_model && values.ref_model_name_or_path !== undefined) {
    throw new UserError(
      "--sync_ref_model lets the policy's own beginning follow it; --ref_model_name_or_path names another " +
        "reference. Leave one of them out.",
    );
  }
  if (values.sync_ref_model && values.precompute_ref_log_probs) {
    throw new UserError(
      "--precompute_ref_log_probs keeps log-probs of a reference that --sync_ref_model changes. Leave one of them out.",
    );
  }
  if (values.sync_ref_model && values.use_peft) {
    throw new UserError(
      "--sync_ref_model moves a reference's weights towards the policy's, and an adapter's reference is the model " +
        "without it, which has none of its own. Leave --sync_ref_model or --use_peft out.",
    );
  }
}

/** The reference that a task compares with: one that follows the policy, or log-probs of one that does not. */
export async function followingOrFixed<E>(
  request: ReferenceRequest<E> & { readonly values: FollowingValues },
): Promise<
  { readonly following: FollowingReference } | { readonly reference: ReferenceLogProbs }
> {
  const { opened, values } = request;
  if (!values.sync_ref_model) return { reference: await referenceOf(request) };
  return {
    following: {
      params: await copied(opened.params, trainableOf(opened)),
      every: values.ref_model_sync_steps,
      mixup: values.ref_model_mixup_alpha,
    },
  };
}

/** Log-probs under the reference: another checkpoint, or the policy as it begins. */
export async function referenceOf<E>(request: ReferenceRequest<E>): Promise<ReferenceLogProbs> {
  const { opened, spec, options, evaluation, values, say } = request;
  const lengths = spec.examples.map((example) =>
    spec.answers(example).reduce((sum, a) => sum + a.promptIds.length + a.completionIds.length, 0)
  );
  const other = values.ref_model_name_or_path === undefined ? null : await openModel({
    directory: values.ref_model_name_or_path,
    seed: values.seed,
    notice: evaluation ? undefined : say,
  });
  const reference = other ?? opened;
  if (!other && opened.adapter && !evaluation) {
    say(
      values.use_peft
        ? "The reference is the model without its adapter."
        : "The reference is the model with the adapter as it is now, before training.",
    );
  }
  const compute = async (): Promise<ReferenceLogProbs> => {
    const order = evaluation ? null : visitedExamples(lengths, options);
    // What is kept for later runs is kept whole; else only what this run visits is computed.
    const rest = order && values.precompute_ref_log_probs ? lengths.map((_, i) => i) : [];
    const numbers = order ? [...new Set([...order, ...rest])] : lengths.map((_, i) => i);
    say(`Reference log-probs of ${numbers.length} examples are computed once ahead.`);
    return await referenceFor({ ...spec, model: reference.model }, {
      params: reference.reference,
      batchSize: values.precompute_ref_batch_size ??
        (evaluation ? options.evalBatchSize : options.batchSize),
      only: numbers,
    });
  };
  try {
    if (!values.precompute_ref_log_probs) return await compute();
    const key = await referenceKey(
      reference,
      spec.examples.map((example) => spec.answers(example)),
    );
    return await cachedReference(values.dataset_name, key, compute, say);
  } finally {
    // A second model has done its work.
    if (other) {
      for (const [, leaf] of leavesOf(other.params)) if (leaf instanceof Tensor) leaf.dispose();
    }
  }
}
