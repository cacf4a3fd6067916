/** A Hub on loopback: repositories in memory, the interface that downloads use, and faults on request. @module */

import { createHash } from "node:crypto";

/** A repository: files by path at a commit, under its name. */
export interface FakeRepository {
  readonly files: Readonly<Record<string, Uint8Array<ArrayBuffer> | string>>;
  /** Files of this length or more are large ones, kept elsewhere. */
  readonly largeFrom?: number;
  /** The token that opens it. */
  readonly token?: string;
  readonly gated?: boolean;
  /** Branches beside main, by their commits; all hold the same files. */
  readonly branches?: readonly string[];
  /** The name it has now. */
  readonly renamedTo?: string;
}

/** What goes wrong with a request. */
export type Fault = (request: Request, count: number) => Response | "cut" | "damage" | undefined;

/** A running Hub. */
export interface FakeHub {
  readonly endpoint: string;
  /** Requests so far: method, path, and what of their headers matters. */
  readonly requests: {
    readonly path: string;
    readonly range: string | null;
    readonly token: string | null;
  }[];
  /** What goes wrong from now on. */
  fault: Fault;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

interface Stored {
  readonly path: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly oid: string;
  readonly sha256: string;
  readonly large: boolean;
}

/** The commit of every fake repository. */
export const commit = "c0ffee".padEnd(40, "0");

function stored(repository: FakeRepository): Stored[] {
  return Object.entries(repository.files).map(([path, content]) => {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    return {
      path,
      bytes,
      oid: createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex"),
      sha256: createHash("sha256").update(bytes).digest("hex"),
      large: bytes.length >= (repository.largeFrom ?? Infinity),
    };
  });
}

/** Starts a Hub with repositories by name; datasets' names begin with `datasets/`. */
export function startHub(repositories: Readonly<Record<string, FakeRepository>>): FakeHub {
  const contents = new Map(Object.entries(repositories).map(([name, r]) => [name, stored(r)]));
  const requests: FakeHub["requests"] = [];
  let fault: Fault = () => undefined;
  const listen = (handler: Deno.ServeHandler) =>
    Deno.serve({
      hostname: "127.0.0.1",
      port: 0,
      onListen: () => {},
      onError: () => new Response(null, { status: 500 }),
    }, handler);
  const note = (request: Request) => {
    const { pathname, search } = new URL(request.url);
    requests.push({
      path: pathname + search,
      range: request.headers.get("range"),
      token: request.headers.get("authorization"),
    });
    return fault(request, requests.length);
  };

  // The store of large files is another origin.
  const store = listen((request) => {
    const wrong = note(request);
    if (wrong instanceof Response) return wrong;
    const sha256 = new URL(request.url).pathname.slice(1);
    const file = [...contents.values()].flat().find((f) => f.sha256 === sha256);
    return file ? bytesOf(request, file.bytes, wrong) : new Response("gone", { status: 404 });
  });

  const hub = listen((request) => {
    const wrong = note(request);
    if (wrong instanceof Response) return wrong;
    const url = new URL(request.url);
    const api = url.pathname.match(/^\/api\/(models|datasets)\/(.+?)\/(revision|tree)\/([^/]+)$/);
    const resolve = url.pathname.match(/^\/(datasets\/)?(.+?)\/resolve\/([^/]+)\/(.+)$/);
    const name = api
      ? (api[1] === "datasets" ? "datasets/" : "") + api[2]
      : resolve
      ? (resolve[1] ?? "") + resolve[2]
      : "";
    const found = repositories[name];
    if (found === undefined) return refused(404, "RepoNotFound", "Repository not found");
    const sent = request.headers.get("authorization")?.replace("Bearer ", "");
    if (found.token !== undefined && sent !== found.token) {
      return found.gated
        ? refused(403, "GatedRepo", "Access to this repository is restricted")
        : refused(401, "RepoNotFound", "Repository not found");
    }
    const now = found.renamedTo ?? name;
    const files = contents.get(now)!;
    const revision = decodeURIComponent(api?.[4] ?? resolve![3]!);
    if (![commit, "main", ...found.branches ?? []].includes(revision)) {
      return refused(404, "RevisionNotFound", `Invalid rev id: ${revision}`);
    }
    if (api?.[3] === "revision") {
      return Response.json({ id: now.replace(/^datasets\//, ""), sha: commit });
    }
    if (api) return page(url, files);
    const file = files.find(({ path }) => path === decodeURIComponent(resolve![4]!));
    if (!file) return refused(404, "EntryNotFound", "Entry not found");
    if (file.large) {
      const place = `http://127.0.0.1:${(store.addr as Deno.NetAddr).port}/${file.sha256}`;
      return new Response(null, { status: 302, headers: { location: place } });
    }
    return bytesOf(request, file.bytes, wrong);
  });

  return {
    endpoint: `http://127.0.0.1:${(hub.addr as Deno.NetAddr).port}`,
    requests,
    get fault() {
      return fault;
    },
    set fault(next) {
      fault = next;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([hub.shutdown(), store.shutdown()]);
    },
  };
}

function refused(status: number, code: string, message: string): Response {
  return Response.json({ error: message }, { status, headers: { "x-error-code": code } });
}

/** Two files a page. */
function page(url: URL, files: readonly Stored[]): Response {
  const from = Number(url.searchParams.get("cursor") ?? 0);
  const entries = files.slice(from, from + 2).map(({ path, bytes, oid, sha256, large }) => ({
    type: "file",
    path,
    size: bytes.length,
    oid,
    ...large ? { lfs: { oid: sha256, size: bytes.length, pointerSize: 130 } } : {},
  }));
  url.searchParams.set("cursor", String(from + 2));
  const more = from + 2 < files.length;
  return Response.json([
    { type: "directory", path: "sub", size: 0, oid: "0".repeat(40) },
    ...entries,
  ], {
    headers: more ? { link: `<${url}>; rel="next"` } : {},
  });
}

function bytesOf(
  request: Request,
  whole: Uint8Array<ArrayBuffer>,
  wrong: "cut" | "damage" | undefined,
): Response {
  const from = Number(request.headers.get("range")?.match(/bytes=(\d+)-/)?.[1] ?? 0);
  if (from > 0 && from >= whole.length) return new Response(null, { status: 416 });
  const bytes = whole.slice(from);
  if (wrong === "damage") bytes[bytes.length - 1]! ^= 1;
  const headers = {
    "content-length": String(bytes.length),
    ...from > 0 ? { "content-range": `bytes ${from}-${whole.length - 1}/${whole.length}` } : {},
  };
  if (wrong === "cut") {
    const half = new ReadableStream({
      start(controller) {
        controller.enqueue(bytes.slice(0, Math.ceil(bytes.length / 2)));
        setTimeout(() => controller.error("cut"), 20);
      },
    });
    return new Response(half, { status: from > 0 ? 206 : 200, headers });
  }
  return new Response(bytes, { status: from > 0 ? 206 : 200, headers });
}
