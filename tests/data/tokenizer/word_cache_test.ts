/** Words that are kept make the ids that the library makes. */

import assert from "node:assert/strict";
import { isRecord, type JsonRecord, readJsonFile } from "../../../data/files/json_files.ts";
import { openNativeLibrary } from "../../../data/tokenizer/native.ts";
import { wordCache } from "../../../data/tokenizer/word_cache.ts";
import { generator } from "../../core/attention_cases.ts";
import { fixture } from "../fixture_files.ts";

const patterns = {
  "gpt2's": null,
  "llama3's": String
    .raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  "qwen2's": String
    .raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  "one that leaves gaps": String.raw`\p{N}+`,
};

const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };

/** Texts of odd parts. */
function oddTexts(count: number): string[] {
  const next = generator(3);
  const parts = [
    ...[
      "hello",
      "it's",
      "I'LL",
      "'S",
      "x",
      "12345",
      "0",
      " ",
      "  ",
      "   ",
      "\n",
      "\n\n",
      "\r\n",
      "\t",
    ],
    ...[
      "!",
      "?!",
      "...",
      "<",
      ">",
      "<|im_end|>",
      "<|im_start|>",
      "<|endoftext|>",
      "<|im",
      "_",
      "a-b",
      "é",
    ],
  ];
  return Array.from(
    { length: count },
    () =>
      Array.from(
        { length: 1 + Math.floor(next() * 12) },
        () => parts[Math.floor(next() * parts.length)]!,
      )
        .join(""),
  );
}

for (const [name, pattern] of Object.entries(patterns)) {
  Deno.test(`words by a pattern, ${name}, have the ids that texts have`, async () => {
    const library = await openNativeLibrary();
    if ("missing" in library) return;
    const file = await readJsonFile(`${fixture("models/gpt2")}/tokenizer.json`) as JsonRecord;
    assert.ok(isRecord(file["model"]));
    const definition = {
      ...file,
      normalizer: { type: "NFC" },
      pre_tokenizer: pattern === null ? { ...byteLevel, use_regex: true } : {
        type: "Sequence",
        pretokenizers: [
          { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
          { ...byteLevel, use_regex: false },
        ],
      },
    };
    const native = library.load(JSON.stringify(definition));
    const ids = wordCache(definition, (words) => native.encodeAll(words, false));
    assert.ok(ids);
    let kept = 0;
    for (const text of oddTexts(2000)) {
      const found = ids(text);
      if (found === undefined) continue;
      kept++;
      assert.deepEqual(found, [...native.encodeAll([text], false)[0]!], JSON.stringify(text));
    }
    assert.ok(kept > 900, `${kept}`);
  });
}

Deno.test("what a word does not tell is left to the library", () => {
  const encodeAll = () => [];
  const definition = { pre_tokenizer: { ...byteLevel, use_regex: true }, added_tokens: [] };
  assert.equal(wordCache(definition, encodeAll)?.("é"), undefined);
  assert.deepEqual(wordCache(definition, encodeAll)?.(""), []);
  const without = [
    { ...definition, normalizer: { type: "Lowercase" } },
    { ...definition, pre_tokenizer: { ...byteLevel, add_prefix_space: true } },
    { ...definition, pre_tokenizer: { type: "Whitespace" } },
    { ...definition, added_tokens: [{ id: 0, content: "<x>", lstrip: true }] },
  ];
  for (const other of without) assert.equal(wordCache(other, encodeAll), undefined);
});
