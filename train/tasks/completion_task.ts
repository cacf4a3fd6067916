/** Tasks over completions of prompts: pairs, triples, single answers. @module */

import { type Tensor, tensor } from "../../core/mod.ts";
import { firstOfSame } from "../../data/batches/same.ts";
import type { CompletionFamily, CompletionLayout } from "../../data/batches/completions.ts";
import type { CausalModel, DecoderParams, RotaryTables } from "../../nn/mod.ts";
import {
  completionBatch,
  type CompletionInputs,
  scoreCompletions,
  type ScoredCompletions,
} from "./completions.ts";
import { type ReferenceLogProbs, referenceLogProbs } from "./reference.ts";
import type { MicroBatch, ObjectiveContext, Task, TaskObjective } from "../loop/task.ts";

/** A prompt and an answer to it. */
export interface PromptedAnswer {
  /** Token ids of the prompt. */
  readonly promptIds: Int32Array;
  /** Token ids of the answer. */
  readonly completionIds: Int32Array;
}

/** What distinguishes one task over completions from another. */
export interface CompletionSpec<E> {
  /** The model. */
  readonly model: CausalModel;
  /** The prepared rows. */
  readonly examples: readonly E[];
  /** The answers of an example, the same number for all; those with the same prompt array share it. */
  readonly answers: (example: E) => readonly PromptedAnswer[];
  /** The number of the dataset's row. */
  readonly row: (example: E) => number;
  /** A number that the objective gets for each example, such as its label; 1 by default. */
  readonly label?: (example: E) => number;
  /** How families lie in the stream. */
  readonly layout?: CompletionLayout;
  /** Whether prompts are to be learned too: their tokens are then numbered after all answers. */
  readonly learnPrompts?: boolean;
  /** Recompute layers in the backward pass. */
  readonly gradientCheckpointing?: boolean;
  /** Log-probs of the answers under a reference model, by example. */
  readonly reference?: ReferenceLogProbs | undefined;
  /** See `Task`. */
  readonly initialState?: Task<DecoderParams>["initialState"];
  /** See `Task`. */
  readonly refreshes?: Task<DecoderParams>["refreshes"];
  /** From the scored batch to the loss. */
  readonly objective: (batch: ScoredBatch, context: ObjectiveContext) => TaskObjective;
}

/** A batch as the model sees it. Of B examples, answer k of example i has the number k·B + i. */
export interface ScoredBatch extends ScoredCompletions {
  /** B. */
  readonly size: number;
  /** f32 [B]. */
  readonly labels: Tensor;
  /** Runs another set of parameters, such as a reference that is trained along, over the same batch. */
  readonly scoreWith: (params: DecoderParams) => ScoredCompletions;
}

interface Inputs {
  readonly completions: CompletionInputs;
  readonly labels: Tensor;
}

/** Tables of the positions that the examples reach. */
export function tablesFor<E>(
  spec: Pick<CompletionSpec<E>, "model" | "examples" | "answers">,
): RotaryTables {
  const longest = spec.examples.reduce(
    (most, example) =>
      Math.max(
        most,
        ...spec.answers(example).map(({ promptIds, completionIds }) =>
          promptIds.length + completionIds.length
        ),
      ),
    1,
  );
  return spec.model.tables(longest);
}

/** The examples' families, with their numbers in the batch. */
function familiesOf<E>(spec: CompletionSpec<E>, batch: readonly E[]): CompletionFamily[] {
  return batch.flatMap((example, i) => {
    const answers = spec.answers(example);
    const families = new Map<Int32Array, { ids: Int32Array; number: number }[]>();
    answers.forEach(({ promptIds, completionIds }, k) => {
      const family = families.get(promptIds) ?? [];
      family.push({ ids: completionIds, number: k * batch.length + i });
      families.set(promptIds, family);
    });
    return [...families].map(([promptIds, completions], f): CompletionFamily => ({
      promptIds,
      completions,
      ...(spec.learnPrompts && f === 0 ? { promptNumber: answers.length * batch.length + i } : {}),
    }));
  });
}

/** Answer k of example i of B at k·B + i. */
function byNumber<A>(answers: readonly (readonly A[])[]): A[] {
  const each = answers[0]?.map((_, k) => answers.map((list) => list[k]!)) ?? [];
  return each.flat();
}

/** A task whose loss is a mean over examples. */
export function completionTask<E>(spec: CompletionSpec<E>): Task<DecoderParams> {
  const { model, examples } = spec;
  const rotary = tablesFor(spec);
  const sizeOf = (example: E) =>
    spec.answers(example).reduce((sum, a) => sum + a.promptIds.length + a.completionIds.length, 0);

  const batchOf = (indices: ArrayLike<number>): MicroBatch => {
    const chosen = Array.from(indices, (i) => examples[i]!);
    const { inputs } = completionBatch(
      familiesOf(spec, chosen),
      spec.layout,
      {
        reference: spec.reference && ((number) => {
          const example = indices[number % chosen.length]!;
          return spec.reference!.get(example)?.[Math.floor(number / chosen.length)] ?? [];
        }),
        sameAs: firstOfSame(byNumber(chosen.map(spec.answers)), chosen.length),
      },
    );
    return {
      inputs: {
        completions: inputs,
        labels: tensor(Float32Array.from(chosen, (example) => spec.label?.(example) ?? 1)),
      } satisfies Inputs,
      items: chosen.length,
      tokens: chosen.reduce((sum, example) => sum + sizeOf(example), 0),
      examples: chosen.length,
      rows: chosen.map(spec.row),
    };
  };

  return {
    examples: examples.length,
    lengths: examples.map(sizeOf),
    normalize: "batch",
    batch: batchOf,
    ...(spec.initialState ? { initialState: spec.initialState } : {}),
    ...(spec.refreshes ? { refreshes: spec.refreshes } : {}),
    objective: (
      params: DecoderParams,
      { completions, labels }: Inputs,
      context: ObjectiveContext,
    ) => {
      const scoreWith = (p: DecoderParams) =>
        scoreCompletions(model, p, completions, {
          rotary,
          gradientCheckpointing: (spec.gradientCheckpointing ?? false) && context.key !== null,
        });
      return spec.objective(
        { ...scoreWith(params), size: labels.shape[0]!, labels, scoreWith },
        context,
      );
    },
  };
}

/** Log-probs of some examples' answers under a model, computed ahead; see `referenceLogProbs`. */
export async function referenceFor<E>(
  spec: Pick<CompletionSpec<E>, "model" | "examples" | "answers" | "row">,
  options: {
    readonly params: DecoderParams;
    readonly batchSize: number;
    /** Numbers of the examples; all by default. */
    readonly only?: readonly number[];
    readonly onProgress?: (done: number, total: number) => void;
  },
): Promise<ReferenceLogProbs> {
  const { model, examples, answers } = spec;
  const whole: CompletionSpec<E> = {
    ...spec,
    objective: () => {
      throw new Error("not minimised");
    },
  };
  return await referenceLogProbs({
    model,
    params: options.params,
    rotary: tablesFor(spec),
    examples: options.only ?? examples.map((_, i) => i),
    completions: examples.length === 0 ? 0 : answers(examples[0]!).length,
    batchSize: options.batchSize,
    batch: (indices) => completionBatch(familiesOf(whole, indices.map((i) => examples[i]!))),
    ...(options.onProgress ? { onProgress: options.onProgress } : {}),
  });
}
