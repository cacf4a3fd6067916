/** Distillation from a teacher as a task. @module */

import { mapLogits, type OutputHead, stopGradient, type Tensor } from "../../core/mod.ts";
import type { DistillationExample } from "../../data/prepare/prepare_gkd.ts";
import { mersenneTwister } from "../../data/batches/mersenne_twister.ts";
import {
  type CausalModel,
  type DecoderParams,
  type GenerateOptions,
  generator,
} from "../../nn/mod.ts";
import { generalizedJsd, gkd, type JsdOptions } from "../../rl/mod.ts";
import { samplerWith } from "../sampling/answers.ts";
import { completionBatch, type CompletionInputs } from "./completions.ts";
import { rolloutBatch, type RolloutInputs } from "../sampling/rollout_batch.ts";
import type { ObjectiveContext, OnlineTask, Task, TaskObjective } from "../loop/task.ts";

/** Settings of {@link gkdTask}. */
export interface GkdTaskOptions {
  /** The model. */
  readonly model: CausalModel;
  /** The prepared rows. */
  readonly examples: readonly DistillationExample[];
  /** The model that is followed. */
  readonly teacher: { readonly model: CausalModel; readonly params: DecoderParams };
  /** How distributions are compared. */
  readonly divergence: JsdOptions;
  /** Recompute layers in the backward pass. */
  readonly gradientCheckpointing?: boolean;
}

/** A student that follows its teacher's distributions over given completions. */
export function gkdTask(options: GkdTaskOptions): Task<DecoderParams> {
  const { examples } = options;
  const lengths = examples.map(({ promptIds, completionIds }) =>
    promptIds.length + completionIds.length
  );
  return {
    examples: examples.length,
    lengths,
    batch: (indices) => {
      const rows = Array.from(indices, (i) => examples[i]!);
      const { inputs, arrays } = completionBatch(
        rows.map(({ promptIds, completionIds }, number) => ({
          promptIds,
          completions: [{ ids: completionIds, number }],
        })),
      );
      return {
        inputs,
        items: arrays.stream.labels,
        tokens: arrays.stream.tokens,
        examples: rows.length,
        rows: rows.map(({ row }) => row),
      };
    },
    objective: divergenceOver(options, Math.max(1, ...lengths)),
  };
}

/** The objective over completions, prompts included of so many tokens at most. */
function divergenceOver(options: GkdTaskOptions, positions: number) {
  const { model, teacher, divergence } = options;
  const [rotary, teacherRotary] = [model.tables(positions), teacher.model.tables(positions)];
  return (
    params: DecoderParams,
    inputs: CompletionInputs,
    { key }: ObjectiveContext,
  ): TaskObjective => {
    const student = model.hidden(params, inputs.stream, {
      rotary,
      gradientCheckpointing: (options.gradientCheckpointing ?? false) && key !== null,
    });
    const tutor = teacher.model.hidden(teacher.params, inputs.stream, { rotary: teacherRotary });
    const of = (hidden: Tensor) => hidden.gather(inputs.sources);
    const { divergences } = mapLogits(
      [
        { hidden: of(student), head: model.head(params) },
        {
          hidden: stopGradient(of(tutor)),
          head: constant(teacher.model.head(teacher.params)),
        },
      ],
      [],
      (logits) => ({ divergences: generalizedJsd(logits[0]!, logits[1]!, divergence) }),
    );
    return gkd({ divergences, mask: inputs.numbers.ge(0).cast("f32") });
  };
}

function constant({ weight, bias, ...rest }: OutputHead): OutputHead {
  return { ...rest, weight: stopGradient(weight), bias: bias ? stopGradient(bias) : null };
}

/** Settings of {@link sampledGkdTask}. */
export interface SampledGkdTaskOptions extends GkdTaskOptions {
  /** Examples of a micro-batch. */
  readonly batchSize: number;
  /** The share of micro-batches whose answers the student samples. */
  readonly lmbda: number;
  /** Whether the teacher samples the answers of the others, in place of those in the data; false by default. */
  readonly sequenceLevel?: boolean;
  /** How answers are sampled. */
  readonly sampling: GenerateOptions;
  /** Seed of the sampling. */
  readonly seed: number;
}

/**
 * The same over answers that the student or its teacher samples on the way, or those of the data: which of them is
 * drawn for each micro-batch (Agarwal et al., "On-Policy Distillation of Language Models", 2023).
 */
export function sampledGkdTask(options: SampledGkdTaskOptions): OnlineTask<DecoderParams> {
  const { model, teacher, examples, batchSize, lmbda, sequenceLevel = false, seed } = options;
  const ofStudent = samplerWith(generator(model, options.sampling), seed);
  const ofTeacher = samplerWith(generator(teacher.model, options.sampling), seed + 2);
  const lengths = examples.map(({ promptIds, completionIds }) =>
    promptIds.length + completionIds.length
  );
  const positions = examples.reduce(
    (most, { promptIds }) => Math.max(most, promptIds.length + options.sampling.maxNewTokens),
    Math.max(1, ...lengths),
  );
  const objective = divergenceOver(options, positions);
  return {
    examples: examples.length,
    lengths,
    rollout: {
      prompts: batchSize,
      microBatches: 1,
      shuffle: true,
      generate: async (rows, { params, ...context }) => {
        const some = rows.map((row) => examples[row]!);
        const prompts = some.map(({ promptIds }) => ({ promptIds: Array.from(promptIds) }));
        const bySelf = mersenneTwister(seed + context.number).next() / 2 ** 32 < lmbda;
        const answers = bySelf
          ? await ofStudent(params, prompts, 1, context)
          : sequenceLevel
          ? await ofTeacher(teacher.params, prompts, 1, context)
          : some.map(({ completionIds }, prompt) => ({ prompt, ids: Array.from(completionIds) }));
        return {
          generation: {
            prompts: some.map(({ row }, i) => ({ row, ids: prompts[i]!.promptIds })),
            samples: answers.map(({ prompt, ids }) => ({
              prompt,
              ids,
              values: {},
              tokenValues: {},
            })),
          },
          metrics: {},
          tokens: answers.reduce(
            (sum, { prompt, ids }) => sum + prompts[prompt]!.promptIds.length + ids.length,
            0,
          ),
          table: {},
        };
      },
      batch: (generation) => {
        const { samples } = generation;
        const labels = samples.reduce((sum, { ids }) => sum + ids.length, 0);
        return rolloutBatch(generation, [...samples.keys()], { items: labels });
      },
    },
    objective: (params: DecoderParams, { completions }: RolloutInputs, context: ObjectiveContext) =>
      objective(params, completions, context),
  };
}
