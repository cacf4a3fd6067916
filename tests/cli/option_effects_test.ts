/** Every option of `sft` that is said to work changes what a run does. */

import assert from "node:assert/strict";
import { sftOptions } from "../../train/settings/sft.ts";
import { fixture } from "../data/fixture_files.ts";
import { digestOf, type Flags, namesIn, smallRun, temporary, trained } from "./run_command.ts";

const shuffled = { dataset_name: fixture("trl/sft-shuffled/dataset.jsonl") };
const pairs = { dataset_name: fixture("trl/sft-eval/data") };
const evaluated = {
  ...pairs,
  eval_strategy: "steps",
  eval_steps: 1,
  per_device_eval_batch_size: 2,
};
const saved = { save_strategy: "steps", save_steps: 1 };
/** Gets better, then worse. */
const overshooting = {
  ...evaluated,
  ...saved,
  learning_rate: 0.03,
  lr_scheduler_type: "constant",
  max_steps: 6,
};

/** A value that is not the default, and where it shows. */
const effects: Readonly<
  Record<string, readonly [value: string | number | boolean, where?: Flags]>
> = {
  model_name_or_path: [fixture("models/mistral")],
  tokenizer_name: [fixture("models/gpt2")],
  dataset_name: [fixture("trl/sft-text/dataset.jsonl")],
  dataset_train_split: ["test", pairs],
  dataset_test_split: ["train", evaluated],
  eos_token: ["<|endoftext|>"],
  pad_token: ["<|im_start|>"],
  max_length: [20],
  truncation_mode: ["keep_end", { max_length: 20 }],
  shuffle_dataset: [true, { train_sampling_strategy: "sequential" }],
  packing: [true, { max_length: 400 }],
  packing_strategy: ["wrapped", { max_length: 100, packing: true }],
  eval_packing: [true, { ...evaluated, max_length: 500 }],
  pad_to_multiple_of: [64, { neftune_noise_alpha: 5 }],
  loss_type: ["dft"],
  completion_only_loss: [false, pairs],
  num_train_epochs: [1, { max_steps: -1 }],
  max_steps: [2],
  per_device_train_batch_size: [3],
  gradient_accumulation_steps: [2],
  seed: [1],
  data_seed: [1],
  train_sampling_strategy: ["group_by_length"],
  neftune_noise_alpha: [5],
  learning_rate: [0.004],
  lr_scheduler_type: ["cosine"],
  lr_scheduler_kwargs: ['{"num_cycles": 2}', { lr_scheduler_type: "cosine" }],
  warmup_steps: [2],
  weight_decay: [0.1],
  adam_beta1: [0.8],
  adam_beta2: [0.9],
  adam_epsilon: [1e-3],
  max_grad_norm: [0.1],
  eval_strategy: ["epoch", pairs],
  eval_steps: [2, evaluated],
  eval_delay: [2, evaluated],
  eval_on_start: [true, evaluated],
  per_device_eval_batch_size: [3, evaluated],
  logging_strategy: ["no"],
  logging_steps: [2],
  optim_args: ["momentum=0.9", { optim: "sgd" }],
  logging_first_step: [true, { logging_steps: 2 }],
  report_to: ["jsonl"],
  save_strategy: ["epoch"],
  save_steps: [2, { save_strategy: "steps" }],
  save_total_limit: [1, saved],
  save_only_model: [true, saved],
  load_best_model_at_end: [true, overshooting],
  metric_for_best_model: ["mean_token_accuracy", { ...overshooting, save_strategy: "best" }],
  greater_is_better: [true, {
    ...overshooting,
    save_strategy: "best",
    metric_for_best_model: "loss",
  }],
};

/** Options that are tested by name elsewhere, since they show in other ways. */
const elsewhere: Readonly<Record<string, string>> = {
  "cli/save_dtype_test.ts": "save_dtype",
  "cli/bad_input_test.ts": "debug output_dir dataset_text_field",
  "cli/commands_test.ts":
    "init_from_config dtype bf16 log_level run_name config show_data use_cpu threads",
  "cli/lora_test.ts":
    "use_peft lora_r lora_alpha lora_dropout lora_target_modules lora_modules_to_save lora_exclude_modules " +
    "lora_bias init_lora_weights use_rslora " +
    "use_dora initial_adapter load_in_4bit load_in_8bit bnb_4bit_quant_type use_bnb_nested_quant",
  "cli/memory_test.ts": "dry_run",
  "cli/options_test.ts": "fp16",
  "cli/hub_test.ts": "model_revision dataset_config",
  "cli/own_loss_test.ts": "loss",
  "cli/parse_test.ts": "optim",
  "cli/profile_test.ts": "profile",
  "cli/sft_recorded_test.ts": "chat_template_path assistant_only_loss device",
  "train/reporters_test.ts": "disable_tqdm",
  "train/resume_test.ts": "resume_from_checkpoint ignore_data_skip",
  "train/sft_test.ts": "gradient_checkpointing",
};

const seen = new Map<string, Promise<string>>();

/** All that a run left, as text: the log without times, the state, the files, the weights. */
function observe(flags: Flags): Promise<string> {
  const key = JSON.stringify(flags);
  const known = seen.get(key) ?? run(flags);
  seen.set(key, known);
  return known;
}

async function run(flags: Flags): Promise<string> {
  using output = temporary();
  const state = await trained(smallRun(output.path, { max_steps: 3, ...shuffled, ...flags }));
  const log = state.log_history.map((row) =>
    Object.entries(row).filter(([name]) => !/_runtime$|_per_second$/.test(name))
  );
  const directories = [
    output.path,
    ...namesIn(output.path).map((name) => `${output.path}/${name}`),
  ];
  const files = directories.filter((path) => Deno.statSync(path).isDirectory).map(namesIn);
  const digest = digestOf(`${output.path}/model.safetensors`);
  const config = Deno.readTextFileSync(`${output.path}/config.json`);
  return JSON.stringify({ log, files, digest, config });
}

Deno.test("every option that works is tested", () => {
  const works = Object.entries(sftOptions)
    .filter(([, option]) => option.status.kind === "works")
    .map(([name]) => name);
  const named = Object.values(elsewhere).flatMap((names) => names.split(" "));
  assert.deepEqual([...Object.keys(effects), ...named].sort(), works.sort());
});

for (const [name, [value, where = {}]] of Object.entries(effects)) {
  Deno.test(`${name} has an effect`, async () => {
    assert.notEqual(await observe({ ...where, [name]: value }), await observe(where));
  });
}
