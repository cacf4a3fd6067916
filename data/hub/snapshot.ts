/** Repositories as local directories: downloaded, or found in the cache. @module */

import { UserError } from "../../core/errors.ts";
import {
  cachedCommit,
  type CachePaths,
  cachePaths,
  firstMissing,
  linkIntoSnapshot,
  notCached,
  readTree,
  writeRef,
  writeTree,
} from "./cache.ts";
import { explainHubError } from "./errors.ts";
import { downloadFile } from "./file_download.ts";
import { listRepository, type RemoteFile } from "./listing.ts";
import { HubError, type Patience } from "./request.ts";
import { type Repository, repositoryLabel, resolvePath } from "./repository.ts";
import type { HubSettings } from "./settings.ts";

/** How far a download is. */
export interface DownloadProgress {
  /** Whose files they are. */
  readonly repository: Repository;
  /** Files that are there, and that are wanted. */
  readonly files: { readonly done: number; readonly total: number };
  /** Bytes that are there, and that are wanted. */
  readonly bytes: { readonly done: number; readonly total: number };
}

/** What is downloaded and how. */
export interface SnapshotOptions {
  /** The files that are needed, of all there are; all by default. */
  readonly select?: (files: readonly RemoteFile[]) => readonly RemoteFile[];
  /** Told as bytes arrive, and at the end; never for what was there already. */
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** Told what a user should know: that the network was out of reach and the cache served. */
  readonly onNotice?: (text: string) => void;
  /** Files at a time. */
  readonly parallel?: number;
  /** How persistent it is. */
  readonly patience?: Patience;
  /** Ends it; what has come stays for the next time. */
  readonly signal?: AbortSignal | undefined;
}

/** A repository in a local directory. */
export interface LocalSnapshot {
  /** The directory. */
  readonly directory: string;
  /** Its commit. */
  readonly commit: string;
  /** The repository by the Hub's own name for it. */
  readonly repository: Repository;
  /** The files that were asked for. */
  readonly files: readonly RemoteFile[];
}

/**
 * Brings the wanted files of a repository into the cache, and gives their directory.
 *
 * @throws {UserError} if there is no such repository or revision, if it needs a login, if the network or the disk
 *   fails, if files arrive damaged, or if the network must not be used and files are missing
 */
export async function downloadSnapshot(
  settings: HubSettings,
  asked: Repository,
  options: SnapshotOptions = {},
): Promise<LocalSnapshot> {
  if (settings.offline) return await fromCache(settings, asked, options);
  try {
    return await fromHub(settings, asked, options);
  } catch (error) {
    const explained = explainHubError(error, asked, settings);
    const unreachable = explained instanceof UserError && !(error instanceof UserError) &&
      !(error instanceof HubError);
    if (!unreachable || options.signal?.aborted) throw explained;
    const cached = await fromCache(settings, asked, options).catch(() => undefined);
    if (cached === undefined) throw explained;
    options.onNotice?.(
      `${explained.message} Until then ${
        repositoryLabel(asked)
      } is taken from the cache, at commit ${cached.commit.slice(0, 8)}.`,
    );
    return cached;
  }
}

async function fromHub(
  settings: HubSettings,
  asked: Repository,
  options: SnapshotOptions,
): Promise<LocalSnapshot> {
  const { repository, commit, files: all } = await listRepository(settings, asked, options);
  const files = (options.select ?? ((every) => every))(all);
  const paths = cachePaths(settings.cache, repository);
  if (await firstMissing(paths, commit, files) !== undefined) {
    await fetchFiles(settings, repository, { commit, files, paths }, options);
  }
  await writeTree(paths, commit, all);
  await writeRef(paths, repository.revision, commit);
  // Who comes by an old name finds it offline too.
  if (repository.id !== asked.id) await aliasTo(settings, asked, repository);
  return { directory: paths.snapshot(commit), commit, repository, files };
}

async function fetchFiles(
  settings: HubSettings,
  repository: Repository,
  { commit, files, paths }: {
    readonly commit: string;
    readonly files: readonly RemoteFile[];
    readonly paths: CachePaths;
  },
  { onProgress, parallel = 8, ...rest }: SnapshotOptions,
): Promise<void> {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  let [bytes, done] = [0, 0];
  const tell = () =>
    onProgress?.({
      repository,
      files: { done, total: files.length },
      bytes: { done: bytes, total },
    });
  // The first failure ends the others; each keeps what it has for the next time.
  const stop = new AbortController();
  const signal = rest.signal ? AbortSignal.any([rest.signal, stop.signal]) : stop.signal;
  const waiting = files.values();
  const work = async () => {
    for (const file of waiting) {
      signal.throwIfAborted();
      await downloadFile(settings, resolvePath(repository, commit, file.path), file, paths, {
        ...rest,
        signal,
        onBytes: (count) => {
          bytes += count;
          tell();
        },
      });
      await linkIntoSnapshot(paths, commit, file);
      done++;
      tell();
    }
  };
  const workers = Array.from({ length: Math.min(parallel, files.length) }, work);
  try {
    await Promise.all(workers);
  } catch (error) {
    stop.abort(error);
    await Promise.allSettled(workers);
    throw error;
  }
}

async function fromCache(
  settings: HubSettings,
  asked: Repository,
  { select = (every) => every }: SnapshotOptions,
): Promise<LocalSnapshot> {
  const what = `${asked.kind === "model" ? "The model" : "The dataset"} "${
    repositoryLabel(asked)
  }"`;
  const repository = await aliasOf(settings, asked);
  const paths = cachePaths(settings.cache, repository);
  const commit = await cachedCommit(paths, repository.revision);
  if (commit === undefined) throw notCached(what, settings.cache);
  const directory = paths.snapshot(commit);
  const listed = await readTree(paths, commit);
  const files = select(listed ?? await filesIn(directory));
  const missing = listed && await firstMissing(paths, commit, files);
  if (missing) throw notCached(`"${missing.path}" of ${what.toLowerCase()}`, settings.cache);
  return { directory, commit, repository, files };
}

/** The files that Python left in a snapshot without a list of them. */
async function filesIn(directory: string, below = ""): Promise<RemoteFile[]> {
  const files: RemoteFile[] = [];
  for await (const { name, isDirectory } of Deno.readDir(`${directory}/${below}`)) {
    const path = below + name;
    if (isDirectory) files.push(...await filesIn(directory, `${path}/`));
    else {
      const { size } = await Deno.stat(`${directory}/${path}`);
      files.push({ path, size, digest: "", algorithm: "git-sha1" });
    }
  }
  return files.sort((a, b) => a.path < b.path ? -1 : 1);
}

/** Notes that a repository is now known by another name. */
async function aliasTo(settings: HubSettings, old: Repository, now: Repository): Promise<void> {
  const { root } = cachePaths(settings.cache, old);
  await Deno.mkdir(root, { recursive: true });
  await Deno.writeTextFile(`${root}/renamed`, now.id);
}

async function aliasOf(settings: HubSettings, asked: Repository): Promise<Repository> {
  const { root } = cachePaths(settings.cache, asked);
  const id = await Deno.readTextFile(`${root}/renamed`).catch(() => asked.id);
  return { ...asked, id: id.trim() };
}
