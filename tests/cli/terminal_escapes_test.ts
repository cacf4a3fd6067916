/** Nothing that plumb reads from a file, a flag or a model moves a terminal's cursor. */

import assert from "node:assert/strict";
import { fixture } from "../data/fixture_files.ts";
import { plain, plainJson } from "../../core/terminal.ts";
import { variantOf } from "./generation_models.ts";
import { argumentsOf, type Flags, plumb, startPlumb, temporary } from "./run_command.ts";

/** A title, a cleared screen, a colour; DEL, a C1 introducer, an override of the direction. */
const escapes = "a\x1b]0;owned\x07\x1b[2J\x1b[31m\x7f\x9b\u202eb";

const llama = fixture("models/llama");

const sourceFolders = ["core", "nn", "rl", "data", "train", "cli", "examples"];

function* sources(folder: string): Generator<string> {
  for (
    const { name, isDirectory } of Deno.readDirSync(new URL(`../../${folder}`, import.meta.url))
  ) {
    if (isDirectory) yield* sources(`${folder}/${name}`);
    else if (name.endsWith(".ts")) yield `${folder}/${name}`;
  }
}

Deno.test("no other module than the terminal's writes to the console or to standard output and error", () => {
  const writes =
    /\bconsole\s*(\.\w|\[)|\b(Deno|process)\s*\.\s*(stdout|stderr)\b|(?<![".])\b(alert|confirm|prompt)\(/;
  const lines = sourceFolders.flatMap((folder) => [...sources(folder)]).flatMap((path) =>
    Deno.readTextFileSync(new URL(`../../${path}`, import.meta.url)).split("\n")
      .filter((line) => !/^\s*(\*|\/\/|\/\*)/.test(line) && writes.test(line))
      .map((line) => `${path}: ${line.trim()}`)
  );
  const elsewhere = lines.filter((line) => !line.startsWith("core/terminal.ts"));
  assert.deepEqual(elsewhere, [
    // The line editor of Node, which shows what is typed.
    "cli/chat/terminal_lines.ts: const reader = createInterface({ input: keys, output: process.stderr, terminal: true });",
    // A script as a user writes it.
    "examples/own_algorithm.ts: console.log(`step ${step}: reward ${mean.toFixed(3)}, as ${tokenizer.decode(sampled[0]!)}`);",
  ]);
  assert.ok(lines.length > elsewhere.length, "the boundary itself is found");
});

function write(directory: string, name: string, rows: readonly unknown[]): string {
  const path = `${directory}/${name}`;
  Deno.writeTextFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return path;
}

const step = {
  device: "cpu",
  max_steps: 1,
  save_strategy: "no",
  learning_rate: 0,
  logging_steps: 1,
} as const;

const message = { role: "user", content: escapes };

/** Runs whose data, names or flags hold escapes; `shown` is what must be told of them. */
const runs: Readonly<
  Record<string, (place: string) => readonly [command: string, flags: Flags, shown?: RegExp]>
> = {
  "texts that are shown": (place) => [
    "sft",
    { dataset_name: write(place, "d.jsonl", [{ text: escapes }]), show_data: 1 },
    /␛\]0;owned␇␛\[2J/,
  ],
  "conversations that are shown": (place) => [
    "sft",
    {
      dataset_name: write(place, "d.jsonl", [{
        messages: [message, { role: "assistant", content: escapes }],
      }]),
      show_data: 1,
    },
    /␛\]0;owned␇/,
  ],
  "pairs that are shown": (place) => [
    "dpo",
    {
      dataset_name: write(place, "d.jsonl", [{ prompt: escapes, chosen: escapes, rejected: "b" }]),
      show_data: 1,
    },
    /␛\]0;owned␇/,
  ],
  "names of columns": (place) => [
    "sft",
    { dataset_name: write(place, "d.jsonl", [{ [escapes]: 1, [`${escapes}2`]: 2 }]) },
    /columns a␛/,
  ],
  "a role": (place) => [
    "sft",
    { dataset_name: write(place, "d.jsonl", [{ messages: [{ role: escapes, content: 1 }] }]) },
  ],
  "a line that is no JSON": (place) => {
    Deno.writeTextFileSync(`${place}/d.jsonl`, `${escapes}{not json\n`);
    return ["sft", { dataset_name: `${place}/d.jsonl` }, /line 1.*␛/];
  },
  "the name of a file": (place) => [
    "sft",
    { dataset_name: write(place, `${escapes}.jsonl`, [{ text: "x" }]) },
    /␛\]0;owned␇.*1 rows/,
  ],
  "the name of a file that is not there": (place) => [
    "sft",
    { dataset_name: `${place}/${escapes}.jsonl` },
    /␛\]0;owned␇/,
  ],
  "a flag": () => ["sft", { [escapes]: 1 }, /There is no option --a␛/],
  "a value": () => ["sft", { dataset_name: "x", optim: escapes }, /␛/],
  "a settings file": (place) => {
    Deno.writeTextFileSync(`${place}/run.yaml`, `${plainJson(escapes)}: 1\n`);
    return ["sft", { config: `${place}/run.yaml` }, /there is no option a␛/];
  },
  "a broken settings file": (place) => {
    Deno.writeTextFileSync(`${place}/run.yaml`, `x: [${escapes}\n`);
    return ["sft", { config: `${place}/run.yaml` }];
  },
  "a settings file's variables": (place) => {
    Deno.writeTextFileSync(`${place}/run.yaml`, `env: {${plainJson(escapes)}: "1"}\n`);
    return ["sft", { config: `${place}/run.yaml` }, /␛/];
  },
  "a model's family": (place) => [
    "sft",
    {
      model_name_or_path: variantOf("llama", place, {
        "config.json": JSON.stringify({ model_type: escapes, architectures: [escapes] }),
      }),
      dataset_name: write(place, "d.jsonl", [{ text: "x" }]),
    },
    /model_type = "a/,
  ],
  "keys of a checkpoint's settings of generation": (place) => [
    "generate",
    {
      model_name_or_path: variantOf("llama", place, {
        "generation_config.json": JSON.stringify({ [escapes]: 1, max_time: escapes }),
      }),
      prompts: write(place, "d.jsonl", [{ prompt: escapes }]),
      max_new_tokens: 2,
    },
    /␛/,
  ],
  "prompts and answers in rows": (place) => [
    "generate",
    {
      model_name_or_path: llama,
      prompts: write(place, "d.jsonl", [{ prompt: escapes }]),
      max_new_tokens: 60,
    },
    /\\u001b/,
  ],
  "answers with their rewards": (place) => [
    "grpo",
    {
      dataset_name: write(place, "d.jsonl", [{ prompt: escapes }, { prompt: escapes }]),
      per_device_train_batch_size: 4,
      num_generations: 2,
      max_completion_length: 30,
      log_completions: true,
      reward_funcs: "think_format_reward",
    },
    /␛\]0;owned␇/,
  ],
  "an error of a reward": (place) => {
    Deno.writeTextFileSync(
      `${place}/r.ts`,
      `export function bad() { throw new Error(${JSON.stringify(escapes)}); }`,
    );
    return [
      "grpo",
      {
        dataset_name: write(place, "d.jsonl", [{ prompt: "x" }, { prompt: "y" }]),
        per_device_train_batch_size: 2,
        num_generations: 2,
        max_completion_length: 2,
        reward_funcs: `${place}/r.ts:bad`,
      },
      /␛/,
    ];
  },
};

for (const [what, prepare] of Object.entries(runs)) {
  Deno.test(`a terminal is safe from ${what}`, async () => {
    using place = temporary();
    const [command, flags, shown] = prepare(place.path);
    const training = command !== "generate";
    const { stdout, stderr } = await plumb(command, {
      ...(training
        ? { ...step, model_name_or_path: llama, output_dir: `${place.path}/out` }
        : { device: "cpu" }),
      ...flags,
    });
    const said = stdout + stderr;
    assert.equal(plain(said), said);
    if (shown) assert.match(said, shown);
  });
}

Deno.test("a terminal is safe from commands, and from what nobody waited for", async () => {
  const { stderr } = await plumb(escapes);
  assert.match(stderr, /There is no command "a␛/);
  assert.equal(plain(stderr), stderr);

  using place = temporary();
  Deno.writeTextFileSync(
    `${place.path}/r.ts`,
    `export async function stray({ completions }) {
      Promise.reject(new Error(${JSON.stringify(escapes)}));
      await new Promise((resolve) => setTimeout(resolve, 50));
      return completions.map(() => 0);
    }`,
  );
  const child = startPlumb(argumentsOf("grpo", {
    ...step,
    model_name_or_path: llama,
    output_dir: `${place.path}/out`,
    dataset_name: write(place.path, "d.jsonl", [{ prompt: "x" }, { prompt: "y" }]),
    per_device_train_batch_size: 2,
    num_generations: 2,
    max_completion_length: 2,
    reward_funcs: `${place.path}/r.ts:stray`,
  }));
  const { code, stderr: bytes } = await child.output();
  const said = new TextDecoder().decode(bytes);
  assert.equal(code, 1);
  assert.match(said, /Error: a␛/);
  assert.equal(plain(said), said);
});

Deno.test("a message with a long value in it is cut", async () => {
  const { stderr } = await plumb("sft", { dataset_name: "x", optim: "y".repeat(100_000) });
  assert.ok(stderr.length < 4000, `${stderr.length}`);
  assert.match(stderr, /yyy… \(\d+ characters\) …yyy/);
});
