import assert from "node:assert/strict";
import { emitScatter } from "../../../core/device/cpu/scatter.ts";
import { UserError } from "../../../core/errors.ts";
import { generator, uniform } from "../attention_cases.ts";
import { bench } from "./cpu_harness.ts";

/** The contract, in single precision and in the order of n: the kernel must give the same bits. */
function scatter(
  table: Float32Array<ArrayBuffer>,
  ids: Int32Array,
  rows: Float32Array,
  columns: number,
  add: boolean,
): Float32Array<ArrayBuffer> {
  const result = table.slice();
  const count = columns === 0 ? 0 : table.length / columns;
  ids.forEach((id, n) => {
    if (id < 0 || id >= count) return;
    for (let c = 0; c < columns; c++) {
      const at = id * columns + c;
      const value = rows[n * columns + c]!;
      result[at] = add ? Math.fround(result[at]! + value) : value;
    }
  });
  return result;
}

Deno.test("rows are added and replaced in order, and ids outside the table are skipped", () => {
  for (const add of [true, false]) {
    const of = { op: "scatter", add, dtype: "f32" } as const;
    const kernel = bench(of, emitScatter(of));
    for (
      const [count, columns, length] of [
        [5, 1, 40],
        [7, 3, 20],
        [4, 16, 30],
        [9, 37, 50],
        [3, 128, 17],
        [3, 8, 0],
        [0, 8, 4],
      ] as const
    ) {
      for (const threads of [1, 2, 3]) {
        const random = generator(count * columns);
        const table = uniform(random, count * columns);
        const rows = uniform(random, length * columns);
        const ids = Int32Array.from({ length }, () => Math.floor(random() * (count + 4)) - 2);
        if (length > 1) [ids[0], ids[1]] = [-(2 ** 31), 2 ** 31 - 1];
        const expected = scatter(table, ids, rows, columns, add);
        const sizes = { tableRows: count, columns, count: length };
        const args = [table, ids, rows];
        kernel.run({ args, outputs: [], updated: [0], sizes, threads });
        assert.deepEqual(table, expected);
      }
    }
  }
});

Deno.test("a scatter into a table that is not f32 is refused by name", () => {
  assert.throws(
    () => emitScatter({ op: "scatter", add: true, dtype: "bf16" }),
    (error) => error instanceof UserError && error.message.includes("bf16"),
  );
});
