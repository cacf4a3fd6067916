/** Lines about flags that other flags leave without effect. @module */

import type { FinetuneValues } from "./finetune.ts";

/** Flags, when they have no effect, and why. */
type Rule = readonly [flags: readonly string[], idle: boolean, because: string];

const loraFlags = [
  "lora_r",
  "lora_alpha",
  "lora_dropout",
  "lora_target_modules",
  "lora_modules_to_save",
  "lora_exclude_modules",
  "lora_bias",
  "init_lora_weights",
  "lora_task_type",
  "use_rslora",
  "use_dora",
];

/** Lines about the flags that were given in vain. */
export function withoutEffect(values: FinetuneValues, given: ReadonlySet<string>): string[] {
  const of = (name: string): unknown => Object.entries(values).find(([key]) => key === name)?.[1];
  const strategies = ["eval", "save", "logging"].map((kind): Rule => {
    const strategy = String(of(`${kind}_strategy`));
    return [[`${kind}_steps`], strategy !== "steps", `--${kind}_strategy is ${strategy}`];
  });
  const rules: readonly Rule[] = [
    ...strategies,
    [["num_train_epochs"], values.max_steps > 0, `--max_steps is ${values.max_steps}`],
    [loraFlags, !values.use_peft, "--use_peft is not given"],
    [
      ["bnb_4bit_quant_type", "use_bnb_nested_quant"],
      !values.load_in_4bit,
      "--load_in_4bit is not given",
    ],
    [["packing_strategy"], of("packing") === false, "--packing is not given"],
    [
      ["adam_beta1", "adam_beta2", "adam_epsilon"],
      /^(sgd|adagrad|rmsprop|adafactor)/.test(values.optim),
      `--optim is ${values.optim}`,
    ],
    [["loss_type", "loss_weights"], of("loss") !== undefined, "--loss is given"],
  ];
  return rules.flatMap(([flags, idle, because]) =>
    idle
      ? flags.flatMap((flag) => given.has(flag) ? [`--${flag} has no effect: ${because}.`] : [])
      : []
  );
}
