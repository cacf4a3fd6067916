/**
 * A Hub on loopback: repositories in memory, the interface that downloads use (as Python's `huggingface_hub` knows it),
 * and faults on request.
 *
 * @module
 */

import { createHash } from "node:crypto";

/** A repository: files by path at a commit, under its name. */
export interface FakeRepository {
  readonly files: Readonly<Record<string, Uint8Array<ArrayBuffer> | string>>;
  /** Files of this length or more are large ones, kept elsewhere. */
  readonly largeFrom?: number;
  /** The token that opens it. */
  readonly token?: string;
  readonly gated?: boolean;
  /** Branches beside main, by their names; all hold the same files at the same commit. */
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
    readonly method: string;
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

/** Who is known to the Hub, by token. */
const users: Readonly<Record<string, string>> = { hf_right: "ada", hf_other: "bob" };

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
  const listen = (answer: (request: Request, wrong: "cut" | "damage" | undefined) => Response) =>
    Deno.serve({
      hostname: "127.0.0.1",
      port: 0,
      onListen: () => {},
      onError: () => new Response(null, { status: 500 }),
    }, (request) => {
      const { pathname, search } = new URL(request.url);
      requests.push({
        method: request.method,
        path: pathname + search,
        range: request.headers.get("range"),
        token: request.headers.get("authorization"),
      });
      const wrong = fault(request, requests.length);
      return wrong instanceof Response ? wrong : answer(request, wrong);
    });

  // The store of large files is another origin.
  const store = listen((request, wrong) => {
    const sha256 = new URL(request.url).pathname.slice(1);
    const file = [...contents.values()].flat().find((f) => f.sha256 === sha256);
    return file ? bytesOf(request, file.bytes, wrong) : new Response("gone", { status: 404 });
  });
  const storeOf = ({ sha256 }: Stored) =>
    `http://127.0.0.1:${(store.addr as Deno.NetAddr).port}/${sha256}`;

  const hub = listen((request, wrong) => {
    const url = new URL(request.url);
    const token = request.headers.get("authorization")?.replace("Bearer ", "");
    if (url.pathname === "/api/whoami-v2") return whoAmI(token);
    const place = placeOf(url.pathname, Object.keys(repositories));
    const found = place && repositories[place.name];
    if (!place || !found) return refused(token ? 404 : 401, "RepoNotFound", "Repository not found");
    if (found.token !== undefined && token !== found.token && !(found.gated && place.api)) {
      return found.gated
        ? refused(token ? 403 : 401, "GatedRepo", "Access to this repository is restricted")
        : refused(token ? 404 : 401, "RepoNotFound", "Repository not found");
    }
    if (found.renamedTo !== undefined) {
      const location = url.pathname.replace(place.id, found.renamedTo.replace("datasets/", "")) +
        url.search;
      return new Response(null, { status: 307, headers: { location } });
    }
    const revisions = [commit, "main", ...found.branches ?? []];
    if (place.revision !== undefined && !revisions.includes(place.revision)) {
      return refused(404, "RevisionNotFound", `Invalid rev id: ${place.revision}`);
    }
    const files = contents.get(place.name)!;
    switch (place.what) {
      case "about":
        return Response.json({
          id: place.id,
          sha: commit,
          siblings: files.map(({ path }) => ({ rfilename: path })),
        });
      case "refs":
        return Response.json(refsOf(found));
      case "tree":
        return page(url, files);
    }
    const file = files.find(({ path }) => path === place.path);
    if (!file) {
      return refused(404, "EntryNotFound", "Entry not found", { "x-repo-commit": commit });
    }
    return resolved(request, file, wrong, storeOf(file));
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

/** What a path of the Hub's asks for. */
interface Place {
  readonly name: string;
  readonly id: string;
  readonly api: boolean;
  readonly what: "about" | "refs" | "tree" | "file";
  readonly revision?: string;
  readonly path?: string;
}

function placeOf(pathname: string, names: readonly string[]): Place | undefined {
  const parts = pathname.slice(1).split("/").map(decodeURIComponent);
  const api = parts[0] === "api";
  if (api) parts.shift();
  const kind = parts[0] === "datasets" ? "datasets/" : "";
  if (kind !== "" || parts[0] === "models") parts.shift();
  const own = names.find((name) => name === `${kind}${parts[0]}/${parts[1]}`);
  const id = own ? `${parts.shift()}/${parts.shift()}` : parts.shift() ?? "";
  const [what, revision, ...path] = parts;
  const common = { name: kind + id, id, api };
  if (api && what === undefined) return { ...common, what: "about" };
  if (api && what === "refs") return { ...common, what };
  if (api && what === "revision") return { ...common, what: "about", revision: revision! };
  if (api && what === "tree") return { ...common, what, revision: revision! };
  if (!api && what === "resolve") {
    return { ...common, what: "file", revision: revision!, path: path.join("/") };
  }
  return undefined;
}

function whoAmI(token: string | undefined): Response {
  const name = users[token ?? ""];
  return name === undefined ? refused(401, "", "Invalid username or password.") : Response.json({
    type: "user",
    name,
    fullname: name,
    orgs: [{ type: "org", name: "org" }],
    auth: { type: "access_token", accessToken: { displayName: `${name}-laptop`, role: "read" } },
  });
}

function refsOf({ branches = [] }: FakeRepository) {
  const all = ["main", ...branches].map((name) => ({
    name,
    ref: name.startsWith("refs/") ? name : `refs/heads/${name}`,
    targetCommit: commit,
  }));
  return {
    branches: all.filter(({ ref }) => ref.startsWith("refs/heads/")),
    converts: all.filter(({ ref }) => ref.startsWith("refs/convert/")),
    tags: [],
  };
}

function refused(
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return Response.json({ error: message }, {
    status,
    headers: {
      ...headers,
      ...code === "" ? {} : { "x-error-code": code },
      "x-error-message": message,
    },
  });
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

/** A file, or the way to it. */
function resolved(
  request: Request,
  { bytes, large, oid, sha256 }: Stored,
  wrong: "cut" | "damage" | undefined,
  place: string,
): Response {
  const headers = {
    "x-repo-commit": commit,
    "x-linked-size": String(bytes.length),
    "x-linked-etag": `"${large ? sha256 : oid}"`,
    etag: large ? `W/"${oid}"` : `"${oid}"`,
  };
  return large
    ? new Response(null, { status: 302, headers: { ...headers, location: place } })
    : bytesOf(request, bytes, wrong, headers);
}

function bytesOf(
  request: Request,
  whole: Uint8Array<ArrayBuffer>,
  wrong: "cut" | "damage" | undefined,
  about: Readonly<Record<string, string>> = {},
): Response {
  const [, first, last] = request.headers.get("range")?.match(/bytes=(\d+)-(\d*)/) ?? [];
  const from = Number(first ?? 0);
  if (from > 0 && from >= whole.length) return new Response(null, { status: 416 });
  const bytes = whole.slice(from, last ? Number(last) + 1 : undefined);
  if (wrong === "damage") bytes[bytes.length - 1]! ^= 1;
  const status = first === undefined || whole.length === 0 ? 200 : 206;
  const headers = {
    ...about,
    "accept-ranges": "bytes",
    "content-length": String(bytes.length),
    ...status === 206
      ? { "content-range": `bytes ${from}-${from + bytes.length - 1}/${whole.length}` }
      : {},
  };
  if (request.method === "HEAD") return new Response(null, { status, headers });
  if (wrong === "cut") {
    const half = new ReadableStream({
      start(controller) {
        controller.enqueue(bytes.slice(0, Math.ceil(bytes.length / 2)));
        setTimeout(() => controller.error("cut"), 20);
      },
    });
    return new Response(half, { status, headers });
  }
  return new Response(bytes, { status, headers });
}
