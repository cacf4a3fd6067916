/** What a repository holds. @module */

import { UserError } from "../../core/errors.ts";
import { isRecord } from "../files/json_files.ts";
import { type Asker, type Patience, request, withRetries } from "./request.ts";
import { interfacePath, isRepositoryId, type Repository } from "./repository.ts";
import type { HubSettings } from "./settings.ts";

/** A file of a repository. */
export interface RemoteFile {
  /** Its path in the repository. */
  readonly path: string;
  /** Its length in bytes. */
  readonly size: number;
  /** The digest of its content, which is its name in the cache. */
  readonly digest: string;
  /** How the digest is made: sha256 of the bytes, or git's sha1 of a blob. */
  readonly algorithm: "sha256" | "git-sha1";
}

/** A repository at a commit. */
export interface Snapshot {
  /** The repository; its id is the Hub's own, to which names of old lead. */
  readonly repository: Repository;
  /** The commit of its revision. */
  readonly commit: string;
  /** Its files. */
  readonly files: readonly RemoteFile[];
}

/** No repository has more files; a list without end would fill the memory. */
const mostFiles = 1_000_000;

/**
 * Asks the Hub for a repository's commit and files.
 *
 * @throws {HubError} if the Hub refuses; {UserError} if its answer cannot be understood
 */
export async function listRepository(
  settings: HubSettings,
  asked: Repository,
  options: { readonly patience?: Patience; readonly signal?: AbortSignal | undefined } = {},
): Promise<Snapshot> {
  const json = async (path: string) => await askJson(settings, path, options);
  const { body: about } = await json(
    `${interfacePath(asked)}/revision/${encodeURIComponent(asked.revision)}`,
  );
  if (!isRecord(about) || typeof about["sha"] !== "string" || !/^\w+$/.test(about["sha"])) {
    throw unreadable(`${asked.id} has no commit`);
  }
  const id = typeof about["id"] === "string" ? about["id"] : asked.id;
  if (!isRepositoryId(id)) throw unreadable(`${JSON.stringify(id)} is no repository's name`);
  const repository = { ...asked, id };
  const commit = about["sha"];
  const files: RemoteFile[] = [];
  const asks = new Set<string>();
  let next: string | undefined = `${interfacePath(repository)}/tree/${commit}?recursive=true`;
  while (next !== undefined) {
    asks.add(next);
    const { body, more } = await json(next);
    if (!Array.isArray(body)) throw unreadable(`the list of files of ${id} is no list`);
    for (const entry of body) {
      const file = fileOf(entry);
      if (file !== undefined) files.push(file);
    }
    if (files.length + asks.size > mostFiles || (more !== undefined && asks.has(more))) {
      throw unreadable(`the list of files of ${id} has no end`);
    }
    next = more;
  }
  return { repository, commit, files };
}

/**
 * Asks the Hub something that it answers in JSON; `more` is the address of the rest, where the answer is only a page.
 *
 * @throws {HubError} if the Hub refuses; {UserError} if its answer is not JSON
 */
export async function askJson(
  settings: Asker,
  path: string,
  options: { readonly patience?: Patience; readonly signal?: AbortSignal | undefined } = {},
): Promise<{ readonly body: unknown; readonly more: string | undefined }> {
  return await withRetries(async () => {
    const answer = await request(settings, path, { signal: options.signal });
    return {
      body: parsed(await answer.text(), path),
      more: nextPage(answer.headers.get("link"), answer.address),
    };
  }, options);
}

function parsed(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw unreadable(`${path} is not JSON`);
  }
}

/** The next page, of a header such as `<https://…>; rel="next"`. */
function nextPage(link: string | null, from: URL): string | undefined {
  const next = link?.match(/<([^>]+)>\s*;\s*rel="?next"?/)?.[1];
  if (next === undefined) return undefined;
  if (!URL.canParse(next, from.href)) throw unreadable("its next page has no address");
  return new URL(next, from).href;
}

/** A file of a list. @throws {UserError} if it is none, or has a path that leads out of the repository */
function fileOf(entry: unknown): RemoteFile | undefined {
  if (!isRecord(entry)) throw unreadable("a file is no object");
  if (entry["type"] !== "file") return undefined;
  const { path, size, oid, lfs } = entry;
  const bytes = isRecord(lfs) && typeof lfs["size"] === "number" ? lfs["size"] : size;
  if (typeof path !== "string" || !Number.isSafeInteger(bytes) || Number(bytes) < 0) {
    throw unreadable("a file has no path or size");
  }
  if (!isInside(path)) {
    throw unreadable(`the path ${JSON.stringify(path)} is none inside a repository`);
  }
  const large = isRecord(lfs) ? lfs["oid"] ?? lfs["sha256"] : undefined;
  const digest = String(large ?? oid).replace(/^sha256:/, "");
  if (!(large === undefined ? /^[0-9a-f]{40}$/ : /^[0-9a-f]{64}$/).test(digest)) {
    throw unreadable(`"${path}" has no digest`);
  }
  return {
    path,
    size: Number(bytes),
    digest,
    algorithm: large === undefined ? "git-sha1" : "sha256",
  };
}

/** The list comes from elsewhere: no path of it may lead out of its directory, or write on a terminal. */
function isInside(path: string): boolean {
  // deno-lint-ignore no-control-regex -- those are meant
  const odd = /^[/\\]|^[A-Za-z]:|\\|[\x00-\x1f\x7f-\x9f]|(^|\/)\.{0,2}(\/|$)/;
  return path.length <= 4096 && !odd.test(path);
}

function unreadable(why: string): UserError {
  return new UserError(`The Hub's answer cannot be understood: ${why}. Check HF_ENDPOINT.`);
}
