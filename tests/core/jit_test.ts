import assert from "node:assert/strict";
import {
  concat,
  full,
  grad,
  jit,
  matmul,
  type Operand,
  realize,
  scatterRows,
  scope,
  softmax,
  Tensor,
  tensor,
} from "../../core/mod.ts";
import { eachDevice } from "../devices.ts";
import { generator, uniform } from "./attention_cases.ts";
import { assertClose } from "./compare.ts";
import { decoderBatch, decoderLoss, decoderParams, decoderState, trainStep } from "./decoder.ts";
import { leavesOf } from "../../core/tree.ts";

const random = (shape: number[], seed = 1) =>
  tensor(uniform(generator(seed), shape.reduce((a, n) => a * n, 1)), { shape });

const allocationOf = (x: Tensor) => x.node.storage!.allocation.id;

eachDevice("an eager result equals the jitted one", async () => {
  const [params, batch] = [decoderParams(2), decoderBatch(11)];
  const f = (p: typeof params) => grad(decoderLoss)(p, batch);
  const eager = await realize(f(params));
  const jitted = jit(f)(params);
  const pairs = leavesOf(eager).map(([path, leaf], i) =>
    [path, leaf as Tensor, leavesOf(jitted)[i]![1] as Tensor] as const
  );
  for (const [path, a, b] of pairs) assertClose(await b.data(), await a.data(), 1e-6, path);
});

eachDevice("the same program twice gives the same bits", async () => {
  const [params, batch] = [decoderParams(1), decoderBatch(37)];
  const step = jit((p: typeof params) => grad(decoderLoss)(p, batch));
  const read = async () => {
    const leaves = leavesOf(step(params)).map(([, leaf]) => leaf as Tensor);
    return await Promise.all(leaves.map(async (t) => Array.from(await t.data())));
  };
  assert.deepEqual(await read(), await read());
  assert.equal(step.traces(), 1);
});

eachDevice("donated tensors are updated in place and refuse later use by name", async () => {
  const update = jit((p: Tensor, g: Tensor) => p.sub(g.mul(0.5)), { donate: [0], name: "update" });
  const p = await realize(tensor([1, 2, 3]));
  const before = allocationOf(p);
  const next = update(p, tensor([2, 2, 2]));
  assert.equal(allocationOf(next), before);
  assert.deepEqual(Array.from(await next.data()), [0, 1, 2]);
  await assert.rejects(async () => await p.data(), /memory was donated to update/);
  assert.throws(() => update(p, next), /donated to update/);
});

eachDevice(
  "a donated tensor that is read after its update is due keeps its old value",
  async () => {
    const f = jit((p: Tensor) => {
      const q = p.mul(2);
      return { p: q, turned: p.flip(0).add(q) };
    }, { donate: [0] });
    const { p, turned } = f(tensor([1, 2, 3]));
    assert.deepEqual(Array.from(await p.data()), [2, 4, 6]);
    assert.deepEqual(Array.from(await turned.data()), [5, 6, 7]);
  },
);

eachDevice("donation exchanges two tensors of one shape correctly", async () => {
  const swap = jit((a: Tensor, b: Tensor) => ({ a: b.add(0.5), b: a.mul(2) }), { donate: [0, 1] });
  const { a, b } = swap(tensor([1, 2]), tensor([10, 20]));
  assert.deepEqual(Array.from(await a.data()), [10.5, 20.5]);
  assert.deepEqual(Array.from(await b.data()), [2, 4]);
});

eachDevice("scatterRows writes donated rows in place", async () => {
  const write = jit(
    (cache: Tensor, ids: Tensor, rows: Tensor) => scatterRows(cache, ids, rows),
    { donate: [0] },
  );
  let cache = await realize(full([6, 2], 0));
  const place = allocationOf(cache);
  for (const row of [1, 4]) {
    cache = write(cache, tensor(Int32Array.of(row)), tensor([[row, row + 0.5]]));
    assert.equal(allocationOf(cache), place);
  }
  assert.deepEqual(Array.from(await cache.data()), [0, 0, 1, 1.5, 0, 0, 0, 0, 4, 4.5, 0, 0]);
  const kept = jit((cache: Tensor, ids: Tensor, rows: Tensor) => scatterRows(cache, ids, rows));
  const copy = kept(cache, tensor(Int32Array.of(0)), tensor([[7, 7]]));
  assert.deepEqual(Array.from(await cache.data()).slice(0, 2), [0, 0]);
  assert.deepEqual(Array.from(await copy.data()).slice(0, 4), [7, 7, 1, 1.5]);
});

eachDevice("gains are updated in place by the kernel that sums their gradient", async () => {
  for (const rows of [3, 300]) {
    const x = random([rows, 33], rows);
    const step = jit(
      (gain: Tensor, x: Tensor, rate: Operand) => {
        const g = grad((gain: Tensor) => x.mul(gain).tanh().sum())(gain);
        return gain.sub(g.mul(rate));
      },
      { donate: [0] },
    );
    const gain = await realize(random([33], 5));
    const start = await gain.data();
    const place = allocationOf(gain);
    const next = step(gain, x, 0.01);
    assert.equal(allocationOf(next), place);
    const data = await x.data();
    const expected = start.map((w, j) => {
      let sum = 0;
      for (let i = 0; i < rows; i++) {
        const v = data[i * 33 + j]!;
        sum += v * (1 - Math.tanh(v * w) ** 2);
      }
      return w - 0.01 * sum;
    });
    assertClose(await next.data(), expected, 1e-5, `${rows} rows`);
  }
});

eachDevice("numbers are dynamic and do not trace again", async () => {
  const axpy = jit((a: Operand, x: Tensor) => x.mul(a).add(1));
  for (const a of [2, -3.5, 0, 1e-3]) {
    assertClose(await axpy(a, tensor([1, 2])).data(), [a + 1, 2 * a + 1], 1e-7, `${a}`);
  }
  assert.equal(axpy.traces(), 1);
});

eachDevice("shapes, dtypes, strings, booleans and structure belong to the signature", async () => {
  const f = jit((x: Tensor, mode: string, flip: boolean, extra: { b?: Tensor }) => {
    const y = mode === "double" ? x.mul(2) : x;
    const z = flip ? y.flip(0) : y;
    return extra.b ? z.add(extra.b) : z;
  });
  const x = tensor([1, 2, 3]);
  assert.deepEqual(Array.from(await f(x, "double", false, {}).data()), [2, 4, 6]);
  assert.deepEqual(Array.from(await f(x, "same", true, {}).data()), [3, 2, 1]);
  assert.deepEqual(Array.from(await f(x, "same", true, { b: x }).data()), [4, 4, 4]);
  assert.equal(f.traces(), 3);
  assert.deepEqual(Array.from(await f(tensor([4]), "double", false, {}).data()), [8]);
  assert.equal(f.traces(), 4);
  f(tensor([9, 8, 7]), "double", false, {});
  assert.equal(f.traces(), 4);
});

eachDevice("captured tensors are hidden inputs", async () => {
  const captured = await realize(tensor([10, 20]));
  const host = tensor([1, 2]);
  const f = jit((x: Tensor) => x.add(captured).mul(host));
  assert.deepEqual(Array.from(await f(tensor([1, 1])).data()), [11, 42]);
  assert.deepEqual(Array.from(await f(tensor([0, 0])).data()), [10, 40]);
  assert.equal(f.traces(), 1);
});

eachDevice("a tensor may be passed twice, and then differently", async () => {
  const f = jit((x: Tensor, y: Tensor) => x.mul(y).add(x));
  const [a, b] = [tensor([1, 2]), tensor([3, 4])];
  assert.deepEqual(Array.from(await f(a, a).data()), [2, 6]);
  assert.deepEqual(Array.from(await f(a, b).data()), [4, 10]);
});

eachDevice("results may be inputs, views, constants, and one another", async () => {
  const f = jit((x: Tensor) => {
    const y = x.add(1);
    return {
      same: x,
      turned: x.transpose(),
      part: x.slice(1, 2).reshape(2),
      constant: full([2], 3),
      y,
      again: y,
      shaped: y.reshape(4),
      wide: x.slice(0, 1).broadcastTo(2, 2),
      note: "kept",
    };
  });
  const r = f(tensor([[1, 2], [3, 4]]));
  const read = async (t: Tensor) => Array.from(await t.data());
  assert.deepEqual(await read(r.same), [1, 2, 3, 4]);
  assert.deepEqual(await read(r.turned), [1, 3, 2, 4]);
  assert.deepEqual(await read(r.part), [3, 4]);
  assert.deepEqual(await read(r.constant), [3, 3]);
  assert.deepEqual(await read(r.y), [2, 3, 4, 5]);
  assert.deepEqual(await read(r.again), [2, 3, 4, 5]);
  assert.deepEqual([r.shaped.shape, await read(r.shaped)], [[4], [2, 3, 4, 5]]);
  assert.deepEqual(await read(r.wide), [1, 2, 1, 2]);
  assert.equal(r.note, "kept");
});

eachDevice("results of one jitted function are arguments of another without waiting", async () => {
  const f = jit((x: Tensor) => softmax(x.mul(2)));
  const g = jit((x: Tensor, w: Tensor) => matmul(x, w));
  let x = random([3, 3]);
  for (let i = 0; i < 5; i++) x = g(f(x), random([3, 3], 7));
  assert.ok((await x.data()).every(Number.isFinite));
});

eachDevice("an argument of a traced function cannot leave it", async () => {
  let leaked: Tensor | null = null;
  jit((x: Tensor) => {
    leaked = x;
    return x.add(1);
  })(tensor([1]));
  await assert.rejects(
    async () => await leaked!.mul(2).data(),
    /argument of a traced function was used outside of it/,
  );
});

eachDevice("what jit cannot take is refused with its place", () => {
  const f = jit((tree: { readonly a: unknown }) => tree);
  assert.throws(() => f({ a: Symbol("x") }), /Argument 0 at a is a symbol/);
});

eachDevice("scope frees everything but its result", async (device) => {
  const freed: number[] = [];
  const free = device.free.bind(device);
  device.free = (allocation) => {
    freed.push(allocation.id);
    free(allocation);
  };
  try {
    const outer: { inside?: Tensor } = {};
    const result = await scope(async () => {
      const x = await realize(random([1000]));
      const y = await realize(x.mul(2));
      outer.inside = x;
      return { sum: await realize(y.sum()), n: 1 };
    });
    assert.ok(freed.length >= 2);
    await assert.rejects(async () => await outer.inside!.data(), /freed at the end of its scope/);
    assert.ok(Number.isFinite(await result.sum.item()));
    const count = freed.length;
    await scope(async () => {
      const kept = await scope(async () => await realize(random([10])));
      assert.equal((await kept.data()).length, 10);
    });
    assert.ok(freed.length > count, "what a scope returns belongs to the scope around it");
  } finally {
    device.free = free;
  }
});

eachDevice("scopes that run at once keep to their own tensors", async () => {
  const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 0));
  const work = async (start: number) =>
    await scope(async () => {
      let x = await realize(tensor([start]));
      for (let step = 0; step < 5; step++) {
        await turn();
        x = await scope(async () => {
          const y = await realize(x.add(1));
          await turn();
          return y;
        });
      }
      return await x.item();
    });
  // The first ends while the second is under way.
  assert.deepEqual(await Promise.all([work(0), scope(turn), work(10)]), [5, undefined, 15]);
});

eachDevice("a long run makes no device objects once each length was seen", async (device) => {
  let state = decoderState(1);
  const step = jit(trainStep, { donate: [0], name: "train" });
  const lengths = [16, 24, 32];
  const batches = lengths.map((n) => decoderBatch(n, n));
  const next = generator(11);
  let loss = NaN;
  const run = async (i: number, batch = batches[Math.floor(next() * lengths.length)]!) => {
    await scope(async () => {
      const scalars = {
        rate: 1e-2,
        correction1: 1 - 0.9 ** (i + 1),
        correction2: 1 - 0.999 ** (i + 1),
      };
      const result = step(state, batch, scalars);
      state = result.state;
      if (i % 10 === 0) loss = await result.loss.item();
      return state;
    });
  };
  for (let i = 0; i < 12; i++) await run(i, batches[i % lengths.length]);
  const first = loss;
  const before = device.counters();
  const places = leavesOf(state).map(([, leaf]) => allocationOf(leaf as Tensor));
  for (let i = 12; i < 212; i++) await run(i);
  await device.synchronize();
  const after = device.counters();
  assert.equal(step.traces(), lengths.length);
  assert.equal(after.objects, before.objects, "device objects");
  assert.equal(after.bytes, before.bytes, "bytes held");
  assert.equal(after.peakBytes, before.peakBytes, "peak bytes");
  assert.deepEqual(leavesOf(state).map(([, leaf]) => allocationOf(leaf as Tensor)), places);
  assert.ok(loss < first * 0.9, `the loss fell from ${first} to ${loss}`);
});

eachDevice("joined results of loops do not deepen without end", async () => {
  let x = tensor([1, 2, 3]);
  for (let i = 0; i < 3000; i++) x = x.mul(0.999).add(0.001);
  const expected = [1, 2, 3].map((v) => 1 + (v - 1) * 0.999 ** 3000);
  assertClose(await x.data(), expected, 1e-4, "3000 steps");
  assert.equal((await concat(Array.from({ length: 200 }, () => x)).data()).length, 600);
});

eachDevice("trees of another structure are traced anew, the same ones are not", async () => {
  const x = await realize(tensor([1, 2]));
  const trees: unknown[] = [
    { a: x },
    { b: x },
    { a: x, b: null },
    { a: x, b: undefined },
    { a: [x] },
    [x],
    [[x]],
    { "a:": x },
    { a: x, b: "c" },
    { a: x, b: true },
    { a: x, b: 3 },
    { a: x, b: x },
    { a: { b: x } },
  ];
  const twice = jit((tree: unknown) =>
    leavesOf(tree).flatMap(([, leaf]) => leaf instanceof Tensor ? [leaf] : [])[0]!.mul(2)
  );
  for (const [i, tree] of trees.entries()) {
    assert.deepEqual(Array.from(await twice(tree).data()), [2, 4]);
    assert.equal(twice.traces(), i + 1, JSON.stringify(Object.keys(tree as object)));
  }
  for (const tree of trees) twice(tree);
  assert.equal(twice.traces(), trees.length);
});
