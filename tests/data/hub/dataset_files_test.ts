/** Files of datasets on a Hub on loopback. @module */

import assert from "node:assert/strict";
import {
  fetchDatasetFiles,
  listDatasetFiles,
  parquetBranch,
  refuseDatasetScript,
} from "../../../data/hub/dataset_files.ts";
import { cacheOf } from "./caches.ts";
import { startHub } from "./fake_hub.ts";

const rows = {
  files: {
    "README.md": "---\nconfigs: []\n---\n",
    "data/train-00000-of-00002.jsonl": '{"text": "a"}\n',
    "data/train-00001-of-00002.jsonl": '{"text": "b"}\n',
    "data/test-00000-of-00001.jsonl": '{"text": "c"}\n',
  },
};

Deno.test("files of a dataset are listed, fetched by choice, and found without the network", async () => {
  await using hub = startHub({
    "datasets/org/rows": rows,
    "datasets/rows": { ...rows, renamedTo: "datasets/org/rows" },
  });
  using settings = cacheOf(hub.endpoint);
  const { repository, commit, files } = await listDatasetFiles("rows", undefined, { settings });
  assert.equal(repository.id, "org/rows");
  assert.deepEqual(files.map(({ path }) => path).sort(), Object.keys(rows.files).sort());
  const train = files.map(({ path }) => path).filter((path) => path.includes("train"));
  const local = await fetchDatasetFiles("rows", undefined, train, { settings });
  assert.deepEqual(local.map((path) => Deno.readTextFileSync(path)), [
    '{"text": "a"}\n',
    '{"text": "b"}\n',
  ]);
  const fetched = hub.requests.filter(({ path }) => path.includes("/resolve/"));
  assert.equal(fetched.length, 2, "only what was chosen is fetched");
  const offline = { settings: { ...settings, offline: true, endpoint: "http://127.0.0.1:1" } };
  for (const name of ["rows", "org/rows", `org/rows@${commit}`]) {
    assert.deepEqual(await fetchDatasetFiles(name, undefined, train, offline), local, name);
  }
  await assert.rejects(
    fetchDatasetFiles("rows", undefined, ["data/test-00000-of-00001.jsonl"], offline),
    /"data\/test-00000-of-00001.jsonl" of the dataset "rows" is not in the cache/,
  );
  await assert.rejects(
    fetchDatasetFiles("rows", undefined, ["data/x.jsonl"], { settings }),
    /"org\/rows" has no file "data\/x.jsonl"; it has README.md/,
  );
});

Deno.test("a dataset made by a script is refused, and its parquet copy offered where there is one", async () => {
  const script = { files: { "old.py": "import os", "README.md": "" } };
  await using hub = startHub({
    "datasets/org/old": { ...script, branches: [parquetBranch] },
    "datasets/lab/old": script,
    "datasets/org/rows": rows,
  });
  using settings = cacheOf(hub.endpoint);
  const check = async (name: string) =>
    await refuseDatasetScript(await listDatasetFiles(name, undefined, { settings }), { settings });
  await assert.rejects(
    check("org/old"),
    /made by a script \(old\.py\).*give org\/old@refs\/convert\/parquet\.$/,
  );
  await assert.rejects(check("lab/old"), /made by a script.*Ask its owner/);
  await check("org/rows");
  await check(`org/old@${parquetBranch}`);
});
