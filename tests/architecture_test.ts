/** The map names what is there. */

import assert from "node:assert/strict";

const root = new URL("../", import.meta.url);

Deno.test("every file that ARCHITECTURE.md names by its path is there", async () => {
  const text = await Deno.readTextFile(new URL("ARCHITECTURE.md", root));
  const paths = [...text.matchAll(/`([\w.-]+(?:\/[\w.-]+)*\/(?:[\w-]+\.(?:ts|md|json))?)`/g)]
    .map(([, path]) => path!);
  assert.ok(paths.length > 40);
  const missing = [];
  for (const path of new Set(paths)) {
    const inSources = [path, `tests/${path}`, `train/settings/${path}`, `data/tokenizer/${path}`];
    const found = await Promise.all(
      inSources.map((at) => Deno.stat(new URL(at, root)).then(() => true, () => false)),
    );
    if (!found.includes(true)) missing.push(path);
  }
  assert.deepEqual(missing, []);
});
