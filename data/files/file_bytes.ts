/** Reading ranges of a file's bytes. @module */

import { UserError } from "../../core/errors.ts";
import { describeFileError } from "./local_paths.ts";

/** A file open for reading. */
export interface ReadableFile {
  readonly path: string;
  /** Its size in bytes when it was opened. */
  readonly size: number;
  /**
   * Fills a buffer from a byte of the file on. Seeks and reads are synchronous, so that concurrent calls cannot come
   * between each other.
   *
   * @throws UserError if the file was closed or has shrunk; `what` is named as what was being read.
   */
  readonly fill: (target: Uint8Array, position: number, options?: FillOptions) => void;
  /** May be called twice. */
  readonly close: () => void;
}

/** Options of {@link ReadableFile.fill}. */
export interface FillOptions {
  /** What is being read, for messages. */
  readonly what?: string;
  /** The most bytes between two calls of `look`; all at once by default. */
  readonly pieceBytes?: number;
  /** Told how much of the target is filled so far. */
  readonly look?: (filled: number) => void;
}

/** Opens a file. @throws UserError if it cannot be read. */
export async function openForReading(path: string): Promise<ReadableFile> {
  try {
    const file = await Deno.open(path, { read: true });
    return readable(file, path, (await file.stat()).size);
  } catch (error) {
    throw describeFileError(error, { action: "read", path });
  }
}

function readable(file: Deno.FsFile, path: string, size: number): ReadableFile {
  let closed = false;
  const fill = (
    target: Uint8Array,
    position: number,
    { what, pieceBytes = Infinity, look }: FillOptions = {},
  ) => {
    if (closed) {
      throw new UserError(
        `Cannot read ${path}: ${what ?? "it"} was asked for after it was closed.`,
      );
    }
    file.seekSync(position, Deno.SeekMode.Start);
    for (let filled = 0; filled < target.length;) {
      const count = file.readSync(
        target.subarray(filled, Math.min(filled + pieceBytes, target.length)),
      );
      if (count === null) {
        throw new UserError(
          `Cannot read ${path}: it ended${what === undefined ? "" : ` inside ${what}`} at byte ${
            position + filled
          }, though it was longer when opened. Was it changed meanwhile?`,
        );
      }
      filled += count;
      look?.(filled);
    }
  };
  const close = () => {
    if (!closed) file.close();
    closed = true;
  };
  return { path, size, fill, close };
}
