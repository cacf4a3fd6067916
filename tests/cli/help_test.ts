import assert from "node:assert/strict";
import { renderHelp, wantsHelp, wrap } from "../../cli/help.ts";
import { bool, choice, float, int, string } from "../../train/settings/builders.ts";
import { section, sections } from "../../train/settings/option.ts";
import { sftOptions } from "../../train/settings/sft.ts";
import { builtInRewardNames } from "../../rl/mod.ts";
import { plumb } from "./run_command.ts";

const small = {
  ...section("Without effect here", {
    workers: int({ default: 0, help: "Loader processes.", notice: "there are none" }),
    peft: bool({ default: false, help: "LoRA.", refused: "it comes later" }),
  }),
  ...section("Training", {
    rate: float({ default: 2e-5, help: "The learning rate.", aliases: ["lr"] }),
    mode: choice({ choices: ["one", "two"], default: "one", help: "How." }),
  }),
  ...section("Data", {
    split: string({ default: "train", help: "Which rows." }),
    rows: string({ required: true, shown: "PATH", help: "The rows." }),
  }),
};
const settings = { command: "plumb test", summary: "Tests." };

Deno.test("the help lists options by section with values, help and default", () => {
  assert.equal(
    renderHelp(small, settings),
    `Usage: plumb test [--option value | --option=value | --flag | --no_flag] …
Tests.
Names may be written with dashes. A settings file takes the same names.

Data
  --rows PATH                     The rows. (required)
  --split TEXT                    Which rows. (default: train)

Training
  --rate FLOAT                    The learning rate. (default: 2e-5)
  --mode one|two                  How. (default: one)

2 more of TRL's options are accepted without effect or not available here;
--help all lists them with the reason.
`,
  );
});

Deno.test("sections stand in the same order in the help of every command", async () => {
  const { stdout } = await plumb("help");
  const commands = [...stdout.matchAll(/^ {2}([a-z-]+) {2}/gm)].map(([, name]) => name!);
  assert.ok(commands.length > 20);
  const known: readonly string[] = sections;
  for (const command of commands) {
    const help = await plumb(command, { help: "all" });
    const titles = help.stdout.trim().split("\n\n").map((block) => block.split("\n")[0]!).slice(1);
    assert.equal(titles.length > 0, command !== "completions", command);
    assert.deepEqual(titles, known.filter((title) => titles.includes(title)), command);
  }
  const online = (await plumb("grpo", { help: "brief" })).stdout.replaceAll(/\s+/g, " ");
  const places = [
    ...["model_name_or_path", "dataset_name", "reward_funcs", "num_generations", "temperature"],
    ...["loss_type", "epsilon", "output_dir", "learning_rate", "use_peft", "device"],
  ].map((name) => online.indexOf(` --${name} `));
  assert.deepEqual(places, places.toSorted((a, b) => a - b));
  assert.ok(places[0]! > 0);
  assert.ok(online.includes(`Built-in names: ${builtInRewardNames.join(", ")}.`));
});

Deno.test("help all adds what has no effect, what is not available and older names", () => {
  const text = renderHelp(small, { ...settings, width: 120, all: true });
  assert.match(
    text,
    /--workers INT +Loader processes\. \(default: 0\) \[no effect: there are none\]/,
  );
  assert.match(text, /--peft BOOL +LoRA\. \(default: false\) \[not available: it comes later\]/);
  assert.match(text, /\(default: 2e-5\) \[older name: --lr\]/);
  assert.doesNotMatch(text, /--help all lists/);
});

Deno.test("the help keeps to the width of the terminal", () => {
  for (const width of [50, 80, 100]) {
    const text = renderHelp(sftOptions, { ...settings, width, all: true });
    const usage = text.indexOf("\n");
    const wide = text.slice(usage).split("\n").filter((line) => line.length > width);
    assert.deepEqual(wide, [], String(width));
  }
});

Deno.test("the help of sft shows what works and hides what is refused", () => {
  const text = renderHelp(sftOptions, settings);
  for (const name of ["learning_rate", "device", "resume_from_checkpoint", "bf16", "packing"]) {
    assert.match(text, new RegExp(`^  --${name} `, "m"));
  }
  for (const name of ["lora_target_parameters", "push_to_hub", "dataloader_num_workers"]) {
    assert.doesNotMatch(text, new RegExp(`--${name} `));
  }
  const all = renderHelp(sftOptions, { ...settings, all: true });
  for (const name of Object.keys(sftOptions)) assert.match(all, new RegExp(`^  --${name} `, "m"));
});

Deno.test("help is asked for briefly or in full", () => {
  assert.equal(wantsHelp(["--seed", "1"]), undefined);
  assert.equal(wantsHelp(["--help"]), "brief");
  assert.equal(wantsHelp(["-h"]), "brief");
  assert.equal(wantsHelp(["--seed", "1", "--help", "all"]), "all");
  assert.equal(wantsHelp(["--help=all"]), "all");
});

Deno.test("wrapping breaks at spaces and leaves long words whole", () => {
  assert.deepEqual(wrap("a bb ccc dddddddd", 6), ["a bb", "ccc", "dddddddd"]);
  assert.deepEqual(wrap("", 6), []);
});
