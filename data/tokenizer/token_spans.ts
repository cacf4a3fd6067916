/**
 * Where in its text each token stands. The tokenizer gives ids alone, so the spelling of each token
 * in the vocabulary is followed through the text, byte by byte: a character may be split over
 * several tokens, and each of them then covers it.
 */

import { UserError } from "../../core/errors.ts";
import { isRecord, type JsonRecord } from "../files/json_files.ts";
import type { TokenSpan } from "./token_span.ts";

/** What is known of a tokenizer whose library tells no offsets. */
interface Spelling {
  /** The token of an id. */
  readonly tokenOf: (id: number) => string | undefined;
  /** For messages. */
  readonly directory: string;
  /** `tokenizer.json`. */
  readonly definition: JsonRecord;
  /** Added tokens. */
  readonly addedTokens: readonly { readonly id: number; readonly content: string }[];
}

/**
 * The span of each token of `text`, encoded without special tokens around it, as Hugging Face's
 * tokenizers report offsets.
 *
 * @throws {UserError} if the tokens do not spell the text (a normaliser that rewrites it)
 */
export function spelledSpans(
  tokenizer: Spelling,
  text: string,
  ids: readonly number[],
): TokenSpan[] {
  const { bytes, starts, ends } = spell(tokenizer, text);
  const byteLevel = hasComponent(tokenizer.definition, "ByteLevel");
  const added = new Map(tokenizer.addedTokens.map((token) => [token.id, token.content]));
  const prepends = components(tokenizer.definition["normalizer"])
    .some((component) => component["type"] === "Prepend");
  const spans: TokenSpan[] = [];
  let position = 0;
  // Whether the token is the first of its text, or the first after an added token.
  let afterBorder = true;
  for (const id of ids) {
    const content = added.get(id);
    const token = content ?? tokenizer.tokenOf(id) ?? "";
    const spelled = content !== undefined || !byteLevel
      ? surfaceBytes(token, content !== undefined)
      : alphabetBytes(token);
    let start = position;
    if (content !== undefined || afterBorder) {
      // An added token may take the blanks around it (`lstrip`, `rstrip`).
      let next = start;
      while (isBlank(bytes[next]) && !matches(bytes, next, spelled)) next++;
      if (matches(bytes, next, spelled)) start = next;
    }
    // Sentencepiece puts a blank before the first word that the text does not have.
    const isPrepended: boolean = spelled[0] === 0x20 && afterBorder && content === undefined &&
      (prepends || !matches(bytes, start, spelled));
    const wanted = isPrepended ? spelled.subarray(1) : spelled;
    if (isPrepended) start = position;
    if (!matches(bytes, start, wanted)) throw misaligned(tokenizer, token, text, starts[position]);

    const end = start + wanted.length;
    const last = ends[Math.max(end - 1, start)] ?? text.length;
    const from = starts[content === undefined ? start : position] ?? text.length;
    spans.push([from, last]);
    const previous = spans.at(-2);
    if (content === undefined && start > position && previous !== undefined) {
      spans[spans.length - 2] = [previous[0], from];
    }
    position = end;
    afterBorder = content !== undefined;
  }
  const trimming = trimmer(tokenizer.definition);
  if (trimming === undefined) return spans;
  const prefixed = trimming["add_prefix_space"] !== false;
  return spans.map((span, i) => {
    const token = added.get(ids[i]!) ?? tokenizer.tokenOf(ids[i]!) ?? "";
    return trim(token, span, i === 0 || span[0] === 0, prefixed);
  });
}

function misaligned(tokenizer: Spelling, token: string, text: string, at: number | undefined) {
  const near = JSON.stringify(text.slice(at ?? text.length).slice(0, 40));
  return new UserError(
    `The token ${
      JSON.stringify(token)
    } of the tokenizer in ${tokenizer.directory} does not spell ` +
      `the text ${near} that it stands for, so the assistant's tokens cannot be located and ` +
      `assistant_only_loss cannot be used with this tokenizer. Train on all tokens, or put the ` +
      `answers into prompt-completion rows.`,
  );
}

/** The text in UTF-8 after the normaliser, with the span of the original text behind each byte. */
function spell(tokenizer: Spelling, text: string) {
  const form = unicodeForm(tokenizer.definition);
  // Only the characters that combine can change together; the rest maps one to one.
  const clusters = form === undefined || text.normalize(form) === text
    ? Array.from(text)
    : text.match(/[^][\p{M}\u1160-\u11ff]*/gu) ?? [];
  const bytes: number[] = [];
  const starts: number[] = [];
  const ends: number[] = [];
  const encoder = new TextEncoder();
  let position = 0;
  for (const cluster of clusters) {
    const normalised = form === undefined ? cluster : cluster.normalize(form);
    const original = Array.from(cluster);
    const oneToOne = original.length === Array.from(normalised).length;
    let offset = position;
    for (const [i, character] of Array.from(normalised).entries()) {
      const width = oneToOne ? original[i]!.length : cluster.length;
      for (const byte of encoder.encode(character)) {
        bytes.push(byte);
        starts.push(offset);
        ends.push(offset + width);
      }
      if (oneToOne) offset += width;
    }
    position += cluster.length;
  }
  return { bytes: Uint8Array.from(bytes), starts, ends };
}

function matches(bytes: Uint8Array, position: number, wanted: Uint8Array): boolean {
  return wanted.every((byte, i) => bytes[position + i] === byte);
}

function isBlank(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

const encoder = new TextEncoder();

/** GPT-2's alphabet: every byte as a printable character. */
const ALPHABET: ReadonlyMap<string, number> = (() => {
  const isPrintable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  const alphabet = new Map<string, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    alphabet.set(String.fromCharCode(isPrintable(byte) ? byte : next++), byte);
  }
  return alphabet;
})();

function alphabetBytes(token: string): Uint8Array {
  return Uint8Array.from(
    Array.from(token).flatMap((c) => {
      const byte = ALPHABET.get(c);
      return byte === undefined ? [...encoder.encode(c)] : [byte];
    }),
  );
}

/** A sentencepiece token: `▁` is a blank, `<0xE2>` one byte. */
function surfaceBytes(token: string, isAdded: boolean): Uint8Array {
  if (isAdded) return encoder.encode(token);
  const byte = /^<0x([0-9A-F]{2})>$/.exec(token);
  if (byte !== null) return Uint8Array.of(parseInt(byte[1]!, 16));
  return encoder.encode(token.replaceAll("▁", " "));
}

/** All components of a `tokenizer.json` pipeline, those inside sequences too. */
function components(part: unknown): JsonRecord[] {
  if (!isRecord(part)) return [];
  const inner = ["normalizers", "pretokenizers", "processors", "decoders"]
    .flatMap((key) => part[key])
    .filter(isRecord);
  return [part, ...inner.flatMap(components)];
}

function hasComponent(definition: JsonRecord, type: string): boolean {
  return [definition["pre_tokenizer"], definition["decoder"]]
    .flatMap(components)
    .some((component) => component["type"] === type);
}

function unicodeForm(definition: JsonRecord): "NFC" | "NFKC" | "NFD" | "NFKD" | undefined {
  const forms = components(definition["normalizer"]).map((component) => component["type"]);
  return (["NFC", "NFKC", "NFD", "NFKD"] as const).find((form) => forms.includes(form));
}

/** The post-processor that takes blanks out of the offsets, if there is one. */
function trimmer(definition: JsonRecord): JsonRecord | undefined {
  return components(definition["post_processor"]).find((component) =>
    component["type"] === "ByteLevel" && component["trim_offsets"] !== false
  );
}

/** What `trim_offsets` does: blanks at either end of a token's spelling leave its span. */
function trim(
  token: string,
  [start, end]: TokenSpan,
  isFirst: boolean,
  prefixed: boolean,
): TokenSpan {
  const leading = /^[Ġ\s]*/.exec(token)![0].length;
  const trailing = /[Ġ\s]*$/.exec(token)![0].length;
  // A blank before the first word may be one that the tokenizer itself put there.
  const from = isFirst && prefixed ? start : Math.min(start + leading, end);
  return [from, Math.max(end - trailing, from)];
}
