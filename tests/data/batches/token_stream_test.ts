import assert from "node:assert/strict";
import {
  bucketLength,
  buildStream,
  crossSegments,
  type StreamArrays,
} from "../../../data/batches/token_stream.ts";

const rowsOf = ({ segments, length }: StreamArrays) =>
  Array.from(
    { length: 5 },
    (_, row) => Array.from(segments.subarray(row * length, (row + 1) * length)),
  );

/** The label triples: source, target, segment. */
const triplesOf = ({ sources, targets, labelSegments, labels }: StreamArrays) =>
  Array.from({ length: labels }, (_, i) => [sources[i], targets[i], labelSegments[i]]);

Deno.test("lengths are rounded up to few buckets that waste at most 12 %, or 15 tokens", () => {
  const buckets = new Set<number>();
  for (let length = 1; length <= 5000; length++) {
    const bucket = bucketLength(length);
    buckets.add(bucket);
    assert.ok(bucket >= Math.max(length, 16) && bucket % 16 === 0, `${length}: ${bucket}`);
    assert.ok(bucket - length <= Math.max(15, 0.125 * length), `${length}: ${bucket}`);
    assert.ok(bucketLength(bucket) === bucket, `${bucket} is its own bucket`);
  }
  assert.ok(buckets.size < 60, `${buckets.size} buckets up to 5000`);
});

Deno.test("sequences lie one after the other, each a segment of its own, then padding", () => {
  const stream = buildStream([
    { ids: [5, 6, 7], labels: [5, -100, 7] },
    { ids: [8, 9], labels: [8, 9] },
  ]);
  assert.equal(stream.length, 16);
  assert.equal(stream.tokens, 5);
  assert.deepEqual(Array.from(stream.ids), [5, 6, 7, 8, 9, ...Array(11).fill(0)]);
  const padding = (value: number) => Array(11).fill(value);
  assert.deepEqual(rowsOf(stream), [
    [0, 0, 0, 1, 1, ...padding(-1)],
    [-1, -1, -1, -1, -1, ...padding(-1)],
    [0, 1, 2, 0, 1, ...padding(0)],
    [0, 0, 0, 3, 3, ...padding(0)],
    [3, 3, 3, 5, 5, ...padding(0)],
  ]);
});

Deno.test("the token before predicts a label, and nothing predicts the first of a sequence", () => {
  const stream = buildStream([
    { ids: [5, 6, 7], labels: [5, -100, 7] },
    { ids: [8, 9], labels: [8, 9] },
  ]);
  assert.deepEqual(triplesOf(stream), [[1, 7, 0], [3, 9, 1]]);
  assert.equal(stream.labelCount, 16);
  for (const column of [stream.sources, stream.targets, stream.labelSegments]) {
    assert.deepEqual(Array.from(column.subarray(2)), Array(14).fill(-1));
  }
});

Deno.test("continuations see their parent, and its last token predicts the first of each", () => {
  const stream = buildStream([
    { ids: [5, 6, 7] },
    { ids: [8, 9], labels: [8, 9], parent: 0 },
    { ids: [10], labels: [10], parent: 0 },
    { ids: [11, 12], labels: [11, 12] },
  ]);
  const [segment, parent, position, first, last] = rowsOf(stream).map((row) => row.slice(0, 8));
  assert.deepEqual(segment, [0, 0, 0, 1, 1, 2, 3, 3]);
  assert.deepEqual(parent, [-1, -1, -1, 0, 0, 0, -1, -1]);
  assert.deepEqual(position, [0, 1, 2, 3, 4, 3, 0, 1]);
  assert.deepEqual(first, [0, 0, 0, 0, 0, 0, 6, 6], "the family's first token");
  assert.deepEqual(last, [3, 3, 3, 5, 5, 6, 8, 8], "the end of the own segment");
  assert.deepEqual(triplesOf(stream), [[2, 8, 1], [3, 9, 1], [2, 10, 2], [6, 12, 3]]);
});

Deno.test("a stream without sequences or with empty ones is all padding", () => {
  for (const sequences of [[], [{ ids: [], labels: [] }]]) {
    const stream = buildStream(sequences);
    assert.deepEqual([stream.length, stream.tokens, stream.labels], [16, 0, 0]);
    assert.ok(rowsOf(stream)[0]!.every((segment) => segment === -1));
  }
  const between = buildStream([{ ids: [1, 2] }, { ids: [] }, { ids: [3], labels: [3] }]);
  assert.deepEqual(rowsOf(between)[0]!.slice(0, 4), [0, 0, 2, -1]);
  assert.equal(between.labels, 0);
});

Deno.test("targets are told where their sources lie, continuations where their parent's does", () => {
  const source = buildStream([{ ids: [5, 6, 7] }, { ids: [] }, { ids: [8, 9] }]);
  const target = buildStream([{ ids: [1] }, { ids: [2, 3], parent: 0 }, { ids: [4] }]);
  const rows = rowsOf({ ...target, segments: crossSegments(source, target) });
  assert.deepEqual(rows.slice(0, 3), rowsOf(target).slice(0, 3));
  assert.deepEqual(rows.slice(3).map((row) => row.slice(0, 5)), [[0, 0, 0, 3, 0], [3, 3, 3, 5, 0]]);
});
