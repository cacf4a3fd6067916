/** Supervised fine-tuning as a task of the training loop. @module */

import {
  foldKey,
  logitStats,
  type Operand,
  randomUniform,
  type Tensor,
  tensor,
  UserError,
} from "../../core/mod.ts";
import type { Example } from "../../data/batches/packing.ts";
import { buildStream, type Sequence } from "../../data/batches/token_stream.ts";
import type { CausalModel, DecoderParams, TokenStream } from "../../nn/mod.ts";
import { type TokenObjective, withLossesFor } from "../../rl/mod.ts";
import type { MicroBatch, ObjectiveContext, Task } from "../loop/task.ts";

/** Settings of {@link sftTask}. */
export interface SftTaskOptions {
  /** The model. */
  readonly model: CausalModel;
  /** The prepared rows. */
  readonly examples: readonly Example[];
  /** The loss. */
  readonly objective: TokenObjective;
  /** Recompute layers in the backward pass. */
  readonly gradientCheckpointing?: boolean;
  /** Scale α of NEFTune's noise on the embeddings; none by default. */
  readonly neftuneNoiseAlpha?: number | undefined;
  /** What TRL would pad to; here it only enters NEFTune's L. */
  readonly padToMultipleOf?: number | undefined;
  /**
   * Whether the mean of a step is over the first label of each row too, although nothing predicts it: transformers'
   * Trainer counts so where a model's class has no loss type, as GPT-2's. False by default.
   */
  readonly countsFirstLabels?: boolean;
}

/** Tensors of a micro-batch. */
export interface SftInputs {
  /** The tokens. */
  readonly stream: TokenStream;
  /** i32 [N]: tokens whose hidden state predicts a label, the labels, and the sequences they belong to. */
  readonly sources: Tensor;
  /** i32 [N]: the labels' ids. */
  readonly targets: Tensor;
  /** i32 [N]: the sequences the labels belong to. */
  readonly labelSegments: Tensor;
  /** NEFTune's L. */
  readonly noiseLength: Operand;
}

/** Next-token prediction on prepared examples. */
export function sftTask(options: SftTaskOptions): Task<DecoderParams> {
  const { model, examples } = options;
  checkExamples(examples, model.config.vocabularySize);
  const lengths = examples.map(({ inputIds }) => inputIds.length);
  const positions = lengths.reduce((longest, n) => Math.max(longest, n), 1);
  const rotary = model.tables(positions);

  const objective = (
    params: DecoderParams,
    inputs: SftInputs,
    { key }: ObjectiveContext,
  ) => {
    const alpha = options.neftuneNoiseAlpha;
    const noise = alpha !== undefined && key !== null
      ? (x: Tensor) => neftune(x, alpha, inputs.noiseLength, foldKey(key, 1))
      : undefined;
    const hidden = model.hidden(params, inputs.stream, {
      rotary,
      gradientCheckpointing: (options.gradientCheckpointing ?? false) && key !== null,
      ...(noise ? { onEmbeddings: noise } : {}),
    });
    const stats = logitStats(hidden.gather(inputs.sources), model.head(params), inputs.targets);
    const mask = inputs.targets.ge(0).cast("f32");
    const objective = options.objective({
      logProbs: stats.logProb,
      mask,
      segments: inputs.labelSegments,
      entropies: stats.entropy,
      predictions: stats.argMax,
      targets: inputs.targets,
    });
    return withLossesFor(
      { token: mask.size },
      objective.losses ? { mask, ...objective } : objective,
    );
  };
  return {
    examples: examples.length,
    lengths,
    batch: (indices) => sftBatch(Array.from(indices, (i) => examples[i]!), options),
    objective,
  };
}

/**
 * Noise on embeddings (Jain et al., "NEFTune: Noisy Embeddings Improve Instruction Finetuning", 2023): uniform in
 * ±α/√(L·d), where L is the length of the batch and d the width.
 */
function neftune(embeddings: Tensor, alpha: number, length: Operand, key: Tensor): Tensor {
  const width = embeddings.shape[1]!;
  const unit = randomUniform(key, embeddings.shape).mul(2).sub(1);
  const size = tensor(width).mul(length).rsqrt().mul(alpha);
  return embeddings.add(unit.mul(size));
}

/** The width of the rectangle TRL would feed the model: packed rows end to end, others padded to the longest. */
function paddedLength(examples: readonly Example[], multiple: number): number {
  const length = examples.reduce(
    (sum, { inputIds, segments }) =>
      segments ? sum + inputIds.length : Math.max(sum, inputIds.length),
    0,
  );
  return Math.ceil(length / multiple) * multiple;
}

function sftBatch(
  examples: readonly Example[],
  { padToMultipleOf = 1, countsFirstLabels = false }: SftTaskOptions,
): MicroBatch {
  const stream = buildStream(examples.flatMap(documentsOf));
  const inputs: SftInputs = {
    stream: {
      ids: tensor(stream.ids),
      segments: tensor(stream.segments, { shape: [5, stream.length] }),
    },
    sources: tensor(stream.sources),
    targets: tensor(stream.targets),
    labelSegments: tensor(stream.labelSegments),
    noiseLength: paddedLength(examples, padToMultipleOf),
  };
  const firstLabels = examples.filter(({ labels, segments }) => !segments && labels[0] !== -100);
  return {
    inputs,
    items: stream.labels + (countsFirstLabels ? firstLabels.length : 0),
    tokens: stream.tokens,
    examples: examples.length,
    rows: examples.flatMap(({ rows }) => rows),
  };
}

function checkExamples(examples: readonly Example[], vocabularySize: number): void {
  let learned = false;
  for (const { inputIds, labels, segments, rows } of examples) {
    const wrong = otherThanTokens(inputIds, vocabularySize) ??
      otherThanTokens(labels, vocabularySize, -100);
    if (wrong !== undefined) {
      throw new UserError(
        `${rows.length > 1 ? "One of the rows" : "Row"} ${
          rows.map((row) => row + 1).join(", ")
        } of the data set ` +
          `has the token id ${wrong}, but the model knows only the ids 0 to ${
            vocabularySize - 1
          }. The row was ` +
          "tokenized for another model.",
      );
    }
    learned ||= documentsOf({ inputIds, labels, rows, ...(segments && { segments }) })
      .some((document) => Array.from(document.labels ?? []).some((id, i) => i > 0 && id !== -100));
  }
  if (examples.length > 0 && !learned) {
    throw new UserError(
      "No row of the data set has a token to learn: the first token of a document is not predicted, and the loss " +
        "ignores all others. Check the rows, --max_length and the options that mask the loss.",
    );
  }
}

/** The first that is neither a token's id nor `mark`. A loop, for there may be a hundred million. */
function otherThanTokens(ids: Int32Array, vocabularySize: number, mark = 0): number | undefined {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if ((id < 0 || id >= vocabularySize) && id !== mark) return id;
  }
  return undefined;
}

/** The documents of a packed row, each a sequence of its own. */
function documentsOf({ inputIds, labels, segments }: Example): Sequence[] {
  if (!segments) return [{ ids: inputIds, labels }];
  let begin = 0;
  return segments.map((length) => {
    const [start, end] = [begin, begin += length];
    return { ids: inputIds.subarray(start, end), labels: labels.subarray(start, end) };
  });
}
