import assert from "node:assert/strict";
import { openWebGpu } from "../../../core/device/webgpu/device.ts";
import type { Access, FusedKernel } from "../../../core/kernel.ts";
import { UserError } from "../../../core/errors.ts";
import { type Call, gpuTest, numbers, runKernel } from "./webgpu.ts";

type Data = Parameters<typeof runKernel>[2];

const flat: Access = {
  offset: null,
  terms: [{ dim: 0, stride: { slot: 1 } }, { dim: 1, stride: 1 }],
  masks: [],
  gather: null,
};

const rows: FusedKernel = {
  op: "fused",
  kind: "row",
  rank: 2,
  args: [{ dtype: "f32", access: "read" }, { dtype: "bf16", access: "write" }, {
    dtype: "f32",
    access: "readwrite",
  }],
  body: [
    { op: "load", arg: 0, access: flat, type: "f32" },
    { op: "reduce", fn: "sum", x: 0, type: "f32" },
    { op: "load", arg: 2, access: flat, type: "f32" },
    { op: "binary", fn: "add", x: 2, y: 1, type: "f32" },
    { op: "store", arg: 1, access: flat, x: 3 },
    { op: "store", arg: 2, access: flat, x: 3 },
  ],
};

const halves = Uint16Array.from(numbers(40 * 36, 5), (value) => 0x3f80 + 64 * value);
const cases: readonly {
  readonly name: string;
  readonly call: Call;
  readonly args: Data;
}[] = [
  {
    name: "rows",
    call: { kernel: rows, ints: [31, 34] },
    args: [numbers(1054, 1), new Uint16Array(1054), numbers(1054, 2)],
  },
  {
    name: "a matrix product",
    call: {
      kernel: {
        op: "matmul",
        a: "f32",
        b: "bf16",
        transposeA: false,
        transposeB: true,
        accumulate: true,
      },
      sizes: {
        ...{ batch: 1, m: 20, n: 40, k: 36, aOffset: 0, aBatch: 0, aRow: 36 },
        ...{ bOffset: 0, bBatch: 0, bRow: 36, cOffset: 0, cBatch: 0, cRow: 40 },
      },
    },
    args: [numbers(720, 3), halves, numbers(800, 4)],
  },
  {
    name: "a product with a matrix of codes",
    call: {
      kernel: {
        op: "matmul",
        a: "f32",
        b: "nf4",
        transposeA: false,
        transposeB: true,
        accumulate: false,
      },
      sizes: {
        ...{ batch: 1, m: 20, n: 130, k: 36, aOffset: 0, aBatch: 0, aRow: 36 },
        ...{ bOffset: 0, bBatch: 0, bRow: 36, cOffset: 0, cBatch: 0, cRow: 130 },
      },
    },
    args: [
      numbers(720, 11),
      Uint8Array.from(numbers(2340, 12), (value) => 128 + 127 * value),
      new Float32Array(2600),
      numbers(74, 13),
    ],
  },
  {
    name: "a scatter",
    call: {
      kernel: { op: "scatter", add: true, dtype: "f32" },
      sizes: { tableRows: 20, columns: 40, count: 15 },
    },
    args: [
      numbers(800, 5),
      Int32Array.from({ length: 15 }, (_, i) => (7 * i) % 19),
      numbers(600, 6),
    ],
  },
  {
    name: "attention",
    call: {
      kernel: { op: "attention", causal: true, softcap: false, bias: false },
      sizes: {
        ...{ queries: 30, keys: 30, queryHeads: 2, keyHeads: 1, width: 12 },
        ...{ window: 100, reach: 0, scale: 0.5, softcap: 0 },
      },
    },
    args: [
      numbers(720, 7),
      numbers(360, 8),
      numbers(360, 9),
      ...[0, 1].map(() =>
        Int32Array.from({ length: 150 }, (_, i) => [0, -1, i % 30, 0, 30][Math.floor(i / 30)]!)
      ),
      new Float32Array(720),
      new Float32Array(60),
    ],
  },
];

gpuTest("buffers beyond the largest binding are bound in parts, to the same bits", async () => {
  for (const kernels of ["software", "hardware"] as const) {
    const whole = (await openWebGpu({ kernels }))!;
    const parts = (await openWebGpu({ kernels, maxBindingBytes: 2100 }))!;
    for (const { name, call, args } of cases) {
      const { kernel } = call;
      // Attention has one text for all adapters, and its parts take long to compile on a software one.
      if (kernel.op === "attention" && kernels === "hardware") continue;
      const expected = await runKernel(whole, call, args);
      const actual = await runKernel(parts, call, args);
      assert.deepEqual(actual, expected, `${name}, kernels for ${kernels}`);
      const result = kernel.op === "scatter" ? 0 : kernel.op === "matmul" ? 2 : -1;
      const before = new Uint8Array(args.at(result)!.buffer);
      assert.notDeepEqual(expected.at(result), before, `${name} does something`);
    }
    whole.destroy();
    parts.destroy();
  }
});

gpuTest("a kernel that would need too many parts is refused", async () => {
  const device = (await openWebGpu({ maxBindingBytes: 512 }))!;
  const args = [numbers(8000, 1), new Uint16Array(8000), numbers(8000, 2)];
  await assert.rejects(
    runKernel(device, { kernel: rows, ints: [80, 100] }, args),
    (error: Error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /takes \d+ buffers/);
      return true;
    },
  );
  device.destroy();
});
