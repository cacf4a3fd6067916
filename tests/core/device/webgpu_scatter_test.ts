import assert from "node:assert/strict";
import { UserError } from "../../../core/errors.ts";
import { asFloats, bothKernels, generator, numbers, runKernel } from "./webgpu.ts";

const [tableRows, columns, count] = [23, 37, 150];
const sizes = { tableRows, columns, count };
const next = generator(8);
/** Repeats, and ids outside the table on both sides. */
const ids = Int32Array.from({ length: count }, () => Math.floor(next() * (tableRows + 4)) - 2);

bothKernels("scatter adds rows of one id in their order, to the bit", async (device) => {
  const table = numbers(tableRows * columns, 1);
  const rows = numbers(count * columns, 2);
  const expected = Float32Array.from(table);
  ids.forEach((id, n) => {
    if (id < 0 || id >= tableRows) return;
    for (let c = 0; c < columns; c++) {
      expected[id * columns + c]! += rows[n * columns + c]!;
    }
  });
  const kernel = { op: "scatter", add: true, dtype: "f32" } as const;
  const results = await runKernel(device, { kernel, sizes }, [table, ids, rows]);
  assert.deepEqual(asFloats(results[0]!), expected);
});

bothKernels("scatter writes the last row of each id", async (device) => {
  const table = numbers(tableRows * columns, 1);
  const rows = numbers(count * columns, 2);
  const expected = Float32Array.from(table);
  ids.forEach((id, n) => {
    if (id < 0 || id >= tableRows) return;
    expected.set(rows.subarray(n * columns, (n + 1) * columns), id * columns);
  });
  const kernel = { op: "scatter", add: false, dtype: "f32" } as const;
  const results = await runKernel(device, { kernel, sizes }, [table, ids, rows]);
  assert.deepEqual(asFloats(results[0]!), expected);
});

bothKernels("scatter writes whole rows of narrow elements and refuses odd ones", async (device) => {
  const table = new Uint16Array(4 * 6).fill(7);
  const rows = Uint16Array.from({ length: 2 * 6 }, (_, i) => 100 + i);
  const kernel = { op: "scatter", add: false, dtype: "bf16" } as const;
  const two = Int32Array.of(3, 1);
  const results = await runKernel(
    device,
    { kernel, sizes: { tableRows: 4, columns: 6, count: 2 } },
    [table, two, rows],
  );
  const expected = Uint16Array.from(table);
  expected.set(rows.subarray(0, 6), 18);
  expected.set(rows.subarray(6), 6);
  assert.deepEqual(new Uint16Array(results[0]!.buffer), expected);
  const odd = { kernel, sizes: { tableRows: 4, columns: 5, count: 2 } };
  await assert.rejects(runKernel(device, odd, [table, two, rows]), UserError);
});

bothKernels("scatter adds thousands of rows of one id in their order", async (device) => {
  const rows = numbers(9000 * 3, 4);
  const sums = new Float32Array(3);
  rows.forEach((value, i) => sums[i % 3]! += value);
  const kernel = { op: "scatter", add: true, dtype: "f32" } as const;
  const many = { tableRows: 1, columns: 3, count: 9000 };
  const args = [new Float32Array(3), new Int32Array(9000), rows];
  const results = await runKernel(device, { kernel, sizes: many }, args);
  assert.deepEqual(asFloats(results[0]!), sums);
});
