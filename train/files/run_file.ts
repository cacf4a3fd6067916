/** A file of JSON lines that a run adds to: its log, or its answers. @module */

import { UserError } from "../../core/errors.ts";
import type { BeginRecord } from "../report/progress.ts";

/** An open file of lines. */
export interface RunFile {
  /**
   * Makes the file end where a run goes on: of a run that begins anew nothing stays; of one that is resumed, all lines
   * up to the first of a later step, which the run is about to do again, or to one that was only half written.
   */
  readonly begin: (run: Pick<BeginRecord, "step" | "resumed">) => void;
  /** Adds lines; they are on the disk when this returns, so that a killed run keeps them. */
  readonly append: (lines: readonly string[]) => void;
  /** Closes the file; closing it again does nothing. */
  readonly close: () => void;
}

/**
 * Opens a file of lines, which is made if it is not there.
 *
 * @param remedy What to do where it cannot be written, as the end of a sentence.
 * @throws {UserError} When it cannot be opened for writing.
 */
export function openRunFile(path: string, remedy: string): RunFile {
  const file = open(path, remedy);
  // A run killed in the middle of a line leaves half of it; the next line must not join it.
  let joins = endsMidLine(path);
  let isOpen = true;
  return {
    begin: ({ step, resumed }) => {
      // One call cuts the file: a run killed here leaves it whole or cut, never rewritten in part. By its path, as
      // Windows lets nobody cut a file that is open for appending only.
      Deno.truncateSync(path, resumed ? bytesUpTo(Deno.readFileSync(path), step) : 0);
      joins = false;
    },
    append: (lines) => {
      if (lines.length === 0) return;
      const text = lines.map((line) => `${line}\n`).join("");
      let bytes = new TextEncoder().encode(joins ? `\n${text}` : text);
      joins = false;
      while (bytes.length > 0) bytes = bytes.subarray(file.writeSync(bytes));
      file.syncDataSync();
    },
    close: () => {
      if (isOpen) file.close();
      isOpen = false;
    },
  };
}

function open(path: string, remedy: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { append: true, create: true });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UserError(
      `Cannot write ${path}: ${why}. Check that its directory exists and may be written ` +
        `to, or ${remedy}.`,
    );
  }
}

const lineFeed = 10;

function endsMidLine(path: string): boolean {
  using file = Deno.openSync(path, { read: true });
  const { size } = file.statSync();
  if (size === 0) return false;
  file.seekSync(-1, Deno.SeekMode.End);
  const last = new Uint8Array(1);
  file.readSync(last);
  return last[0] !== lineFeed;
}

/** Length of the whole lines ahead of the first whose step is later. */
function bytesUpTo(bytes: Uint8Array, step: number): number {
  const decoder = new TextDecoder();
  let start = 0;
  for (;;) {
    const end = bytes.indexOf(lineFeed, start);
    if (end < 0 || stepOf(decoder.decode(bytes.subarray(start, end))) > step) return start;
    start = end + 1;
  }
}

/** The step of a line; one that says nothing of it stays where it is. */
function stepOf(line: string): number {
  try {
    const { step } = JSON.parse(line);
    return typeof step === "number" ? step : -Infinity;
  } catch {
    return -Infinity;
  }
}
