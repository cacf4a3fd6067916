import assert from "node:assert/strict";
import { openWebGpu } from "../../../core/device/webgpu/device.ts";
import type { Access, FusedKernel, Kernel } from "../../../core/kernel.ts";
import { UserError } from "../../../core/errors.ts";
import { gpuTest, numbers, runKernel } from "./webgpu.ts";

type Data = Parameters<typeof runKernel>[3];

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
  readonly kernel: Kernel;
  readonly ints: readonly number[];
  readonly args: Data;
  readonly floats?: readonly number[];
}[] = [
  {
    name: "rows",
    kernel: rows,
    ints: [31, 34],
    args: [numbers(1054, 1), new Uint16Array(1054), numbers(1054, 2)],
  },
  {
    name: "a matrix product",
    kernel: {
      op: "matmul",
      a: "f32",
      b: "bf16",
      transposeA: false,
      transposeB: true,
      accumulate: true,
    },
    ints: [1, 20, 40, 36, 0, 0, 36, 0, 0, 36, 0, 0, 40],
    args: [numbers(720, 3), halves, numbers(800, 4)],
  },
  {
    name: "a product with a matrix of codes",
    kernel: {
      op: "matmul",
      a: "f32",
      b: "nf4",
      transposeA: false,
      transposeB: true,
      accumulate: false,
    },
    ints: [1, 20, 130, 36, 0, 0, 36, 0, 0, 36, 0, 0, 130],
    args: [
      numbers(720, 11),
      Uint8Array.from(numbers(2340, 12), (value) => 128 + 127 * value),
      new Float32Array(2600),
      numbers(74, 13),
    ],
  },
  {
    name: "a scatter",
    kernel: { op: "scatter", add: true, dtype: "f32" },
    ints: [20, 40, 15],
    args: [
      numbers(800, 5),
      Int32Array.from({ length: 15 }, (_, i) => (7 * i) % 19),
      numbers(600, 6),
    ],
  },
  {
    name: "attention",
    kernel: { op: "attention", causal: true, softcap: false, bias: false },
    ints: [30, 30, 2, 1, 12, 100, 0],
    floats: [0.5, 0],
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
    for (const { name, kernel, ints, args, floats = [] } of cases) {
      // Attention has one text for all adapters, and its parts take long to compile on a software one.
      if (kernel.op === "attention" && kernels === "hardware") continue;
      const expected = await runKernel(whole, kernel, ints, args, { floats });
      const actual = await runKernel(parts, kernel, ints, args, { floats });
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
  await assert.rejects(runKernel(device, rows, [80, 100], args), (error: Error) => {
    assert.ok(error instanceof UserError);
    assert.match(error.message, /takes \d+ buffers/);
    return true;
  });
  device.destroy();
});
