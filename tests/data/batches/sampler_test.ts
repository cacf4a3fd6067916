import assert from "node:assert/strict";
import { UserError } from "../../../core/errors.ts";
import { mersenneTwister, randomPermutation } from "../../../data/batches/mersenne_twister.ts";
import { numpyPermutation } from "../../../data/batches/numpy_random.ts";
import { batchesOf, epochOrder, evaluationOrder } from "../../../data/batches/sampler.ts";
import { readFixture } from "../fixture_files.ts";

interface Permutation {
  readonly count: number;
  readonly seed: number;
  readonly first: number[];
  readonly digest: number;
}

interface Golden {
  readonly randperm: readonly Permutation[];
  readonly numpy: readonly Permutation[];
  readonly length_grouped: readonly {
    readonly lengths: number[];
    readonly batch_size: number;
    readonly seed: number;
    readonly epochs: readonly (number[] | number)[];
  }[];
  readonly length_grouped_evaluation: readonly {
    readonly lengths: number[];
    readonly batch_size: number;
    readonly seed: number;
    readonly order: number[];
  }[];
}

const digest = (order: Int32Array) =>
  order.reduce((sum, value) => (sum * 31 + value) % (2 ** 31 - 1), 0);

Deno.test("random permutations are torch.randperm's, for any count and seed", async () => {
  const golden = await readFixture<Golden>("golden/orders.json");
  for (const { count, seed, first, digest: expected } of golden.randperm) {
    const order = randomPermutation(count, mersenneTwister(seed));
    assert.deepEqual(Array.from(order.subarray(0, 5)), first, `${count} with seed ${seed}`);
    assert.equal(digest(order), expected, `${count} with seed ${seed}`);
  }
});

Deno.test("shuffled data sets have numpy's default permutation", async () => {
  const golden = await readFixture<Golden>("golden/orders.json");
  for (const { count, seed, first, digest: expected } of golden.numpy) {
    const order = numpyPermutation(count, seed);
    assert.deepEqual(Array.from(order.subarray(0, 5)), first, `${count} with seed ${seed}`);
    assert.equal(digest(order), expected, `${count} with seed ${seed}`);
  }
});

Deno.test("epochs visit the rows in TRL's order, in batches of TRL's size", async () => {
  const expected = await readFixture<{ order: number[][]; prepared: unknown[] }>(
    "trl/sft-shuffled/expected.json",
  );
  const count = expected.prepared.length;
  const batches = [0, 1].flatMap((epoch) => batchesOf(epochOrder(count, { seed: 42, epoch }), 4));
  assert.deepEqual(batches.map((batch) => Array.from(batch)), expected.order);
});

Deno.test("grouping by length orders as transformers' LengthGroupedSampler, epoch by epoch", async () => {
  const golden = await readFixture<Golden>("golden/orders.json");
  for (const { lengths, batch_size, seed, epochs } of golden.length_grouped) {
    epochs.forEach((expected, epoch) => {
      const order = epochOrder(lengths.length, {
        seed,
        epoch,
        strategy: "group_by_length",
        lengths,
        batchSize: batch_size,
      });
      if (typeof expected === "number") assert.equal(digest(order), expected);
      else assert.deepEqual(Array.from(order), expected);
    });
  }
});

Deno.test("evaluation keeps the order of the rows, or groups them from the seed alone", async () => {
  const { length_grouped_evaluation } = await readFixture<Golden>("golden/orders.json");
  for (const { lengths, batch_size, seed, order } of length_grouped_evaluation) {
    const options = { seed: 1, dataSeed: seed, lengths, batchSize: batch_size };
    const grouped = evaluationOrder(lengths.length, { ...options, strategy: "group_by_length" });
    assert.deepEqual(Array.from(grouped), order);
    const plain = evaluationOrder(lengths.length, { ...options, strategy: "random" });
    assert.deepEqual(Array.from(plain), lengths.map((_, i) => i));
  }
});

Deno.test("data_seed decides a random order in the place of seed", () => {
  const bySeed = epochOrder(50, { seed: 7, epoch: 1 });
  assert.deepEqual(epochOrder(50, { seed: 42, dataSeed: 7, epoch: 1 }), bySeed);
  assert.notDeepEqual(epochOrder(50, { seed: 42, epoch: 1 }), bySeed);
});

Deno.test("sequential sampling keeps the order of the rows", () => {
  const order = epochOrder(4, { seed: 42, epoch: 3, strategy: "sequential" });
  assert.deepEqual(Array.from(order), [0, 1, 2, 3]);
});

Deno.test("the last batch holds what is left, or is dropped on request", () => {
  const order = Int32Array.of(4, 3, 2, 1, 0);
  assert.deepEqual(batchesOf(order, 2).map((b) => Array.from(b)), [[4, 3], [2, 1], [0]]);
  assert.deepEqual(batchesOf(order, 2, { dropLast: true }).length, 2);
  assert.deepEqual(batchesOf(order, 5, { dropLast: true }).length, 1);
});

Deno.test("grouping by length without lengths is refused", () => {
  const options = { seed: 1, epoch: 0, strategy: "group_by_length" } as const;
  assert.throws(() => epochOrder(3, options), UserError);
});
