/** The thread that tokenizes: Hugging Face's own library answers there, while callers wait. @module */

import { workerData } from "node:worker_threads";
import { Tokenizer } from "tokenizers";
import { ask, headerBytes, word } from "./native_protocol.ts";

const { memory } = workerData as { readonly memory: SharedArrayBuffer };
const words = new Int32Array(memory);
const bytes = new Uint8Array(memory);
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const loaded: Tokenizer[] = [];

/** Copies out of shared memory, which decoders refuse. */
const textAt = (from: number, length: number) => decoder.decode(bytes.slice(from, from + length));

/** Spans of tokens: offsets count code points, and strings UTF-16 units. */
function spansIn(text: string, offsets: readonly (readonly number[])[]): Int32Array {
  // deno-lint-ignore no-control-regex -- most texts have one unit a character
  const units = /^[\u0000-\uffff]*$/u.test(text) ? undefined : unitOffsets(text);
  const at = (point: number) => units === undefined ? point : units[point] ?? text.length;
  return Int32Array.from(offsets.flat(), at);
}

function unitOffsets(text: string): number[] {
  const units = [0];
  for (const character of text) units.push(units.at(-1)! + character.length);
  return units;
}

function textsAt(from: number, end: number): string[] {
  const texts: string[] = [];
  const view = new DataView(memory);
  for (let at = from; at < end;) {
    const length = view.getInt32(at, true);
    texts.push(textAt(at + 4, length));
    at += 4 + length;
  }
  return texts;
}

async function answer(kind: number, tokenizer: number, length: number): Promise<Int32Array> {
  if (kind === ask.load) {
    loaded[tokenizer] = Tokenizer.fromString(textAt(headerBytes, length));
    return new Int32Array(0);
  }
  const own = loaded[tokenizer]!;
  if (kind === ask.spans) {
    const text = textAt(headerBytes, length);
    const encoding = await own.encode(text, null, { addSpecialTokens: false });
    return spansIn(text, encoding.getOffsets());
  }
  const addSpecialTokens = kind === ask.encodeAllWithSpecial;
  const texts = textsAt(headerBytes, headerBytes + length);
  const lists = (await own.encodeBatch(texts, { addSpecialTokens })).map((each) => each.getIds());
  const result = new Int32Array(lists.reduce((sum, ids) => sum + 1 + ids.length, 0));
  let at = 0;
  for (const ids of lists) {
    result[at] = ids.length;
    result.set(ids, at + 1);
    at += 1 + ids.length;
  }
  return result;
}

for (let seen = 0;;) {
  // What is asked for often comes at once: a short look spares the system's sleep and wake.
  for (let i = 0; i < 2000 && Atomics.load(words, word.request) === seen; i++);
  Atomics.wait(words, word.request, seen);
  seen = Atomics.load(words, word.request);
  let [given, failed]: [Uint8Array, number] = [new Uint8Array(0), 0];
  try {
    const result = await answer(words[word.kind]!, words[word.tokenizer]!, words[word.length]!);
    given = new Uint8Array(result.buffer);
  } catch (error) {
    given = new TextEncoder().encode(error instanceof Error ? error.message : String(error));
    failed = 1;
  }
  const fits = headerBytes + given.length <= memory.byteLength;
  if (fits) bytes.set(given, headerBytes);
  words[word.failed] = failed;
  words[word.answered] = fits ? given.length : 0;
  words[word.wanted] = given.length;
  Atomics.add(words, word.answer, 1);
  Atomics.notify(words, word.answer);
}
