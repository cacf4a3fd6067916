/** Repositories as local directories: downloaded, or found in the cache. @module */

import { UserError } from "../../core/errors.ts";
import {
  cachedCommit,
  cachedName,
  type CachePaths,
  cachePaths,
  firstMissing,
  linkIntoSnapshot,
  notCached,
  noteNames,
  readTree,
  writeRef,
  writeTree,
} from "./cache.ts";
import { explainHubError } from "./errors.ts";
import { downloadFile } from "./file_download.ts";
import { listRepository, type RemoteFile } from "./listing.ts";
import { HubError, type Patience } from "./request.ts";
import { isCommit, type Repository, repositoryLabel, resolvePath } from "./repository.ts";
import type { HubSettings } from "./settings.ts";

/** Files that are downloaded at a time. */
const parallelFiles = 8;

/** How far a download is. */
export interface DownloadProgress {
  /** Whose files they are. */
  readonly repository: Repository;
  /** Files that are there, and that are wanted. */
  readonly files: { readonly done: number; readonly total: number };
  /** Bytes that are there, that are wanted, and that have arrived over the network. */
  readonly bytes: { readonly done: number; readonly total: number; readonly arrived: number };
}

/** How a repository is asked for. */
export interface HubAccess {
  /** Told as bytes arrive, and at the end; never for what was there already. */
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** Told what a user should know: that the network was out of reach and the cache served. */
  readonly onNotice?: ((text: string) => void) | undefined;
  /** How persistent it is. */
  readonly patience?: Patience;
  /** Ends it; what has come stays for the next time. */
  readonly signal?: AbortSignal | undefined;
}

/** What is downloaded and how. */
export interface SnapshotOptions extends HubAccess {
  /** The files that are needed, of all there are; all by default. */
  readonly select?: (files: readonly RemoteFile[]) => readonly RemoteFile[];
}

/** A repository at a commit, of which files can be had. */
export interface OpenRepository {
  /** The repository by the Hub's own name for it. */
  readonly repository: Repository;
  /** Its commit. */
  readonly commit: string;
  /** All its files. */
  readonly files: readonly RemoteFile[];
  /** Where {@link fetch} puts them, by their paths. */
  readonly directory: string;
  /**
   * Brings files into the cache, those that are there already left alone.
   *
   * @throws {UserError} as {@link downloadSnapshot}
   */
  readonly fetch: (files: readonly RemoteFile[], access?: HubAccess) => Promise<void>;
}

/** A repository in a local directory. */
export interface LocalSnapshot extends Pick<OpenRepository, "repository" | "commit" | "directory"> {
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
  { select = (every) => every, ...access }: SnapshotOptions = {},
): Promise<LocalSnapshot> {
  const { repository, commit, directory, files, fetch } = await openRepository(
    settings,
    asked,
    access,
  );
  const selected = select(files);
  await fetch(selected, access);
  return { repository, commit, directory, files: selected };
}

/**
 * Finds out what a repository holds: from the Hub, or, where the network must not be used or does not answer, from
 * the cache. A whole commit that the cache knows is not asked for again, because it cannot change.
 *
 * @throws {UserError} as {@link downloadSnapshot}
 */
export async function openRepository(
  settings: HubSettings,
  asked: Repository,
  access: HubAccess = {},
): Promise<OpenRepository> {
  if (settings.offline) return await openCached(settings, asked);
  if (isCommit(asked.revision)) {
    const known = await openListed(settings, asked);
    if (known !== undefined) return known;
  }
  try {
    return await openOnHub(settings, asked, access);
  } catch (error) {
    const explained = explainHubError(error, asked, settings);
    const unreachable = explained instanceof UserError && !(error instanceof UserError) &&
      !(error instanceof HubError);
    if (!unreachable || access.signal?.aborted) throw explained;
    const cached = await openCached(settings, asked).catch(() => undefined);
    if (cached === undefined) throw explained;
    access.onNotice?.(
      `${explained.message} Until then ${
        repositoryLabel(asked)
      } is taken from the cache, at commit ${cached.commit.slice(0, 8)}.`,
    );
    return cached;
  }
}

async function openOnHub(
  settings: HubSettings,
  asked: Repository,
  access: HubAccess,
): Promise<OpenRepository> {
  const { repository, commit, files } = await listRepository(settings, asked, access);
  const paths = cachePaths(settings.cache, repository);
  await noteNames(settings.cache, asked, repository);
  await writeTree(paths, commit, files);
  await writeRef(paths, repository.revision, commit);
  return listed(settings, { repository, commit, files, paths });
}

/** A repository whose list of files is in the cache. */
async function openListed(
  settings: HubSettings,
  asked: Repository,
): Promise<OpenRepository | undefined> {
  const repository = await cachedName(settings.cache, asked);
  const paths = cachePaths(settings.cache, repository);
  const files = await readTree(paths, asked.revision);
  return files && listed(settings, { repository, commit: asked.revision, files, paths });
}

/** A repository whose files are known, and can be fetched. */
function listed(
  settings: HubSettings,
  { repository, commit, files, paths }: Found & { readonly paths: CachePaths },
): OpenRepository {
  return {
    repository,
    commit,
    files,
    directory: paths.snapshot(commit),
    fetch: async (wanted, access = {}) => {
      if (await firstMissing(paths, commit, wanted) === undefined) return;
      try {
        await fetchFiles(settings, repository, { commit, files: wanted, paths }, access);
      } catch (error) {
        throw explainHubError(error, repository, settings);
      }
    },
  };
}

/** A repository that was found. */
type Found = Pick<OpenRepository, "repository" | "commit" | "files">;

async function fetchFiles(
  settings: HubSettings,
  repository: Repository,
  { commit, files, paths }: {
    readonly commit: string;
    readonly files: readonly RemoteFile[];
    readonly paths: CachePaths;
  },
  { onProgress, ...rest }: HubAccess,
): Promise<void> {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  let [bytes, arrived, done] = [0, 0, 0];
  const tell = () =>
    onProgress?.({
      repository,
      files: { done, total: files.length },
      bytes: { done: bytes, total, arrived },
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
        onBytes: (count, isNew) => {
          bytes += count;
          if (isNew) arrived += count;
          tell();
        },
      });
      await linkIntoSnapshot(paths, commit, file);
      done++;
      tell();
    }
  };
  const workers = Array.from({ length: Math.min(parallelFiles, files.length) }, work);
  try {
    await Promise.all(workers);
  } catch (error) {
    stop.abort(error);
    await Promise.allSettled(workers);
    throw error;
  }
}

/** A repository of which only what is in the cache can be had. */
async function openCached(settings: HubSettings, asked: Repository): Promise<OpenRepository> {
  const what = `the ${asked.kind} "${repositoryLabel(asked)}"`;
  const repository = await cachedName(settings.cache, asked);
  const paths = cachePaths(settings.cache, repository);
  const commit = await cachedCommit(paths, repository.revision);
  if (commit === undefined) throw notCached(what, settings);
  const directory = paths.snapshot(commit);
  const list = await readTree(paths, commit);
  return {
    repository,
    commit,
    directory,
    files: list ?? await filesIn(directory),
    fetch: async (wanted) => {
      const missing = list && await firstMissing(paths, commit, wanted);
      if (missing) throw notCached(`"${missing.path}" of ${what}`, settings);
    },
  };
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
