/** Options of other commands, and the version. */

import assert from "node:assert/strict";
import configuration from "../../deno.json" with { type: "json" };
import { loadCommands } from "../../cli/commands.ts";
import { otherCommands } from "../../cli/other_commands.ts";
import { parse } from "../../cli/parse.ts";
import { dpoRecipe } from "../../train/recipes/dpo.ts";
import { nearest } from "../../train/settings/nearest.ts";
import { otherNames } from "../../train/settings/other_names.ts";
import { nameTable } from "../../train/settings/read.ts";
import { inTempDir } from "../temporary.ts";
import { plumb, refusalOf } from "./run_command.ts";

const commands = await loadCommands();

Deno.test("an option of other commands is said to be one", async () => {
  assert.match(
    await refusalOf("sft", { beta: 0.1 }),
    /^Error: --beta is an option of dpo, kto, .*; sft has no such option\. sft --help lists what it has\.$/,
  );
  assert.match(
    await refusalOf("merge", { "no-packing": "" }),
    /^Error: --no-packing is an option of sft/,
  );
  assert.match(
    await refusalOf("sft", { torch_type: 1 }),
    /^Error: There is no option --torch_type\./,
  );
  assert.match(
    await refusalOf("dpo", { num_return_sequences: 2 }),
    /--num_return_sequences is an option of generate.*; dpo has no such option/,
  );
});

Deno.test("so is one in a settings file, with its line", () =>
  inTempDir(async (directory) => {
    const config = `${directory}/run.yaml`;
    await Deno.writeTextFile(config, "seed: 1\nsystem_prompt: Be brief.\n");
    const message = await refusalOf("generate", { config });
    assert.ok(message.startsWith(`Error: system_prompt (${config}, line 2) is an option of chat`));
  }));

Deno.test("a name of another library or an older version is met with what to do instead", async () => {
  const training = commands.filter(({ options }) => Object.hasOwn(options, "learning_rate"));
  assert.ok(otherNames.size > 150);
  for (const [name, { of, option, advice }] of otherNames) {
    assert.ok((option === undefined) !== (advice === undefined), name);
    const lacking = training.filter(({ options }) => !nameTable(options).has(name));
    assert.ok(lacking.length > 0, `${name} is an option of all commands`);
    if (advice !== undefined) assert.match(advice, /^[A-Z$a-z].*[.…]$/, name);
    const owners = training.filter(({ options }) => Object.hasOwn(options, option ?? ""));
    if (option !== undefined) assert.ok(owners.length > 0, `${option} is no option, for ${name}`);
    const { name: command } = lacking.find((one) => owners.includes(one)) ?? lacking[0]!;
    const message = await refusalOf(command, { [name]: "x" });
    assert.ok(message.includes(`There is no option --${name}. `), message);
    assert.ok(message.includes(of), message);
    // An option is named as the user writes it, and by its name in this command.
    const bare = (text: string) => text.replaceAll(/(--)?[a-z]+(_[a-z0-9]+)+/g, "…");
    assert.ok(
      bare(message).includes(bare(advice ?? `what --${option} is here`)) ||
        message.includes(`what --${option}`),
      message,
    );
  }
});

Deno.test("older names with the same meaning are taken, and told", () => {
  const older = [
    ["dpo", "ref_model", "ref_model_name_or_path"],
    ["dpo", "max_target_length", "max_completion_length"],
    ["kto", "max_seq_length", "max_length"],
    ["sft", "bnb_4bit_use_double_quant", "use_bnb_nested_quant"],
    ["sft", "tokenizer", "tokenizer_name"],
    ["sft", "dataset_train_name", "dataset_train_split"],
    ["ppo", "value_model_path", "value_model_name_or_path"],
    ["ppo", "reward_model", "reward_model_name_or_path"],
    ["xpo", "reward_model", "reward_model_path"],
    ["ppo", "forward_batch_size", "local_rollout_forward_batch_size"],
    ["rloo", "rloo_k", "num_generations"],
    ["rloo", "normalize_advantage", "normalize_advantages"],
    ["grpo", "wandb_log_unique_prompts", "log_unique_prompts"],
  ] as const;
  for (const [command, old, name] of older) {
    const { options } = commands.find((one) => one.name === command)!;
    assert.equal(nameTable(options).get(old)?.name, name);
    const word = options[name]!.arity === "optional" ? "true" : "2";
    const argv = ["--dataset_name", "x", `--${old}`, word];
    const { given, notices } = parse(argv, options);
    assert.ok(given.has(name), old);
    assert.ok(notices.includes(`--${old} is an older name of ${name}.`), old);
  }
});

Deno.test("a nearest name is only named where it was surely meant", async () => {
  const names = nameTable(dpoRecipe.options);
  const near = (name: string) => nearest(name, names.keys());
  assert.equal(near("lerning_rate"), "learning_rate");
  assert.equal(near("torch_type"), "torch_dtype");
  assert.equal(near("max_lenght"), "max_length");
  assert.equal(near("gradient_acc"), "gradient_accumulation_steps");
  for (
    const name of ["judge", "tools", "critic", "prompts", "n_epoch", "verbose", "foo", "epsilon"]
  ) {
    assert.equal(near(name), undefined, name);
  }
  assert.match((await plumb("dop")).stderr, /did you mean "dpo"\?/);
  assert.match((await plumb("ddpo")).stderr, /"ddpo"\. DDPO trained models that draw images/);
  assert.match((await plumb("vllm-serve")).stderr, /needs no server/);
  assert.match((await plumb("bake")).stderr, /There is no command "bake"\. Commands: /);
  assert.match((await plumb("online_dpo", { help: "" })).stdout, /Usage: plumb online-dpo/);
});

Deno.test("what other tools call commands is no command here", () => {
  for (const [name, advice] of otherCommands) {
    assert.ok(!commands.some((command) => command.name.replaceAll("-", "_") === name), name);
    assert.match(advice, /^\S.*\.$/);
  }
});

Deno.test("the version is printed in three ways", async () => {
  for (const name of ["--version", "-V", "version"]) {
    const outcome = await plumb(name);
    assert.deepEqual(outcome, { code: 0, stdout: `plumb ${configuration.version}\n`, stderr: "" });
  }
});
