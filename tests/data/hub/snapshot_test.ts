/** Downloads from a Hub on loopback: faults, caches, names. @module */

import assert from "node:assert/strict";
import { downloadSnapshot, type SnapshotOptions } from "../../../data/hub/snapshot.ts";
import type { HubSettings } from "../../../data/hub/settings.ts";
import { parseRepository } from "../../../data/hub/repository.ts";
import { cacheOf } from "./caches.ts";
import { type FakeRepository, type Fault, startHub } from "./fake_hub.ts";

const large = new Uint8Array(300_000).map((_, i) => i * 7 % 251);
const tiny: FakeRepository = {
  files: {
    "config.json": '{"model_type": "llama"}',
    "model.safetensors": large,
    "sub/é und #.txt": "text",
    "empty.txt": "",
    "README.md": "# A model",
  },
  largeFrom: 1000,
};
const patience = { tries: 4, pause: 1 };

async function get(settings: HubSettings, name: string, options: SnapshotOptions = {}) {
  return await downloadSnapshot(settings, parseRepository(name, { kind: "model" }), {
    patience,
    ...options,
  });
}

async function assertWhole(directory: string): Promise<void> {
  for (const [path, content] of Object.entries(tiny.files)) {
    const bytes = await Deno.readFile(`${directory}/${path}`);
    const right = typeof content === "string" ? new TextEncoder().encode(content) : content;
    assert.deepEqual(bytes, right, path);
  }
}

Deno.test("a repository is downloaded once, and found without the network afterwards", async () => {
  await using hub = startHub({ "org/tiny": tiny });
  using settings = cacheOf(hub.endpoint);
  const progress: number[] = [];
  const first = await get(settings, "org/tiny", {
    onProgress: ({ bytes }) => progress.push(bytes.done),
  });
  await assertWhole(first.directory);
  assert.equal(
    progress.at(-1),
    Object.values(tiny.files).reduce((sum, { length }) => sum + length, 0),
  );
  assert.match(first.directory, /models--org--tiny\/snapshots\/c0ffee0+$/);
  const before = hub.requests.length;
  await get(settings, "org/tiny");
  assert.deepEqual(
    hub.requests.slice(before).filter(({ path }) => path.includes("resolve")),
    [],
    "no file is asked for again",
  );
  const offline = await get(
    { ...settings, offline: true, endpoint: "http://127.0.0.1:1" },
    "org/tiny",
  );
  assert.equal(offline.directory, first.directory);
  await assert.rejects(
    get({ ...settings, offline: true }, "org/other"),
    /"org\/other" is not in the cache/,
  );
});

Deno.test("a Hub that cannot be reached is told, and the cache serves", async () => {
  await using hub = startHub({ "org/tiny": tiny });
  using settings = cacheOf(hub.endpoint);
  await get(settings, "org/tiny");
  const gone = { ...settings, endpoint: "http://127.0.0.1:1" };
  const notices: string[] = [];
  await assertWhole(
    (await get(gone, "org/tiny", { onNotice: (text) => notices.push(text) })).directory,
  );
  assert.match(notices[0]!, /Cannot reach http:\/\/127\.0\.0\.1:1.*taken from the cache/);
  await assert.rejects(get(gone, "org/other"), /Cannot reach http:\/\/127\.0\.0\.1:1/);
});

const passing: Readonly<Record<string, Fault>> = {
  "503 and 500": (_, count) =>
    count % 3 === 0 ? new Response("busy", { status: count % 2 ? 500 : 503 }) : undefined,
  "429 with a time": (_, count) =>
    count % 4 === 0
      ? new Response("slow down", { status: 429, headers: { "retry-after": "0.01" } })
      : undefined,
  "cut connections": (request, count) =>
    request.url.includes("api") || count % 2 === 0 ? undefined : "cut",
};
for (const [name, fault] of Object.entries(passing)) {
  Deno.test(`a download outlasts ${name}`, async () => {
    await using hub = startHub({ "org/tiny": tiny });
    using settings = cacheOf(hub.endpoint);
    hub.fault = fault;
    await assertWhole((await get(settings, "org/tiny")).directory);
  });
}

Deno.test("a download goes on where it was ended", async () => {
  await using hub = startHub({ "org/tiny": tiny });
  using settings = cacheOf(hub.endpoint);
  hub.fault = (request) => request.url.includes("api") ? undefined : "cut";
  const stop = new AbortController();
  await assert.rejects(get(settings, "org/tiny", {
    signal: stop.signal,
    onProgress: ({ bytes }) => bytes.done > 100_000 && stop.abort(),
  }));
  hub.fault = () => undefined;
  const before = hub.requests.length;
  await assertWhole((await get(settings, "org/tiny")).directory);
  const ranges = hub.requests.slice(before).map(({ range }) => range).filter((range) => range);
  assert.ok(ranges.length > 0, "what was there is not fetched again");
});

Deno.test("damaged bytes are fetched again once, then refused and thrown away", async () => {
  await using hub = startHub({ "org/tiny": tiny });
  using settings = cacheOf(hub.endpoint);
  let damaged = 0;
  hub.fault = (request) =>
    /\/[0-9a-f]{64}$/.test(request.url) && damaged++ === 0 ? "damage" : undefined;
  await assertWhole((await get(settings, "org/tiny")).directory);
  using other = cacheOf(hub.endpoint);
  hub.fault = (request) => /\/[0-9a-f]{64}$/.test(request.url) ? "damage" : undefined;
  await assert.rejects(get(other, "org/tiny"), /"model\.safetensors" arrived damaged twice/);
  hub.fault = () => undefined;
  await assertWhole((await get(other, "org/tiny")).directory);
});

Deno.test("two downloads of one repository at once share the work", async () => {
  await using hub = startHub({ "org/tiny": tiny });
  using settings = cacheOf(hub.endpoint);
  const both = await Promise.all([get(settings, "org/tiny"), get(settings, "org/tiny")]);
  await Promise.all(both.map(({ directory }) => assertWhole(directory)));
  const fetched = hub.requests.filter(({ path }) => /^\/[0-9a-f]{64}$/.test(path));
  assert.equal(fetched.length, 1);
});

Deno.test("the token goes to the Hub and to no other place", async () => {
  await using hub = startHub({ "org/secret": { ...tiny, token: "hf_right" } });
  using settings = cacheOf(hub.endpoint, { token: "hf_right" });
  await get(settings, "org/secret");
  for (const { path, token } of hub.requests) {
    assert.equal(token, /^\/[0-9a-f]{64}$/.test(path) ? null : "Bearer hf_right", path);
  }
});

Deno.test("what is gated, private, missing or misnamed is told with what to do, and without the token", async () => {
  await using hub = startHub({
    "org/gated": { ...tiny, token: "hf_right", gated: true },
    "org/secret": { ...tiny, token: "hf_right" },
    "org/tiny": tiny,
  });
  using settings = cacheOf(hub.endpoint);
  const wrong = { ...settings, token: "hf_wrong" };
  const cases: [HubSettings, string, RegExp][] = [
    [
      settings,
      "org/gated",
      /"org\/gated" is gated: ask for access at .*org\/gated\. Log in with `plumb login`/,
    ],
    [wrong, "org/gated", /gated.*The token that was sent does not allow it/],
    [
      settings,
      "org/secret",
      /There is no model "org\/secret" on the Hub, or it is private.*plumb login/,
    ],
    [settings, "org/none", /There is no model "org\/none"/],
    [settings, "org/tiny@v9", /"org\/tiny" has no revision "v9"/],
  ];
  for (const [by, name, message] of cases) {
    await assert.rejects(get(by, name), (error: Error) => {
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /hf_/);
      return true;
    });
  }
});

Deno.test("a name of old leads to the repository's own, also offline", async () => {
  await using hub = startHub({
    "stanford/imdb": tiny,
    "imdb": { ...tiny, renamedTo: "stanford/imdb" },
  });
  using settings = cacheOf(hub.endpoint);
  const { repository, directory } = await get(settings, "imdb");
  assert.equal(repository.id, "stanford/imdb");
  assert.match(directory, /models--stanford--imdb/);
  assert.equal((await get({ ...settings, offline: true }, "imdb")).directory, directory);
});

Deno.test("paths that lead out of the repository are refused", async () => {
  for (const path of ["../x", "/etc/x", "a/../../x", "a\\..\\x", "C:x", "a//b"]) {
    await using hub = startHub({ "org/bad": { files: { [path]: "x" } } });
    using settings = cacheOf(hub.endpoint);
    await assert.rejects(get(settings, "org/bad"), /is none inside a repository/, path);
  }
});
