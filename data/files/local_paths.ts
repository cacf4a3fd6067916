/**
 * What to say about paths: names close to a mistyped one, Hub ids in the place of local paths, and
 * system errors as errors a user can act on.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";

/** The directory part and the last part of a path. */
function splitPath(path: string): { readonly parent: string; readonly base: string } {
  const trimmed = path.replace(/(?<=.)[/\\]+$/, "");
  const cut = Math.max(
    trimmed.lastIndexOf("/"),
    Deno.build.os === "windows" ? trimmed.lastIndexOf("\\") : -1,
  );
  if (cut < 0) return { parent: ".", base: trimmed };
  return { parent: cut === 0 ? "/" : trimmed.slice(0, cut), base: trimmed.slice(cut + 1) };
}

/** The directory that holds `path`; "." for a bare name. */
export function parentPath(path: string): string {
  return splitPath(path).parent;
}

/** The last part of `path`, without trailing separators. */
export function basePath(path: string): string {
  return splitPath(path).base;
}

/** `parent` and `child` with one separator between them. */
export function joinPath(parent: string, child: string): string {
  if (parent === "" || parent === ".") return child;
  return parent.endsWith("/") ? `${parent}${child}` : `${parent}/${child}`;
}

/** What is at `path`, following links; `undefined` where nothing is. */
export async function statIfPresent(path: string): Promise<Deno.FileInfo | undefined> {
  // No name of a file holds it, and Deno takes it for a fault of the program.
  if (path.includes("\0")) return undefined;
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    throw describeFileError(error, { action: "read", path });
  }
}

/** Levenshtein distance: the least number of inserted, deleted and replaced characters. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

/** Up to three of `candidates` that `name` may have been meant to be, the nearest first. */
export function nearNames(name: string, candidates: Iterable<string>): string[] {
  const wanted = name.toLowerCase();
  // Two swapped letters are a distance of 2.
  const limit = wanted.length < 4 ? 1 : Math.max(2, Math.floor(wanted.length / 3));
  return Array.from(candidates, (candidate) => {
    const other = candidate.toLowerCase();
    const contained = Math.min(wanted.length, other.length) >= 3 &&
      (other.startsWith(wanted) || wanted.startsWith(other));
    return { candidate, distance: contained ? 1 : editDistance(wanted, other) };
  })
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

/**
 * The error for a path at which nothing was found, with names near it in its directory.
 *
 * @param what What was looked for, as in "dataset" or "model".
 */
export async function missingPathError(path: string, what: string): Promise<UserError> {
  const { parent, base } = splitPath(path);
  const parentPresent = (await statIfPresent(parent))?.isDirectory === true;
  if (!parentPresent) {
    return new UserError(
      `Cannot find the ${what} "${path}": its directory "${parent}" does not exist. Check the ` +
        `path; relative paths start from ${Deno.cwd()}.`,
    );
  }
  return new UserError(
    `Cannot find the ${what} "${path}": there is no such file or directory` +
      `${didYouMean(await nearEntries(parent, base))}. Check the path; relative paths start from ` +
      `${Deno.cwd()}.`,
  );
}

/** Up to three entries of a directory that a name may have been meant to be. */
export async function nearEntries(parent: string, base: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(parent), (entry) => entry.name);
  return nearNames(base, entries).map((name) => joinPath(parent, name));
}

function didYouMean(near: readonly string[]): string {
  return near.length === 0 ? "" : ` (did you mean ${near.map((n) => `"${n}"`).join(" or ")}?)`;
}

/**
 * A system error about a file (missing, not permitted, disk full, …) as a `UserError` that names
 * it; any other error unchanged.
 */
export function describeFileError(
  error: unknown,
  { action, path }: { readonly action: "read" | "write"; readonly path: string },
): unknown {
  if (error instanceof UserError || !(error instanceof Error)) return error;
  const refused = (reason: string) =>
    new UserError(`Cannot ${action} ${path}: ${reason}`, { cause: error });
  if (error instanceof Deno.errors.NotFound) {
    return refused(
      action === "read" ? "there is no such file." : "its directory does not exist.",
    );
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return refused("permission denied. Check the owner and mode of the file and its directory.");
  }
  if (error instanceof Deno.errors.NotCapable) {
    return refused(`Deno was not allowed to (${error.message}). Run it with -A.`);
  }
  if (error instanceof Deno.errors.IsADirectory) return refused("it is a directory, not a file.");
  if (/\(os error (28|122)\)/.test(error.message)) {
    return refused("the disk or the quota is full. Free some space and run again.");
  }
  return /\(os error \d+\)/.test(error.message) ? refused(`${error.message}.`) : error;
}
