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
import { isCommit, isRepositoryId, type Repository } from "./repository.ts";
import type { HubSettings } from "./settings.ts";

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

/** The commit that a revision was when it was last asked for; undefined if it never was. */
export async function cachedCommit(
  paths: CachePaths,
  revision: string,
): Promise<string | undefined> {
  const isThere = async (commit: string) =>
    await statIfPresent(paths.snapshot(commit)) !== undefined ||
    await statIfPresent(paths.tree(commit)) !== undefined;
  if (isCommit(revision) && await isThere(revision)) return revision;
  const commit = (await readTextFileIfPresent(paths.ref(revision)))?.trim();
  return commit !== undefined && /^\w+$/.test(commit) && await isThere(commit) ? commit : undefined;
}

/** Notes which commit a revision is. */
export async function writeRef(paths: CachePaths, revision: string, commit: string): Promise<void> {
  if (revision !== commit) await writeSmall(paths, paths.ref(revision), commit);
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
  await writeSmall(paths, paths.tree(commit), JSON.stringify(list, null, 2));
}

/** Puts a file's content under its name into a commit's directory: as a link, or, where links cannot be, as a copy. */
export async function linkIntoSnapshot(
  paths: CachePaths,
  commit: string,
  { path, digest }: RemoteFile,
): Promise<void> {
  const target = joinPath(paths.snapshot(commit), path);
  const link = `${"../".repeat(1 + path.split("/").length)}blobs/${digest}`;
  try {
    await Deno.mkdir(parentPath(target), { recursive: true });
    if (await Deno.readLink(target).catch(() => null) === link) return;
    await atOnce(paths.root, target, async (beside) => {
      try {
        await Deno.symlink(link, beside);
      } catch (error) {
        if (error instanceof Deno.errors.AlreadyExists) throw error;
        await Deno.copyFile(paths.blob(digest), beside);
      }
    });
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
async function writeSmall({ root }: CachePaths, path: string, text: string): Promise<void> {
  try {
    await Deno.mkdir(parentPath(path), { recursive: true });
    await atOnce(root, path, async (beside) => await Deno.writeTextFile(beside, text));
  } catch (error) {
    throw describeFileError(error, { action: "write", path });
  }
}

/** What `make` makes beside, put in its place. What a killed process leaves is where no one lists files. */
async function atOnce(
  root: string,
  path: string,
  make: (beside: string) => Promise<void>,
): Promise<void> {
  const beside = `${root}/.${crypto.randomUUID()}.tmp`;
  await make(beside);
  await Deno.rename(beside, path);
}

/** Makes the cache know a repository by its own name, and by the one that it was asked for by. */
export async function noteNames(
  cache: string,
  asked: Pick<Repository, "kind" | "id">,
  own: Pick<Repository, "kind" | "id">,
): Promise<void> {
  const { root, folder } = cachePaths(cache, own);
  const isLink = (await Deno.lstat(root).catch(() => undefined))?.isSymlink;
  if (isLink) await Deno.remove(root); // what was once another's old name is a repository again
  if (own.id === asked.id) return;
  await Deno.mkdir(root, { recursive: true });
  // Where links cannot be, an old name is not known without the Hub.
  await Deno.symlink(folder, cachePaths(cache, asked).root).catch(() => {});
}

/** The name under which a repository is in the cache. */
export async function cachedName<R extends Pick<Repository, "kind" | "id">>(
  cache: string,
  asked: R,
): Promise<R> {
  const target = await Deno.readLink(cachePaths(cache, asked).root).catch(() => "");
  const id = target.startsWith(`${asked.kind}s--`)
    ? target.slice(asked.kind.length + 3).replaceAll("--", "/")
    : asked.id;
  return isRepositoryId(id) ? { ...asked, id } : asked;
}

/** The error for what is not in the cache when there is nothing else. */
export function notCached(
  what: string,
  { cache, offline }: Pick<HubSettings, "cache" | "offline">,
): UserError {
  const begun = what[0]!.toUpperCase() + what.slice(1);
  return new UserError(
    `${begun} is not in the cache ${cache}, and ${
      offline
        ? "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids the network"
        : "the Hub does not answer"
    }. Download it once with the network (\`plumb download\`), or give a local path.`,
  );
}
