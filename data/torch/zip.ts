/**
 * Zip archives of entries that are not compressed, as PyTorch writes them
 * (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT).
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import type { ReadableFile } from "../files/file_bytes.ts";

/** A file in an archive. */
export interface ZipEntry {
  readonly name: string;
  /** Its size in bytes. */
  readonly size: number;
  /** The CRC-32 of its bytes. */
  readonly crc: number;
  /** Where its bytes begin in the archive's file. */
  readonly position: () => number;
}

const [localHeader, centralHeader, end, end64, locator64] = [
  0x04034b50,
  0x02014b50,
  0x06054b50,
  0x06064b50,
  0x07064b50,
];

/** Whether a file begins as a zip archive does. */
export function isZip(start: Uint8Array): boolean {
  return start.length >= 4 && viewOf(start).getUint32(0, true) === localHeader;
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

/**
 * The entries of an archive by name.
 *
 * @throws UserError naming the file, and the entry where there is one, if the archive is damaged or compressed.
 */
export function zipEntries(file: ReadableFile): ReadonlyMap<string, ZipEntry> {
  const refuse = (reason: string): never => {
    throw new UserError(
      `Cannot read ${file.path}: ${reason}. The file is cut off or damaged; copy or download it again.`,
    );
  };
  const read = (position: number, length: number): DataView => {
    if (position < 0 || length < 0 || position + length > file.size) {
      refuse("its archive points beyond its end");
    }
    const bytes = new Uint8Array(length);
    file.fill(bytes, position, { what: "its directory" });
    return viewOf(bytes);
  };
  const large = (value: bigint): number =>
    value > BigInt(file.size) ? refuse("its archive points beyond its end") : Number(value);

  const { position, length, count } = directoryPlace(file, read, large, refuse);
  const directory = read(position, length);
  const entries = new Map<string, ZipEntry>();
  const utf8 = new TextDecoder();
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > length || directory.getUint32(at, true) !== centralHeader) {
      refuse("the directory of its archive is broken");
    }
    const half = (offset: number) => directory.getUint16(at + offset, true);
    const word = (offset: number) => directory.getUint32(at + offset, true);
    const [flags, method, crc] = [half(8), half(10), word(16)];
    const [nameLength, extraLength, commentLength] = [half(28), half(30), half(32)];
    const next = at + 46 + nameLength + extraLength + commentLength;
    if (next > length) refuse("the directory of its archive is broken");
    const bytes = new Uint8Array(directory.buffer);
    const name = utf8.decode(bytes.subarray(at + 46, at + 46 + nameLength));
    const sizes = largeSizes(directory, at + 46 + nameLength, extraLength, {
      size: word(24),
      stored: word(20),
      begin: word(42),
    }, large);
    if (method !== 0 || sizes.size !== sizes.stored || (flags & 1) !== 0) {
      refuse(`"${name}" in its archive is compressed or encrypted, which PyTorch's files are not`);
    }
    if (entries.has(name)) refuse(`"${name}" is in its archive twice`);
    const { size, begin } = sizes;
    const start = () => {
      const header = read(begin, 30);
      if (header.getUint32(0, true) !== localHeader) {
        refuse(`"${name}" is not where its archive says`);
      }
      const place = begin + 30 + header.getUint16(26, true) + header.getUint16(28, true);
      return place + size > file.size ? refuse(`"${name}" in its archive is cut off`) : place;
    };
    entries.set(name, { name, size, crc, position: start });
    at = next;
  }
  return entries;
}

type Read = (position: number, length: number) => DataView;

/** Where the list of entries is: it is told at the end of the file, before a comment. */
function directoryPlace(
  { size }: ReadableFile,
  read: Read,
  large: (value: bigint) => number,
  refuse: (reason: string) => never,
): { readonly position: number; readonly length: number; readonly count: number } {
  const tailLength = Math.min(size, 22 + 0xffff);
  const tail = read(size - tailLength, tailLength);
  let at = tailLength - 22;
  while (at >= 0 && tail.getUint32(at, true) !== end) at--;
  if (at < 0) refuse("its archive has no directory at its end");
  const place = {
    count: tail.getUint16(at + 10, true),
    length: tail.getUint32(at + 12, true),
    position: tail.getUint32(at + 16, true),
  };
  if (place.count !== 0xffff && place.length !== 0xffffffff && place.position !== 0xffffffff) {
    return place;
  }
  const locator = read(size - tailLength + at - 20, 20);
  if (locator.getUint32(0, true) !== locator64) refuse("the directory of its archive is broken");
  const whole = read(large(locator.getBigUint64(8, true)), 56);
  if (whole.getUint32(0, true) !== end64) refuse("the directory of its archive is broken");
  return {
    count: large(whole.getBigUint64(32, true)),
    length: large(whole.getBigUint64(40, true)),
    position: large(whole.getBigUint64(48, true)),
  };
}

interface Sizes {
  readonly size: number;
  readonly stored: number;
  readonly begin: number;
}

/** Sizes beyond 32 bits stand in an extra field, those that need it, in order. */
function largeSizes(
  directory: DataView,
  start: number,
  length: number,
  { size, stored, begin }: Sizes,
  large: (value: bigint) => number,
): Sizes {
  for (let at = start; at + 4 <= start + length;) {
    const [kind, bytes] = [directory.getUint16(at, true), directory.getUint16(at + 2, true)];
    if (kind === 1) {
      let from = at + 4;
      const next = (given: number) => {
        if (given !== 0xffffffff || from + 8 > Math.min(at + 4 + bytes, start + length)) {
          return given;
        }
        from += 8;
        return large(directory.getBigUint64(from - 8, true));
      };
      return { size: next(size), stored: next(stored), begin: next(begin) };
    }
    at += 4 + bytes;
  }
  return { size, stored, begin };
}
