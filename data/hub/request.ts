/** Requests to the Hub: with the token for the Hub alone, tried again where that can help. @module */

import { UserError } from "../../core/errors.ts";
import { version } from "../../core/version.ts";
import type { HubSettings } from "./settings.ts";

/** What a request needs beside its path. */
export interface RequestOptions {
  /** Further headers. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Ends the request. */
  readonly signal?: AbortSignal | undefined;
}

/** Who asks, and where. */
export type Asker = Pick<HubSettings, "endpoint" | "token" | "silence">;

/** An answer that is no success; `code` is the Hub's own word for it. */
export class HubError extends Error {
  /** For telling errors apart. */
  override readonly name = "HubError";

  /** @param status The HTTP status. @param code `X-Error-Code`, such as `GatedRepo`. */
  constructor(readonly status: number, readonly code: string, message: string) {
    super(message);
  }
}

/** How often a request without any progress is tried. */
export interface Patience {
  /** Tries in a row that bring nothing. */
  readonly tries: number;
  /** The first pause in milliseconds; each further one is twice as long. */
  readonly pause: number;
}

/** Six tries over a quarter of a minute. */
export const defaultPatience: Patience = { tries: 6, pause: 500 };

/**
 * Runs `attempt` until it succeeds. It is tried again after a dropped connection, 408, 429 (as long as the answer
 * asks for) and 5xx; `progressed` starts the count anew.
 *
 * @throws what the last attempt threw
 */
export async function withRetries<T>(
  attempt: (progressed: () => void) => Promise<T>,
  { patience = defaultPatience, signal }: {
    readonly patience?: Patience;
    readonly signal?: AbortSignal | undefined;
  } = {},
): Promise<T> {
  for (let failures = 0;;) {
    try {
      return await attempt(() => failures = 0);
    } catch (error) {
      failures++;
      signal?.throwIfAborted();
      // Where there is no network, nobody should wait long to hear so.
      const tries = isUnreachable(error) ? Math.min(patience.tries, 4) : patience.tries;
      if (failures >= tries || !isPassing(error)) throw error;
      await pause(pauseBefore(failures, patience, error), signal);
    }
  }
}

/** Nobody answers at the address, or there is no such address. */
function isUnreachable(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof HubError) return false;
  return /dns error|connection refused|unreachable|\(os error (61|101|111|113|10061)\)/i.test(
    error.message,
  ) || isUnreachable(error.cause);
}

/** An error that another try may not meet. */
function isPassing(error: unknown): boolean {
  if (error instanceof HubError) {
    return error.status >= 500 || error.status === 429 || error.status === 408;
  }
  return !(error instanceof UserError) && error instanceof Error &&
    !(error instanceof Deno.errors.NotCapable) && !/\(os error (13|28|122)\)/.test(error.message);
}

/** An answer that says when to come again. */
interface Waiting {
  readonly retryAfter: number;
}

function pauseBefore(failures: number, patience: Patience, error: unknown): number {
  const asked = error instanceof HubError && "retryAfter" in error
    ? (error as HubError & Waiting).retryAfter
    : 0;
  const own = patience.pause * 2 ** (failures - 1) * (0.75 + Math.random() / 2);
  return Math.min(120_000, Math.max(asked, own));
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const stop = () => {
    clearTimeout(timer);
    reject(signal!.reason);
  };
  const timer = setTimeout(() => {
    signal?.removeEventListener("abort", stop);
    resolve();
  }, milliseconds);
  signal?.addEventListener("abort", stop, { once: true });
  return promise;
}

/** An answer of success; its body is read once. */
export interface Answer {
  /** The HTTP status. */
  readonly status: number;
  /** Its headers. */
  readonly headers: Headers;
  /** The address that gave it in the end. */
  readonly address: URL;
  /** The body as it comes; ended by an error if nothing comes for too long. */
  readonly chunks: () => AsyncGenerator<Uint8Array>;
  /** The whole body as text. @throws {UserError} if it is longer than any answer should be. */
  readonly text: () => Promise<string>;
  /** Lets go of the body. */
  readonly cancel: () => Promise<void>;
}

/** No list, description or message of the Hub is longer; whoever sends more means harm. */
const mostText = 64 * 2 ** 20;

/**
 * Fetches an address of the Hub, or what it redirects to; once.
 *
 * The token goes to the endpoint's own origin alone: a redirect to another (a store of large files) is followed
 * without it.
 *
 * @param path A path of the endpoint, or a whole address.
 * @throws {HubError} for an answer that is no success
 */
export async function request(
  settings: Asker,
  path: string,
  { headers = {}, signal }: RequestOptions = {},
): Promise<Answer> {
  const home = new URL(settings.endpoint).origin;
  const watch = silenceWatch(settings.silence, signal);
  let address = new URL(path.startsWith("/") ? settings.endpoint + path : path);
  for (let hops = 0; hops < 10; hops++) {
    const mayKnow = settings.token !== undefined && address.origin === home;
    const response = await watch.awaiting(() =>
      fetch(address, {
        headers: {
          "user-agent": `plumb/${version}`,
          ...headers,
          ...mayKnow ? { authorization: `Bearer ${settings.token}` } : {},
        },
        redirect: "manual",
        signal: watch.signal,
      })
    );
    const answer = answerOf(response, address, watch.awaiting);
    const target = response.headers.get("location");
    if (response.status >= 300 && response.status < 400 && target !== null) {
      await answer.cancel();
      address = redirected(address, target, settings);
      continue;
    }
    if (!response.ok) throw await refusal(answer);
    return answer;
  }
  throw new UserError(`${settings.endpoint}${path} redirects without end.`);
}

/** Ends what takes longer than `silence` to bring anything. */
function silenceWatch(silence: number, signal: AbortSignal | undefined): {
  readonly signal: AbortSignal;
  readonly awaiting: <T>(body: () => Promise<T>) => Promise<T>;
} {
  const silent = new AbortController();
  return {
    signal: signal ? AbortSignal.any([signal, silent.signal]) : silent.signal,
    awaiting: async (body) => {
      const timer = setTimeout(
        () => silent.abort(new Error(`nothing came for ${silence / 1000} seconds`)),
        silence,
      );
      try {
        return await body();
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

function answerOf(
  { status, headers, body }: Response,
  address: URL,
  awaiting: <T>(body: () => Promise<T>) => Promise<T>,
): Answer {
  const chunks = async function* () {
    if (body === null) return;
    const reader = body.getReader();
    try {
      for (;;) {
        const { done, value } = await awaiting(() => reader.read());
        if (done) return;
        yield value;
      }
    } finally {
      await reader.cancel().catch(() => {});
    }
  };
  const text = async () => {
    const decoder = new TextDecoder();
    let [read, length] = ["", 0];
    for await (const chunk of chunks()) {
      length += chunk.length;
      if (length > mostText) throw new UserError(`${address.origin} answers without end.`);
      read += decoder.decode(chunk, { stream: true });
    }
    return read + decoder.decode();
  };
  return { status, headers, address, chunks, text, cancel: async () => await body?.cancel() };
}

function redirected(from: URL, target: string, { endpoint }: Pick<HubSettings, "endpoint">): URL {
  const to = URL.canParse(target, from.href) ? new URL(target, from) : null;
  if (to !== null && /^https?:$/.test(to.protocol)) return to;
  throw new UserError(
    `${endpoint} redirects to ${JSON.stringify(target.slice(0, 100))}, which is not followed.`,
  );
}

async function refusal({ status, headers, address, text }: Answer): Promise<HubError> {
  const said = (await text().catch(() => "")).slice(0, 2000);
  const error = new HubError(
    status,
    headers.get("x-error-code") ?? "",
    (headers.get("x-error-message") ?? messageIn(said) ??
      `status ${status} from ${address.origin}${address.pathname}`).slice(0, 500),
  );
  const wait = waitAsked(headers);
  return wait > 0 ? Object.assign(error, { retryAfter: wait } satisfies Waiting) : error;
}

/** How long an answer asks to wait, in milliseconds: `Retry-After` (seconds or a date), or the Hub's `RateLimit`. */
function waitAsked(headers: Headers): number {
  const after = headers.get("retry-after") ?? "";
  const seconds = Number(after) || (Date.parse(after) - Date.now()) / 1000 ||
    Number(headers.get("ratelimit")?.match(/;\s*t=(\d+)/)?.[1]);
  return seconds > 0 ? seconds * 1000 : 0;
}

/** The message in an answer of JSON: `{"error": "…"}`. */
function messageIn(text: string): string | undefined {
  try {
    const { error } = JSON.parse(text) as { readonly error?: unknown };
    return typeof error === "string" ? error : undefined;
  } catch {
    return undefined;
  }
}
