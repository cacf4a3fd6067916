/** Completions under a model: what objectives over sequences are computed from. @module */

import { logitStats, meanLogits, type Tensor, tensor } from "../../core/mod.ts";
import {
  buildCompletions,
  type CompletionArrays,
  type CompletionFamily,
  type CompletionLayout,
} from "../../data/batches/completions.ts";
import { bucketLength } from "../../data/batches/token_stream.ts";
import type { CausalModel, DecoderParams, ForwardOptions, TokenStream } from "../../nn/mod.ts";
import type { TokenLogProbs } from "../../rl/mod.ts";

/** Tensors of some families of completions. */
export interface CompletionInputs {
  /** The tokens. */
  readonly stream: TokenStream;
  /** i32 [N]: of each label the token that predicts it, its id, its completion, its position therein. */
  readonly sources: Tensor;
  /** i32 [N]: the labels' ids. */
  readonly targets: Tensor;
  /** i32 [N]: the labels' completions. */
  readonly numbers: Tensor;
  /** i32 [N]: the labels' places in their completions. */
  readonly positions: Tensor;
  /** i32 [M]: all positions with their completions, where metrics are taken over all. */
  readonly everywhere: { readonly sources: Tensor; readonly numbers: Tensor } | null;
  /** f32 [N]: log-probs of the labels under a reference model, if there is one. */
  readonly refLogProbs: Tensor | null;
  /** i32 [completions]: see `TokenLogProbs`; null where no two are the same. */
  readonly sameAs: Tensor | null;
}

/** A batch on the host and its tensors. */
export interface CompletionBatch {
  /** On the host. */
  readonly arrays: CompletionArrays;
  /** What it is computed from. */
  readonly inputs: CompletionInputs;
}

/**
 * Lays families out.
 *
 * @param reference Log-probs of each completion's tokens under a reference model, by its number.
 * @param sameAs See {@link firstOfSame}.
 */
export function completionBatch(
  families: readonly CompletionFamily[],
  layout: CompletionLayout = {},
  { reference, sameAs = null }: {
    readonly reference?: ((number: number) => ArrayLike<number>) | undefined;
    readonly sameAs?: Int32Array | null;
  } = {},
): CompletionBatch {
  const arrays = buildCompletions(families, layout);
  const { stream, numbers, positions, everywhere } = arrays;
  const segments = (values: Int32Array) => tensor(values, { shape: [5, stream.length] });
  const refLogProbs = reference && valuesOfLabels(arrays, reference);
  return {
    arrays,
    inputs: {
      stream: {
        ids: tensor(stream.ids),
        segments: segments(stream.segments),
        ...(stream.keySegments ? { keySegments: segments(stream.keySegments) } : {}),
      },
      sources: tensor(stream.sources),
      targets: tensor(stream.targets),
      numbers: tensor(numbers),
      positions: tensor(positions),
      everywhere: everywhere && {
        sources: tensor(bucketed(everywhere.sources)),
        numbers: tensor(bucketed(everywhere.numbers)),
      },
      refLogProbs: refLogProbs ? tensor(refLogProbs) : null,
      sameAs: sameAs && tensor(sameAs),
    },
  };
}

/** Numbers of the labels, f32 [N], from those of each completion's tokens; 0 in padding. */
export function valuesOfLabels(
  { numbers, positions }: Pick<CompletionArrays, "numbers" | "positions">,
  valuesOf: (number: number) => ArrayLike<number>,
): Float32Array {
  return Float32Array.from(numbers, (number, i) => {
    if (number < 0) return 0;
    const value = valuesOf(number)[positions[i]!];
    if (value === undefined) {
      throw new Error(`Completion ${number} of the batch has fewer values than tokens`);
    }
    return value;
  });
}

/** Numbers of the tokens of each of `count` completions, from those of the labels. */
export function valuesOfCompletions(
  { numbers, positions }: Pick<CompletionArrays, "numbers" | "positions">,
  values: ArrayLike<number>,
  count: number,
): Float32Array[] {
  const lists = Array.from({ length: count }, (): number[] => []);
  numbers.forEach((number, i) => {
    if (number >= 0 && number < count) lists[number]![positions[i]!] = values[i]!;
  });
  return lists.map((list) => Float32Array.from(list));
}

function bucketed(values: Int32Array): Int32Array {
  const padded = new Int32Array(bucketLength(values.length)).fill(-1);
  padded.set(values);
  return padded;
}

/** Log-probs and statistics of the labels' tokens, and of all positions where they are listed. */
export interface ScoredCompletions {
  /** The labels' tokens. */
  readonly tokens: TokenLogProbs;
  /** f32 [N, D]: the hidden states that predict them. */
  readonly hidden: Tensor;
  /** Mean logits of all positions, as `TokenStatistics`; null where they are not listed. */
  readonly everywhere: {
    readonly mask: Tensor;
    readonly segments: Tensor;
    readonly meanLogits: Tensor;
  } | null;
}

/** Settings of {@link scoreCompletions}. */
export interface ScoreOptions extends ForwardOptions {
  /** Divides the logits; 1 by default. */
  readonly temperature?: number;
}

/** Runs the model over the families. */
export function scoreCompletions(
  model: CausalModel,
  params: DecoderParams,
  inputs: CompletionInputs,
  { temperature = 1, ...options }: ScoreOptions,
): ScoredCompletions {
  const hidden = model.hidden(params, inputs.stream, options);
  const head = model.head(params);
  const predicting = hidden.gather(inputs.sources);
  const stats = logitStats(predicting, head, inputs.targets, { temperature });
  const { everywhere } = inputs;
  return {
    hidden: predicting,
    tokens: {
      logProbs: stats.logProb,
      mask: inputs.numbers.ge(0).cast("f32"),
      segments: inputs.numbers,
      positions: inputs.positions,
      entropies: stats.entropy,
      meanLogits: stats.meanLogit,
      sumSquares: stats.sumSquares,
      predictions: stats.argMax,
      targets: inputs.targets,
      ...(inputs.refLogProbs ? { refLogProbs: inputs.refLogProbs } : {}),
      ...(inputs.sameAs ? { sameAs: inputs.sameAs } : {}),
    },
    everywhere: everywhere && {
      mask: everywhere.numbers.ge(0).cast("f32"),
      segments: everywhere.numbers,
      meanLogits: meanLogits(hidden.gather(everywhere.sources), head),
    },
  };
}
