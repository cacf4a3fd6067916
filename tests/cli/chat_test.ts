/** `chat`: answers, commands, settings, interrupts, pipes. */

import assert from "node:assert/strict";
import { readLine } from "../../cli/chat/commands.ts";
import { converse } from "../../cli/chat/converse.ts";
import { defaultExamples, readExamples } from "../../cli/chat/examples.ts";
import { pasteFilter, withLineEnds } from "../../cli/chat/paste.ts";
import { savePath } from "../../cli/chat/save.ts";
import { type ChatSession, chatSession, describeAnswer } from "../../cli/chat/session.ts";
import { type GenerationModel, openGenerationModel } from "../../train/generation/open.ts";
import { drawSeed } from "../../train/generation/seeds.ts";
import { resolveSettings } from "../../train/generation/settings.ts";
import { textOf } from "../../train/generation/text_stream.ts";
import { chatOptions } from "../../cli/chat/options.ts";
import { parse } from "../../cli/parse.ts";
import { UserError } from "../../core/errors.ts";
import { plain } from "../../core/terminal.ts";
import { type DecoderParams, generator, mergeAdapters, parametersOf } from "../../nn/mod.ts";
import { openModel } from "../../train/files/model_directory.ts";
import { fixture, plainTokenizer } from "../data/fixture_files.ts";
import { devices, eachDevice } from "../devices.ts";
import { setDevice } from "../../core/device/current.ts";
import { inTempDir } from "../temporary.ts";
import { configOf, greedyOf, greedyText, userWords, variantOf } from "./generation_models.ts";
import { argumentsOf, type Flags, type Outcome, refusalOf, temporary } from "./run_command.ts";

const llama = fixture("models/llama");
const greedyFlags = { do_sample: false, max_new_tokens: 24 };

/** A chat whose screen is a record. */
interface Recorded {
  readonly session: ChatSession;
  readonly opened: GenerationModel;
  /** The words of the model. */
  readonly written: string[];
  /** All else, complaints with "! " before them. */
  readonly notes: string[];
}

async function openChat(model: string, flags: Flags = {}): Promise<Recorded> {
  const argv = argumentsOf("chat", { model_name_or_path: model, ...flags }).slice(1);
  const { values, given } = parse(argv, chatOptions);
  const opened = await openGenerationModel(values);
  const written: string[] = [];
  const notes: string[] = [];
  const session = chatSession(opened, {
    values,
    given,
    examples: defaultExamples,
    screen: {
      write: (text) => written.push(text),
      note: (text) => notes.push(text),
      complain: (text) => notes.push(`! ${text}`),
      speaker: (who) => notes.push(`<${who}>`),
    },
  });
  return { session, opened, written, notes };
}

function onCpu(name: string, body: () => Promise<void>): void {
  Deno.test(name, async () => {
    setDevice(devices[0]!);
    await body();
  });
}

for (const name of ["llama", "qwen3"]) {
  eachDevice(`${name}: greedy answers are those of transformers`, async () => {
    const { session, opened, written } = await openChat(fixture(`models/${name}`), greedyFlags);
    for (const greedy of await greedyOf(name)) {
      await session.handle("clear");
      written.length = 0;
      const { text, tokens, end } = await session.ask(userWords(greedy));
      assert.equal(text, greedyText(opened.tokenizer, greedy));
      assert.deepEqual([tokens, end], [24, "length"]);
      assert.equal(written.join(""), text);
      assert.ok(written.length > 3, "the text comes bit by bit");
    }
  });
}

onCpu("the conversation grows by what was said, and clear begins anew", async () => {
  const { session } = await openChat(llama, { ...greedyFlags, system_prompt: "Be brief." });
  const system = { role: "system", content: "Be brief." };
  assert.deepEqual(session.history(), [system]);
  const first = await session.ask("One");
  await session.handle("Two");
  const roles = session.history().map(({ role }) => role);
  assert.deepEqual(roles, ["system", "user", "assistant", "user", "assistant"]);
  assert.equal(session.history()[2]!.content, first.text);
  await session.handle("clear");
  assert.deepEqual(session.history(), [system]);
  assert.deepEqual(untimed(await session.ask("One")), untimed(first));
});

type Timed = { readonly seconds: number; readonly firstSeconds: number };
const untimed = <T extends Timed>({ seconds: _, firstSeconds: __, ...rest }: T) => rest;

onCpu("a seed makes draws come again, in the same conversation only", async () => {
  const flags = { seed: 3, max_new_tokens: 12 };
  const [one, two] = [await openChat(llama, flags), await openChat(llama, flags)];
  const said = async ({ session }: Recorded) => (await session.ask("Hello")).text;
  const first = await said(one);
  assert.equal(await said(two), first);
  await one.session.handle("reset");
  assert.equal(await said(one), first);
  await one.session.handle("set seed=4");
  await one.session.handle("clear");
  assert.notEqual(await said(one), first);
  assert.notEqual(drawSeed(1, 1), drawSeed(2, 0));
});

onCpu("an interrupt ends the answer and keeps what was said of it", async () => {
  const { session, written, notes } = await openChat(llama, {
    do_sample: false,
    max_new_tokens: 200,
  });
  const controller = new AbortController();
  const going = session.handle("Jason bought 4 d", controller.signal);
  while (written.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  controller.abort();
  assert.equal(await going, true);
  assert.match(notes.at(-1)!, /^\d+ tokens?.*; stopped$/);
  const { content } = session.history().at(-1)!;
  assert.equal(`${content}\n`, written.join(""));
  const whole = await openChat(llama, { do_sample: false, max_new_tokens: 200 });
  const { text } = await whole.session.ask("Jason bought 4 d");
  assert.ok(String(content).length < text.length);
  // What was cut within a character may end with its replacement.
  assert.ok(text.startsWith(String(content).replace(/\ufffd+$/, "")));
  // The conversation goes on; how far depends on how much had been said.
  assert.notEqual((await session.ask("Go on")).end, "stopped");
});

onCpu("a line of the conversation that is interrupted before a word is taken back", async () => {
  using place = temporary();
  const { session } = await openChat(variantWithoutWords(place.path), greedyFlags);
  const { end, text } = await session.ask("Hello", AbortSignal.abort());
  assert.deepEqual([end, text], ["stopped", ""]);
  assert.deepEqual(session.history(), []);
});

/** A model whose tokens are all special ones, which have no text. */
function variantWithoutWords(directory: string): string {
  const path = fixture("models/llama/tokenizer.json");
  const tokenizer = JSON.parse(Deno.readTextFileSync(path));
  for (const [content, id] of Object.entries(tokenizer.model.vocab)) {
    if (Number(id) > 2) {
      tokenizer.added_tokens.push({
        ...{ id, content, special: true },
        ...{ single_word: false, lstrip: false, rstrip: false, normalized: false },
      });
    }
  }
  return variantOf("llama", directory, { "tokenizer.json": JSON.stringify(tokenizer) });
}

onCpu("an answer ends where the model's positions end, and then there is no room", async () => {
  const flags = { do_sample: false, max_new_tokens: 5000, eos_token_ids: 0 };
  const { session, notes } = await openChat(llama, flags);
  const { tokens, end } = await session.ask("Hello");
  assert.equal(end, "positions");
  // <|im_start|>user, a line, Hello, <|im_end|>, a line, <|im_start|>assistant, a line.
  assert.ok(tokens > 480 && tokens < 512, `${tokens}`);
  const before = session.history();
  assert.equal(await session.handle("More"), true);
  assert.match(notes.at(-1)!, /^! The conversation has \d{3} tokens.*512 positions.*`clear`/);
  assert.equal(session.history(), before);
  await assert.rejects(openChat(llama).then(({ session }) => session.ask("x ".repeat(600))), {
    name: "UserError",
    message: /tokens.*512.*Say less\.$/,
  });
});

onCpu("set changes settings, reset takes them back, status shows them", async () => {
  const { session, notes } = await openChat(llama, { temperature: 0.7 });
  const said = async (line: string) => {
    notes.length = 0;
    assert.equal(await session.handle(line), true);
    return notes.join("\n");
  };
  assert.equal(
    await said("set top-k=7; do_sample = false ;max_new_tokens=3"),
    ["temperature", "top_k"].map((name) =>
      `--${name} has no effect: do_sample is false, so the most probable token is always taken.\n`
    ).join("") +
      "top_k = 7, do_sample = false, max_new_tokens = 3",
  );
  assert.match(await said("!status"), /^max_new_tokens = 3\ndo_sample = false\n[^]*top_k = 7\n/);
  assert.equal((await session.ask("Hi")).tokens, 3);
  assert.match(await said("set top_k=many"), /^! Bad value for --top_k: "many"\. Expected a whole/);
  assert.match(await said("set num_beams=4"), /^! --num_beams is not available.*generate has it/);
  assert.match(
    await said("set device=cpu"),
    /^! There is no setting "device"\. Settings are max_new/,
  );
  assert.match(await said("set top_k=9; beta=3"), /^! There is no setting "beta"/);
  assert.match(await said("status"), /top_k = 7\n[^]*\d+ of 512 positions/);
  assert.equal(session.history().length, 2, "settings leave the conversation alone");
  assert.match(
    await said("set system_prompt=Be kind; brief; clear"),
    /^A new conversation, .*\nsystem_prompt = Be kind; brief; clear$/,
  );
  assert.deepEqual(session.history(), [{ role: "system", content: "Be kind; brief; clear" }]);
  await said("reset");
  assert.deepEqual(session.history(), []);
  assert.match(
    await said("status"),
    /do_sample = true\ntemperature|temperature = 0\.7\ntop_k = 50/,
  );
});

onCpu("example, save, help and exit do what they say", async () => {
  using place = temporary();
  const { session, notes, written } = await openChat(llama, {
    ...greedyFlags,
    max_new_tokens: 4,
    save_folder: `${place.path}/chats`,
  });
  await session.ask("Before");
  await session.handle("example socks");
  assert.equal(session.history().length, 2, "an example begins a conversation");
  assert.equal(session.history()[0]!.content, defaultExamples["socks"]);
  assert.ok(written.length > 0);
  await session.handle("example nothing");
  assert.match(notes.at(-1)!, /^! There is no example "nothing"\. Examples: llama, code/);
  await session.handle("save mine");
  const saved = JSON.parse(Deno.readTextFileSync(`${place.path}/chats/mine.json`));
  assert.deepEqual(saved.chat_history, session.history());
  assert.equal(saved.settings.max_new_tokens, 4);
  assert.equal(saved.settings.do_sample, false);
  assert.equal(saved.settings.model_name_or_path, llama);
  await session.handle("save");
  const names = Array.from(Deno.readDirSync(`${place.path}/chats/llama`), ({ name }) => name);
  assert.match(names.join(), /^chat_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\.json$/);
  await session.handle("!help");
  for (const word of ["clear", "example", "set", "reset", "save", "status", "exit", "socks"]) {
    assert.match(notes.at(-1)!, new RegExp(word));
  }
  await session.handle("!sett");
  assert.match(notes.at(-1)!, /^! "!sett" is no command.*nearest is "set"/);
  assert.equal(await session.handle(""), true);
  assert.equal(await session.handle("exit"), false);
});

Deno.test("a line is a command only if all of it is one", () => {
  const kinds = (lines: readonly string[]) => lines.map((line) => readLine(line).kind);
  assert.deepEqual(
    kinds(["clear", " !clear ", "reset", "exit", "help", "status", "save", "example llama"]),
    ["clear", "clear", "reset", "exit", "help", "status", "save", "example"],
  );
  const messages = [
    "clear the table",
    "exit now",
    "set a timer for 5 minutes",
    "Set x=1",
    "example of a = b",
    "save the whales, please",
    "! is a mark",
    "clear\nmore",
  ];
  assert.deepEqual(new Set(kinds(messages)), new Set(["message"]));
  assert.deepEqual(kinds(["", "  \n"]), ["nothing", "nothing"]);
  assert.deepEqual(readLine("save a/b"), { kind: "save", name: "a/b" });
  assert.deepEqual(readLine("set a=1;b = x; y=z; c;d= "), {
    kind: "set",
    settings: [
      { name: "a", value: "1" },
      { name: "b", value: "x" },
      { name: "y", value: "z; c" },
      { name: "d", value: "" },
    ],
  });
  assert.deepEqual(readLine("!clera"), { kind: "unknown", name: "clera", near: "clear" });
});

onCpu("a conversation goes on until exit or the end of the lines", async () => {
  for (const end of ["exit", null]) {
    const { session, notes } = await openChat(llama, { ...greedyFlags, max_new_tokens: 2 });
    const lines = ["Hello", "", "status", end, "never read"];
    let disposed = 0;
    await converse(session, {
      read: () => Promise.resolve(lines.shift() ?? null),
      interrupt: () => ({ signal: new AbortController().signal, dispose: () => disposed++ }),
    }, { speaker: (who) => notes.push(`<${who}>`) });
    assert.deepEqual(lines, ["never read"]);
    assert.equal(disposed, end === null ? 3 : 4);
    assert.equal(notes.filter((note) => note === "<user>").length, 4);
    assert.equal(notes.filter((note) => note === "<model>").length, 1);
  }
});

onCpu("without a chat template the model continues the text, and says so", async () => {
  using place = temporary();
  const path = variantOf("llama", place.path, { "chat_template.jinja": null });
  const { session, opened } = await openChat(path, greedyFlags);
  assert.match(session.notices.join(), /no chat template.*continues.*--chat_template_path/);
  const [greedy] = await greedyOf("llama");
  for (let i = 0; i < 2; i++) {
    assert.equal((await session.ask(greedy!.prompt)).text, greedyText(opened.tokenizer, greedy!));
  }
  const withSystem = openChat(path, { system_prompt: "Be brief." });
  await assert.rejects(withSystem, { name: "UserError", message: /no chat template to put it/ });
  const given = await openChat(path, { ...greedyFlags, chat_template_path: llama });
  assert.deepEqual(given.session.notices, []);
  assert.equal(
    (await given.session.ask(userWords(greedy!))).text,
    greedyText(opened.tokenizer, greedy!),
  );
});

onCpu("a flag counts before generation_config.json, and that before the default", async () => {
  const { opened } = await openChat(llama);
  const settle = (flags: Flags, generationConfig: Record<string, unknown>) => {
    const { values, given } = parse(
      argumentsOf("chat", { model_name_or_path: llama, ...flags }).slice(1),
      chatOptions,
    );
    return resolveSettings(values, given, { ...opened, generationConfig });
  };
  const config = { temperature: 0.6, top_p: 0.9, top_k: 20, eos_token_id: [7, 8] };
  const plain = settle({}, config);
  assert.deepEqual(plain.sampling, {
    doSample: true,
    temperature: 0.6,
    topK: 20,
    topP: 0.9,
    minP: 0,
    typicalP: 1,
    epsilonCutoff: 0,
    repetitionPenalty: 1,
    noRepeatNgramSize: 0,
  });
  assert.equal(plain.values.max_new_tokens, 256);
  assert.deepEqual(plain.eosTokenIds, [7, 8, 2], "the tokenizer's too");
  // The default, given, counts as well as any other value.
  const flagged = settle({ temperature: 1, top_k: 50, eos_tokens: "<|endoftext|>" }, config);
  assert.deepEqual([flagged.sampling.temperature, flagged.sampling.topK], [1, 50]);
  assert.equal(flagged.sampling.topP, 0.9);
  assert.deepEqual(flagged.eosTokenIds, [0]);
  assert.deepEqual(settle({ eos_token_ids: "5, 6" }, config).eosTokenIds, [5, 6]);
  const greedy = settle({ top_p: 0.5 }, {
    ...{ do_sample: false, temperature: 0, num_beams: 4 },
    ...{ length_penalty: 2, early_stopping: true, num_return_sequences: 3 },
  });
  assert.deepEqual(greedy.sampling, {
    doSample: false,
    repetitionPenalty: 1,
    noRepeatNgramSize: 0,
  });
  assert.match(greedy.notices.join("\n"), /^--top_p has no effect: .*--do_sample.*\nnum_beams = 4/);
  for (const said of ["length_penalty = 2", "early_stopping = true", "num_return_sequences = 3"]) {
    assert.ok(
      greedy.notices.some((notice) => notice.startsWith(`${said} in the checkpoint's`)),
      said,
    );
  }
  assert.throws(() => settle({ eos_tokens: "<|im_edn|>" }, {}), {
    name: "UserError",
    message: /"<\|im_edn\|>".*<\|im_end\|>/,
  });
  for (const ids of ["400", "x", "-1"]) {
    assert.throws(() => settle({ eos_token_ids: `=${ids}` }, {}), UserError);
  }
  assert.throws(
    () => settle({}, { temperature: "hot" }),
    /generation_config\.json has temperature/,
  );
});

/** Greedy text by a generator of its own. */
async function reference(
  { model, tokenizer }: GenerationModel,
  params: DecoderParams,
  prompt: string,
): Promise<string> {
  const generate = generator(model, { maxNewTokens: 24, eosTokenIds: [2] });
  const [ids] = await generate(params, [tokenizer.encode(prompt)]);
  return textOf(tokenizer, ids!);
}

eachDevice("adapters and quantised weights answer as they should", async () => {
  const [greedy] = await greedyOf("llama");
  const directory = fixture("adapters/llama_lora");
  const adapted = await openChat(directory, greedyFlags);
  const { params } = await openModel({ directory, seed: 0 });
  const { text } = await adapted.session.ask(userWords(greedy!));
  assert.equal(text, await reference(adapted.opened, mergeAdapters(params), greedy!.prompt));
  assert.notEqual(text, greedyText(adapted.opened.tokenizer, greedy!));

  const quantised = await openChat(llama, { ...greedyFlags, load_in_4bit: true });
  const whole = await openModel({
    directory: llama,
    seed: 0,
    storage: { quantize: { format: "nf4" } },
  });
  assert.equal(
    (await quantised.session.ask(userWords(greedy!))).text,
    await reference(quantised.opened, whole.params, greedy!.prompt),
  );
});

onCpu("weights are held as narrow as in the files, and compute the same", async () => {
  const path = fixture("models/llama_tied_bf16");
  const dtypes = ({ params }: GenerationModel) =>
    new Set(parametersOf(params).map(([, weight]) => "dtype" in weight ? weight.dtype : "other"));
  for (const dtype of ["auto", "float32", "float16"]) {
    const { session, opened } = await openChat(path, { ...greedyFlags, dtype });
    const name = dtype === "auto" ? "bf16" : dtype === "float32" ? "f32" : "f16";
    assert.deepEqual(dtypes(opened), new Set([name]));
    if (dtype === "float16") continue;
    const [greedy] = await greedyOf("llama_tied_bf16");
    const { text } = await session.ask(userWords(greedy!));
    assert.equal(text, greedyText(opened.tokenizer, greedy!));
  }
});

Deno.test("a line about an answer says how fast it came and why it ended", () => {
  const answer = { text: "", tokens: 11, end: "eos", firstSeconds: 0.5, seconds: 1 } as const;
  assert.equal(describeAnswer(answer, 9), "11 tokens, 20.0 tokens/s, the first after 0.50 s");
  assert.equal(
    describeAnswer({ ...answer, tokens: 1, end: "length" }, 1),
    "1 token, the first after 0.50 s; cut at max_new_tokens = 1",
  );
});

Deno.test("a pasted text of several lines is one line, however it comes in pieces", () => {
  const sent = "a\x1b[200~one\r\ntwo\rthree\n\x1b[201~b\x1b[Ac\r";
  for (const size of [3, 4, 5, 7, 100]) {
    const filter = pasteFilter();
    let out = "";
    for (let at = 0; at < sent.length; at += size) out += filter(sent.slice(at, at + size));
    assert.equal(withLineEnds(out), "aone\ntwo\nthree\nb\x1b[Ac\r", `${size}`);
    assert.ok(!/\n/.test(out));
  }
  assert.equal(pasteFilter()("\x1b"), "\x1b", "the escape key comes at once");
});

Deno.test("conversations are saved in the folder, under the model's name and the time", () => {
  const place = { folder: "./chats/", model: "out/sft/", now: new Date(2024, 0, 2, 3, 4, 5) };
  assert.equal(savePath(undefined, place), "./chats/sft/chat_2024-01-02_03-04-05.json");
  assert.equal(savePath("mine", place), "./chats/mine.json");
  assert.equal(savePath("mine.JSON", place), "./chats/mine.JSON");
  assert.equal(savePath("/tmp/mine", place), "/tmp/mine.json");
});

Deno.test("examples are names with texts, also under the key examples", () =>
  inTempDir(async (directory) => {
    const path = `${directory}/examples.yaml`;
    const read = async (text: string) => {
      await Deno.writeTextFile(path, text);
      return await readExamples(path);
    };
    assert.deepEqual(await read("a: {text: One?}\nb: Two?"), { a: "One?", b: "Two?" });
    assert.deepEqual(await read("examples:\n  a:\n    text: One?"), { a: "One?" });
    await assert.rejects(read("a: {txt: One?}"), { name: "UserError", message: /"a" has no text/ });
    await assert.rejects(read("- a"), { name: "UserError", message: /no mapping/ });
    await assert.rejects(read("a: [}"), { name: "UserError", message: /examples\.yaml/ });
    await assert.rejects(readExamples(`${directory}/none.yaml`), { name: "UserError" });
  }));

onCpu("words that the tokenizer does not know are refused, and the chat goes on", async () => {
  const vocab = { "<s>": 0, good: 1, bad: 2 };
  const models: readonly [Readonly<Record<string, unknown>>, RegExp][] = [
    [
      { type: "WordLevel", unk_token: "<unk>", vocab },
      /^! The tokenizer in .* cannot encode "ugly"/,
    ],
    [{ type: "BPE", vocab, merges: [] }, /^! There is nothing to answer: the tokenizer in .*/],
  ];
  for (const [model, expected] of models) {
    using place = temporary();
    const path = variantOf("llama", place.path, {
      "tokenizer.json": plainTokenizer(model),
      "tokenizer_config.json": null,
      "chat_template.jinja": null,
    });
    const { session, notes } = await openChat(path, greedyFlags);
    assert.equal(await session.handle("ugly"), true);
    assert.match(notes.at(-1)!, expected);
    assert.deepEqual(session.history(), []);
  }
});

Deno.test("a temperature of 0 is refused with the way to greedy answers", async () => {
  for (const command of ["chat", "generate"]) {
    const said = await refusalOf(command, { model_name_or_path: llama, temperature: 0 });
    assert.match(said, /--temperature: "0"\. Expected a number, above 0 \(--do_sample false takes/);
  }
});

/** Starts `chat` with a prompt on its standard input. */
async function startChat(flags: Flags, input: string): Promise<Deno.ChildProcess> {
  const script = new URL("../../cli/main.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script, ...argumentsOf("chat", flags)],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  return child;
}

async function pipedChat(flags: Flags, input: string): Promise<Outcome> {
  const { code, stdout, stderr } = await (await startChat(flags, input)).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("a prompt from a pipe is answered on standard output, which has nothing else", async () => {
  setDevice(devices[0]!);
  const { opened } = await openChat(llama);
  const [greedy] = await greedyOf("llama");
  const flags = { model_name_or_path: llama, device: "cpu", ...greedyFlags };
  const outcome = await pipedChat(flags, `${userWords(greedy!)}\n`);
  assert.deepEqual(outcome, {
    code: 0,
    // A pipe may end at a screen: what a terminal would obey is shown.
    stdout: `${plain(greedyText(opened.tokenizer, greedy!))}\n`,
    stderr: "",
  });
  const [empty, long] = await Promise.all([
    pipedChat(flags, " \n"),
    pipedChat(flags, "x ".repeat(600)),
  ]);
  assert.deepEqual([empty.code, empty.stdout], [1, ""]);
  assert.match(empty.stderr, /^Error: Standard input is no terminal and has no text.*\n$/);
  assert.deepEqual([long.code, long.stdout], [1, ""]);
  assert.match(long.stderr, /^Error: The conversation has \d+ tokens.*Say less\.\n$/);
});

Deno.test("Ctrl-C ends an answer to a pipe with what was said of it", async () => {
  using place = temporary();
  // Long enough that it cannot come to its end by itself meanwhile.
  const positions = 40_000;
  const path = variantOf("llama", place.path, {
    "config.json": configOf("llama", { max_position_embeddings: positions }),
  });
  const flags = {
    model_name_or_path: path,
    device: "cpu",
    do_sample: false,
    max_new_tokens: positions,
    eos_token_ids: 0,
  };
  const child = await startChat(flags, "Hello");
  const reader = child.stdout.getReader();
  let said = "";
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (said === "") child.kill("SIGINT");
    said += decoder.decode(value, { stream: true });
  }
  const [{ code }, stderr] = [await child.status, await new Response(child.stderr).text()];
  assert.deepEqual([code, stderr], [130, ""]);
  assert.ok(said.length > 1 && said.endsWith("\n"));
});
