/** Where generated rows go: a file that appears when it is whole, or standard output. @module */

import { UserError } from "../../core/errors.ts";
import { writeFileAtomically } from "../../data/files/atomic.ts";
import { describeFileError, statIfPresent } from "../../data/files/local_paths.ts";
import { standardOutput, writeAll } from "../../core/terminal.ts";

/** Writes text. */
export type Write = (text: string) => void;

/** The work was ended before its end; what was written lies at `path`, if anywhere. */
export class Interrupted extends Error {
  /** For telling errors apart. */
  override readonly name = "Interrupted";

  /** Takes where the rows are that were written; null where they went to standard output. */
  constructor(readonly path: string | null) {
    super("Interrupted");
  }
}

/**
 * Does work that writes rows to a file, or to standard output where there is no path. The file appears at its path
 * when all is done; if the work gives false, because it was ended early, the rows are put beside it, as
 * `<path>.partial`.
 *
 * @throws {UserError} before the work if the file cannot be written.
 * @throws {Interrupted} if the work was ended early.
 */
export async function writeRows(
  path: string | undefined,
  work: (write: Write) => Promise<boolean>,
): Promise<void> {
  if (path === undefined) {
    if (!await work(writeOut)) throw new Interrupted(null);
    return;
  }
  if ((await statIfPresent(path))?.isDirectory) {
    throw new UserError(`--output ${path} is a directory. Name a file for the rows.`);
  }
  await writeFileAtomically(path, async (temporary) => {
    using file = await Deno.open(temporary, { write: true, createNew: true });
    if (await work((text) => writeAll(file, text))) return;
    const partial = `${path}.partial`;
    await Deno.copyFile(temporary, partial);
    throw new Interrupted(partial);
  });
}

function writeOut(text: string): void {
  try {
    standardOutput.write(text);
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) throw error;
    throw describeFileError(error, { action: "write", path: "standard output" });
  }
}
