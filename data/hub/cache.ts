/**
 * The cache of downloaded repositories, in the layout of Python's `huggingface_hub`, so that either finds what the
 * other downloaded: `models--org--name/{refs/<revision>, snapshots/<commit>/<path>, blobs/<digest>, trees/<commit>.json}`.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { isRecord, readTextFileIfPresent } from "../files/json_files.ts";
import { describeFileError, joinPath, parentPath, statIfPresent } from "../files/local_paths.ts";
import type { RemoteFile } from "./listing.ts";
import type { Repository } from "./repository.ts";

/** Where a repository's files are. */
export interface CachePaths {
  /** The repository's directory. */
  readonly root: string;
  /** The name of that directory. */
  readonly folder: string;
  /** The commit of a revision. */
  readonly ref: (revision: string) => string;
  /** The files of a commit, by their own names. */
  readonly snapshot: (commit: string) => string;
  /** A file's content, by its digest. */
  readonly blob: (digest: string) => string;
  /** The list of a commit's files. */
  readonly tree: (commit: string) => string;
  /** The lock of a download. */
  readonly lock: (digest: string) => string;
}

/** The paths of a repository in a cache. */
export function cachePaths(
  cache: string,
  { kind, id }: Pick<Repository, "kind" | "id">,
): CachePaths {
  const folder = `${kind}s--${id.replaceAll("/", "--")}`;
  const root = joinPath(cache, folder);
  return {
    root,
    folder,
    ref: (revision) => `${root}/refs/${revision}`,
    snapshot: (commit) => `${root}/snapshots/${commit}`,
    blob: (digest) => `${root}/blobs/${digest}`,
    tree: (commit) => `${root}/trees/${commit}.json`,
    lock: (digest) => joinPath(cache, `.locks/${folder}/${digest}.lock`),
  };
}

/** The commit that a revision was when it was last downloaded; undefined if it never was. */
export async function cachedCommit(
  paths: CachePaths,
  revision: string,
): Promise<string | undefined> {
  if (/^[0-9a-f]{40}$/.test(revision) && await statIfPresent(paths.snapshot(revision))) {
    return revision;
  }
  if (/(^|\/)\.\.?(\/|$)/.test(revision)) return undefined;
  const commit = (await readTextFileIfPresent(paths.ref(revision)))?.trim();
  return commit !== undefined && /^\w+$/.test(commit) && await statIfPresent(paths.snapshot(commit))
    ? commit
    : undefined;
}

/** Notes which commit a revision is. */
export async function writeRef(paths: CachePaths, revision: string, commit: string): Promise<void> {
  if (revision !== commit) await writeSmall(paths.ref(revision), commit);
}

/** The files of a commit, as its list in the cache says; undefined where there is no readable list. */
export async function readTree(
  paths: CachePaths,
  commit: string,
): Promise<readonly RemoteFile[] | undefined> {
  const text = await readTextFileIfPresent(paths.tree(commit));
  if (text === undefined) return undefined;
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    return undefined; // cut off: it can be asked for again
  }
  if (!isRecord(list) || list["format_version"] !== 1 || !isRecord(list["files"])) return undefined;
  const files: RemoteFile[] = [];
  for (const [path, about] of Object.entries(list["files"])) {
    if (!isRecord(about)) return undefined;
    const { size, blob_id, lfs_sha256, lfs_size } = about;
    const large = typeof lfs_sha256 === "string";
    files.push({
      path,
      size: Number(large ? lfs_size : size),
      digest: String(large ? lfs_sha256 : blob_id),
      algorithm: large ? "sha256" : "git-sha1",
    });
  }
  return files;
}

/** Keeps the list of a commit's files, in Python's form. */
export async function writeTree(
  paths: CachePaths,
  commit: string,
  files: readonly RemoteFile[],
): Promise<void> {
  const entries = files.map(({ path, size, digest, algorithm }) => [
    path,
    algorithm === "sha256"
      ? { size, blob_id: digest, lfs_sha256: digest, lfs_size: size }
      : { size, blob_id: digest },
  ]);
  const list = { format_version: 1, files: Object.fromEntries(entries.sort()) };
  await writeSmall(paths.tree(commit), JSON.stringify(list, null, 2));
}

/** Puts a file's content under its name into a commit's directory: as a link, or, where links cannot be, as a copy. */
export async function linkIntoSnapshot(
  paths: CachePaths,
  commit: string,
  { path, digest }: RemoteFile,
): Promise<void> {
  const target = joinPath(paths.snapshot(commit), path);
  const parent = parentPath(target);
  const up = "../".repeat(2 + path.split("/").length - 1);
  const beside = `${target}.${crypto.randomUUID()}.tmp`;
  try {
    await Deno.mkdir(parent, { recursive: true });
    try {
      await Deno.symlink(`${up}blobs/${digest}`, beside);
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) throw error;
      await Deno.copyFile(paths.blob(digest), beside);
    }
    await Deno.rename(beside, target);
  } catch (error) {
    throw describeFileError(error, { action: "write", path: target });
  }
}

/** The directory of a download lacks one of these files; undefined if it has them all. */
export async function firstMissing(
  paths: CachePaths,
  commit: string,
  files: readonly RemoteFile[],
): Promise<RemoteFile | undefined> {
  for (const file of files) {
    const present = await statIfPresent(joinPath(paths.snapshot(commit), file.path));
    if (present?.size !== file.size) return file;
  }
  return undefined;
}

/** Writes a small file at once, so that no one reads half of it. */
async function writeSmall(path: string, text: string): Promise<void> {
  const beside = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    await Deno.mkdir(parentPath(path), { recursive: true });
    await Deno.writeTextFile(beside, text);
    await Deno.rename(beside, path);
  } catch (error) {
    throw describeFileError(error, { action: "write", path });
  }
}

/** The error for what is not in the cache when the network must not be used. */
export function notCached(what: string, cache: string): UserError {
  return new UserError(
    `${what} is not in the cache ${cache}, and HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids the network. Download ` +
      "it once without that variable (`plumb download`), or give a local path.",
  );
}
