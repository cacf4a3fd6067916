import assert from "node:assert/strict";
import {
  bool,
  choice,
  choices,
  dict,
  float,
  int,
  pathOrTrue,
  readBoolean,
  string,
  strings,
} from "../../train/settings/builders.ts";
import type { Option, Options, Values } from "../../train/settings/option.ts";
import { checkSft, sftOptions, type SftValues } from "../../train/settings/sft.ts";
import { bestMetric, deviceName, evalInterval } from "../../train/settings/training_checks.ts";
import { parse } from "../../cli/parse.ts";
import fields from "../fixtures/sft_fields.json" with { type: "json" };
import { documentedDefaults } from "./documented_defaults.ts";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;

/** Compiles only if the two types are the same. */
function assertSame<_Verdict extends true>(): void {}

/** What an option reads, or "bad". */
function read(option: Option<unknown>, raw: unknown): unknown {
  const reading = option.read(raw);
  return reading.ok ? reading.value : "bad";
}

const options: Options = sftOptions;
const names = Object.keys(fields);
const defaults: Readonly<Record<string, unknown>> = fields;

Deno.test("every field of TRL's SFT configuration is declared", () => {
  assert.equal(names.length, 158);
  assert.deepEqual(names.filter((name) => !Object.hasOwn(options, name)), []);
});

Deno.test("every default is TRL's, but for the documented ones", () => {
  for (const name of names) {
    const expected = documentedDefaults[name] ?? defaults[name] ?? undefined;
    assert.deepEqual(options[name]!.default, expected, name);
  }
});

Deno.test("every option has a section, a help text and a declared way to be set", () => {
  for (const [name, option] of Object.entries(options)) {
    assert.notEqual(option.group, "", name);
    assert.match(option.help, /^\S[^]*[.]$/, name);
    assert.ok(["works", "notice", "refused"].includes(option.status.kind), name);
  }
});

Deno.test("an option that is not offered gives its reason and takes its default", () => {
  let refusedOptions = 0;
  for (const [name, option] of Object.entries(options)) {
    if (option.status.kind !== "refused") continue;
    refusedOptions++;
    assert.ok(option.status.reason.length > 20, name);
    if (option.default === undefined) continue;
    const argv = ["--dataset_name", "rows.jsonl", `--${name}`, String(option.default)];
    assert.deepEqual(parse(argv, options).notices, [], name);
  }
  assert.ok(refusedOptions > 20, `${refusedOptions}`);
});

Deno.test("what has to work in this version is neither refused nor without effect", () => {
  const works = `model_name_or_path dataset_name dataset_train_split dataset_test_split
    dataset_text_field output_dir num_train_epochs max_steps per_device_train_batch_size
    per_device_eval_batch_size gradient_accumulation_steps learning_rate lr_scheduler_type
    lr_scheduler_kwargs warmup_steps weight_decay adam_beta1 adam_beta2 adam_epsilon max_grad_norm
    max_length truncation_mode packing packing_strategy eval_packing completion_only_loss
    assistant_only_loss loss_type chat_template_path eos_token pad_token gradient_checkpointing dtype
    neftune_noise_alpha seed data_seed shuffle_dataset train_sampling_strategy pad_to_multiple_of
    logging_steps logging_first_step logging_strategy eval_strategy eval_steps eval_on_start
    eval_delay save_strategy save_steps save_total_limit save_only_model load_best_model_at_end
    metric_for_best_model greater_is_better resume_from_checkpoint report_to run_name config optim
    disable_tqdm use_cpu ignore_data_skip init_from_config device`;
  for (const name of works.split(/\s+/)) {
    assert.equal(options[name]?.status.kind, "works", name);
  }
});

Deno.test("the type of the values is inferred from the declarations", () => {
  assertSame<Same<SftValues["learning_rate"], number>>();
  assertSame<Same<SftValues["max_length"], number | undefined>>();
  assertSame<Same<SftValues["dataset_name"], string>>();
  assertSame<Same<SftValues["model_name_or_path"], string | undefined>>();
  assertSame<Same<SftValues["packing"], boolean>>();
  assertSame<Same<SftValues["eval_packing"], boolean | undefined>>();
  assertSame<Same<SftValues["packing_strategy"], "bfd" | "bfd_split" | "wrapped">>();
  assertSame<Same<SftValues["loss_type"], "chunked_nll" | "nll" | "dft" | undefined>>();
  assertSame<
    Same<SftValues["report_to"], readonly ("none" | "console" | "jsonl" | "all")[]>
  >();
  assertSame<Same<SftValues["resume_from_checkpoint"], string | true | undefined>>();
  const two = { a: int({ default: 1, help: "" }), b: choice({ choices: ["x"], help: "" }) };
  assertSame<Same<Values<typeof two>, { readonly a: number; readonly b: "x" | undefined }>>();
});

Deno.test("truth values are read as TRL reads them", () => {
  for (const word of ["true", "True", "YES", "t", "y", "1", "on", true, 1]) {
    assert.equal(readBoolean(word), true);
  }
  for (const word of ["false", "no", "N", "f", "0", "off", false, 0]) {
    assert.equal(readBoolean(word), false);
  }
  for (const word of ["", "maybe", 2, null, []]) assert.equal(readBoolean(word), undefined);
});

Deno.test("numbers are read in decimal and scientific notation and held to their bounds", () => {
  const rate = float({ default: 1, above: 0, below: 10, help: "" });
  for (const [raw, value] of [["2e-5", 2e-5], ["1E-5", 1e-5], [".5", 0.5], ["5.", 5], [3, 3]]) {
    assert.equal(read(rate, raw), value);
  }
  for (const raw of ["0", "10", "abc", "", "nan", "inf", "1e", "0x3", NaN, true, "1 2"]) {
    assert.equal(read(rate, raw), "bad", String(raw));
  }
  const count = int({ default: 1, min: -1, help: "" });
  assert.equal(read(count, "1_000"), 1000);
  assert.equal(read(count, "-1"), -1);
  for (const raw of ["-2", "1.5", 1.5, "9007199254740993"]) assert.equal(read(count, raw), "bad");
  const interval = float({ default: 1, above: 0, ratioOrWhole: true, help: "" });
  assert.equal(read(interval, "0.25"), 0.25);
  assert.equal(read(interval, "2.5"), "bad");
});

Deno.test("none and null unset what may be unset, and are ordinary text for strings", () => {
  assert.equal(read(int({ help: "" }), "none"), undefined);
  assert.equal(read(int({ default: 3, optional: true, help: "" }), "Null"), undefined);
  assert.equal(read(bool({ help: "" }), null), undefined);
  assert.equal(read(int({ default: 3, help: "" }), "none"), "bad");
  assert.equal(read(string({ help: "" }), "none"), "none");
  assert.equal(read(string({ help: "" }), null), undefined);
  assert.equal(read(choice({ choices: ["none", "a"], help: "" }), "none"), "none");
  assert.equal(read(choice({ choices: ["a"], help: "" }), "none"), undefined);
  assert.equal(read(strings({ help: "" }), ["none"]), undefined);
  assert.equal(read(pathOrTrue({ help: "" }), "none"), undefined);
});

Deno.test("choices take synonyms, and YAML's false for no", () => {
  const strategy = choice({ choices: ["no", "steps"], default: "no", help: "" });
  assert.equal(read(strategy, false), "no");
  assert.equal(read(strategy, "Steps"), "bad");
  assert.equal(read(sftOptions.packing_strategy, "bfd-requeue"), "bfd_split");
  assert.equal(read(sftOptions.include_num_input_tokens_seen, true), "all");
  assert.equal(read(sftOptions.include_num_input_tokens_seen, "false"), "no");
});

Deno.test("lists take one value or several", () => {
  const list = choices({ choices: ["a", "b"], default: ["a"], help: "" });
  assert.deepEqual(read(list, "b"), ["b"]);
  assert.deepEqual(read(list, ["a", "b"]), ["a", "b"]);
  assert.equal(read(list, ["a", "c"]), "bad");
  assert.equal(read(list, []), "bad");
  assert.deepEqual(read(strings({ help: "" }), ["x", "y"]), ["x", "y"]);
});

Deno.test("mappings are JSON text or come as they are", () => {
  const mapping = dict({ help: "" });
  assert.deepEqual(read(mapping, '{"a": 1}'), { a: 1 });
  assert.deepEqual(read(mapping, { a: 1 }), { a: 1 });
  for (const raw of ["[1]", "a=1", 3, "{"]) assert.equal(read(mapping, raw), "bad");
});

Deno.test("resume_from_checkpoint is true, nothing, or a path that may look like a number", () => {
  const resume = pathOrTrue({ help: "" });
  assert.equal(read(resume, true), true);
  assert.equal(read(resume, "True"), true);
  assert.equal(read(resume, "false"), undefined);
  assert.equal(read(resume, "1"), "1");
  assert.equal(read(resume, ""), "bad");
});

/** The values of `sft` for flags, with the required ones given. */
function sft(...argv: readonly string[]): SftValues {
  const all = ["--dataset_name", "d", "--model_name_or_path", "m", ...argv];
  return parse(all, sftOptions, { check: checkSft }).values;
}

Deno.test("options that contradict each other are refused", () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [["--use_cpu", "--device", "webgpu"], /--use_cpu asks for the CPU/],
    [["--bf16", "--fp16"], /exclude each other/],
    [["--bf16_full_eval", "--fp16_full_eval"], /exclude each other/],
    [["--save_strategy", "best"], /--eval_strategy is no, so there is none/],
    [["--load_best_model_at_end"], /they are no and steps/],
    [["--load_best_model_at_end", "--save_strategy", "no"], /they are no and no/],
    [
      ["--load_best_model_at_end", "--eval_strategy", "steps", "--eval_steps", "30"],
      /they are 500 and 30/,
    ],
    [
      ["--load_best_model_at_end", "--eval_strategy", "steps", "--eval_steps", "0.1"],
      /they are 500 and 0.1/,
    ],
    [["--lr_scheduler_type", "greedy"], /follows the evaluation's metric/],
    [["--lr_scheduler_type", "cosine_with_min_lr"], /exactly one of min_lr/],
    [["--lr_scheduler_kwargs", '{"power": 2}'], /no setting power/],
    [["--packing", "--max_length", "none"], /--packing needs a pack length/],
  ];
  for (const [argv, message] of cases) assert.throws(() => sft(...argv), message, argv.join(" "));
  assert.throws(
    () => parse(["--dataset_name", "d"], sftOptions, { check: checkSft }),
    /--model_name_or_path, or a config.json with --init_from_config/,
  );
});

Deno.test("options that agree pass", () => {
  const best = ["--load_best_model_at_end", "--eval_strategy", "steps"];
  sft(...best, "--eval_steps", "250");
  sft(...best, "--eval_steps", "0.1", "--save_steps", "0.3");
  sft(...best, "--save_strategy", "best", "--eval_steps", "7");
  sft("--use_cpu", "--device", "cpu");
  sft("--lr_scheduler_type", "reduce_lr_on_plateau", "--eval_strategy", "epoch");
  sft(
    "--lr_scheduler_type",
    "warmup_stable_decay",
    "--lr_scheduler_kwargs",
    '{"num_decay_steps":9}',
  );
});

Deno.test("what one option takes from another is resolved as in transformers", () => {
  assert.equal(evalInterval(sft()), 10);
  assert.equal(evalInterval(sft("--eval_steps", "0", "--logging_steps", "3")), 3);
  assert.equal(evalInterval(sft("--eval_steps", "0.5")), 0.5);
  assert.equal(deviceName(sft("--use_cpu")), "cpu");
  assert.equal(deviceName(sft("--device", "webgpu")), "webgpu");
  assert.deepEqual(bestMetric(sft()), { metric: "eval_loss", greaterIsBetter: false });
  assert.deepEqual(bestMetric(sft("--metric_for_best_model", "mean_token_accuracy")), {
    metric: "eval_mean_token_accuracy",
    greaterIsBetter: true,
  });
  assert.deepEqual(
    bestMetric(sft("--metric_for_best_model", "eval_loss", "--greater_is_better", "yes")),
    { metric: "eval_loss", greaterIsBetter: true },
  );
});
