/** Patterns of tokenizers that may never end. @module */

import assert from "node:assert/strict";
import { findEndlessPattern } from "../../data/tokenizer/patterns.ts";

const found = (Regex: string) => findEndlessPattern({ pre_tokenizer: [{ pattern: { Regex } }] });

Deno.test("a repetition of repetitions is found in a pattern", () => {
  for (
    const pattern of [
      "(a+)+$",
      "(?:a*)*",
      "x(?:(a+)|b){2,}",
      "((a|b+))*",
      "(?i:\\s+x?)+",
      "(\\p{L}+)+",
    ]
  ) assert.equal(found(pattern), pattern);
});

Deno.test("patterns of published tokenizers end", () => {
  const published = [
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+",
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}]*[\\p{Ll}\\p{Lm}]+(?i:'s|'t)?|\\p{N}{1,3}",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[\\p{P}\\p{S}]+[\\r\\n]*",
    "(?:a+)?b",
    "[(a+)]+",
    "\\(a+\\)+",
    "(a+){2}",
  ];
  for (const pattern of published) assert.equal(found(pattern), undefined, pattern);
});
