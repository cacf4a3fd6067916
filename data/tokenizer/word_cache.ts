/**
 * Words that were seen are not encoded again. Tokens never cross the words that a byte-level pre-tokenizer makes of a
 * text, so that a text's ids are those of its words, one after the other.
 *
 * @module
 */

import { isRecord, type JsonRecord } from "../files/json_files.ts";

/** Ids of a text without special tokens around it; undefined where only the library can tell. */
export type WordCache = (text: string) => number[] | undefined;

/** Texts in which JavaScript's classes of characters are surely the library's, and nothing is normalised. */
const plain = /^[\t\n\r\x20-\x7e]*$/;

/** GPT-2's words. */
const gpt2 = String
  .raw`'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

/** The most words that are kept. */
const limit = 2 ** 18;

/**
 * The cache of a definition; undefined where its words cannot be told here.
 *
 * @param encodeAll Ids of words, each as a text of its own. @throws Error where a word has none
 */
export function wordCache(
  definition: JsonRecord,
  encodeAll: (words: readonly string[]) => readonly Int32Array[],
): WordCache | undefined {
  const { normalizer, pre_tokenizer, added_tokens } = definition;
  const words = wordsOf(pre_tokenizer);
  const added = addedTokens(added_tokens);
  if (!keepsPlainText(normalizer) || words === undefined || added === undefined) return undefined;
  const ids = new Map<string, Int32Array>();
  const learn = (unseen: readonly string[]): boolean => {
    // A word that would be cut if it stood alone is none.
    if (!unseen.every((word) => pieces(word, words).length === 1)) return false;
    if (ids.size + unseen.length > limit) ids.clear();
    encodeAll(unseen).forEach((found, i) => ids.set(unseen[i]!, found));
    return true;
  };
  return (text) => {
    if (!plain.test(text)) return undefined;
    const parts = pieces(text, added.pattern)
      .flatMap((part) => added.ids.has(part) ? [part] : pieces(part, words));
    const unseen = new Set(parts.filter((part) => !added.ids.has(part) && !ids.has(part)));
    try {
      if (unseen.size > 0 && !learn([...unseen])) return undefined;
    } catch {
      return undefined; // The library says it of the whole text.
    }
    const result: number[] = [];
    for (const part of parts) {
      const id = added.ids.get(part);
      if (id !== undefined) result.push(id);
      else for (const each of ids.get(part) ?? []) result.push(each);
    }
    return result;
  };
}

/** A text cut at all matches, which are parts too. */
function pieces(text: string, pattern: RegExp | undefined): string[] {
  if (pattern === undefined) return text === "" ? [] : [text];
  const parts: string[] = [];
  let end = 0;
  pattern.lastIndex = 0;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    if (match[0] === "") {
      pattern.lastIndex++;
      continue;
    }
    if (match.index > end) parts.push(text.slice(end, match.index));
    parts.push(match[0]);
    end = match.index + match[0].length;
  }
  if (end < text.length) parts.push(text.slice(end));
  return parts;
}

/** Whether plain text stays as it is. */
function keepsPlainText(normalizer: unknown): boolean {
  if (normalizer === null || normalizer === undefined) return true;
  return isRecord(normalizer) && /^NF(K?C|K?D)$/.test(String(normalizer["type"]));
}

/** The pattern of words: GPT-2's own, or the one split of a file. */
function wordsOf(preTokenizer: unknown): RegExp | undefined {
  if (!isRecord(preTokenizer)) return undefined;
  if (isByteLevel(preTokenizer, true)) return new RegExp(gpt2, "gu");
  const steps = preTokenizer["type"] === "Sequence" && preTokenizer["pretokenizers"];
  if (!Array.isArray(steps) || steps.length !== 2) return undefined;
  const [split, bytes] = steps;
  if (!isRecord(split) || split["type"] !== "Split" || !isByteLevel(bytes, false)) return undefined;
  const pattern = isRecord(split["pattern"]) ? split["pattern"]["Regex"] : undefined;
  if (typeof pattern !== "string" || split["behavior"] !== "Isolated" || split["invert"] === true) {
    return undefined;
  }
  try {
    return new RegExp(pattern, "gu");
  } catch {
    return undefined; // A dialect that JavaScript does not speak.
  }
}

function isByteLevel(step: unknown, useRegex: boolean): boolean {
  return isRecord(step) && step["type"] === "ByteLevel" && step["add_prefix_space"] === false &&
    (step["use_regex"] ?? true) === useRegex;
}

/** Added tokens and where they are in a text, the longest first; undefined where blanks or words around them count. */
function addedTokens(list: unknown): {
  readonly ids: ReadonlyMap<string, number>;
  readonly pattern: RegExp | undefined;
} | undefined {
  const tokens = Array.isArray(list) ? list.filter(isRecord) : [];
  const odd = ["lstrip", "rstrip", "single_word", "normalized"];
  if (tokens.some((token) => odd.some((property) => token[property] === true))) return undefined;
  const ids = new Map(tokens.map(({ content, id }) => [String(content), Number(id)]));
  const names = [...ids.keys()].sort((a, b) => b.length - a.length).map(RegExp.escape);
  return { ids, pattern: names.length === 0 ? undefined : new RegExp(names.join("|"), "gu") };
}
