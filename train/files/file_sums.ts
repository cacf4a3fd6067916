/** Sizes and checksums of a checkpoint's files of tensors: one that was cut off or exchanged is not resumed from. @module */

import { crc32 } from "node:zlib";
import { UserError } from "../../core/errors.ts";
import { statIfPresent } from "../../data/files/local_paths.ts";
import { count, fields, mapping, type Reader } from "./checked_json.ts";

/** A file as it was written. */
export interface FileSum {
  /** Its size. */
  readonly bytes: number;
  /** CRC-32 of its contents. */
  readonly crc32: number;
}

/** Files by their paths in the checkpoint. */
export type FileSums = Readonly<Record<string, FileSum>>;

/** Reads sums from JSON. */
export const fileSums: Reader<FileSums> = mapping(fields({ bytes: count, crc32: count }));

/** The sums of the files of tensors in a directory, and in those in it. */
export async function sumsOf(directory: string, inside = ""): Promise<FileSums> {
  const sums: Record<string, FileSum> = {};
  for await (const { name, isDirectory, isFile } of Deno.readDir(`${directory}/${inside}`)) {
    if (isDirectory) Object.assign(sums, await sumsOf(directory, `${inside}${name}/`));
    if (isFile && name.endsWith(".safetensors")) {
      sums[inside + name] = await sumOf(`${directory}/${inside}${name}`);
    }
  }
  return Object.fromEntries(Object.entries(sums).sort(([a], [b]) => a < b ? -1 : 1));
}

/** @throws {UserError} naming the first of the files that is missing, or not as it was written. */
export async function checkSums(directory: string, sums: FileSums): Promise<void> {
  for (const [name, written] of Object.entries(sums)) {
    const path = `${directory}/${name}`;
    const remedy = "Resume from another checkpoint.";
    const present = await statIfPresent(path);
    if (!present?.isFile) {
      throw new UserError(`${path} is missing: the checkpoint was written with it. ${remedy}`);
    }
    if (present.size !== written.bytes) {
      throw new UserError(
        `${path} has ${present.size} bytes, but was written with ${written.bytes}: it was cut off or exchanged. ` +
          remedy,
      );
    }
    if ((await sumOf(path)).crc32 !== written.crc32) {
      throw new UserError(
        `${path} has changed since the checkpoint was written: its checksum is another. ${remedy}`,
      );
    }
  }
}

async function sumOf(path: string): Promise<FileSum> {
  using file = await Deno.open(path);
  const buffer = new Uint8Array(1 << 20);
  let sum: FileSum = { bytes: 0, crc32: 0 };
  for (;;) {
    const read = await file.read(buffer);
    if (read === null) return sum;
    sum = { bytes: sum.bytes + read, crc32: crc32(buffer.subarray(0, read), sum.crc32) };
  }
}
