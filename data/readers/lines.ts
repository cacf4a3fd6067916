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

/** V8 strings end at about 2²⁹ characters. */
const maxTextBytes = 512 * 1024 * 1024;

/**
 * The contents of a file, decompressed, in pieces.
 *
 * Throws a `UserError` if the file cannot be read or its gzip data is broken.
 */
export async function* readBytes(
  { path, gzip }: DataFile,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    const file = await Deno.open(path, { read: true });
    const stream = gzip
      // DecompressionStream would end at the first of several members. Errors reach the loop below.
      ? pipeline(Readable.fromWeb(file.readable), createGunzip(), () => {})
      : file.readable;
    for await (const piece of stream) yield piece;
  } catch (error) {
    if (error instanceof Error && "code" in error && String(error.code).startsWith("Z_")) {
      throw new UserError(
        `Cannot read ${path}: its gzip data is corrupt or truncated (${error.message}).`,
      );
    }
    throw describeFileError(error, { action: "read", path });
  }
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

/**
 * The lines of a UTF-8 file in batches, one per piece read, without their endings (LF or CR LF) and
 * without a byte order mark. An ending at the end of the file begins no further line.
 *
 * Throws a `UserError` naming file and line for text that is not UTF-8.
 */
export async function* readLines(file: DataFile): AsyncGenerator<Line[], void, undefined> {
  const decoder = newDecoder();
  let number = 0;
  let pending: Uint8Array[] = [];
  const take = (end: Uint8Array): Line => {
    const bytes = join([...pending, end]);
    pending = [];
    number++;
    const text = decode(bytes, decoder, `${file.path}, line ${number}`, number === 1);
    return { text: text.endsWith("\r") ? text.slice(0, -1) : text, number };
  };
  for await (const piece of readBytes(file)) {
    const batch: Line[] = [];
    let start = 0;
    for (let end; (end = piece.indexOf(0x0a, start)) >= 0; start = end + 1) {
      batch.push(take(piece.subarray(start, end)));
    }
    if (start < piece.length) pending.push(piece.subarray(start));
    if (batch.length > 0) yield batch;
  }
  if (pending.length > 0) yield [take(new Uint8Array(0))];
}

/**
 * The whole text of a UTF-8 file without a byte order mark, for formats that cannot be read in
 * pieces.
 *
 * Throws a `UserError` for text that is not UTF-8 or longer than a string can be.
 */
export async function readText(file: DataFile): Promise<string> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of readBytes(file)) {
    pieces.push(piece);
    size += piece.length;
    if (size >= maxTextBytes) {
      throw new UserError(
        `Cannot read ${file.path}: files of this format are read at once, which works up to ` +
          `${maxTextBytes / 1024 / 1024} MiB. Convert it to .jsonl, which is read ` +
          `line by line (if it holds one JSON object per line already, rename it).`,
      );
    }
  }
  return size === 0 ? "" : decode(join(pieces), newDecoder(), file.path, true);
}
