/** Models as far as their shapes: files of weights of which only the headers are there. @module */

import { UserError } from "../../core/errors.ts";
import { describeFileError, joinPath, parentPath, statIfPresent } from "../files/local_paths.ts";
import { maxHeaderBytes } from "../weights/safetensors_header.ts";
import { cachePaths } from "./cache.ts";
import { explainHubError } from "./errors.ts";
import type { RemoteFile } from "./listing.ts";
import { type Answer, request, withRetries } from "./request.ts";
import { resolvePath } from "./repository.ts";
import type { HubSettings } from "./settings.ts";
import type { HubAccess, OpenRepository } from "./snapshot.ts";

/** Most headers are shorter. */
const firstBytes = 2 ** 16;

/**
 * Gives a directory with a model's files as they are, but of whose safetensors files only the headers hold: behind them
 * are zeros, which take no room. For looking at shapes alone.
 *
 * @param whole Files that have been fetched.
 * @param weights Files of safetensors of which the headers are wanted.
 * @throws {UserError} if a file has no header, or if the network or the disk fails
 */
export async function fetchHeaders(
  settings: HubSettings,
  { repository, commit, directory }: OpenRepository,
  { whole, weights }: {
    readonly whole: readonly RemoteFile[];
    readonly weights: readonly RemoteFile[];
  },
  access: HubAccess,
): Promise<string> {
  const place = `${cachePaths(settings.cache, repository).root}/headers/${commit}`;
  for (const { path } of whole) {
    await put(joinPath(place, path), async (target) => {
      await Deno.symlink(joinPath(directory, path), target).catch(async () =>
        await Deno.copyFile(joinPath(directory, path), target)
      );
    });
  }
  for (const { path, size } of weights) {
    await put(joinPath(place, path), async (target) => {
      const address = resolvePath(repository, commit, path);
      const header = await readHeader(settings, address, size, access)
        .catch((error) => {
          throw explainHubError(error, repository, settings);
        });
      await Deno.writeFile(target, header);
      await Deno.truncate(target, size);
    });
  }
  return place;
}

/** Makes a file beside, and puts it in its place, unless it is there. */
async function put(path: string, make: (beside: string) => Promise<void>): Promise<void> {
  if (await statIfPresent(path) !== undefined) return;
  const beside = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    await Deno.mkdir(parentPath(path), { recursive: true });
    await make(beside);
    await Deno.rename(beside, path);
  } catch (error) {
    throw describeFileError(error, { action: "write", path });
  }
}

/** The header of a safetensors file on the Hub, with its length before it. */
async function readHeader(
  settings: HubSettings,
  address: string,
  size: number,
  { patience, signal }: HubAccess,
): Promise<Uint8Array> {
  const begin = async (length: number) =>
    await withRetries(async () => {
      const answer = await request(settings, address, {
        headers: { "accept-encoding": "identity", range: `bytes=0-${length - 1}` },
        signal,
      });
      return await beginning(answer, length);
    }, { ...(patience && { patience }), signal });
  const first = await begin(Math.min(firstBytes, size));
  const announced = first.length < 8
    ? Infinity
    : 8 + Number(new DataView(first.buffer).getBigUint64(0, true));
  if (announced > Math.min(size, 8 + maxHeaderBytes)) {
    throw new UserError(`${address} is no safetensors file: it does not begin with a header.`);
  }
  return announced <= first.length ? first.subarray(0, announced) : await begin(announced);
}

/** The first bytes of an answer, which may be longer: not every server knows ranges. */
async function beginning(answer: Answer, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  for await (const chunk of answer.chunks()) {
    bytes.set(chunk.subarray(0, length - filled), filled);
    filled += Math.min(chunk.length, length - filled);
    if (filled === length) return bytes;
  }
  throw new Error("the connection ended early");
}
