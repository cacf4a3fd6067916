/** Files of tokenizers: tokens wherever they are declared, and values of the wrong type. @module */

import assert from "node:assert/strict";
import { loadTokenizer } from "../../../data/tokenizer/tokenizer.ts";
import { fixture } from "../fixture_files.ts";
import { inTempDir } from "../../temporary.ts";

type Files = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** A copy of the small Llama's tokenizer with other files. */
async function withFiles(files: Files, use: (directory: string) => Promise<void>): Promise<void> {
  await inTempDir(async (directory) => {
    await Deno.copyFile(fixture("models/llama/tokenizer.json"), `${directory}/tokenizer.json`);
    for (const [name, content] of Object.entries(files)) {
      await Deno.writeTextFile(`${directory}/${name}`, JSON.stringify(content));
    }
    await use(directory);
  });
}

const token = (content: string) => ({ content, special: true, lstrip: false, rstrip: false });

// The right ids are those of transformers' AutoTokenizer: the next free ones, in this order.
const declarations: readonly [string, Files][] = [
  ["added_tokens_decoder", {
    "tokenizer_config.json": { added_tokens_decoder: { 400: token("<a>"), 401: token("<b>") } },
  }],
  ["added_tokens.json", { "added_tokens.json": { "<b>": 401, "<a>": 400 } }],
  ["additional_special_tokens", {
    "tokenizer_config.json": { additional_special_tokens: ["<a>", token("<b>")] },
  }],
  ["extra_special_tokens as an object", {
    "tokenizer_config.json": { extra_special_tokens: { first: "<a>", second: "<b>" } },
  }],
  ["special_tokens_map.json", {
    "special_tokens_map.json": { eos_token: "<a>", pad_token: token("<b>") },
  }],
];
for (const [where, files] of declarations) {
  Deno.test(`tokens that ${where} declares are one token each`, () =>
    withFiles(files, async (directory) => {
      const tokenizer = await loadTokenizer(directory);
      assert.deepEqual(tokenizer.encode("<a><b>"), [400, 401]);
      assert.equal(tokenizer.vocabSize, 402);
      assert.equal(tokenizer.decode([400, 401]), "<a><b>");
    }));
}

const wrong: readonly [Files, RegExp][] = [
  [{ "tokenizer_config.json": { tokenizer_class: true } }, /tokenizer_class is true, and a text/],
  [{ "tokenizer_config.json": { pad_token: 0 } }, /pad_token is 0, and a text, or an object/],
  [{ "tokenizer_config.json": { chat_template: 400 } }, /chat_template is 400/],
  [
    { "tokenizer_config.json": { added_tokens_decoder: { x: token("<a>") } } },
    /added_tokens_decoder/,
  ],
  [{ "special_tokens_map.json": { eos_token: [] } }, /special_tokens_map\.json: eos_token is \[\]/],
];
Deno.test("values of the wrong type are refused with file and key", async () => {
  for (const [files, message] of wrong) {
    await withFiles(files, async (directory) => {
      await assert.rejects(loadTokenizer(directory), { name: "UserError", message });
    });
  }
});
