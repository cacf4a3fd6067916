/**
 * Reading and writing safetensors files, one tensor in memory at a time.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { openForReading, type ReadableFile } from "../files/file_bytes.ts";
import { finiteSoFar } from "./finite.ts";
import { describeFileError } from "../files/local_paths.ts";
import {
  type Described,
  encodeSafetensorsHeader,
  type HeaderEntry,
  maxHeaderBytes,
  parseSafetensorsHeader,
  storedByteLength,
} from "./safetensors_header.ts";
import type { StoredTensor, TensorFile } from "./stored_tensor.ts";

/** An open safetensors file. Close it when the tensors have been read. */
export type SafetensorsFile = TensorFile & {
  /** The `__metadata__` map; empty where the file has none. */
  readonly metadata: Readonly<Record<string, string>>;
};

/**
 * Opens a safetensors file and validates its header; tensor contents stay on disk until asked for.
 *
 * Throws a `UserError` naming the file, and the tensor where there is one, if the file is missing,
 * truncated, inconsistent or of another format (see `parseSafetensorsHeader`).
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const file = await openForReading(path);
  try {
    return readHeader(file);
  } catch (error) {
    file.close();
    throw describeFileError(error, { action: "read", path });
  }
}

function readHeader(file: ReadableFile): SafetensorsFile {
  const { path, size: fileBytes, close } = file;
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
  file.fill(lengthBytes, 0);
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
  file.fill(headerText, 8);
  let json = "";
  try {
    json = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(headerText);
  } catch {
    refuse(`its safetensors header is not valid UTF-8: the file is corrupt.`);
  }
  const dataStart = 8 + headerBytes;
  const { entries, metadata } = parseSafetensorsHeader(json, {
    path,
    dataBytes: fileBytes - dataStart,
  });
  const tensors = new Map(
    entries.map((entry) => [entry.name, storedTensor(file, entry, dataStart)]),
  );
  return { path, metadata, tensors, close, [Symbol.dispose]: close };
}

function storedTensor(file: ReadableFile, entry: HeaderEntry, dataStart: number): StoredTensor {
  const { name, dtype, shape, begin, end } = entry;
  const { path } = file;
  const read = (finite: boolean): Uint8Array<ArrayBuffer> => {
    const target = new Uint8Array(end - begin);
    file.fill(target, dataStart + begin, {
      what: `tensor "${name}"`,
      ...(finite ? finiteSoFar({ name, path, dtype, shape }, target) : {}),
    });
    return target;
  };
  return {
    name,
    dtype,
    shape,
    byteLength: end - begin,
    path,
    // The executor turns a throw into a rejection.
    bytes: () => new Promise((resolve) => resolve(read(false))),
    finiteBytes: () => new Promise((resolve) => resolve(read(true))),
  };
}

/** A clone without Git LFS leaves small text files in the place of the weights. */
function pointerHint(start: Uint8Array): string {
  return new TextDecoder().decode(start) === "version "
    ? " It looks like a Git LFS pointer: run `git lfs pull` in the checkpoint's directory."
    : "";
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
