/** `generate`: a file of prompts in, JSONL out. */

import assert from "node:assert/strict";
import { terminal } from "../../core/terminal.ts";
import { Interrupted, writeRows } from "../../cli/generation/output.ts";
import { describeProgress, progressLine } from "../../cli/generation/progress.ts";
import { promptsOf } from "../../train/generation/prompts.ts";
import { loadTokenizer, type Tokenizer } from "../../data/tokenizer/tokenizer.ts";
import { fixture } from "../data/fixture_files.ts";
import { devices } from "../devices.ts";
import { inTempDir, namesIn } from "../temporary.ts";
import { configOf, greedyOf, greedyText, userWords, variantOf } from "./generation_models.ts";
import { argumentsOf, type Flags, plumb, refusalOf, startPlumb } from "./run_command.ts";

type Row = Readonly<Record<string, unknown>>;

const llama = fixture("models/llama");
const tokenizer = await loadTokenizer(llama);

function lines(rows: readonly unknown[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
}

function rowsOf(text: string): Row[] {
  return text.trimEnd().split("\n").map((line) => JSON.parse(line));
}

/** Runs `generate`, which has to succeed, and gives its rows. */
async function generated(flags: Flags): Promise<Row[]> {
  const { code, stdout, stderr } = await plumb("generate", {
    model_name_or_path: llama,
    device: "cpu",
    max_new_tokens: 24,
    ...flags,
  });
  assert.equal(code, 0, stderr);
  return rowsOf(stdout);
}

for (const { kind: device } of devices) {
  Deno.test(`greedy completions are those of transformers, in order (${device})`, () =>
    inTempDir(async (directory) => {
      const cases = await greedyOf("llama");
      const prompts = `${directory}/prompts.jsonl`;
      const given = cases.flatMap((greedy, i) => [
        { prompt: greedy.prompt, id: `text ${i}` },
        { id: `chat ${i}`, prompt: [{ role: "user", content: userWords(greedy) }] },
      ]);
      await Deno.writeTextFile(prompts, lines(given));
      const expected = given.map((row, i) => {
        const text = greedyText(tokenizer, cases[Math.floor(i / 2)]!);
        const completion = i % 2 === 0 ? text : [{ role: "assistant", content: text }];
        return { ...row, completion, finish_reason: "length", completion_tokens: 24 };
      });
      // One batch, and several with a shorter last one.
      for (const batch_size of device === "cpu" ? [8, 3] : [8]) {
        const flags = { prompts, device, do_sample: false, batch_size };
        assert.deepEqual(await generated(flags), expected);
      }
    }));
}

Deno.test("completions end at an EOS token, which is counted and has no text", () =>
  inTempDir(async (directory) => {
    const [greedy] = await greedyOf("llama");
    const prompts = `${directory}/prompts.jsonl`;
    await Deno.writeTextFile(prompts, lines([{ prompt: greedy!.prompt }]));
    const flags = { prompts, do_sample: false };
    const at = 5;
    const eos = greedy!.new_ids[at]!;
    assert.equal(greedy!.new_ids.indexOf(eos), at);
    const [row] = await generated({ ...flags, eos_token_ids: eos });
    assert.deepEqual([row!["finish_reason"], row!["completion_tokens"]], ["eos", at + 1]);
    const shortened = { ...greedy!, new_ids: greedy!.new_ids.slice(0, at + 1) };
    assert.equal(row!["completion"], greedyText(tokenizer, shortened));
    const [none] = await generated({ ...flags, max_new_tokens: 3 });
    assert.deepEqual([none!["finish_reason"], none!["completion_tokens"]], ["length", 3]);
  }));

Deno.test("several completions of a prompt follow each other, the same for the same seed", () =>
  inTempDir(async (directory) => {
    const prompts = `${directory}/prompts.jsonl`;
    await Deno.writeTextFile(prompts, lines([1, 2, 3].map((n) => ({ prompt: `Count ${n}`, n }))));
    const flags = { prompts, num_return_sequences: 3, batch_size: 2, max_new_tokens: 8 };
    const first = await generated({ ...flags, seed: 5 });
    assert.deepEqual(first.map(({ n }) => n), [1, 1, 1, 2, 2, 2, 3, 3, 3]);
    assert.equal(new Set(first.map(({ completion }) => completion)).size, 9);
    assert.deepEqual(await generated({ ...flags, seed: 5 }), first);
    assert.notDeepEqual(await generated({ ...flags, seed: 6 }), first);
    const greedy = { model_name_or_path: llama, ...flags, device: "cpu", do_sample: false };
    assert.match(await refusalOf("generate", greedy), /num_return_sequences is 3.*do_sample/);
  }));

Deno.test("batches of one file draw different tokens", () =>
  inTempDir(async (directory) => {
    const prompts = `${directory}/prompts.jsonl`;
    await Deno.writeTextFile(prompts, lines([1, 2].map(() => ({ prompt: "Count" }))));
    const [one, two] = await generated({ prompts, batch_size: 1, max_new_tokens: 8 });
    assert.notEqual(one!["completion"], two!["completion"]);
  }));

Deno.test("prompts are read from text, CSV and directories, with slices", () =>
  inTempDir(async (directory) => {
    await Deno.writeTextFile(`${directory}/prompts.txt`, "One\nTwo\nThree\n");
    await Deno.writeTextFile(`${directory}/prompts.csv`, "id,prompt\n7,One\n8,Two\n");
    const flags = { do_sample: false, max_new_tokens: 2 };
    const fromText = await generated({ ...flags, prompts: `${directory}/prompts.txt` });
    assert.deepEqual(fromText.map(({ text }) => text), ["One", "Two", "Three"]);
    const sliced = { ...flags, prompts: `${directory}/prompts.csv`, split: "train[1:]" };
    const [row] = await generated(sliced);
    assert.deepEqual([`${row!["id"]}`, row!["completion"]], ["8", fromText[1]!["completion"]]);
  }));

Deno.test("a row's own completion is kept under another name", () =>
  inTempDir(async (directory) => {
    const prompts = `${directory}/prompts.jsonl`;
    const row = { prompt: "One", completion: "1", original_completion: "i" };
    await Deno.writeTextFile(prompts, lines([row]));
    const [found] = await generated({ prompts, do_sample: false, max_new_tokens: 2 });
    const { prompt, completion, original_completion, original_original_completion } = found!;
    assert.deepEqual([prompt, original_completion], ["One", "i"]);
    assert.equal(original_original_completion, "1");
    assert.notEqual(completion, "1");
  }));

Deno.test("adapters and quantised weights generate", () =>
  inTempDir(async (directory) => {
    const [greedy] = await greedyOf("llama");
    const prompts = `${directory}/prompts.jsonl`;
    await Deno.writeTextFile(prompts, lines([{ prompt: greedy!.prompt }]));
    const merged = `${directory}/merged`;
    const adapter = fixture("adapters/llama_lora");
    const merge = { model_name_or_path: adapter, output_dir: merged, device: "cpu" };
    assert.equal((await plumb("merge", merge)).code, 0);
    const said = async (flags: Flags) =>
      (await generated({ prompts, do_sample: false, ...flags }))[0]!["completion"];
    const whole = await said({});
    const adapted = await said({ model_name_or_path: adapter });
    assert.equal(adapted, await said({ model_name_or_path: merged }));
    assert.notEqual(adapted, whole);
    assert.equal(
      await said({ load_in_8bit: true, max_new_tokens: 3 }),
      await said({ max_new_tokens: 3 }),
    );
    assert.notEqual(await said({ load_in_4bit: true }), whole);
  }));

Deno.test("the file appears when it is whole, and standard output stays empty", () =>
  inTempDir(async (directory) => {
    const prompts = `${directory}/prompts.jsonl`;
    await Deno.writeTextFile(prompts, lines([{ prompt: "One" }, { prompt: "Two" }]));
    const output = `${directory}/new/rows.jsonl`;
    const flags = { model_name_or_path: llama, device: "cpu", max_new_tokens: 2, prompts, output };
    const { code, stdout, stderr } = await plumb("generate", flags);
    assert.deepEqual([code, stdout], [0, ""], stderr);
    assert.match(
      stderr,
      /^CPU.*\n2 prompts, the longest of \d tokens\.\n2 completions of 2 prompts: 4 tokens in .* tokens\/s\.\n$/,
    );
    const rows = rowsOf(await Deno.readTextFile(output));
    assert.deepEqual(rows.map(({ prompt }) => prompt), ["One", "Two"]);
    assert.deepEqual(namesIn(`${directory}/new`), ["rows.jsonl"]);

    await Deno.writeTextFile(prompts, lines([{ prompt: "One" }, { prompt: "" }]));
    assert.match(await refusalOf("generate", flags), /Row 2 .*empty/);
    assert.equal(rowsOf(await Deno.readTextFile(output)).length, 2, "the old rows are still there");
    assert.deepEqual(namesIn(`${directory}/new`), ["rows.jsonl"]);
    const blocked = { ...flags, output: directory };
    assert.match(await refusalOf("generate", blocked), /is a directory/);
  }));

Deno.test("work that is ended early leaves its rows beside the file", () =>
  inTempDir(async (directory) => {
    const path = `${directory}/rows.jsonl`;
    await Deno.writeTextFile(path, "old\n");
    const work = (write: (text: string) => void) => {
      write("one\n");
      return Promise.resolve(false);
    };
    await assert.rejects(
      writeRows(path, work),
      (error) => error instanceof Interrupted && error.path === `${path}.partial`,
    );
    assert.equal(await Deno.readTextFile(path), "old\n");
    assert.equal(await Deno.readTextFile(`${path}.partial`), "one\n");
    assert.deepEqual(namesIn(directory), ["rows.jsonl", "rows.jsonl.partial"]);
  }));

Deno.test("Ctrl-C ends generation and keeps the rows that were done", () =>
  inTempDir(async (directory) => {
    const positions = 40_000;
    const model = `${directory}/model`;
    await Deno.mkdir(model);
    variantOf("llama", model, {
      "config.json": configOf("llama", { max_position_embeddings: positions }),
    });
    const prompts = `${directory}/prompts.jsonl`;
    await Deno.writeTextFile(prompts, lines([{ prompt: "One" }, { prompt: "Two" }]));
    const child = startPlumb(argumentsOf("generate", {
      model_name_or_path: model,
      device: "cpu",
      prompts,
      output: `${directory}/rows.jsonl`,
      do_sample: false,
      eos_token_ids: 0,
      max_new_tokens: positions,
    }));
    const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
    let said = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const before = said;
      said += value;
      const begins = /prompts, the longest/;
      if (begins.test(said) && !begins.test(before)) child.kill("SIGINT");
    }
    await child.stdout.cancel();
    assert.equal((await child.status).code, 130);
    assert.match(said, /Stopping;.*\n[^]*rows that were done are in .*rows\.jsonl\.partial\.\n$/);
    assert.equal(await Deno.readTextFile(`${directory}/rows.jsonl.partial`), "");
  }));

const ids = (rows: readonly Row[], with_: Tokenizer = tokenizer) =>
  promptsOf(rows, with_, 512).map((prompt) => with_.decode(prompt.ids));

Deno.test("messages are rendered up to where the answer begins", () => {
  const user = { role: "user", content: "Hi" };
  const system = { role: "system", content: "Be kind." };
  assert.deepEqual(ids([{ messages: [system, user] }]), [
    "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
  ]);
  const begun = [user, { role: "assistant", content: "Hello" }];
  assert.deepEqual(ids([{ prompt: begun }]), [
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello",
  ]);
  const tools = [{ name: "add" }];
  const listed = ids([{ prompt: [user], tools }, { prompt: [user], tools: JSON.stringify(tools) }]);
  assert.match(listed[0]!, /You may call these functions:\n\{"name": "add"\}/);
  assert.equal(listed[0], listed[1]);
  const variables = { default_system: "Be brief." };
  assert.match(
    ids([{ prompt: [user], chat_template_kwargs: variables }])[0]!,
    /system\nBe brief\./,
  );
});

Deno.test("a row that cannot be a prompt is refused with its number", () => {
  const user = { role: "user", content: "Hi" };
  const good = { prompt: "One" };
  const cases: readonly [readonly Row[], RegExp][] = [
    [[{ question: "One" }], /^Row 1 .*columns question.*no prompt.*"prompt".*"messages"/],
    [[good, { text: "Two" }], /^Row 2 .*no "prompt", where the first row.*columns are text/],
    [[good, good, { prompt: 3 }], /^Row 3 .*"prompt" is 3; expected a text or a list of messages/],
    [[good, { prompt: [] }], /^Row 2 .*"prompt" is an empty list; expected/],
    [[good, { prompt: "" }], /^Row 2 .*prompt is empty/],
    [[good, { prompt: "x ".repeat(600) }], /^Row 2 .*has \d+ tokens.*512 positions/],
    [[{ messages: [user] }, { messages: "Hi" }], /^Row 2 .*"messages" is a text; expected a list/],
    [[{ messages: [user, { role: "assistant", content: "Ho" }] }], /^Row 1 .*nothing left to say/],
    [[{ prompt: [user], tools: "{" }], /^Row 1 .*"tools" is a text; expected a list of tool/],
    [[{ prompt: [user, { role: "system", content: "x" }] }], /^Row 1 .*system message must come/],
  ];
  for (const [rows, message] of cases) {
    assert.throws(() => promptsOf(rows, tokenizer, 512), { name: "UserError", message });
  }
});

Deno.test("progress is one line at a terminal, and now and then a line in a log", () => {
  const progress = { prompts: 2, total: 8, tokens: 100, seconds: 4 };
  assert.equal(describeProgress(progress), "2/8 prompts, 100 tokens, 25 tokens/s, 12 s left");
  for (const isTerminal of [true, false]) {
    let said = "";
    const line = progressLine(terminal((text) => said += text, () => isTerminal));
    for (const seconds of [4, 11, 12, 25]) line.show({ ...progress, seconds });
    line.clear();
    assert.equal(said.split(isTerminal ? "\r" : "\n").length - 1, isTerminal ? 5 : 2);
  }
});
