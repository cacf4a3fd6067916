/**
 * Writes that leave either the old contents or the new, whenever the process is killed.
 *
 * Contents are written under a temporary sibling name, flushed to the disk, and renamed into place.
 * Temporary names start with a dot and end in `.tmp` or `.old`; `cleanTemporaries` removes what a
 * killed process left behind and completes a replacement that was cut off.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { basePath, describeFileError, joinPath, parentPath, statIfPresent } from "./local_paths.ts";

const temporaryName = /^\.(?<base>.+)\.(?<id>[0-9a-f]{16})\.(?<kind>tmp|old)$/;

/** Identities of the writes under way in this process, which cleaning must leave alone. */
const underWay = new Set<string>();

function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

/** The identity of a write, from its temporary name. */
function idOf(temporary: string): string {
  return temporaryName.exec(basePath(temporary))!.groups!["id"]!;
}

/** Flushes a file or a directory's entries to the disk. */
async function flush(path: string): Promise<void> {
  // Windows has no handles for directories; NTFS orders renames by its own journal.
  if (Deno.build.os === "windows" && (await Deno.stat(path)).isDirectory) return;
  const file = await Deno.open(path, { read: true, write: Deno.build.os === "windows" });
  try {
    await file.sync();
  } finally {
    file.close();
  }
}

async function flushTree(directory: string): Promise<void> {
  for await (const entry of Deno.readDir(directory)) {
    const path = joinPath(directory, entry.name);
    if (entry.isDirectory) await flushTree(path);
    else if (entry.isFile) await flush(path);
  }
  await flush(directory);
}

async function removeIfPresent(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** The path itself, or what it links to, so that renaming does not replace the link. */
async function throughLinks(path: string): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return path;
    throw error;
  }
}

/** Runs `write` with a new temporary name beside `path`; removes it if anything fails. */
async function throughTemporary(
  path: string,
  write: (temporary: string, target: string) => Promise<void>,
): Promise<void> {
  const id = newId();
  underWay.add(id);
  try {
    const target = await throughLinks(path);
    const parent = parentPath(target);
    await Deno.mkdir(parent, { recursive: true });
    const temporary = joinPath(parent, `.${basePath(target)}.${id}.tmp`);
    try {
      await write(temporary, target);
    } catch (error) {
      await removeIfPresent(temporary);
      throw error;
    }
    await flush(parent);
  } catch (error) {
    // Parents were made, so what was not found is something else, of the caller's.
    if (error instanceof Deno.errors.NotFound) throw error;
    throw describeFileError(error, { action: "write", path });
  } finally {
    underWay.delete(id);
  }
}

/**
 * Creates or replaces the directory `path` with what `fill` writes into the temporary directory it
 * is given. Missing parents are created; a link is followed.
 *
 * Killed before the end, the old directory (or none) is still there. Replacing takes two renames;
 * between them both versions are complete on disk but neither is at `path`, and `cleanTemporaries`
 * puts the new one there. If `fill` throws, nothing has changed and its error is passed on.
 *
 * Throws a `UserError` where the disk refuses, or if `path` is a file.
 */
export async function writeDirectoryAtomically(
  path: string,
  fill: (temporary: string) => Promise<void>,
): Promise<void> {
  await throughTemporary(path, async (temporary, target) => {
    const present = await statIfPresent(target);
    if (present !== undefined && !present.isDirectory) {
      throw new UserError(
        `Cannot write the directory ${path}: a file of this name is there. Move it away or ` +
          `choose another name.`,
      );
    }
    await Deno.mkdir(temporary);
    await fill(temporary);
    await flushTree(temporary);
    if (present === undefined) {
      await Deno.rename(temporary, target);
      return;
    }
    const old = temporary.replace(/tmp$/, "old");
    await Deno.rename(target, old);
    try {
      await Deno.rename(temporary, target);
    } catch (error) {
      await Deno.rename(old, target);
      throw error;
    }
    await flush(parentPath(target));
    await removeIfPresent(old);
  });
}

/**
 * Creates or replaces the file `path`. `contents` are bytes, text (as UTF-8), or a function that
 * writes the temporary file it is given. Missing parents are created; a link is followed.
 *
 * Killed at any moment, the file is the old one or the new one. Throws a `UserError` where the disk
 * refuses.
 */
export async function writeFileAtomically(
  path: string,
  contents: string | Uint8Array | ((temporary: string) => Promise<void>),
): Promise<void> {
  await throughTemporary(path, async (temporary, target) => {
    if (typeof contents === "function") await contents(temporary);
    else if (typeof contents === "string") await Deno.writeTextFile(temporary, contents);
    else await Deno.writeFile(temporary, contents);
    await flush(temporary);
    await Deno.rename(temporary, target);
  });
}

/**
 * Writes several files into the directory `path`, beside whatever else it holds. `fill` writes them
 * into the temporary directory it is given; when it is done, each is renamed into place, in the order
 * of their names. A directory among them replaces the one that is there, which is first set aside. `clear` is called
 * ahead of each rename, and may move what is in the way.
 *
 * Each file is the old one or the new one; a kill during the renames leaves some of each kind, so
 * use `writeDirectoryAtomically` where the files must agree and the directory holds nothing else.
 */
export async function writeFilesAtomically(
  path: string,
  fill: (temporary: string) => Promise<void>,
  clear: (target: string, isDirectory: boolean) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  // Inside the directory, so that renaming never crosses file systems.
  await throughTemporary(joinPath(path, ".files"), async (temporary) => {
    await Deno.mkdir(temporary);
    await fill(temporary);
    await flushTree(temporary);
    const entries = await Array.fromAsync(Deno.readDir(temporary));
    for (const { name, isDirectory } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
      const target = joinPath(path, name);
      await clear(target, isDirectory);
      // A rename replaces a file, but no directory that holds something.
      const old = isDirectory && await statIfPresent(target) !== undefined
        ? joinPath(path, `.${name}.${idOf(temporary)}.old`)
        : undefined;
      if (old !== undefined) await Deno.rename(target, old);
      await Deno.rename(joinPath(temporary, name), target);
      if (old !== undefined) await removeIfPresent(old);
    }
    await Deno.remove(temporary);
  });
}

/**
 * Removes a directory: killed at any moment, it is still whole or gone from `path`, and `cleanTemporaries` removes the
 * rest. A link is removed, not followed.
 */
export async function removeDirectoryAtomically(path: string): Promise<void> {
  const id = newId();
  underWay.add(id);
  try {
    const temporary = joinPath(parentPath(path), `.${basePath(path)}.${id}.tmp`);
    await Deno.rename(path, temporary);
    await Deno.remove(temporary, { recursive: true });
  } finally {
    underWay.delete(id);
  }
}

/**
 * Puts a directory in order after a process that wrote into it was killed: completes replacements
 * that were cut off between their renames, and removes temporaries. Writes under way in this
 * process are left alone; do not call it while another process writes there.
 *
 * @returns the paths of the temporaries that were removed or put into place
 */
export async function cleanTemporaries(parent: string): Promise<string[]> {
  const handled: string[] = [];
  if ((await statIfPresent(parent))?.isDirectory !== true) return handled;
  const found: { path: string; base: string; id: string; kind: string }[] = [];
  for await (const { name } of Deno.readDir(parent)) {
    const groups = temporaryName.exec(name)?.groups;
    if (groups === undefined) continue;
    const { base, id, kind } = groups;
    if (!underWay.has(id!)) {
      found.push({ path: joinPath(parent, name), base: base!, id: id!, kind: kind! });
    }
  }
  // A directory set aside exists only once its replacement is complete, so finish the replacement.
  for (const { path, base, id } of found.filter(({ kind }) => kind === "old")) {
    const target = joinPath(parent, base);
    if (await statIfPresent(target) === undefined) {
      const complete = found.find((other) =>
        other.kind === "tmp" && other.id === id && other.base === base
      );
      await Deno.rename(complete?.path ?? path, target);
      await flush(parent);
    }
  }
  for (const { path } of found) {
    await removeIfPresent(path);
    handled.push(path);
  }
  return handled.sort();
}
