/** What a repository holds. @module */

import { UserError } from "../../core/errors.ts";
import { isRecord } from "../files/json_files.ts";
import { type Patience, request, withRetries } from "./request.ts";
import { interfacePath, type Repository } from "./repository.ts";
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
  const json = async (path: string) =>
    await withRetries(async () => {
      const response = await request(settings, path, { signal: options.signal });
      return { body: parsed(await response.text(), path), link: response.headers.get("link") };
    }, options);
  const { body: about } = await json(
    `${interfacePath(asked)}/revision/${encodeURIComponent(asked.revision)}`,
  );
  if (!isRecord(about) || typeof about["sha"] !== "string" || !/^\w+$/.test(about["sha"])) {
    throw unreadable(`${asked.id} has no commit`);
  }
  const id = typeof about["id"] === "string" ? about["id"] : asked.id;
  const repository = { ...asked, id };
  const commit = about["sha"];
  const files: RemoteFile[] = [];
  let next: string | undefined = `${interfacePath(repository)}/tree/${commit}?recursive=true`;
  while (next !== undefined) {
    const { body, link } = await json(next);
    if (!Array.isArray(body)) throw unreadable(`the list of files of ${id} is no list`);
    for (const entry of body) {
      const file = fileOf(entry);
      if (file !== undefined) files.push(file);
    }
    next = nextPage(link);
  }
  return { repository, commit, files };
}

function parsed(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw unreadable(`${path} is not JSON`);
  }
}

/** The next page, of a header such as `<https://…>; rel="next"`. */
function nextPage(link: string | null): string | undefined {
  return link?.match(/<([^>]+)>\s*;\s*rel="?next"?/)?.[1];
}

function fileOf(entry: unknown): RemoteFile | undefined {
  if (!isRecord(entry)) throw unreadable("a file is no object");
  if (entry["type"] !== "file") return undefined;
  const { path, size, oid, lfs } = entry;
  if (typeof path !== "string" || typeof size !== "number" || !Number.isSafeInteger(size)) {
    throw unreadable("a file has no path or size");
  }
  // The list comes from elsewhere: no path of it may lead out of its directory.
  if (path === "" || /^[/\\]|^[A-Za-z]:|\\|\0|(^|\/)\.{0,2}(\/|$)/.test(path)) {
    throw unreadable(`the path ${JSON.stringify(path)} is none inside a repository`);
  }
  const large = isRecord(lfs) ? lfs["oid"] ?? lfs["sha256"] : undefined;
  const digest = String(large ?? oid).replace(/^sha256:/, "");
  if (!(large === undefined ? /^[0-9a-f]{40}$/ : /^[0-9a-f]{64}$/).test(digest)) {
    throw unreadable(`"${path}" has no digest`);
  }
  return {
    path,
    size: isRecord(lfs) && typeof lfs["size"] === "number" ? lfs["size"] : size,
    digest,
    algorithm: large === undefined ? "git-sha1" : "sha256",
  };
}

function unreadable(why: string): UserError {
  return new UserError(`The Hub's answer cannot be understood: ${why}. Check HF_ENDPOINT.`);
}
