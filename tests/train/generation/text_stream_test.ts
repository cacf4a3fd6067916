/** Text that comes token by token. */

import assert from "node:assert/strict";
import { textOf, textStream, withoutEnd } from "../../../train/generation/text_stream.ts";
import { loadTokenizer, type Tokenizer } from "../../../data/tokenizer/tokenizer.ts";
import { fixture } from "../../data/fixture_files.ts";
import { inTempDir } from "../../temporary.ts";

const texts = [
  "Hello, world! It's 12 o'clock.",
  "日本語のテキスト and 한국어, naïve café",
  "👩‍👩‍👧 family, 🏳️‍🌈 flag, 𝒳 𝓎, \u{10ffff}",
  "  blanks   and\n\nlines\t end ",
  "a".repeat(200) + "é".repeat(50) + " 你好".repeat(30),
];

/** A tokenizer in the manner of Llama 2: ▁ for blanks, bytes in tokens of their own, one blank stripped. */
async function byteFallbackTokenizer(directory: string): Promise<Tokenizer> {
  const bytes = Array.from(
    { length: 256 },
    (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
  );
  const pieces = ["<unk>", "</s>", ...bytes, ..."▁abcdefghijklmnopqrstuvwxyzHI"];
  const definition = {
    version: "1.0",
    added_tokens: [0, 1].map((id) => ({
      id,
      content: pieces[id],
      special: true,
      normalized: false,
      lstrip: false,
      rstrip: false,
      single_word: false,
    })),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "▁" },
        { type: "Replace", pattern: { String: " " }, content: "▁" },
      ],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    model: {
      type: "BPE",
      unk_token: "<unk>",
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
      merges: [],
    },
  };
  await Deno.writeTextFile(`${directory}/tokenizer.json`, JSON.stringify(definition));
  return await loadTokenizer(directory);
}

function check(tokenizer: Tokenizer, text: string): void {
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  const whole = tokenizer.decode(ids);
  const stream = textStream(tokenizer);
  let written = "";
  for (const id of ids) {
    written += stream.push([id]);
    assert.ok(whole.startsWith(written), `"${written}" does not begin "${whole}"`);
  }
  assert.equal(written, whole, "nothing was left for the end");
  assert.equal(stream.end(), "");
}

for (const name of ["llama", "gpt2"]) {
  Deno.test(`${name}: text comes token by token, characters whole`, async () => {
    const tokenizer = await loadTokenizer(fixture(`models/${name}`));
    for (const text of texts) {
      check(tokenizer, text);
      assert.ok(!tokenizer.decode(tokenizer.encode(text)).includes("\ufffd"));
    }
  });
}

Deno.test("text comes token by token where bytes are tokens and blanks are stripped", () =>
  inTempDir(async (directory) => {
    const tokenizer = await byteFallbackTokenizer(directory);
    assert.equal(tokenizer.decode(tokenizer.encode("ab 你 c")), "ab 你 c");
    for (const text of texts) check(tokenizer, text);
    const [unknown, end] = [0, 1];
    const ids = tokenizer.encode("hi there", { addSpecialTokens: false });
    assert.equal(textOf(tokenizer, [...ids, end, ...ids, unknown]), "hi there hi there");
  }));

Deno.test("bytes that are no character show as replacements once that is certain", async () => {
  const tokenizer = await loadTokenizer(fixture("models/llama"));
  let state = 7;
  const random = () => state = (state * 1103515245 + 12345) % 2 ** 31;
  for (let round = 0; round < 20; round++) {
    const ids = Array.from({ length: 80 }, () => 3 + random() % 397);
    const whole = tokenizer.decode(ids);
    const stream = textStream(tokenizer);
    let written = "";
    for (const id of ids) {
      written += stream.push([id]);
      assert.ok(whole.startsWith(written));
    }
    assert.ok(whole.length - written.length <= 3);
    assert.equal(written + stream.end(), whole);
  }
});

Deno.test("special tokens and ids without a token are left out of the text", async () => {
  const tokenizer = await loadTokenizer(fixture("models/llama"));
  const ids = tokenizer.encode("good day");
  assert.equal(textOf(tokenizer, [1, ...ids, 0, 2, 399_999, ...ids]), "good daygood day");
  assert.equal(textOf(tokenizer, []), "");
  assert.deepEqual(withoutEnd(tokenizer, [5, 6, 2], "eos"), [5, 6]);
  assert.deepEqual(withoutEnd(tokenizer, [5, 6, 2], "length"), [5, 6, 2]);
  assert.deepEqual(withoutEnd(tokenizer, [5, 6], "eos"), [5, 6], "ordinary tokens stay");
});
