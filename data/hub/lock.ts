/** Locks between processes: files that the operating system locks, so that they end with their holder. @module */

import { parentPath } from "../files/local_paths.ts";

/** Runs `body` while no other process holds the lock; waits for it until then. */
export async function withLock<T>(
  path: string,
  body: () => Promise<T>,
  signal?: AbortSignal | undefined,
): Promise<T> {
  await Deno.mkdir(parentPath(path), { recursive: true });
  using file = await Deno.open(path, { write: true, create: true });
  while (!await file.tryLock(true)) {
    signal?.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  try {
    return await body();
  } finally {
    await file.unlock();
  }
}
