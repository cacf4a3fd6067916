/** The command line as a user meets it: commands, help, settings files, what is printed and logged. */

import assert from "node:assert/strict";
import { sftOptions } from "../../train/settings/sft.ts";
import { fixture } from "../data/fixture_files.ts";
import {
  argumentsOf,
  type Flags,
  plumb,
  plumbProcess,
  refusalOf,
  smallRun,
  stateOf,
  temporary,
  trained,
} from "./run_command.ts";

Deno.test("without a command, or with --help, the commands are listed", async () => {
  for (const [args, code] of [[[], 1], [["--help"], 0], [["help"], 0]] as const) {
    const outcome = await plumbProcess(args);
    assert.equal(outcome.code, code);
    assert.match(outcome.stdout, /Usage: .*\n[^]*\n\s+sft\s+Supervised.*\n[^]*\n?\s+env\s+Prints/);
    assert.equal(outcome.stderr, "");
  }
});

Deno.test("an unknown command is refused with the nearest", async () => {
  const { code, stdout, stderr } = await plumb("stf");
  assert.deepEqual([code, stdout], [1, ""]);
  assert.match(
    stderr,
    /^Error: There is no command "stf"; did you mean "sft"\? Commands: .*sft.*\n$/,
  );
});

Deno.test("sft --help lists what works, --help all the rest with its reason", async () => {
  const brief = await plumb("sft", { help: "" });
  assert.deepEqual([brief.code, brief.stderr], [0, ""]);
  const all = await plumb("sft", { help: "all" });
  assert.equal(all.code, 0);
  for (const [name, option] of Object.entries(sftOptions)) {
    const flag = new RegExp(`^  --${name} `, "m");
    assert.match(all.stdout, flag);
    assert.equal(flag.test(brief.stdout), option.status.kind === "works", name);
  }
  assert.match(brief.stdout, /--learning_rate FLOAT.*2e-5/s);
  assert.match(all.stdout, /\[not available: /);
  assert.match(all.stdout, /\[no effect: /);
});

Deno.test("env names the platform, the versions and the devices", async () => {
  const { code, stdout } = await plumbProcess(["env", "--threads", "1"]);
  assert.equal(code, 0);
  for (
    const line of [
      /^plumb\s+\d+\.\d+\.\d+$/m,
      new RegExp(`^Deno\\s+${Deno.version.deno.replaceAll(".", "\\.")} `, "m"),
      new RegExp(`^Platform\\s+${Deno.build.os} .*${Deno.build.arch}`, "m"),
      /^Memory\s+\d+\.\d GiB$/m,
      /^CPU device\s+CPU, 1 thread/m,
      /^WebGPU adapter\s+\S/m,
      /^auto takes\s+\S/m,
    ]
  ) assert.match(stdout, line);
});

Deno.test("unknown flags and bad values are refused with what was meant", async () => {
  using output = temporary();
  const refusal = async (name: string, value: string) => {
    const { code, stderr } = await plumb("sft", { ...smallRun(output.path), [name]: value });
    assert.equal(code, 1);
    return stderr;
  };
  assert.match(
    await refusal("lerning_rate", "1"),
    /^Error: There is no option --lerning_rate\. The nearest is --learning_rate\. See --help\.\n$/,
  );
  assert.match(await refusal("max_steps", "many"), /^Error: Bad value for --max_steps: "many"\./);
  assert.match(
    await refusal("model_init_kwargs", "{}"),
    /^Error: --model_init_kwargs is not available .*config/,
  );
  const { code, stderr } = await plumb("sft", { output_dir: output.path });
  assert.equal(code, 1);
  assert.match(stderr, /^Error: Missing --dataset_name/);
});

Deno.test("flags in kebab-case, old names and a settings file give the run of the plain flags", async () => {
  using place = temporary();
  const plain = await trained(smallRun(`${place.path}/plain`, {
    max_steps: 4,
    max_length: 50,
    lr_scheduler_type: "cosine",
    warmup_steps: 0.5,
    eval_strategy: "no",
  }));
  const { output_dir: _, ...shared } = smallRun("");
  const dashed = Object.fromEntries(
    Object.entries(shared).map(([name, value]) => [name.replaceAll("_", "-"), value]),
  );
  const flags = {
    ...dashed,
    "output-dir": `${place.path}/dashed`,
    "max-steps": 4,
    "max-seq-length": 50,
    "lr-scheduler-type": "cosine",
    "warmup-ratio": 0.5,
    "evaluation-strategy": "no",
  };
  const { code, stderr } = await plumb("sft", flags);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^--max-seq-length is an older name of max_length\.$/m);

  const path = `${place.path}/run.yaml`;
  Deno.writeTextFileSync(
    path,
    [
      "# a settings file",
      `model_name_or_path: ${fixture("models/llama")}`,
      `dataset_name: ${fixture("trl/sft-shuffled/dataset.jsonl")}`,
      `output_dir: ${place.path}/elsewhere`,
      "use_cpu: true",
      "per_device_train_batch_size: 4",
      "learning_rate: 5e-3",
      "max_steps: 40",
      "max_length: 50",
      "lr_scheduler_type: cosine",
      "warmup_steps: 0.5",
      "logging_steps: 1",
      "save_strategy: no",
      "gradient_checkpointing: off",
      "env: {WANDB_TEST_SETTING: hello}",
    ].join("\n"),
  );
  const output = `${place.path}/yaml`;
  const configured = await plumb("sft", { config: path, output_dir: output, max_steps: 4 });
  assert.equal(configured.code, 0, configured.stderr);
  assert.equal(Deno.env.get("WANDB_TEST_SETTING"), "hello");
  Deno.env.delete("WANDB_TEST_SETTING");

  const losses = (directory: string) => stateOf(directory).log_history.map(({ loss }) => loss);
  const expected = plain.log_history.map(({ loss }) => loss);
  assert.equal(expected.length, 5);
  assert.deepEqual(losses(`${place.path}/dashed`), expected);
  assert.deepEqual(losses(output), expected, "and flags win over the file");

  Deno.writeTextFileSync(path, "learning_rat: 1\n");
  const wrong = await plumb("sft", { config: path, output_dir: output });
  assert.equal(wrong.code, 1);
  assert.match(
    wrong.stderr,
    /run\.yaml, line 1: there is no option learning_rat\. .*learning_rate\./,
  );
});

Deno.test("what cannot change the numbers is said in a line, and changes none", async () => {
  using place = temporary();
  const plain = await trained(smallRun(`${place.path}/plain`, { max_steps: 2 }));
  const { code, stderr } = await plumb(
    "sft",
    smallRun(`${place.path}/noticed`, {
      max_steps: 2,
      bf16: true,
      dtype: "bfloat16",
      gradient_checkpointing: true,
      dataloader_num_workers: 4,
      attn_implementation: "flash_attention_2",
    }),
  );
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^--bf16 true: computation stays in float32.*\.$/m);
  assert.match(stderr, /^--dtype bfloat16: weights that are trained are held.*float32.*\.$/m);
  assert.match(stderr, /^--dataloader_num_workers has no effect: .*\.$/m);
  assert.match(stderr, /^--attn_implementation has no effect: .*\.$/m);
  const rows = stateOf(`${place.path}/noticed`).log_history;
  plain.log_history.slice(0, 2).forEach((row, i) => assert.equal(rows[i]!["loss"], row["loss"]));
  const quiet = await plumb("sft", {
    ...smallRun(`${place.path}/quiet`, { max_steps: 1, bf16: true }),
    log_level: "error",
  });
  assert.doesNotMatch(quiet.stderr, /bf16|CPU,|Memory/);
  assert.match(quiet.stderr, /^step 1\/1 /m);
});

Deno.test("report_to jsonl keeps every row, notice and checkpoint of a run, named", async () => {
  using output = temporary();
  const flags = smallRun(output.path, {
    dataset_name: fixture("trl/sft-eval/data"),
    max_steps: 2,
    eval_strategy: "steps",
    eval_steps: 2,
    save_strategy: "steps",
    report_to: "jsonl",
    run_name: "first try",
  });
  const { log_history } = await trained(flags);
  type Row = Record<string, unknown> & { readonly kind: string };
  const read = (): Row[] =>
    Deno.readTextFileSync(`${output.path}/log.jsonl`).trim().split("\n").map((line) =>
      JSON.parse(line)
    );
  const rows = read();
  assert.deepEqual(
    rows.filter(({ kind }) => kind !== "notice").map(({ kind }) => kind),
    ["memory", "train", "train", "eval", "save", "end"],
  );
  assert.ok(
    rows.some(({ kind, text }) => kind === "notice" && /rows, .* examples/.test(`${text}`)),
  );
  assert.ok(rows.every((row) => row["run_name"] === "first try"));
  const logged = rows.filter(({ kind }) => ["train", "eval", "end"].includes(kind));
  log_history.forEach((row, i) => {
    for (const [name, value] of Object.entries(row)) assert.equal(logged[i]![name], value, name);
  });
  const only = (kind: string) => rows.find((row) => row.kind === kind)!;
  assert.ok(Number(only("memory")["temporary_bytes"]) > Number(only("memory")["weight_bytes"]));
  assert.equal(only("save")["path"], `${output.path}/checkpoint-2`);
  assert.equal(only("end")["interrupted"], false);
  await trained({ ...flags, resume_from_checkpoint: true });
  assert.ok(read().length > rows.length, "a resumed run appends");
});

Deno.test("show_data prints rows with the tokens that carry loss", async () => {
  using output = temporary();
  const { code, stderr } = await plumb(
    "sft",
    smallRun(output.path, {
      dataset_name: fixture("trl/sft-eval/data"),
      max_steps: 1,
      show_data: 2,
    }),
  );
  assert.equal(code, 0, stderr);
  const shown = [...stderr.matchAll(/(\d+) tokens, loss on the (\d+) in ⟦…⟧:\n([^⟦]*)⟦([^⟧]*)⟧/g)];
  assert.equal(shown.length, 2);
  const [, tokens, learned, prompt, completion] = shown[0]!;
  assert.ok(Number(learned) < Number(tokens));
  assert.match(prompt!, /^John buys 3 reels of 100m fishing line\..*does he get\?\n$/s);
  assert.match(completion!, /^He buys 3\*100=.*#### 30<\|im_end\|>$/s);
});

Deno.test("init_from_config trains from scratch, the same from the same seed", async () => {
  using output = temporary();
  const loss = async (seed: number) => {
    const { model_name_or_path: _, ...flags } = smallRun(output.path, { max_steps: 1, seed });
    const config = { init_from_config: fixture("models/qwen3/config.json"), data_seed: 42 };
    return (await trained({ ...flags, ...config })).log_history[0]!["loss"]!;
  };
  const [first, again, other] = [await loss(1), await loss(1), await loss(2)];
  assert.equal(first, again);
  assert.notEqual(first, other);
  // Nothing is known yet: about as wrong as an even guess among 400 tokens.
  assert.ok(Math.abs(first - Math.log(400)) < 1, `${first}`);
});

Deno.test("a run that has nothing to do with the terminal says nothing on standard output", async () => {
  using output = temporary();
  const outcome = await plumbProcess(argumentsOf("sft", smallRun(output.path, { max_steps: 1 })));
  assert.deepEqual([outcome.code, outcome.stdout], [0, ""]);
  assert.match(
    outcome.stderr,
    /step 1\/1 +epoch .* loss \d\.\d+ +grad_norm .*\n.*step 1\/1 +done +in /,
  );
});

Deno.test("flags that need another one say so where it is missing", async () => {
  using output = temporary();
  const { code, stderr } = await plumb(
    "sft",
    smallRun(output.path, {
      max_steps: 1,
      lora_r: 4,
      use_dora: true,
      bnb_4bit_quant_type: "fp4",
      packing_strategy: "wrapped",
      optim: "sgd",
      adam_beta1: 0.5,
    }),
  );
  assert.equal(code, 0, stderr);
  for (
    const line of [
      "--lora_r has no effect: --use_peft is not given.",
      "--use_dora has no effect: --use_peft is not given.",
      "--bnb_4bit_quant_type has no effect: --load_in_4bit is not given.",
      "--packing_strategy has no effect: --packing is not given and --eval_packing is not given.",
      "--adam_beta1 has no effect: --optim is sgd.",
    ]
  ) assert.ok(stderr.includes(`${line}\n`), `${line} in: ${stderr}`);
});

Deno.test("an adapter and a whole model are not written into one directory", async () => {
  using place = temporary();
  const [whole, adapter] = [`${place.path}/whole`, `${place.path}/adapter`];
  const run = (directory: string, changes: Flags) =>
    smallRun(directory, { max_steps: 1, ...changes });
  await trained(run(whole, {}));
  await trained(run(adapter, { use_peft: true }));
  assert.match(await refusalOf("sft", run(whole, { use_peft: true })), /holds a whole model/);
  assert.match(await refusalOf("sft", run(adapter, {})), /holds an adapter/);
  // The adapter's base is the fixture, which nothing may overwrite.
  for (const output_dir of [adapter, fixture("models/llama")]) {
    const merge = { model_name_or_path: adapter, output_dir };
    assert.match(await refusalOf("merge", merge), /Give another directory/);
  }
});
