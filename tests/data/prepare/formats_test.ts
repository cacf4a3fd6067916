import assert from "node:assert/strict";
import { UserError } from "../../../core/errors.ts";
import { detectSftFormat, normalizeSftRow } from "../../../data/prepare/formats.ts";

const normalize = (row: Record<string, unknown>, textField?: string) =>
  normalizeSftRow(row, detectSftFormat(row, textField), 0);
const chat = { tools: null, variables: {} };

Deno.test("texts are read from the column named", () => {
  assert.deepEqual(normalize({ text: "Grüße 😀" }), { kind: "text", text: "Grüße 😀" });
  assert.deepEqual(normalize({ text: "a", story: "b" }, "story"), { kind: "text", text: "b" });
});

Deno.test("messages keep all their fields, and tools and variables come with them", () => {
  const messages = [{ role: "user", content: "Hi", name: "Ann" }];
  assert.deepEqual(normalize({ messages, text: "ignored" }), { kind: "messages", messages, chat });
  const tools = [{ type: "function" }];
  const variables = { enable_thinking: false };
  const extras = { messages, chat_template_kwargs: variables };
  const expected = { kind: "messages", messages, chat: { tools, variables } };
  assert.deepEqual(normalize({ ...extras, tools }), expected);
  assert.deepEqual(normalize({ ...extras, tools: JSON.stringify(tools) }), expected);
});

Deno.test("ShareGPT's from and value become role and content, names unchanged", () => {
  const row = { conversations: [{ from: "human", value: "Hi" }, { from: "gpt", value: "Ho" }] };
  assert.deepEqual(normalize(row), {
    kind: "messages",
    messages: [{ role: "human", content: "Hi" }, { role: "gpt", content: "Ho" }],
    chat,
  });
  assert.equal(detectSftFormat(row).source, "sharegpt");
});

Deno.test("prompts and completions are texts or messages", () => {
  assert.deepEqual(normalize({ prompt: "a", completion: "b" }), {
    kind: "prompt-completion",
    prompt: "a",
    completion: "b",
  });
  const prompt = [{ role: "user", content: "a" }];
  const completion = [{ role: "assistant", content: "b" }];
  assert.deepEqual(normalize({ prompt, completion }), {
    kind: "conversational prompt-completion",
    prompt,
    completion,
    chat,
  });
});

Deno.test("Alpaca rows become prompts and completions, with and without an input", () => {
  const row = { instruction: "Add.", input: "1 2", output: "3" };
  const full = normalize(row);
  assert.ok(full.kind === "prompt-completion");
  assert.match(full.prompt, /### Instruction:\nAdd\.\n\n### Input:\n1 2\n\n### Response:\n$/);
  assert.equal(full.completion, "3");
  const bare = normalize({ ...row, input: "" });
  assert.ok(bare.kind === "prompt-completion");
  assert.doesNotMatch(bare.prompt, /### Input/);
});

Deno.test("token ids come with the masks or labels beside them", () => {
  assert.deepEqual(normalize({ input_ids: [1, 2], labels: [-100, 2], text: "x" }), {
    kind: "tokenized",
    inputIds: [1, 2],
    labels: [-100, 2],
  });
  assert.throws(() => normalize({ input_ids: [1, 2], labels: [1] }), /as many/);
});

Deno.test("a row in no known form is refused with its columns and the forms accepted", () => {
  assert.throws(
    () => detectSftFormat({ question: "a", answer: "b" }),
    (error: Error) =>
      error instanceof UserError && /columns question, answer/.test(error.message) &&
      /"messages"/.test(error.message) && /"prompt" and "completion"/.test(error.message) &&
      /--dataset_text_field/.test(error.message),
  );
});

Deno.test("a row unlike the first one is refused by its number", () => {
  const format = detectSftFormat({ text: "a" });
  assert.throws(
    () => normalizeSftRow({ txt: "b" }, format, 6),
    (error: Error) =>
      error instanceof UserError && /^Row 7 /.test(error.message) && /txt/.test(error.message),
  );
  assert.throws(() => normalizeSftRow({ text: 3 }, format, 1), /a text was expected/);
  const conversations = detectSftFormat({ messages: [{ role: "user", content: "a" }] });
  assert.throws(() => normalizeSftRow({ messages: "Hi" }, conversations, 0), UserError);
  assert.throws(
    () => normalizeSftRow({ messages: [{ content: "a" }] }, conversations, 0),
    UserError,
  );
});

Deno.test("every format describes itself in a line", () => {
  assert.equal(detectSftFormat({ text: "a" }).description, "texts (text)");
  assert.equal(
    detectSftFormat({ instruction: "a", output: "b" }).description,
    "prompt-completion pairs (Alpaca: instruction, input, output)",
  );
});
