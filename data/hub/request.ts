/** Requests to the Hub: with the token for the Hub alone, tried again where that can help. @module */

import { UserError } from "../../core/errors.ts";
import type { HubSettings } from "./settings.ts";

/** What a request needs beside its path. */
export interface RequestOptions {
  /** Further headers. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Ends the request. */
  readonly signal?: AbortSignal | undefined;
}

/** An answer that is no success; `code` is the Hub's own word for it. */
export class HubError extends Error {
  /** For telling errors apart. */
  override readonly name = "HubError";

  /** @param status The HTTP status. @param code `X-Error-Code`, such as `GatedRepo`. */
  constructor(readonly status: number, readonly code: string, message: string) {
    super(message);
  }
}

/** How often a request without any progress is tried, and how long nothing may come, in milliseconds. */
export interface Patience {
  /** Tries in a row that bring nothing. */
  readonly tries: number;
  /** The first pause; each further one is twice as long. */
  readonly pause: number;
  /** Without a byte for so long, a connection counts as dead. */
  readonly silence: number;
}

/** Five tries over half a minute; a connection may be silent for half a minute. */
export const defaultPatience: Patience = { tries: 6, pause: 500, silence: 30_000 };

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
      if (failures >= patience.tries || !isPassing(error)) throw error;
      await pause(pauseBefore(failures, patience, error), signal);
    }
  }
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

/**
 * Fetches an address of the Hub, or what it redirects to; once.
 *
 * The token goes to the endpoint's own origin alone: a redirect to another (a store of large files) is followed
 * without it.
 *
 * @throws {HubError} for an answer that is no success
 */
export async function request(
  settings: Pick<HubSettings, "endpoint" | "token">,
  path: string,
  { headers = {}, signal }: RequestOptions = {},
): Promise<Response> {
  const home = new URL(settings.endpoint).origin;
  let address = new URL(path.startsWith("/") ? settings.endpoint + path : path);
  for (let hops = 0; hops < 10; hops++) {
    const mayKnow = settings.token !== undefined && address.origin === home;
    const response = await fetch(address, {
      headers: {
        "user-agent": "plumb",
        ...headers,
        ...mayKnow ? { authorization: `Bearer ${settings.token}` } : {},
      },
      redirect: "manual",
      signal: signal ?? null,
    });
    const target = response.headers.get("location");
    if (response.status >= 300 && response.status < 400 && target !== null) {
      await response.body?.cancel();
      address = new URL(target, address);
      if (!/^https?:$/.test(address.protocol)) {
        throw new UserError(
          `${settings.endpoint} redirects to ${address.protocol}, which is not followed.`,
        );
      }
      continue;
    }
    if (!response.ok) throw await refusal(response, address);
    return response;
  }
  throw new UserError(`${settings.endpoint}${path} redirects without end.`);
}

async function refusal(response: Response, address: URL): Promise<HubError> {
  const text = (await response.text().catch(() => "")).slice(0, 2000);
  const error = new HubError(
    response.status,
    response.headers.get("x-error-code") ?? "",
    response.headers.get("x-error-message") ?? messageIn(text) ??
      `${response.status} ${response.statusText} from ${address.origin}${address.pathname}`,
  );
  const seconds = Number(response.headers.get("retry-after"));
  return seconds > 0
    ? Object.assign(error, { retryAfter: seconds * 1000 } satisfies Waiting)
    : error;
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
