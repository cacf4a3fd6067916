/** The download of one file: it goes on where an earlier one was cut, is checked, and appears whole. @module */

import { createHash, type Hash } from "node:crypto";
import { UserError } from "../../core/errors.ts";
import { describeFileError, parentPath, statIfPresent } from "../files/local_paths.ts";
import type { CachePaths } from "./cache.ts";
import type { RemoteFile } from "./listing.ts";
import { withLock } from "./lock.ts";
import { defaultPatience, HubError, type Patience, request, withRetries } from "./request.ts";
import type { HubSettings } from "./settings.ts";

/** How a download goes and what it tells. */
export interface FileDownloadOptions {
  /**
   * Told the change of the number of bytes that are there, negative where some had to be thrown away, and whether they
   * arrived just now.
   */
  readonly onBytes?: (bytes: number, arrived: boolean) => void;
  /** How persistent it is. */
  readonly patience?: Patience;
  /** Ends it; what has come stays for the next time. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Downloads a file's content into the cache, unless it is there.
 *
 * Several processes may want the same: one downloads, the others wait for it.
 *
 * @param address The path of the file on the Hub.
 * @throws {UserError} if what arrives is not what the Hub's list promises
 */
export async function downloadFile(
  settings: HubSettings,
  address: string,
  file: RemoteFile,
  paths: CachePaths,
  options: FileDownloadOptions = {},
): Promise<void> {
  const { onBytes = () => {}, signal } = options;
  const target = paths.blob(file.digest);
  const isThere = async () => (await statIfPresent(target))?.size === file.size;
  if (await isThere()) return onBytes(file.size, false);
  const partial = `${target}.incomplete`;
  try {
    await Deno.mkdir(parentPath(target), { recursive: true });
    await withLock(paths.lock(file.digest), async () => {
      if (await isThere()) return onBytes(file.size, false);
      await fetchChecked(settings, address, file, partial, options);
      await Deno.rename(partial, target);
    }, signal);
  } catch (error) {
    throw describeFileError(error, { action: "write", path: target });
  }
}

/** Fetches into `path` until it holds the promised bytes; a second time if they are others. */
async function fetchChecked(
  settings: HubSettings,
  address: string,
  file: RemoteFile,
  path: string,
  options: FileDownloadOptions,
): Promise<void> {
  const { onBytes = () => {}, patience = defaultPatience, signal } = options;
  for (let attempt = 1;; attempt++) {
    using received = await openReceived(path, file, onBytes);
    // A server that begins anew each time and never comes further makes no progress.
    let furthest = received.length();
    if (received.length() < file.size) {
      await withRetries(async (progressed) => {
        for await (const chunk of rest(settings, address, received, signal)) {
          received.add(chunk);
          if (received.length() <= furthest) continue;
          furthest = received.length();
          progressed();
        }
        if (received.length() < file.size) throw new Error("the connection ended early");
      }, { patience, signal });
    }
    if (received.digest() === file.digest) return await received.finish();
    received.clear();
    if (attempt === 2) {
      throw new UserError(
        `"${file.path}" arrived damaged twice: its ${file.algorithm} is not ${file.digest}. What came was thrown ` +
          "away; try again later, or from another network.",
      );
    }
  }
}

/** The bytes that are still missing, as they come. */
async function* rest(
  settings: HubSettings,
  address: string,
  received: Received,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const from = received.length();
  const answer = await request(settings, address, {
    headers: { "accept-encoding": "identity", ...from > 0 ? { range: `bytes=${from}-` } : {} },
    signal,
  }).catch((error) => {
    if (!(error instanceof HubError && error.status === 416)) throw error;
    received.clear();
    throw new Error("the server has fewer bytes than were there");
  });
  if (from > 0) {
    const begins = answer.headers.get("content-range")?.match(/^bytes (\d+)-/)?.[1];
    if (answer.status !== 206 || Number(begins) !== from) {
      // A server that knows no ranges sends all of it.
      received.clear();
      if (answer.status !== 200) {
        await answer.cancel();
        throw new Error("the server sent another part than was asked for");
      }
    }
  }
  yield* answer.chunks();
}

/** A file that is being received, and the digest of what it holds so far. */
interface Received {
  readonly length: () => number;
  readonly add: (bytes: Uint8Array) => void;
  readonly clear: () => void;
  readonly digest: () => string;
  readonly finish: () => Promise<void>;
  readonly [Symbol.dispose]: () => void;
}

async function openReceived(
  path: string,
  { size, algorithm }: RemoteFile,
  onBytes: (bytes: number, arrived: boolean) => void,
): Promise<Received> {
  const file = await Deno.open(path, { read: true, write: true, create: true });
  const fresh = () =>
    algorithm === "sha256" ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
  let hash: Hash = fresh();
  let length = 0;
  const clear = () => {
    onBytes(-length, false);
    file.truncateSync(0);
    file.seekSync(0, Deno.SeekMode.Start);
    [hash, length] = [fresh(), 0];
  };
  // What an earlier download left is read once, for its digest.
  const buffer = new Uint8Array(1 << 20);
  for (let count = await file.read(buffer); count !== null; count = await file.read(buffer)) {
    hash.update(buffer.subarray(0, count));
    length += count;
  }
  onBytes(length, false);
  if (length > size) clear();
  return {
    length: () => length,
    add: (bytes) => {
      if (length + bytes.length > size) {
        clear();
        throw new Error("more bytes came than the file has");
      }
      for (let written = 0; written < bytes.length;) {
        written += file.writeSync(bytes.subarray(written));
      }
      hash.update(bytes);
      length += bytes.length;
      onBytes(bytes.length, true);
    },
    clear,
    digest: () => hash.copy().digest("hex"),
    finish: () => file.sync(),
    [Symbol.dispose]: () => file.close(),
  };
}
