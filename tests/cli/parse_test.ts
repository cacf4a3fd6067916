import assert from "node:assert/strict";
import { type ConfigFile, parseConfig } from "../../cli/config_file.ts";
import { editDistance, nearest } from "../../train/settings/nearest.ts";
import { sftOptions } from "../../train/settings/sft.ts";
import { parse } from "../../cli/parse.ts";
import { UserError } from "../../core/errors.ts";

/** Parses SFT flags, with the required one given; `yaml` stands for the file of `--config`. */
function sft(argv: readonly string[], yaml = "") {
  const readConfig = (path: string): ConfigFile => parseConfig(yaml, path);
  return parse(["--dataset_name", "rows.jsonl", ...argv], sftOptions, { readConfig });
}

function refuses(argv: readonly string[], message: RegExp, yaml = ""): void {
  assert.throws(
    () => sft(argv, yaml),
    (error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    },
    argv.join(" "),
  );
}

Deno.test("flags are read in snake_case and kebab-case, with a space or an equals sign", () => {
  const forms = [
    ["--learning_rate", "1e-4"],
    ["--learning-rate", "1e-4"],
    ["--learning_rate=1e-4"],
    ["--learning-rate=0.0001"],
  ];
  for (const argv of forms) assert.equal(sft(argv).values.learning_rate, 1e-4);
});

Deno.test("booleans stand alone, with a value, or negated", () => {
  const packing = (...argv: string[]) => sft(argv).values.packing;
  assert.equal(packing("--packing"), true);
  for (const word of ["true", "True", "yes", "1"]) assert.equal(packing("--packing", word), true);
  for (const word of ["false", "no", "0"]) assert.equal(packing("--packing", word), false);
  assert.equal(packing("--packing=false"), false);
  assert.equal(sft(["--no_gradient_checkpointing"]).values.gradient_checkpointing, false);
  assert.equal(sft(["--no-gradient-checkpointing"]).values.gradient_checkpointing, false);
  assert.equal(packing("--packing", "--seed", "1"), true);
  refuses(["--packing", "maybe"], /--packing: "maybe"\. Expected true or false/);
  refuses(["--no_packing=true"], /takes no value/);
  refuses(["--no_seed"], /There is no option --no_seed/);
});

Deno.test("a value may be a negative number but not another flag", () => {
  assert.equal(sft(["--max_steps", "-1"]).values.max_steps, -1);
  refuses(["--run_name", "--seed", "1"], /--run_name needs a value/);
  refuses(["--learning_rate", "-1e-5"], /--learning_rate: "-1e-5"\. Expected a number, at least 0/);
  assert.equal(sft(["--run_name=--x"]).values.run_name, "--x");
  assert.equal(sft(["--eos_token="]).values.eos_token, "");
  assert.equal(sft(["--run_name=a=b"]).values.run_name, "a=b");
});

Deno.test("lists take all values up to the next flag", () => {
  const { values } = sft(["--report_to", "console", "jsonl", "--seed", "7"]);
  assert.deepEqual(values.report_to, ["console", "jsonl"]);
  assert.equal(values.seed, 7);
});

Deno.test("mappings are JSON text", () => {
  const { values } = sft(["--lr_scheduler_kwargs", '{"num_cycles": 2}']);
  assert.deepEqual(values.lr_scheduler_kwargs, { num_cycles: 2 });
  refuses(["--lr_scheduler_kwargs", "num_cycles=2"], /Expected a mapping as JSON text/);
});

Deno.test("a flag given twice counts the last time", () => {
  assert.equal(sft(["--seed", "1", "--seed", "2"]).values.seed, 2);
});

Deno.test("none unsets what may be unset", () => {
  const { values, given } = sft(["--max_length", "none"]);
  assert.equal(values.max_length, undefined);
  assert.ok(given.has("max_length"));
  refuses(["--seed", "none"], /--seed: "none"\. Expected a whole number, at least 0\./);
});

Deno.test("what is not given has its default and is not in the set of given options", () => {
  const { values, given, notices } = sft([]);
  assert.equal(values.learning_rate, 2e-5);
  assert.equal(values.gradient_checkpointing, true);
  assert.equal(values.bf16, undefined);
  assert.deepEqual([...given], ["dataset_name"]);
  assert.deepEqual(notices, []);
});

Deno.test("an unknown flag is refused with the nearest one", () => {
  refuses(["--learning_rat", "1"], /no option --learning_rat\. The nearest is --learning_rate\./);
  refuses(["--leraning-rate=1"], /The nearest is --learning_rate\./);
  refuses(["--max_seq_lenght", "9"], /The nearest is --max_length\./);
});

Deno.test("flags are not abbreviated, and a shortened one names what it may mean", () => {
  refuses(["--per_device_train", "1"], /The nearest is --per_device_train_batch_size\./);
});

Deno.test("an argument that is no flag is refused", () => {
  refuses(["rows.jsonl"], /Unexpected argument "rows\.jsonl"/);
  refuses(["-x"], /Unexpected argument "-x"/);
  refuses(["--packing", "true", "false"], /Unexpected argument "false"/);
});

Deno.test("a bad value names the flag, the value and what is accepted", () => {
  refuses(["--learning_rate", "fast"], /Bad value for --learning_rate: "fast"\. Expected a number/);
  refuses(["--per-device-train-batch-size", "0"], /"0"\. Expected a whole number, at least 1/);
  refuses(["--packing_strategy", "ffd"], /one of bfd, bfd_split, wrapped/);
});

Deno.test("a missing required option is named with its meaning", () => {
  assert.throws(() => parse([], sftOptions), /Missing --dataset_name: A \.jsonl, /);
});

Deno.test("an option without effect gives one line, unless it is set to its default", () => {
  const notice = (...argv: string[]) => sft(argv).notices;
  assert.deepEqual(notice("--dataloader_num_workers", "4"), [
    "--dataloader_num_workers has no effect: rows are prepared in this process and held in memory.",
  ]);
  assert.deepEqual(notice("--dataloader_num_workers", "0"), []);
  assert.equal(notice("--padding_free").length, 1);
  assert.deepEqual(notice("--tf32", "false"), []);
});

Deno.test("bf16 and dtype say what they do here", () => {
  assert.match(sft(["--bf16", "true"]).notices[0]!, /^--bf16 true: computation stays in float32/);
  assert.deepEqual(sft(["--bf16", "false"]).notices, []);
  assert.match(
    sft(["--dtype", "bfloat16"]).notices[0]!,
    /that are trained are held in float32, and saved so unless save_dtype says otherwise/,
  );
  assert.deepEqual(sft(["--dtype", "float32"]).notices, []);
});

Deno.test("an option that is not offered is refused with the reason, but not at its default", () => {
  refuses(["--push_to_hub"], /--push_to_hub is not available .*set it to false\.$/);
  refuses(["--lora_target_parameters", "x"], /--lora_target_parameters is not available/);
  refuses(["--fsdp", "full_shard"], /one device .* Leave it out\.$/);
  assert.deepEqual(sft(["--push_to_hub", "false", "--lora_r", "16"]).notices, []);
});

Deno.test("known values that are not offered are refused with the reason and the choice", () => {
  refuses(
    ["--optim", "galore_adamw"],
    /--optim "galore_adamw" is not available: .*Choose one of adamw/,
  );
  refuses(["--report_to", "wandb"], /"wandb" is not available: .*none, console, jsonl, all/);
  refuses(["--optim", "adam"], /Bad value for --optim: "adam"/);
});

Deno.test("older names work and say the new one", () => {
  const cases: readonly (readonly [readonly string[], string, unknown])[] = [
    [["--max_seq_length", "64"], "max_length", 64],
    [["--evaluation_strategy", "steps"], "eval_strategy", "steps"],
    [["--warmup_ratio", "0.03"], "warmup_steps", 0.03],
    [["--torch_dtype", "float32"], "dtype", "float32"],
    [["--no_cuda"], "use_cpu", true],
    [["--per_gpu_train_batch_size", "2"], "per_device_train_batch_size", 2],
    [["--group_by_length"], "train_sampling_strategy", "group_by_length"],
    [["--group-by-length", "true"], "train_sampling_strategy", "group_by_length"],
  ];
  for (const [argv, name, value] of cases) {
    const { values, notices, given } = sft(argv);
    assert.deepEqual(new Map(Object.entries(values)).get(name), value, name);
    assert.deepEqual(notices, [`${argv[0]} is an older name of ${name}.`]);
    assert.ok(given.has(name));
  }
});

Deno.test("an older name that asks for nothing leaves the default", () => {
  assert.equal(sft(["--group_by_length", "false"]).values.train_sampling_strategy, "random");
  assert.equal(sft(["--warmup_ratio", "0"]).values.warmup_steps, 0);
  refuses(["--warmup_ratio", "3"], /--warmup_ratio: "3"\. Expected a share of the steps/);
  refuses(["--group_by_length", "maybe"], /--group_by_length: "maybe"\. Expected true or false/);
});

Deno.test("an older and the new name together are refused", () => {
  refuses(["--max_seq_length", "9", "--max_length", "9"], /two names of max_length/);
});

Deno.test("a settings file gives defaults that flags win over", () => {
  const yaml = "learning_rate: 1e-3\nseed: 5\nmax-steps: 9\n";
  const { values, given } = sft(["--config", "run.yaml", "--seed", "6"], yaml);
  assert.equal(values.learning_rate, 1e-3);
  assert.equal(values.seed, 6);
  assert.equal(values.max_steps, 9);
  assert.deepEqual([...given].sort(), [
    "config",
    "dataset_name",
    "learning_rate",
    "max_steps",
    "seed",
  ]);
});

Deno.test("a required option may come from the settings file", () => {
  const readConfig = (path: string) => parseConfig("dataset_name: rows.jsonl", path);
  assert.equal(
    parse(["--config=run.yaml"], sftOptions, { readConfig }).values.dataset_name,
    "rows.jsonl",
  );
});

Deno.test("an older name in the file gives way to the new one as a flag", () => {
  const { values } = sft(["--config", "c.yaml", "--max_length", "8"], "max_seq_length: 16");
  assert.equal(values.max_length, 8);
});

Deno.test("settings from a file are checked by the same declarations and name their line", () => {
  const config = ["--config", "run.yaml"];
  refuses(config, /learning_rate \(run\.yaml, line 2\): "fast"/, "seed: 1\nlearning_rate: fast");
  refuses(config, /run\.yaml, line 1: there is no option sed\. The nearest is seed\./, "sed: 1");
  refuses(config, /run_name .*: 5\. Expected text/, "run_name: 5");
  refuses(config, /push_to_hub \(run\.yaml, line 1\) is not available/, "push_to_hub: true");
  refuses(config, /cannot name another/, "config: other.yaml");
  refuses(config, /mixtures of datasets/, "datasets:\n  - path: a\n");
  assert.match(
    sft(config, "max_seq_length: 8").notices[0]!,
    /^max_seq_length \(run\.yaml, line 1\) is an older name of max_length\.$/,
  );
});

Deno.test("checks across options see the values and may refuse", () => {
  const check = (values: { readonly seed: number }) => {
    throw new UserError(`seed is ${values.seed}`);
  };
  assert.throws(
    () => parse(["--dataset_name", "d", "--seed", "3"], sftOptions, { check }),
    /seed is 3/,
  );
});

Deno.test("the edit distance counts a swap of neighbours as one", () => {
  assert.equal(editDistance("", "abc"), 3);
  assert.equal(editDistance("kitten", "sitting"), 3);
  assert.equal(editDistance("leraning", "learning"), 1);
  assert.equal(editDistance("seed", "seed"), 0);
});

Deno.test("the nearest name is the shortest completion, else the least edited", () => {
  const names = ["eval_steps", "eval_strategy", "seed"];
  assert.equal(nearest("eval_s", names), "eval_steps");
  assert.equal(nearest("sed", names), "seed");
  assert.equal(nearest("x", []), undefined);
});

Deno.test("a whole command as TRL's users write it is taken as it is", () => {
  const { values, notices } = sft([
    ...["--model_name_or_path", "models/llama", "--use_cpu", "True", "--bf16", "False"],
    ...["--gradient_checkpointing", "False", "--report_to", "none", "--disable_tqdm", "True"],
    ...["--logging_steps", "1", "--max_steps", "6", "--save_strategy", "no"],
    ...["--learning_rate", "0.005", "--per_device_train_batch_size", "2"],
    ...["--gradient_accumulation_steps", "2", "--train_sampling_strategy", "sequential"],
    ...["--lr_scheduler_type", "cosine", "--warmup_steps", "2", "--weight_decay", "0.1"],
    ...["--max_grad_norm", "0.5", "--adam_beta2", "0.95"],
  ]);
  assert.deepEqual(notices, []);
  const changed = Object.entries(values).filter(([name, value]) =>
    JSON.stringify(value) !== JSON.stringify(new Map(Object.entries(sftOptions)).get(name)?.default)
  );
  assert.deepEqual(Object.fromEntries(changed), {
    model_name_or_path: "models/llama",
    dataset_name: "rows.jsonl",
    use_cpu: true,
    bf16: false,
    gradient_checkpointing: false,
    disable_tqdm: true,
    logging_steps: 1,
    max_steps: 6,
    save_strategy: "no",
    learning_rate: 0.005,
    per_device_train_batch_size: 2,
    gradient_accumulation_steps: 2,
    train_sampling_strategy: "sequential",
    lr_scheduler_type: "cosine",
    warmup_steps: 2,
    weight_decay: 0.1,
    max_grad_norm: 0.5,
    adam_beta2: 0.95,
  });
});
