/**
 * Bytes and lines of text files, gzipped or not, as streams.
 *
 * @module
 */

import { pipeline, Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { UserError } from "../../core/errors.ts";
import { describeFileError } from "../files/local_paths.ts";
import type { DataFile } from "./data_files.ts";

/** One line without its ending, and its number from 1. */
export type Line = { readonly text: string; readonly number: number };

/** What one file may hold. */
export interface TextLimits {
  /** The most bytes of a text, or of a line where a file is read by lines: V8's strings end at 2²⁹ − 24 characters. */
  readonly textBytes: number;
  /** How many bytes compressed data may unpack to in any case. */
  readonly unpackedBytes: number;
  /** How many times longer than the file they may be beyond that. Texts shrink 3 to 20 times, and 1000 times at most. */
  readonly unpackedTimes: number;
}

const defaultLimits: TextLimits = {
  textBytes: 512 * 1024 * 1024 - 24,
  unpackedBytes: 64 * 1024 * 1024,
  unpackedTimes: 200,
};

/**
 * The contents of a file, decompressed, in pieces.
 *
 * Throws a `UserError` if the file cannot be read, its gzip data is broken, or it unpacks to more than the limits.
 */
export async function* readBytes(
  { path, gzip }: DataFile,
  limits: TextLimits = defaultLimits,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    const file = await Deno.open(path, { read: true });
    const most = Math.max(limits.unpackedBytes, limits.unpackedTimes * (await file.stat()).size);
    let bytes = 0;
    const stream = gzip
      // DecompressionStream would end at the first of several members. Errors reach the loop below.
      ? pipeline(Readable.fromWeb(file.readable), createGunzip(), () => {})
      : file.readable;
    for await (const piece of stream) {
      bytes += piece.length;
      if (gzip && bytes > most) {
        throw new UserError(
          `Cannot read ${path}: it unpacks to more than ${
            mebibytes(most)
          }, over ${limits.unpackedTimes} times its ` +
            "size, which no text for training does. If it is right, unpack it with gzip -d.",
        );
      }
      yield piece;
    }
  } catch (error) {
    if (error instanceof Error && "code" in error && String(error.code).startsWith("Z_")) {
      throw new UserError(
        `Cannot read ${path}: its gzip data is corrupt or truncated (${error.message}).`,
      );
    }
    throw describeFileError(error, { action: "read", path });
  }
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`;
}

function join(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0]!;
  const result = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    result.set(piece, offset);
    offset += piece.length;
  }
  return result;
}

const byteOrderMark = "\ufeff";

function decode(bytes: Uint8Array, decoder: TextDecoder, where: string, atStart: boolean): string {
  try {
    const text = decoder.decode(bytes);
    return atStart && text.startsWith(byteOrderMark) ? text.slice(1) : text;
  } catch {
    const utf16 = atStart && bytes.length > 1 &&
      ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff));
    throw new UserError(
      `Cannot read ${where}: it is not valid UTF-8` +
        (utf16 ? "; it looks like UTF-16. " : ". ") + "Save the file as UTF-8.",
    );
  }
}

function newDecoder(): TextDecoder {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
}

const lineFeed = 0x0a;

/**
 * The texts of lines, all but the last with their line feeds. They are decoded together, which takes a third of the
 * time; one by one where that fails, for the number of the line that is at fault.
 *
 * @param before How many lines of the file come before.
 */
function decodeLines(
  bytes: Uint8Array,
  decoder: TextDecoder,
  path: string,
  before: number,
): string[] {
  try {
    const text = decoder.decode(bytes);
    return (before === 0 && text.startsWith(byteOrderMark) ? text.slice(1) : text).split("\n");
  } catch {
    const texts: string[] = [];
    for (let start = 0; start <= bytes.length;) {
      const feed = bytes.indexOf(lineFeed, start);
      const end = feed < 0 ? bytes.length : feed;
      const number = before + texts.length + 1;
      texts.push(
        decode(bytes.subarray(start, end), decoder, `${path}, line ${number}`, number === 1),
      );
      start = end + 1;
    }
    return texts;
  }
}

/**
 * The lines of a UTF-8 file in batches, one per piece read, without their endings (LF or CR LF) and
 * without a byte order mark. An ending at the end of the file begins no further line.
 *
 * Throws a `UserError` naming file and line for text that is not UTF-8 and for lines longer than a string can be.
 */
export async function* readLines(
  file: DataFile,
  limits: TextLimits = defaultLimits,
): AsyncGenerator<Line[], void, undefined> {
  const decoder = newDecoder();
  let number = 0;
  let pending: Uint8Array[] = [];
  let size = 0;
  const keep = (part: Uint8Array) => {
    pending.push(part);
    size += part.length;
    if (size <= limits.textBytes) return;
    throw new UserError(
      `Cannot read ${file.path}: line ${number + 1} is longer than ${
        mebibytes(limits.textBytes)
      }, the longest that a ` +
        "line can be. Break its text into several rows.",
    );
  };
  /** The lines that a piece of the file ends, with what is kept. */
  const take = (end: Uint8Array): Line[] => {
    const first = end.indexOf(lineFeed);
    keep(first < 0 ? end : end.subarray(0, first));
    if (first >= 0) pending.push(end.subarray(first));
    const texts = decodeLines(join(pending), decoder, file.path, number);
    [pending, size] = [[], 0];
    return texts.map((text) => ({
      text: text.endsWith("\r") ? text.slice(0, -1) : text,
      number: ++number,
    }));
  };
  for await (const piece of readBytes(file, limits)) {
    const end = piece.lastIndexOf(lineFeed);
    if (end >= 0) yield take(piece.subarray(0, end));
    if (end + 1 < piece.length) keep(piece.subarray(end + 1));
  }
  if (pending.length > 0) yield take(new Uint8Array(0));
}

/**
 * The whole text of a UTF-8 file without a byte order mark, for formats that cannot be read in
 * pieces.
 *
 * Throws a `UserError` for text that is not UTF-8 or longer than a string can be.
 */
export async function readText(
  file: DataFile,
  limits: TextLimits = defaultLimits,
): Promise<string> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of readBytes(file, limits)) {
    pieces.push(piece);
    size += piece.length;
    if (size > limits.textBytes) {
      throw new UserError(
        `Cannot read ${file.path}: files of this format are read at once, which works up to ` +
          `${mebibytes(limits.textBytes)}. Convert it to .jsonl, which is read ` +
          `line by line (if it holds one JSON object per line already, rename it).`,
      );
    }
  }
  return size === 0 ? "" : decode(join(pieces), newDecoder(), file.path, true);
}
