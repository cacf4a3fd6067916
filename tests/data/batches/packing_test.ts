import assert from "node:assert/strict";
import { UserError } from "../../../core/errors.ts";
import { type Example, packExamples, type PackingStrategy } from "../../../data/batches/packing.ts";
import { readFixture } from "../fixture_files.ts";

interface Golden {
  readonly rows: readonly {
    readonly name: string;
    readonly strategy: PackingStrategy;
    readonly seq_length: number;
    readonly documents: number[][];
    readonly packed: {
      readonly input_ids: number[][];
      readonly labels: number[][];
      readonly seq_lengths?: number[][];
    };
  }[];
}

const example = (ids: readonly number[], row: number): Example => ({
  inputIds: Int32Array.from(ids),
  labels: Int32Array.from(ids, (id) => -id),
  rows: [row],
});

Deno.test("packing gives the rows of TRL's pack_dataset", async () => {
  const golden = await readFixture<Golden>("golden/packing.json");
  for (const { name, strategy, seq_length, documents, packed } of golden.rows) {
    const rows = packExamples(documents.map(example), { maxLength: seq_length, strategy });
    const title = `${name}, ${strategy}`;
    assert.deepEqual(rows.map((row) => Array.from(row.inputIds)), packed.input_ids, title);
    assert.deepEqual(rows.map((row) => Array.from(row.labels)), packed.labels, title);
    const segments = strategy === "wrapped" ? undefined : rows.map((row) => row.segments);
    assert.deepEqual(segments, packed.seq_lengths, title);
  }
});

Deno.test("packed rows say which rows of the data set they hold", () => {
  const documents = [[1, 2, 3, 4, 5], [6, 7], [8, 9, 10], [11]].map(example);
  const rowsOf = (strategy: PackingStrategy) =>
    packExamples(documents, { maxLength: 4, strategy }).map((row) => row.rows);
  assert.deepEqual(rowsOf("bfd"), [[0], [2, 3], [1]]);
  assert.deepEqual(rowsOf("bfd_split"), [[0], [2, 0], [1, 3]]);
  assert.deepEqual(rowsOf("wrapped"), [[0], [0, 1, 2], [2, 3]]);
});

Deno.test("a packed row never crosses a batch of rows", () => {
  const documents = Array.from({ length: 5 }, (_, i) => example([i], i));
  const rows = packExamples(documents, { maxLength: 8, batchRows: 2 });
  assert.deepEqual(rows.map((row) => row.rows), [[0, 1], [2, 3], [4]]);
});

Deno.test("empty documents vanish from packed rows", () => {
  for (const strategy of ["bfd", "bfd_split", "wrapped"] as const) {
    const rows = packExamples([[], [1], []].map(example), { maxLength: 4, strategy });
    assert.deepEqual(rows.map((row) => Array.from(row.inputIds)), [[1]]);
    assert.deepEqual(packExamples([example([], 0)], { maxLength: 4, strategy }), []);
  }
});

Deno.test("packing without a positive length is refused", () => {
  assert.throws(() => packExamples([], { maxLength: 0 }), UserError);
});
