/**
 * Reading and writing safetensors files, one tensor in memory at a time.
 *
 * @module
 */

import { UserError } from "../core/errors.ts";
import { describeFileError } from "./local_paths.ts";
import {
  type Described,
  encodeSafetensorsHeader,
  type HeaderEntry,
  maxHeaderBytes,
  parseSafetensorsHeader,
  storedByteLength,
} from "./safetensors_header.ts";
import type { StoredDtype } from "./safetensors_dtypes.ts";

/** A tensor in a file: described by the header, its contents read when asked for. */
export type StoredTensor = {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  /** Size of the contents in bytes. */
  readonly byteLength: number;
  /** The file that holds the tensor. */
  readonly path: string;
  /**
   * Reads the contents (little-endian, row-major) into a new buffer, which the caller then owns.
   * Rejects with a `UserError` if the file was closed or has shrunk.
   */
  readonly bytes: () => Promise<Uint8Array<ArrayBuffer>>;
};

/** An open safetensors file. Close it when the tensors have been read. */
export type SafetensorsFile = {
  readonly path: string;
  /** The `__metadata__` map; empty where the file has none. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The tensors by name, in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly close: () => void;
  readonly [Symbol.dispose]: () => void;
};

/**
 * Opens a safetensors file and validates its header; tensor contents stay on disk until asked for.
 *
 * Throws a `UserError` naming the file, and the tensor where there is one, if the file is missing,
 * truncated, inconsistent or of another format (see `parseSafetensorsHeader`).
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path, { read: true });
  } catch (error) {
    throw describeFileError(error, { action: "read", path });
  }
  try {
    return readHeader(file, path, (await file.stat()).size);
  } catch (error) {
    file.close();
    throw describeFileError(error, { action: "read", path });
  }
}

function readHeader(file: Deno.FsFile, path: string, fileBytes: number): SafetensorsFile {
  const refuse = (reason: string): never => {
    throw new UserError(`Cannot read ${path}: ${reason}`);
  };
  if (fileBytes < 8) {
    refuse(
      `it has ${fileBytes} bytes, too few for a safetensors file, which begins with an 8-byte ` +
        `header length. The file is truncated or empty; copy or download it again.`,
    );
  }
  const lengthBytes = new Uint8Array(8);
  readAt(file, 0, lengthBytes, path);
  const headerBytes = Number(new DataView(lengthBytes.buffer).getBigUint64(0, true));
  if (headerBytes > maxHeaderBytes) {
    refuse(
      `it announces a header of ${headerBytes} bytes, and at most ${maxHeaderBytes} are allowed: ` +
        `this is not a safetensors file, or it is corrupt.` + pointerHint(lengthBytes),
    );
  }
  if (8 + headerBytes > fileBytes) {
    refuse(
      `it announces a header of ${headerBytes} bytes, but the file ends after ${fileBytes}: it is ` +
        `truncated, or not a safetensors file. Copy or download it again.`,
    );
  }
  const headerText = new Uint8Array(headerBytes);
  readAt(file, 8, headerText, path);
  let json = "";
  try {
    json = new TextDecoder("utf-8", { fatal: true }).decode(headerText);
  } catch {
    refuse(`its safetensors header is not valid UTF-8: the file is corrupt.`);
  }
  const dataStart = 8 + headerBytes;
  const { entries, metadata } = parseSafetensorsHeader(json, {
    path,
    dataBytes: fileBytes - dataStart,
  });
  let closed = false;
  const read = (entry: HeaderEntry): Uint8Array<ArrayBuffer> => {
    if (closed) refuse(`tensor "${entry.name}" was asked for after the file was closed.`);
    const target = new Uint8Array(entry.end - entry.begin);
    readAt(file, dataStart + entry.begin, target, path, entry.name);
    return target;
  };
  const tensors = new Map<string, StoredTensor>(entries.map((entry) => [entry.name, {
    name: entry.name,
    dtype: entry.dtype,
    shape: entry.shape,
    byteLength: entry.end - entry.begin,
    path,
    // The executor turns a throw into a rejection.
    bytes: () => new Promise((resolve) => resolve(read(entry))),
  }]));
  const close = () => {
    if (!closed) file.close();
    closed = true;
  };
  return { path, metadata, tensors, close, [Symbol.dispose]: close };
}

/** A clone without Git LFS leaves small text files in the place of the weights. */
function pointerHint(start: Uint8Array): string {
  return new TextDecoder().decode(start) === "version "
    ? " It looks like a Git LFS pointer: run `git lfs pull` in the checkpoint's directory."
    : "";
}

/**
 * Fills `target` from byte `position` on. Seek and reads are synchronous so that concurrent calls
 * on one file cannot come between each other.
 */
function readAt(
  file: Deno.FsFile,
  position: number,
  target: Uint8Array,
  path: string,
  tensor?: string,
): void {
  file.seekSync(position, Deno.SeekMode.Start);
  let filled = 0;
  while (filled < target.length) {
    const count = file.readSync(target.subarray(filled));
    if (count === null) {
      throw new UserError(
        `Cannot read ${path}: it ended${
          tensor === undefined ? "" : ` inside tensor "${tensor}"`
        } ` +
          `at byte ${
            position + filled
          }, though it was longer when opened. Was it changed meanwhile?`,
      );
    }
    filled += count;
  }
}

/** A tensor to write: `data` holds its little-endian, row-major bytes, or makes them when due. */
export type TensorToStore = Described & {
  readonly data: Uint8Array | (() => Uint8Array | Promise<Uint8Array>);
};

/**
 * Writes a safetensors file, byte for byte as the reference implementation would. Sizes follow from
 * element types and shapes, so `data` functions are called one at a time, each after the previous
 * tensor is on its way to the disk. The file is flushed to the disk before the promise resolves.
 *
 * Not atomic by itself: write inside `writeDirectoryAtomically` or `writeFileAtomically`. On an
 * error the partial file is removed.
 *
 * Throws a `UserError` for duplicate or reserved names, data whose size does not fit its shape, and
 * files that cannot be written.
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToStore> | AsyncIterable<TensorToStore>,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): Promise<void> {
  const { header, ordered } = encodeSafetensorsHeader(await Array.fromAsync(tensors), {
    path,
    metadata,
  });
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path, { write: true, create: true, truncate: true });
  } catch (error) {
    throw describeFileError(error, { action: "write", path });
  }
  try {
    await writeAll(file, header);
    for (const { name, dtype, shape, data } of ordered) {
      const bytes = typeof data === "function" ? await data() : data;
      const expected = storedByteLength(dtype, shape);
      if (bytes.length !== expected) {
        throw new UserError(
          `Cannot write ${path}: tensor "${name}" has ${bytes.length} bytes of data, but ${dtype} ` +
            `of shape [${shape.join(", ")}] takes ${expected}.`,
        );
      }
      await writeAll(file, bytes);
    }
    await file.sync();
    file.close();
  } catch (error) {
    file.close();
    // Not a device such as /dev/full, which is nobody's partial file.
    if ((await Deno.stat(path)).isFile) await Deno.remove(path);
    throw describeFileError(error, { action: "write", path });
  }
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    written += await file.write(bytes.subarray(written));
  }
}
