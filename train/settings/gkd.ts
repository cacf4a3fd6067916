/** Options of `gkd`: TRL's config over the shared blocks. @module */

import { bool, dict, float, int, model } from "./builders.ts";
import { type Options, section } from "./option.ts";
import { base, builtIn, paddingFree, rate } from "./preference_base.ts";
import { sftOptions } from "./sft.ts";
import { anyOf, onlyWith } from "./when.ts";

const unusedByGkd = "a conversation's last answer is distilled, in TRL too";

/** Options that TRL's GKD takes over from SFT, whose rows it does not prepare. */
const notDistilled = section("Without effect here", {
  ...withoutEffect(unusedByGkd, {
    dataset_text_field: sftOptions.dataset_text_field,
    dataset_kwargs: sftOptions.dataset_kwargs,
    truncation_mode: sftOptions.truncation_mode,
    shuffle_dataset: sftOptions.shuffle_dataset,
    packing: sftOptions.packing,
    packing_strategy: sftOptions.packing_strategy,
    eval_packing: sftOptions.eval_packing,
    completion_only_loss: sftOptions.completion_only_loss,
    assistant_only_loss: sftOptions.assistant_only_loss,
  }),
  ...withoutEffect("the loss is the divergence from the teacher", {
    loss_type: sftOptions.loss_type,
  }),
});

function withoutEffect<const O extends Options>(text: string, options: O): O {
  const status = { kind: "notice", text, quiet: [] } as const;
  const entries = Object.entries(options).map(([name, option]) => [name, { ...option, status }]);
  return Object.fromEntries(entries) as O;
}

/** Every option of `gkd`. */
export const gkdOptions = {
  ...base,
  ...paddingFree,
  ...notDistilled,
  ...section("Model", {
    teacher_model_name_or_path: model({
      required: true,
      help: "The teacher.",
    }),
    teacher_model_init_kwargs: dict({
      help: "Arguments of the teacher's from_pretrained.",
      refused: "the teacher is built from its config.json alone",
    }),
  }),
  ...section("Loss", {
    beta: float({
      when: builtIn,
      default: 0.5,
      min: 0,
      max: 1,
      help: "0: KL(teacher‖student); 1: KL(student‖teacher).",
    }),
    lmbda: float({
      default: 0.5,
      min: 0,
      max: 1,
      help: "Share of batches whose answers the student samples, in place of the data's.",
    }),
    temperature: float({
      when: anyOf(onlyWith("lmbda"), onlyWith("seq_kd")),
      default: 0.9,
      above: 0,
      help: "Divisor of the logits where answers are sampled.",
    }),
    max_new_tokens: int({
      when: anyOf(onlyWith("lmbda"), onlyWith("seq_kd")),
      default: 128,
      min: 1,
      help: "The most tokens of a sampled answer.",
    }),
    seq_kd: bool({
      default: false,
      help: "Let the teacher sample the answers that the student does not, in place of the data's.",
    }),
  }),
  learning_rate: rate(2e-5),
} satisfies Options;
