/**
 * Hugging Face's own tokenizer library, a native addon, for callers who do not wait: its answers come from a thread of
 * its own, and a call blocks until it has one.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { ask, headerBytes, word } from "./native_protocol.ts";

/** The library and its version, which decide what a text becomes. */
export const nativeLibrary = "tokenizers 0.23.2";

/** A loaded tokenizer. */
export interface NativeTokenizer {
  /** Ids of texts; several are encoded on all cores. */
  readonly encodeAll: (texts: readonly string[], addSpecialTokens: boolean) => Int32Array[];
  /** Start and end of each token of a text in UTF-16 units, one after the other. */
  readonly spans: (text: string) => Int32Array;
  /** The text of tokens. */
  readonly decode: (tokens: readonly string[]) => string;
  /** The id of a token. */
  readonly idOf: (token: string) => number | undefined;
  /** The token of an id. */
  readonly tokenOf: (id: number) => string | undefined;
  /** Tokens of the vocabulary, added ones included. */
  readonly size: number;
}

type Library = typeof import("tokenizers");

/** The library, ready for use. */
export interface NativeLibrary {
  /**
   * Reads a `tokenizer.json`.
   *
   * @param forTexts Another definition, of the same ids, to encode texts with.
   * @throws Error in the library's words, where it refuses
   */
  readonly load: (definition: string, forTexts?: string) => NativeTokenizer;
  /** Reads a `tokenizer.json` for nothing else. @throws Error as `load` */
  readonly check: (definition: string) => void;
}

let opening: Promise<NativeLibrary | { readonly missing: string }> | undefined;

/** The library, or why it is missing: no permission to load native code, or no binary for this system. */
export function openNativeLibrary(): Promise<NativeLibrary | { readonly missing: string }> {
  return opening ??= open();
}

async function open(): Promise<NativeLibrary | { readonly missing: string }> {
  try {
    const library = await import("tokenizers");
    const thread = await startThread();
    let count = 0;
    return {
      load: (definition, forTexts = definition) =>
        loadedIn({ library, thread }, definition, forTexts, count++),
      check: (definition) => void library.Tokenizer.fromString(definition),
    };
  } catch (error) {
    return { missing: error instanceof Error ? error.message : String(error) };
  }
}

function loadedIn(
  { library, thread }: { readonly library: Library; readonly thread: Thread },
  definition: string,
  forTexts: string,
  tokenizer: number,
): NativeTokenizer {
  // Here for what is answered at once; in the thread for what takes a while.
  const own = library.Tokenizer.fromString(definition);
  const decoder = own.getDecoder();
  thread.ask(ask.load, tokenizer, encoder.encode(forTexts));
  return {
    encodeAll: (texts, addSpecialTokens) => {
      const kind = addSpecialTokens ? ask.encodeAllWithSpecial : ask.encodeAll;
      return partsOf(texts).flatMap((part) => listsIn(thread.ask(kind, tokenizer, part)));
    },
    spans: (text) => thread.ask(ask.spans, tokenizer, encoder.encode(text)),
    decode: (tokens) => decoder ? decoder.decode([...tokens]) : tokens.join(" "),
    idOf: (token) => own.tokenToId(token) ?? undefined,
    tokenOf: (id) => own.idToToken(id) ?? undefined,
    size: own.getVocabSize(true),
  };
}

const encoder = new TextEncoder();

/** Texts with their lengths, in parts of a few MiB. */
function partsOf(texts: readonly string[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let [pending, size]: [Uint8Array[], number] = [[], 0];
  const end = () => {
    if (pending.length === 0) return;
    const part = new Uint8Array(size);
    const view = new DataView(part.buffer);
    let at = 0;
    for (const bytes of pending) {
      view.setInt32(at, bytes.length, true);
      part.set(bytes, at + 4);
      at += 4 + bytes.length;
    }
    parts.push(part);
    [pending, size] = [[], 0];
  };
  for (const text of texts) {
    const bytes = encoder.encode(text);
    pending.push(bytes);
    size += 4 + bytes.length;
    if (size > 2 ** 22) end();
  }
  end();
  return parts;
}

function listsIn(numbers: Int32Array): Int32Array[] {
  const lists: Int32Array[] = [];
  for (let at = 0; at < numbers.length; at += 1 + numbers[at]!) {
    lists.push(numbers.subarray(at + 1, at + 1 + numbers[at]!));
  }
  return lists;
}

interface Thread {
  /** @throws Error in the library's words; UserError where the question is too long */
  readonly ask: (kind: number, tokenizer: number, question: Uint8Array) => Int32Array;
}

/** Of address space; the system gives memory for as much as the longest text needs. */
const memoryBytes = 2 ** 27;

/** The longest a caller waits, in milliseconds: beyond it a pattern of the tokenizer is taken to have no end. */
const patience = 120_000;

async function startThread(): Promise<Thread> {
  const { Worker } = await import("node:worker_threads");
  const memory = new SharedArrayBuffer(memoryBytes);
  const [words, bytes] = [new Int32Array(memory), new Uint8Array(memory)];
  const worker = new Worker(new URL(import.meta.resolve("./native_worker.ts")), {
    workerData: { memory },
  });
  worker.unref();
  return {
    ask: (kind, tokenizer, question) => {
      if (headerBytes + question.length > memoryBytes) throw tooLong(question.length);
      bytes.set(question, headerBytes);
      words[word.kind] = kind;
      words[word.tokenizer] = tokenizer;
      words[word.length] = question.length;
      const answers = Atomics.load(words, word.answer);
      Atomics.add(words, word.request, 1);
      Atomics.notify(words, word.request);
      for (let i = 0; i < 2000 && Atomics.load(words, word.answer) === answers; i++);
      if (Atomics.wait(words, word.answer, answers, patience) === "timed-out") {
        worker.terminate();
        throw new UserError(
          `The tokenizer did not answer within ${
            patience / 1000
          } s: a pattern of its tokenizer.json takes too long.`,
        );
      }
      const length = words[word.answered]!;
      if (words[word.failed] === 1) {
        throw new Error(new TextDecoder().decode(bytes.slice(headerBytes, headerBytes + length)));
      }
      if (words[word.wanted] !== length) throw tooLong(question.length);
      return new Int32Array(memory.slice(headerBytes, headerBytes + length));
    },
  };
}

function tooLong(bytes: number): UserError {
  return new UserError(
    `A text of ${bytes} bytes is longer than a tokenizer takes at once. Cut it into rows.`,
  );
}
