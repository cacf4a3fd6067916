import assert from "node:assert/strict";
import {
  checkpoint,
  grad,
  jit,
  logitStats,
  matmul,
  realize,
  scope,
  type Tensor,
  tensor,
} from "../../core/mod.ts";
import { eachDevice } from "../devices.ts";

/** Numbers that are not regular. */
function waves(size: number): Float32Array {
  return Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7));
}

eachDevice("donated memory is not written while a checkpoint still reads it", async () => {
  const n = 48;
  const loss = (x: Tensor) => checkpoint((q: Tensor) => matmul(q, q.transpose()))(x).square().sum();
  const step = (x: Tensor) => x.sub(grad(loss)(x).mul(0.01));
  const fresh = () => realize(tensor(waves(n * n), { shape: [n, n] }));
  const expected = await step(await fresh()).data();
  const found = await jit(step, { donate: [0] })(await fresh()).data();
  found.forEach((x, i) => {
    const wanted = expected[i]!;
    assert.ok(
      Math.abs(x - wanted) <= 1e-4 * Math.max(1, Math.abs(wanted)),
      `${i}: ${x}, ${wanted}`,
    );
  });
});

eachDevice("a captured tensor that is donated is refused", async () => {
  const w = await realize(tensor([2, 3]));
  const f = jit((p: Tensor) => [p.add(1), p.add(1).mul(w)], { donate: [0], name: "f" });
  assert.throws(() => f(w), /f captures a tensor that is donated/);
});

eachDevice("jit refuses to be differentiated or traced from outside", () => {
  const square = jit((x: Tensor) => x.square().sum());
  assert.throws(() => grad((x: Tensor) => square(x))(tensor([1, 2])), /call grad inside of jit/);
  assert.throws(() => jit((x: Tensor) => square(x))(tensor([1, 2])), /inside of another one/);
});

eachDevice("jit tells trees of different structure apart", async () => {
  const f = jit((tree: unknown) =>
    tensor(tree === undefined ? 1 : tree === null ? 2 : Array.isArray(tree) ? 3 : 4)
  );
  const found = [];
  for (const tree of [undefined, null, [], {}]) found.push(await f(tree).item());
  assert.deepEqual(found, [1, 2, 3, 4]);
});

eachDevice("gradients flow beside an output that has none", async () => {
  const f = checkpoint((x: Tensor) => ({ at: x.argMax(), square: x.square() }));
  const slope = grad((x: Tensor) => f(x).square.sum());
  assert.deepEqual([...await slope(tensor([1, 2])).data()], [2, 4]);
});

eachDevice("rows gathered from a bf16 table give it a gradient", async () => {
  const ids = tensor([1, 1], { dtype: "i32" });
  const slope = grad((x: Tensor) => x.gather(ids).cast("f32").sum());
  const table = tensor([[1, 2], [3, 4]], { dtype: "bf16" });
  assert.deepEqual([...await slope(table).data()], [0, 0, 2, 2]);
});

eachDevice("logitStats() can be differentiated twice", async () => {
  const head = tensor([[1, 0.5], [0.2, -1], [0.7, 0.1]]);
  const label = tensor([1], { dtype: "i32" });
  const logProb = (h: Tensor) => logitStats(h, head, label).logProb.sum();
  const norm = (h: Tensor) => grad(logProb)(h).square().sum();
  const found = await grad(norm)(tensor([[0.3, 0.2]])).data();
  const at = async (x: number, y: number) => await norm(tensor([[x, y]])).item();
  const e = 1e-2;
  const expected = [
    (await at(0.3 + e, 0.2) - await at(0.3 - e, 0.2)) / (2 * e),
    (await at(0.3, 0.2 + e) - await at(0.3, 0.2 - e)) / (2 * e),
  ];
  expected.forEach((slope, i) =>
    assert.ok(Math.abs(found[i]! - slope) < 1e-3, `${found[i]}, ${slope}`)
  );
});

eachDevice("what a scope returns is computed before its inputs go", async () => {
  const sum = await scope(async () => (await realize(tensor([1, 2]))).add(1));
  assert.deepEqual([...await sum.data()], [2, 3]);
});

eachDevice("programs without a kernel may follow each other closely", async () => {
  const x = await realize(tensor([1, 2, 3, 4]));
  for (let i = 0; i < 300; i++) await realize(x.reshape(2, 2));
  assert.deepEqual([...await x.add(1).data()], [2, 3, 4, 5]);
});
