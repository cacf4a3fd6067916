/** Ending what waits for others' code, which may never come back. @module */

/** What work gives; once the signal is aborted, its reason is thrown and nobody waits for the work any longer. */
export async function unlessAborted<T>(
  signal: AbortSignal | undefined,
  work: Promise<T>,
): Promise<T> {
  if (!signal) return await work;
  const stop = Promise.withResolvers<never>();
  const abort = () => stop.reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, stop.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** A signal that follows another one after so many milliseconds, with its reason, unless it is disposed of before. */
export function delayed(
  signal: AbortSignal,
  milliseconds: number,
): { readonly signal: AbortSignal; [Symbol.dispose](): void } {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const begin = () => {
    timer = setTimeout(() => controller.abort(signal.reason), milliseconds);
  };
  if (signal.aborted) begin();
  else signal.addEventListener("abort", begin, { once: true });
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      signal.removeEventListener("abort", begin);
      clearTimeout(timer);
    },
  };
}
