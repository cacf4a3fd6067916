/** Tasks that train scores: reward models and process reward models. @module */

import { type Tensor, tensor } from "../../core/mod.ts";
import type { StepwiseExample } from "../../data/prepare/prepare_prm.ts";
import type { RewardPair } from "../../data/prepare/prepare_reward.ts";
import { firstOfSame } from "../../data/batches/same.ts";
import { buildStream, type Sequence, type StreamArrays } from "../../data/batches/token_stream.ts";
import {
  type CausalModel,
  type ClassifierParams,
  classify,
  type DecoderParams,
  type TokenStream,
} from "../../nn/mod.ts";
import {
  bradleyTerry,
  type Objective,
  type PairRewards,
  type TokenClasses,
  tokenClassification,
  withLossesFor,
} from "../../rl/mod.ts";
import type { ObjectiveContext, Task } from "../loop/task.ts";

function streamOf({ ids, segments, length }: StreamArrays): TokenStream {
  return { ids: tensor(ids), segments: tensor(segments, { shape: [5, length] }) };
}

function longestOf(lengths: readonly number[]): number {
  return lengths.reduce((most, n) => Math.max(most, n), 1);
}

/** Tensors of a batch of pairs. */
interface RewardInputs {
  readonly stream: TokenStream;
  /** i32 [2B]: the last token of each chosen, then of each rejected sequence. */
  readonly lasts: Tensor;
  /** i32 [2B]: of each sequence the first of its pair that is the same; null where no two are. */
  readonly sameAs: Tensor | null;
  /** f32 [B], or null where the data set has none. */
  readonly margins: Tensor | null;
}

/** Settings of {@link rewardTask}. */
export interface RewardTaskOptions {
  /** The model. */
  readonly model: CausalModel;
  /** The prepared rows. */
  readonly examples: readonly RewardPair[];
  /** The loss, from the pairs' scores; `bradleyTerry` by default. */
  readonly objective?: (rewards: PairRewards) => Objective;
  /** Recompute layers in the backward pass. */
  readonly gradientCheckpointing?: boolean;
}

/** Reward modelling: the score of a sequence is read at its last token. */
export function rewardTask(options: RewardTaskOptions): Task<DecoderParams> {
  const { model, examples, objective = bradleyTerry } = options;
  const rotary = model.tables(
    longestOf(
      examples.flatMap(({ chosenIds, rejectedIds }) => [chosenIds.length, rejectedIds.length]),
    ),
  );
  const lengths = examples.map(({ chosenIds, rejectedIds }) =>
    chosenIds.length + rejectedIds.length
  );
  return {
    examples: examples.length,
    lengths,
    normalize: "batch",
    batch: (indices) => {
      const pairs = Array.from(indices, (i) => examples[i]!);
      const sequences = [...pairs.map((p) => p.chosenIds), ...pairs.map((p) => p.rejectedIds)];
      let end = 0;
      const lasts = sequences.map((ids) => (end += ids.length) - 1);
      const whole = sequences.map((ids) => ({ promptIds: [], completionIds: ids }));
      const sameAs = firstOfSame(whole, pairs.length);
      const margins = pairs.some((p) => p.margin !== undefined)
        ? tensor(Float32Array.from(pairs, (p) => p.margin ?? 0))
        : null;
      const inputs: RewardInputs = {
        stream: streamOf(buildStream(sequences.map((ids): Sequence => ({ ids })))),
        lasts: tensor(Int32Array.from(lasts)),
        sameAs: sameAs && tensor(sameAs),
        margins,
      };
      return {
        inputs,
        items: pairs.length,
        tokens: end,
        examples: pairs.length,
        rows: pairs.map((p) => p.row),
      };
    },
    objective: (
      params: DecoderParams,
      inputs: RewardInputs,
      { key }: ObjectiveContext,
    ) => {
      const hidden = model.hidden(params, inputs.stream, {
        rotary,
        gradientCheckpointing: (options.gradientCheckpointing ?? false) && key !== null,
      });
      const scores = classify(params as ClassifierParams, hidden.gather(inputs.lasts));
      const pairs = scores.shape[0]! / 2;
      const each = scores.reshape(2 * pairs);
      // A score's last digits depend on where its sequence lies, and equal ones must tie.
      const flat = inputs.sameAs ? each.gather(inputs.sameAs) : each;
      return withLossesFor(
        { pair: pairs },
        objective({
          chosen: flat.slice(0, pairs),
          rejected: flat.slice(pairs),
          ...(inputs.margins ? { margins: inputs.margins } : {}),
        }),
      );
    },
  };
}

/** Tensors of a batch of solutions. */
interface StepwiseInputs {
  readonly stream: TokenStream;
  /** i32 [N]: the separators and their classes; −1 in padding. */
  readonly separators: Tensor;
  readonly labels: Tensor;
}

/** Settings of {@link prmTask}. */
export interface PrmTaskOptions {
  /** The model. */
  readonly model: CausalModel;
  /** The prepared rows. */
  readonly examples: readonly StepwiseExample[];
  /** The loss, from the steps' logits; `tokenClassification` by default. */
  readonly objective?: (steps: TokenClasses) => Objective;
  /** Recompute layers in the backward pass. */
  readonly gradientCheckpointing?: boolean;
  /** Whether the accuracy is reported; TRL does so in evaluation only. */
  readonly evaluation: boolean;
}

/** Process reward modelling: the separator after each step is classified. */
export function prmTask(options: PrmTaskOptions): Task<DecoderParams> {
  const { model, examples } = options;
  const lengths = examples.map(({ inputIds }) => inputIds.length);
  const rotary = model.tables(longestOf(lengths));
  return {
    examples: examples.length,
    lengths,
    normalize: "batch",
    batch: (indices) => {
      const rows = Array.from(indices, (i) => examples[i]!);
      const separators: number[] = [];
      const labels: number[] = [];
      let begin = 0;
      for (const { inputIds, labels: classes } of rows) {
        classes.forEach((label, i) => {
          if (label < 0) return;
          separators.push(begin + i);
          labels.push(label);
        });
        begin += inputIds.length;
      }
      const count = Math.max(8, 2 ** Math.ceil(Math.log2(Math.max(1, labels.length))));
      const padded = (values: readonly number[]) =>
        tensor(Int32Array.from({ length: count }, (_, i) => values[i] ?? -1));
      const inputs: StepwiseInputs = {
        stream: streamOf(buildStream(rows.map(({ inputIds }): Sequence => ({ ids: inputIds })))),
        separators: padded(separators),
        labels: padded(labels),
      };
      return {
        inputs,
        items: labels.length,
        tokens: begin,
        examples: rows.length,
        rows: rows.map(({ row }) => row),
      };
    },
    objective: (
      params: DecoderParams,
      inputs: StepwiseInputs,
      { key }: ObjectiveContext,
    ) => {
      const hidden = model.hidden(params, inputs.stream, {
        rotary,
        gradientCheckpointing: (options.gradientCheckpointing ?? false) && key !== null,
      });
      const logits = classify(params as ClassifierParams, hidden.gather(inputs.separators));
      const { labels } = inputs;
      const found = (options.objective ?? tokenClassification)({ logits, labels });
      const checked = withLossesFor({ step: labels.size }, found);
      const objective = checked.losses ? { mask: labels.ge(0).cast("f32"), ...checked } : checked;
      return options.evaluation ? objective : { ...objective, metrics: {} };
    },
  };
}
