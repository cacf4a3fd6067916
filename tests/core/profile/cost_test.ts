import assert from "node:assert/strict";
import type { FusedKernel } from "../../../core/kernel.ts";
import type { FusedLaunch, HandMadeLaunch, KernelOf } from "../../../core/launch.ts";
import type { AttentionSizes } from "../../../core/operations/attention.ts";
import type { MatmulKernel, MatmulSizes } from "../../../core/operations/matmul.ts";
import type { HandMadeKernel } from "../../../core/operations/mod.ts";
import { launchCost } from "../../../core/profile/cost.ts";
import { kernelFamily, launchName } from "../../../core/profile/name.ts";
import { boundOf } from "../../../core/profile/roofline.ts";

const product: MatmulKernel = {
  op: "matmul",
  a: "f32",
  b: "f32",
  transposeA: false,
  transposeB: false,
  accumulate: false,
};

const args = Array.from({ length: 16 }, () => ({ external: 0 }));

function fused(kernel: FusedKernel, ints: readonly number[]): FusedLaunch {
  return { kernel, ints, args };
}

function launch<Op extends HandMadeKernel["op"]>(
  kernel: KernelOf<Op>,
  sizes: HandMadeLaunch<KernelOf<Op>>["sizes"],
): HandMadeLaunch<KernelOf<Op>> {
  return { kernel, sizes, args };
}

/** Of [batch, 8, 16] by [16, 32]; strides of 0 share a matrix. */
function sizesOf(batch: number, bBatch: number): MatmulSizes {
  return {
    ...{ batch, m: 8, n: 32, k: 16, aOffset: 0, aBatch: 8 * 16, aRow: 16 },
    ...{ bOffset: 0, bBatch, bRow: 32, cOffset: 0, cBatch: 8 * 32, cRow: 32 },
  };
}

Deno.test("a product's cost is its arithmetic, and each matrix once", () => {
  assert.deepEqual(launchCost(launch(product, sizesOf(1, 0))), {
    flops: 2 * 8 * 32 * 16,
    bytes: 4 * (8 * 16 + 16 * 32 + 8 * 32),
  });
});

Deno.test("a matrix that a batch shares is counted once, and one that is added to twice", () => {
  const { bytes } = launchCost(launch({ ...product, accumulate: true }, sizesOf(3, 0)));
  assert.equal(bytes, 4 * (3 * 8 * 16 + 16 * 32 + 2 * 3 * 8 * 32));
});

Deno.test("weights in a code count as their codes and scales", () => {
  const nf4 = launchCost(launch({ ...product, b: "nf4" }, sizesOf(1, 0)));
  assert.equal(nf4.bytes, 4 * (8 * 16 + 8 * 32) + 16 * 32 / 2 + 4 * 16 * 32 / 64);
  const rows = { ...product, b: "int8", transposeB: true } as const;
  assert.equal(
    launchCost(launch(rows, sizesOf(1, 0))).bytes,
    4 * (8 * 16 + 8 * 32) + 16 * 32 + 4 * 32,
  );
});

const gathering: FusedKernel = {
  op: "fused",
  kind: "map",
  rank: 2,
  args: [
    { dtype: "i32", access: "read" },
    { dtype: "bf16", access: "read" },
    { dtype: "f32", access: "read" },
    { dtype: "f32", access: "write" },
  ],
  body: [
    {
      op: "load",
      arg: 0,
      access: { offset: null, terms: [{ dim: 0, stride: 1 }], masks: [], gather: null },
      type: "i32",
    },
    {
      op: "load",
      arg: 1,
      access: {
        offset: null,
        terms: [{ dim: 1, stride: 1 }],
        masks: [],
        gather: { index: 0, stride: { slot: 1 }, count: { slot: 2 } },
      },
      type: "f32",
    },
    {
      op: "load",
      arg: 2,
      access: {
        offset: null,
        terms: [{ dim: 1, stride: 1 }],
        masks: [{ dim: 1, low: { slot: 3 }, high: { slot: 1 } }],
        gather: null,
      },
      type: "f32",
    },
    { op: "binary", fn: "add", x: 1, y: 2, type: "f32" },
    {
      op: "store",
      arg: 3,
      access: {
        offset: null,
        terms: [{ dim: 0, stride: { slot: 1 } }, { dim: 1, stride: 1 }],
        masks: [],
        gather: null,
      },
      x: 3,
    },
  ],
};

Deno.test("a fused kernel's cost is what its accesses reach: gathered rows, masked ranges", () => {
  const { bytes, flops } = launchCost(fused(gathering, [10, 64, 1000, 48]));
  assert.equal(bytes, 4 * 10 + 2 * 10 * 64 + 4 * (64 - 48) + 4 * 10 * 64);
  assert.equal(flops, 0);
});

Deno.test("a buffer of the arena counts at most once in each direction", () => {
  const all = fused(gathering, [10, 64, 1000, 48]);
  const args = all.args.map((ref, i) => i === 1 ? { arena: 0, bytes: 256 } : ref);
  assert.equal(launchCost({ ...all, args }).bytes, 4 * 10 + 256 + 4 * (64 - 48) + 4 * 10 * 64);
});

function attentionSizes(window: number): AttentionSizes {
  return {
    ...{ queries: 100, keys: 120, queryHeads: 8, keyHeads: 4, width: 64, window, reach: 0 },
    ...{ scale: 1, softcap: 0 },
  };
}

Deno.test("attention counts its arrays, and scatters their rows", () => {
  const attention = { op: "attention", causal: true, softcap: false, bias: false } as const;
  const sizes = attentionSizes(2 ** 31 - 1);
  const [q, k] = [4 * 100 * 8 * 64, 4 * 120 * 4 * 64];
  const others = 4 * 100 * 8 + 20 * 220;
  assert.deepEqual(launchCost(launch(attention, sizes)), {
    bytes: 2 * q + 2 * k + others,
    flops: 0,
  });
  const scatter = { op: "scatter", add: true, dtype: "f32" } as const;
  assert.equal(
    launchCost(launch(scatter, { tableRows: 50, columns: 64, count: 7 })).bytes,
    7 * (3 * 4 * 64 + 4),
  );
});

Deno.test("launches have names that people can read", () => {
  assert.equal(launchName(launch(product, sizesOf(1, 0))), "matmul 8x32x16 f32");
  assert.equal(
    launchName(launch({ ...product, b: "nf4", transposeB: true, accumulate: true }, sizesOf(2, 0))),
    "matmul 2x8x32x16 f32·nf4, Bᵀ, added",
  );
  assert.equal(
    launchName(fused(gathering, [10, 64, 1000, 48])),
    "fused map 10x64 (gather), 3 in, 1 out",
  );
  assert.equal(kernelFamily(fused(gathering, [10, 64, 1000, 48])), "fused map");
  const attention = { op: "attention", causal: true, softcap: false, bias: false } as const;
  assert.equal(
    launchName(launch(attention, attentionSizes(9))),
    "attention 100x120, 8/4 heads of 64, causal",
  );
  const scatter = { op: "scatter", add: true, dtype: "f32" } as const;
  assert.equal(
    launchName(launch(scatter, { tableRows: 50, columns: 64, count: 7 })),
    "scatter-add 7 rows into 50x64",
  );
});

Deno.test("a bound is by what takes longer: the arithmetic or the memory", () => {
  const roofline = { flopsPerMs: 100, bytesPerMs: 10, productSide: 512 };
  assert.deepEqual(boundOf({ flops: 1000, bytes: 10 }, roofline), { ms: 10, by: "products" });
  assert.deepEqual(boundOf({ flops: 1000, bytes: 200 }, roofline), { ms: 20, by: "memory" });
});
