import assert from "node:assert/strict";
import { fromColumns, toColumns } from "../../../data/files/columns.ts";
import { keepPreparation, keptPreparation } from "../../../data/prepare/prepared_cache.ts";
import { inTempDir, namesIn } from "../../temporary.ts";

function through(values: readonly unknown[]): unknown[] {
  const columns = toColumns(values);
  assert.ok(columns);
  const bytes = new Uint8Array(columns.pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of columns.pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return fromColumns(JSON.parse(JSON.stringify(columns.layout)), bytes);
}

Deno.test("examples of all kinds come back from columns as they went in", () => {
  const lists: readonly (readonly unknown[])[] = [
    [],
    [{ inputIds: Int32Array.of(1, -100), labels: Int32Array.of(), rows: [0] }, {
      inputIds: Int32Array.of(5),
      labels: Int32Array.of(7),
      rows: [1, 2],
      segments: [1],
    }],
    [{ row: 0, chosen: { promptIds: Int32Array.of(1) }, margin: 0.1, label: true }],
    [{ row: 1, prompt: [{ role: "user", content: "é 𝄞\u0000" }], columns: { a: null, b: [1.5] } }, {
      row: 2,
      prompt: "x",
      columns: {},
    }],
    [{ margin: NaN }, { margin: -0 }, { margin: Infinity }],
    [{ deep: { a: [] } }, {}, { deep: { b: [[1], [2, 3]] } }],
    [{ ids: [2 ** 31 - 1, -(2 ** 31)] }, { ids: [2 ** 31] }],
  ];
  for (const list of lists) assert.deepEqual(through(list), list);
});

Deno.test("what would not come back as it is, is not put into columns", () => {
  for (
    const value of [undefined, () => 0, new Map(), 1n, new Date(), [undefined], [NaN], [-0], {
      a: [new Float32Array(1)],
    }]
  ) {
    assert.equal(toColumns([{ value }]), null, String(value));
  }
});

const kept = (examples: readonly unknown[]) => ({
  examples,
  description: "texts",
  rows: examples.length,
  notices: ["one", "two"],
});
const content = "0123456789abcdef";
const examples = Array.from({ length: 100 }, (_, i) => ({ ids: Int32Array.of(i, i + 1) }));
const fits = (settings: Readonly<Record<string, string>>) => settings["max_length"] === "8";

Deno.test("a preparation is found again by its content and its settings, and by no others", async () => {
  await inTempDir(async (directory) => {
    const cache = { directory: `${directory}/cache`, mostBytes: 1e6 };
    assert.equal(await keptPreparation(cache, { content, fits }), null);
    await keepPreparation(cache, content, { max_length: "9" }, kept([]));
    await keepPreparation(cache, content, { max_length: "8" }, kept(examples));
    assert.deepEqual(await keptPreparation(cache, { content, fits }), kept(examples));
    assert.equal(await keptPreparation(cache, { content: "f".repeat(16), fits }), null);
    assert.equal(await keptPreparation(cache, { content, fits: () => false }), null);
  });
});

Deno.test("a damaged file counts as none, and is written anew", async () => {
  await inTempDir(async (directory) => {
    const cache = { directory, mostBytes: 1e6 };
    await keepPreparation(cache, content, { max_length: "8" }, kept(examples));
    const [name] = namesIn(directory);
    const whole = Deno.readFileSync(`${directory}/${name}`);
    for (const position of [0, 9, 20, whole.length - 10]) {
      const damaged = whole.slice();
      damaged[position]! ^= 0xff;
      Deno.writeFileSync(`${directory}/${name}`, damaged);
      assert.equal(await keptPreparation(cache, { content, fits }), null, `byte ${position}`);
    }
    for (const length of [0, 5, 100, whole.length - 1]) {
      Deno.writeFileSync(`${directory}/${name}`, whole.slice(0, length));
      assert.equal(await keptPreparation(cache, { content, fits }), null, `${length} bytes`);
    }
    await keepPreparation(cache, content, { max_length: "8" }, kept(examples));
    assert.deepEqual(await keptPreparation(cache, { content, fits }), kept(examples));
  });
});

Deno.test("the longest unused preparations make room, and nothing else is removed", async () => {
  await inTempDir(async (directory) => {
    const cache = { directory, mostBytes: 4500 };
    Deno.writeTextFileSync(`${directory}/notes.txt`, "mine");
    for (const [i, name] of ["a", "b", "c"].entries()) {
      await keepPreparation(cache, name.repeat(16), { max_length: "8" }, kept(examples));
      const file = namesIn(directory).find((other) => other.startsWith(name))!;
      if (i < 2) await Deno.utime(`${directory}/${file}`, 1000 + i, 1000 + i);
    }
    const left = namesIn(directory).map((name) => name[0]);
    assert.deepEqual(left, ["b", "c", "n"]);
    await keepPreparation({ ...cache, mostBytes: 10 }, "d".repeat(16), {}, kept(examples));
    assert.equal(namesIn(directory).length, 3, "larger than the cache");
  });
});

Deno.test("runs side by side keep and find the same preparation", async () => {
  await inTempDir(async (directory) => {
    const cache = { directory, mostBytes: 1e6 };
    await Promise.all(Array.from({ length: 8 }, async () => {
      await keepPreparation(cache, content, { max_length: "8" }, kept(examples));
      assert.deepEqual(await keptPreparation(cache, { content, fits }), kept(examples));
    }));
    assert.equal(namesIn(directory).length, 1);
  });
});
