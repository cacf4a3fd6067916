/** Datasets by name and the configs of their README, on a Hub on loopback. @module */

import assert from "node:assert/strict";
import { chosenConfig, matchingNames } from "../../../data/readers/data_configs.ts";
import { readDataset } from "../../../data/readers/dataset.ts";
import { cacheOf } from "../hub/caches.ts";
import { startHub } from "../hub/fake_hub.ts";

const card = (configs: string) => `---\nlicense: mit\nconfigs:\n${configs}\n---\n# Rows\n`;
const line = (text: string) => JSON.stringify({ text }) + "\n";
const texts = (rows: readonly { readonly [key: string]: unknown }[]) => rows.map((r) => r["text"]);

Deno.test("a dataset by name reads only the files of its split, and again without the network", async () => {
  await using hub = startHub({
    "datasets/org/rows": {
      files: {
        "data/train_sft-00000-of-00002.jsonl": line("a") + line("b"),
        "data/train_sft-00001-of-00002.jsonl": line("c"),
        "data/test-00000-of-00001.jsonl": line("d"),
      },
    },
  });
  using settings = cacheOf(hub.endpoint);
  const split = "train_sft[1:]";
  assert.deepEqual(texts(await readDataset("org/rows", { split, access: { settings } })), [
    "b",
    "c",
  ]);
  const fetched = hub.requests.filter(({ path }) => path.includes("/resolve/"));
  assert.ok(fetched.every(({ path }) => path.includes("train_sft")), "test is left alone");
  const access = { settings: { ...settings, offline: true, endpoint: "http://127.0.0.1:1" } };
  assert.deepEqual(texts(await readDataset("org/rows", { split, access })), ["b", "c"]);
  await assert.rejects(readDataset("imdb", { access }), /"imdb" is not in the cache/);
  await assert.rejects(
    readDataset("org/rows", { split: "train", access: { settings } }),
    /no split "train".*test, train_sft/s,
  );
});

Deno.test("the README of a dataset says its splits before the names of files do, here and on the Hub", async () => {
  const files = {
    "README.md": card(
      "- config_name: other\n  data_files: none.jsonl\n" +
        "- config_name: main\n  default: true\n  data_dir: rows\n  data_files:\n" +
        '  - split: first\n    path: "a/*.jsonl"\n  - split: second\n    path: [test.jsonl]',
    ),
    "rows/a/train.jsonl": line("a"),
    "rows/a/more.jsonl": line("b"),
    "rows/test.jsonl": line("c"),
    "train.jsonl": line("not this"),
  };
  await using hub = startHub({ "datasets/org/rows": { files } });
  using settings = cacheOf(hub.endpoint);
  const local = await Deno.makeTempDir();
  await Deno.mkdir(`${local}/rows/a`, { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${local}/${name}`, text);
  }
  for (const name of ["org/rows", local]) {
    const read = (split: string) => readDataset(name, { split, access: { settings } });
    assert.deepEqual(texts(await read("first+second")), ["b", "a", "c"], name);
    await assert.rejects(read("train"), /no split "train".*first, second/s);
  }
  await Deno.remove(local, { recursive: true });
});

Deno.test("a dataset made by a script is refused", async () => {
  await using hub = startHub({
    "datasets/org/rows": { files: { "rows.py": "", "train.jsonl": line("a") } },
  });
  using settings = cacheOf(hub.endpoint);
  await assert.rejects(readDataset("org/rows", { access: { settings } }), /made by a script/);
});

Deno.test("several configs without a default, and broken ones, are refused by name", () => {
  const two = card("- config_name: a\n- config_name: b");
  assert.throws(() => chosenConfig(two, "org/rows"), /several configs \(a, b\)/);
  assert.throws(() => chosenConfig(two, "org/rows", "c"), /no config "c".*a, b/);
  assert.equal(
    chosenConfig(card("- config_name: a\n- config_name: b\n  data_dir: x"), "r", "b")?.directory,
    "x",
  );
  assert.throws(() => chosenConfig("---\na: [\n---\n", "org/rows"), /not YAML/);
  assert.throws(() => chosenConfig(card("- data_dir: a"), "org/rows"), /no config_name/);
  assert.equal(chosenConfig("# no header", "org/rows"), undefined);
});

Deno.test("patterns of data files match as those of fsspec", () => {
  const names = ["a.csv", "d/a.csv", "d/e/b1.csv", "d/e/b-.csv", "dxcsv"];
  const matched = (pattern: string) => matchingNames(pattern, names);
  assert.deepEqual(matched("*.csv"), ["a.csv"]);
  assert.deepEqual(matched("**/*.csv"), names.slice(0, 4));
  assert.deepEqual(matched("d/**"), names.slice(1, 4));
  assert.deepEqual(matched("d/**/b[0-9].csv"), ["d/e/b1.csv"]);
  assert.deepEqual(matched("d/*/b[!0-9].csv"), ["d/e/b-.csv"]);
  assert.deepEqual(matched("./d/?.csv"), ["d/a.csv"]);
  assert.throws(() => matched("**.csv"), /whole part/);
});
