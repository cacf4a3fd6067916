import assert from "node:assert/strict";
import { median } from "../../bench/measure.ts";
import { sftBatch } from "../../bench/sft_batch.ts";
import { showNumber, showTable, showTransposed } from "../../bench/table.ts";

Deno.test("tables align numbers to the right and words to the left", () => {
  const rows = [{ case: "a", ms: 1.5 }, { case: "long", ms: 1234.5, note: "slow" }];
  assert.equal(
    showTable(rows),
    ["case    ms  note", "a     1.50", "long  1235  slow"].join("\n"),
  );
});

Deno.test("transposed tables have a column for each case", () => {
  const rows = [{ device: "x", ms: 2, bytes: 10 }, { device: "yy", ms: 30 }];
  assert.equal(showTransposed(rows, "device"), "        x  yy\nms      2  30\nbytes  10");
});

Deno.test("numbers keep about three digits", () => {
  const shown = [1234.56, 99.94, 9.994, 0.123456, 0.0123456, 3].map(showNumber);
  assert.deepEqual(shown, ["1235", "99.9", "9.99", "0.12", "0.012", "3"]);
});

Deno.test("the median is the middle, or the mean of the middle two", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.throws(() => median([]), RangeError);
});

Deno.test("the batch of the benchmark is the same every time, and labels completions only", () => {
  const [a, b] = [sftBatch(8192), sftBatch(8192)];
  assert.deepEqual(a, b);
  assert.deepEqual([a.tokens, a.labels], [1514, 952]);
  const sizes = Array.from(
    { length: 8 },
    (_, row) => a.segments.subarray(0, a.length).filter((segment) => segment === row).length,
  );
  assert.equal(median(sizes), 171);
});
