/** Only one run at a time writes into a directory. @module */

import { UserError } from "../../core/errors.ts";
import { describeFileError } from "../../data/files/local_paths.ts";

/** The file in the directory that is locked. */
const lockName = ".plumb-lock";

/** A directory that no other run writes into. */
export interface RunLock {
  /** What the user should know: that the file system has no locks, and the run goes without. */
  readonly notices: readonly string[];
  /** Lets others in; doing it again does nothing. */
  readonly release: () => void;
}

/**
 * Takes a directory for a run. The lock is the operating system's, on a file in the directory, so it ends with the
 * process however that ends; the process's number in the file only serves the message.
 *
 * @throws {UserError} Naming the process that writes there, or if the file cannot be made.
 */
export async function lockDirectory(directory: string): Promise<RunLock> {
  const notices: string[] = [];
  const path = `${directory}/${lockName}`;
  for (;;) {
    const file = await opened(path);
    try {
      if (!await tryLock(file, () => notices.push(noLocks(directory)))) {
        throw await takenError(directory, path);
      }
      // Who had it before may have removed the file between opening and locking it here.
      if (!await isAt(path, file)) {
        file.close();
        continue;
      }
      await noteProcess(file);
    } catch (error) {
      file.close();
      throw error;
    }
    return { notices, ...released(path, file) };
  }
}

function released(path: string, file: Deno.FsFile): Pick<RunLock, "release"> {
  let held = true;
  const release = () => {
    globalThis.removeEventListener("unload", release);
    if (!held) return;
    held = false;
    // While it is still locked, so that nobody's new file is taken away. Windows removes no file that is open.
    const remove = () => {
      try {
        Deno.removeSync(path);
        return true;
      } catch {
        return false;
      }
    };
    const removed = remove();
    file.close();
    if (!removed && Deno.build.os === "windows") remove();
  };
  // A second Ctrl-C ends the process from within.
  globalThis.addEventListener("unload", release);
  return { release };
}

async function opened(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path, { read: true, write: true, create: true });
  } catch (error) {
    // Another user's killed run may have left it; a lock needs no right to write.
    const readable = error instanceof Deno.errors.PermissionDenied
      ? await Deno.open(path).catch(() => null)
      : null;
    if (readable) return readable;
    throw describeFileError(error, { action: "write", path });
  }
}

/** Writes down who has the lock, where the file may be written. */
async function noteProcess(file: Deno.FsFile): Promise<void> {
  try {
    await file.truncate();
    await file.write(new TextEncoder().encode(`${Deno.pid}\n`));
  } catch {
    // The message then lacks the process.
  }
}

async function tryLock(file: Deno.FsFile, unsupported: () => void): Promise<boolean> {
  try {
    return await file.tryLock(true);
  } catch {
    unsupported();
    return true;
  }
}

/** Whether a path still leads to an open file; by number of inode, which Windows lacks but needs not. */
async function isAt(path: string, file: Deno.FsFile): Promise<boolean> {
  const [now, own] = [await Deno.stat(path).catch(() => null), await file.stat()];
  return now !== null && now.ino === own.ino && now.dev === own.dev;
}

async function takenError(directory: string, path: string): Promise<UserError> {
  const text = await Deno.readTextFile(path).catch(() => "");
  const process = /^\d+$/.test(text.trim()) ? ` (process ${text.trim()})` : "";
  return new UserError(
    `Another run${process} is writing into ${directory}. Wait for its end, or give this one another output_dir.`,
  );
}

function noLocks(directory: string): string {
  return `The file system of ${directory} has no locks: do not start a second run there while this one lasts.`;
}
