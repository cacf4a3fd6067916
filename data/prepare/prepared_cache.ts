/**
 * Prepared rows, kept for the next run on the same data: files in a directory of limited size, each written whole or
 * not at all, so that runs side by side may share it.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { type Columns, fromColumns, toColumns } from "../files/columns.ts";

/** What a preparation gave. */
export interface KeptPreparation<E> {
  /** The examples. */
  readonly examples: readonly E[];
  /** One line about them. */
  readonly description: string;
  /** Rows they came from. */
  readonly rows: number;
  /** What was said meanwhile. */
  readonly notices: readonly string[];
}

/** Where preparations are kept. */
export interface PreparedCache {
  /** The directory. */
  readonly directory: string;
  /** Bytes of all files together; the longest unused go first. */
  readonly mostBytes: number;
}

/** What a preparation depended on. */
export interface PreparationKey {
  /** Hash of the data, the tokenizer, the code, … */
  readonly content: string;
  /** Whether the settings that the preparation looked at have these values; see `settings` of the header. */
  readonly fits: (settings: Readonly<Record<string, string>>) => boolean;
}

interface Header {
  readonly settings: Readonly<Record<string, string>>;
  readonly description: string;
  readonly rows: number;
  readonly notices: readonly string[];
  readonly layout: Columns["layout"];
  readonly bytes: number;
  readonly crc32: number;
}

const suffix = ".rows";
/** Length of the header's length, and of the file's first word. */
const prefixBytes = 16;
const magic = 0x706c_6231;

/** A preparation that was kept, or null. What is damaged counts as not there. */
export async function keptPreparation<E>(
  { directory }: PreparedCache,
  key: PreparationKey,
): Promise<KeptPreparation<E> | null> {
  for (const name of await namesIn(directory)) {
    if (!name.startsWith(key.content) || !name.endsWith(suffix)) continue;
    const path = `${directory}/${name}`;
    try {
      const header = await readHeader(path);
      if (!header || !key.fits(header.settings)) continue;
      const file = await Deno.readFile(path);
      const bytes = file.subarray(file.length - header.bytes);
      if (bytes.length !== header.bytes || crc32(bytes) !== header.crc32) continue;
      const { description, rows, notices, layout } = header;
      // The one that was used last goes last.
      await Deno.utime(path, new Date(), new Date()).catch(() => {});
      return { examples: fromColumns<E>(layout, bytes), description, rows, notices };
    } catch {
      // Gone since, or damaged: it is prepared anew.
    }
  }
  return null;
}

/**
 * Keeps a preparation.
 *
 * @param settings The settings it looked at, with their values.
 */
export async function keepPreparation<E>(
  cache: PreparedCache,
  content: string,
  settings: Readonly<Record<string, string>>,
  { examples, description, rows, notices }: KeptPreparation<E>,
): Promise<void> {
  const columns = toColumns(examples);
  if (!columns) return;
  const bytes = columns.pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (bytes > cache.mostBytes) return;
  const sum = columns.pieces.reduce((value, piece) => crc32(piece, value), 0);
  const { layout } = columns;
  const header: Header = { settings, description, rows, notices, layout, bytes, crc32: sum };
  const text = new TextEncoder().encode(JSON.stringify(header));
  // Blanks behind the header let the columns begin at a multiple of 8.
  const length = Math.ceil(text.length / 8) * 8;
  const head = new Uint8Array(prefixBytes + length).fill(0x20);
  new DataView(head.buffer).setUint32(0, magic);
  new DataView(head.buffer).setUint32(8, length);
  head.set(text, prefixBytes);
  const { directory } = cache;
  await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
  const name = `${content}-${digest(JSON.stringify(settings)).slice(0, 16)}${suffix}`;
  const temporary = `${directory}/.${crypto.randomUUID()}`;
  try {
    {
      using file = await Deno.open(temporary, { write: true, createNew: true, mode: 0o600 });
      for (const piece of [head, ...columns.pieces]) {
        for (let at = 0; at < piece.length;) at += await file.write(piece.subarray(at));
      }
      await file.syncData();
    }
    await Deno.rename(temporary, `${directory}/${name}`);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
  await makeRoom(cache, name);
}

/** SHA-256 in hexadecimal digits. */
export function digest(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/** SHA-256 of a file's contents. */
export async function digestOfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  const buffer = new Uint8Array(1 << 20);
  for (;;) {
    const count = await file.read(buffer);
    if (count === null) return hash.digest("hex");
    hash.update(buffer.subarray(0, count));
  }
}

async function readHeader(path: string): Promise<Header | null> {
  using file = await Deno.open(path);
  const prefix = new Uint8Array(prefixBytes);
  if (await readInto(file, prefix) < prefixBytes) return null;
  const view = new DataView(prefix.buffer);
  const { size } = await file.stat();
  const length = view.getUint32(8);
  if (view.getUint32(0) !== magic || length > size) return null;
  const text = new Uint8Array(length);
  if (await readInto(file, text) < length) return null;
  return JSON.parse(new TextDecoder().decode(text));
}

async function readInto(file: Deno.FsFile, buffer: Uint8Array): Promise<number> {
  let filled = 0;
  while (filled < buffer.length) {
    const count = await file.read(buffer.subarray(filled));
    if (count === null) break;
    filled += count;
  }
  return filled;
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(directory), ({ name }) => name)).sort();
  } catch {
    return [];
  }
}

/** Removes what was not used for longest, and what a killed process left half-written, but never `newest`. */
async function makeRoom({ directory, mostBytes }: PreparedCache, newest: string): Promise<void> {
  const day = 24 * 3600 * 1000;
  const files: { path: string; size: number; used: number }[] = [];
  for (const name of await namesIn(directory)) {
    const path = `${directory}/${name}`;
    const found = await Deno.lstat(path).catch(() => null);
    const used = found?.mtime?.getTime() ?? 0;
    if (!found?.isFile) continue;
    if (/^\.[0-9a-f-]{36}$/.test(name) && Date.now() - used > day) await removed(path);
    if (name.endsWith(suffix)) {
      files.push({ path, size: found.size, used: name === newest ? Infinity : used });
    }
  }
  let total = files.reduce((sum, { size }) => sum + size, 0);
  for (const { path, size, used } of files.sort((a, b) => a.used - b.used)) {
    if (total <= mostBytes || used === Infinity) return;
    if (await removed(path)) total -= size;
  }
}

async function removed(path: string): Promise<boolean> {
  return await Deno.remove(path).then(() => true, () => false);
}
