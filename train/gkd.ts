/** Distillation from a teacher as a task. @module */

import { mapLogits, stopGradient, type Tensor } from "../core/mod.ts";
import type { DistillationExample } from "../data/prepare_gkd.ts";
import type { CausalModel, DecoderParams } from "../nn/mod.ts";
import { generalizedJsd, gkd, type JsdOptions } from "../rl/mod.ts";
import { completionBatch, type CompletionInputs } from "./completions.ts";
import type { ObjectiveContext, Task } from "./task.ts";

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
  const { model, examples, teacher, divergence } = options;
  const lengths = examples.map(({ promptIds, completionIds }) =>
    promptIds.length + completionIds.length
  );
  const positions = lengths.reduce((most, n) => Math.max(most, n), 1);
  const [rotary, teacherRotary] = [model.tables(positions), teacher.model.tables(positions)];
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
    objective: (
      params: DecoderParams,
      inputs: CompletionInputs,
      { normalizer, key }: ObjectiveContext,
    ) => {
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
            head: stopGradient(teacher.model.head(teacher.params)),
          },
        ],
        [],
        (logits) => ({ divergences: generalizedJsd(logits[0]!, logits[1]!, divergence) }),
      );
      return gkd({ divergences, mask: inputs.numbers.ge(0).cast("f32") }, { normalizer });
    },
  };
}
