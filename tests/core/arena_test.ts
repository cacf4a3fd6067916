import assert from "node:assert/strict";
import { placeInArena, type Span } from "../../core/lower/arena.ts";
import { setDevice } from "../../core/device/current.ts";
import {
  jit,
  matmul,
  randomKey,
  randomNormal,
  realize,
  softmax,
  type Tensor,
  valueAndGrad,
} from "../../core/mod.ts";
import { openAdapter } from "../adapter.ts";
import { devices } from "../devices.ts";
import { generator } from "./attention_cases.ts";
import { assertClose } from "./compare.ts";

const whole = (bytes: number) => Math.ceil(bytes / 256) * 256;

function overlap(a: Span, b: Span): boolean {
  const alive = a.first <= b.last && b.first <= a.last;
  return alive && a.offset < b.offset + whole(b.bytes) && b.offset < a.offset + whole(a.bytes);
}

for (const segment of [Infinity, 4096, 1024]) {
  Deno.test(`temporaries alive together lie apart, and none in two pieces of ${segment} bytes`, () => {
    const random = generator(7);
    for (let round = 0; round < 50; round++) {
      const spans = Array.from({ length: 30 }, (): Span => {
        const first = Math.floor(random() * 40);
        const bytes = 4 * (1 + Math.floor(random() * 256));
        return { bytes, first, last: first + Math.floor(random() * 12), offset: 0 };
      });
      const total = placeInArena(spans, segment);
      for (const [i, span] of spans.entries()) {
        assert.equal(span.offset % 256, 0);
        assert.ok(span.offset + span.bytes <= total);
        const [begin, end] = [span.offset, span.offset + span.bytes - 1]
          .map((at) => Math.floor(at / segment));
        assert.equal(begin, end, "in one piece");
        for (const other of spans.slice(0, i)) assert.ok(!overlap(span, other));
      }
    }
  });
}

const gpu = await openAdapter({ maxBufferBytes: 64 * 1024 });

Deno.test({
  name: "a temporary that no buffer can hold is refused with its size (webgpu)",
  ignore: gpu === undefined,
  fn: async () => {
    setDevice(gpu!);
    const x = await realize(randomNormal(randomKey(1), [64, 8]));
    const wide = jit((x: Tensor) => softmax(matmul(matmul(x, x, { transposeB: true }), x)).sum());
    assert.ok(Number.isFinite(await wide(x).item()));
    const far = jit((x: Tensor) => matmul(matmul(x, x, { transposeB: true }).exp(), x).sum());
    const tall = await realize(randomNormal(randomKey(2), [200, 8]));
    assert.throws(() => far(tall), /A buffer of 160000 bytes .* largest buffer is 65536 bytes/);
  },
});

Deno.test({
  name: "a step whose temporaries need several buffers computes what it does in one (webgpu)",
  ignore: gpu === undefined,
  fn: async () => {
    const step = () =>
      jit((w: Tensor, x: Tensor) => {
        const loss = (w: Tensor) => {
          const hidden = Array.from({ length: 4 })
            .reduce<Tensor>((h) => matmul(h, w).tanh().add(h), x);
          return softmax(hidden).square().mean();
        };
        return valueAndGrad(loss)(w);
      });
    const results: ArrayLike<number>[][] = [];
    for (const device of [gpu!, devices.find(({ kind }) => kind === "webgpu")!]) {
      setDevice(device);
      const w = await realize(randomNormal(randomKey(1), [64, 64]).mul(0.1));
      const x = await realize(randomNormal(randomKey(2), [200, 64]));
      const jitted = step();
      const { arenaBytes } = jitted.plan(w, x).plan;
      if (device === gpu) assert.ok(arenaBytes > 2 * 64 * 1024, `${arenaBytes}`);
      const [loss, gradient] = jitted(w, x);
      results.push([await loss.data(), await gradient.data()]);
    }
    assertClose(results[0]![0]!, results[1]![0]!, 0, "loss");
    assertClose(results[0]![1]!, results[1]![1]!, 0, "gradient");
  },
});
