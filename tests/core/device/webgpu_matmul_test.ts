import assert from "node:assert/strict";
import type { DType } from "../../../core/dtype.ts";
import type { MatmulKernel, MatmulSizes } from "../../../core/operations/matmul.ts";
import { lowerMatmul } from "../../../core/device/webgpu/matmul.ts";
import type { Traits } from "../../../core/device/webgpu/shader.ts";
import { asFloats, bothKernels, gpuTest, numbers, runKernel } from "./webgpu.ts";

/** Bits of an f32 that bfloat16 keeps, truncated: exact for what these tests store. */
function bf16Bits(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(words, (word) => word >>> 16);
}

function bf16Values(values: Float32Array): Float32Array {
  return new Float32Array(Uint32Array.from(bf16Bits(values), (half) => half << 16).buffer);
}

/** Values that f16 holds exactly: multiples of 1/64 below 8. */
function f16Values(values: Float32Array): Float32Array {
  return values.map((value) => Math.round(value * 64) / 64);
}

function f16Bits(values: Float32Array): Uint16Array {
  return Uint16Array.from(values, (value) => {
    if (value === 0) return 0;
    const exponent = Math.floor(Math.log2(Math.abs(value)));
    const mantissa = Math.abs(value) / 2 ** exponent - 1;
    return (value < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | (mantissa * 1024);
  });
}

interface Case {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly accumulate?: boolean;
  readonly a?: DType;
  readonly b?: DType;
  /** Elements added to every row stride, batch stride and offset. */
  readonly slack?: number;
  /** Only for the kernels of the adapter's own class. */
  readonly adaptersOwn?: boolean;
}

const cases: readonly Case[] = [
  { batch: 1, m: 33, n: 70, k: 19 },
  { batch: 3, m: 17, n: 9, k: 5, transposeA: true, slack: 3 },
  { batch: 2, m: 5, n: 65, k: 33, transposeB: true, accumulate: true, slack: 1 },
  { batch: 1, m: 130, n: 66, k: 40, transposeA: true, transposeB: true, slack: 4 },
  { batch: 1, m: 1, n: 100, k: 64, b: "bf16", transposeB: true },
  { batch: 2, m: 20, n: 36, k: 7, a: "bf16", b: "f16", slack: 1 },
  { batch: 2, m: 20, n: 36, k: 24, a: "bf16", b: "f16", slack: 4, transposeB: true },
  { batch: 1, m: 12, n: 72, k: 44, transposeA: true, b: "bf16" },
  { batch: 1, m: 516, n: 521, k: 36 },
  // Rows that are read four elements at a time, with sizes that fill no tile.
  { batch: 2, m: 70, n: 132, k: 24, slack: 4 },
  { batch: 2, m: 44, n: 68, k: 30, transposeA: true, accumulate: true, slack: 8 },
  { batch: 1, m: 8, n: 20, k: 3, transposeA: true, a: "f16", b: "bf16" },
  { batch: 1, m: 3, n: 30, k: 12, transposeB: true },
  { batch: 1, m: 20, n: 21, k: 16, transposeA: true, transposeB: true },
  // Beyond the loop iterations that llvmpipe allows.
  { batch: 1, m: 2, n: 3, k: 70_001, transposeA: true, slack: 1, adaptersOwn: true },
  { batch: 2, m: 4, n: 3, k: 0, slack: 2 },
  { batch: 1, m: 4, n: 3, k: 0, accumulate: true },
];

function store(values: Float32Array, dtype: DType): Float32Array | Uint16Array {
  return dtype === "bf16" ? bf16Bits(values) : dtype === "f16" ? f16Bits(values) : values;
}

function exact(values: Float32Array, dtype: DType): Float32Array {
  return dtype === "bf16" ? bf16Values(values) : dtype === "f16" ? f16Values(values) : values;
}

function problem(each: Case) {
  const { batch, m, n, k, transposeA, transposeB, accumulate, slack = 0 } = each;
  const kernel: MatmulKernel = {
    op: "matmul",
    a: each.a ?? "f32",
    b: each.b ?? "f32",
    transposeA: transposeA ?? false,
    transposeB: transposeB ?? false,
    accumulate: accumulate ?? false,
  };
  const place = (rows: number, columns: number) => {
    const row = columns + slack;
    return { offset: slack, batch: rows * row + slack, row };
  };
  const a = transposeA ? place(k, m) : place(m, k);
  const b = transposeB ? place(n, k) : place(k, n);
  const c = place(m, n);
  const sizes: MatmulSizes = {
    ...{ batch, m, n, k },
    ...{ aOffset: a.offset, aBatch: a.batch, aRow: a.row },
    ...{ bOffset: b.offset, bBatch: b.batch, bRow: b.row },
    ...{ cOffset: c.offset, cBatch: c.batch, cRow: c.row },
  };
  const size = (p: typeof a) => p.offset + batch * p.batch + 4;
  const aValues = exact(numbers(size(a), 1), kernel.a);
  const bValues = exact(numbers(size(b), 2), each.b ?? "f32");
  const before = numbers(size(c), 3);
  const expected = new Float64Array(before);
  for (let z = 0; z < batch; z++) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let p = 0; p < k; p++) {
          const x = a.offset + z * a.batch + (transposeA ? p * a.row + i : i * a.row + p);
          const y = b.offset + z * b.batch + (transposeB ? j * b.row + p : p * b.row + j);
          sum += aValues[x]! * bValues[y]!;
        }
        const at = c.offset + z * c.batch + i * c.row + j;
        expected[at] = (accumulate ? before[at]! : 0) + sum;
      }
    }
  }
  const args = [store(aValues, kernel.a), store(bValues, each.b ?? "f32"), before];
  return { kernel, sizes, args, expected };
}

function title(each: Case): string {
  const { batch, m, n, k, transposeA, transposeB, accumulate, a = "f32", b = "f32", slack } = each;
  return `[${batch}, ${m}, ${n}, ${k}] of ${a}${transposeA ? "ᵀ" : ""} and ${b}${
    transposeB ? "ᵀ" : ""
  }${accumulate ? ", accumulating" : ""}${slack ? `, strides with ${slack} more` : ""}`;
}

for (const each of cases) {
  const test = each.adaptersOwn ? gpuTest : bothKernels;
  test(`matmul ${title(each)} equals the float64 product`, async (device) => {
    const { kernel, sizes, args, expected } = problem(each);
    const results = await runKernel(device, { kernel, sizes }, args);
    const actual = asFloats(results[2]!);
    for (let i = 0; i < expected.length; i++) {
      assert.ok(
        Math.abs(actual[i]! - expected[i]!) <= Math.max(4e-6, each.k * 2 ** -26),
        `element ${i}: ${actual[i]}, expected ${expected[i]}`,
      );
    }
  });
}

Deno.test("webgpu: matmul chooses its tiles by the class of the adapter", () => {
  const { kernel, sizes } = problem({ batch: 1, m: 600, n: 600, k: 4 });
  const launch = { kernel, sizes, args: [] };
  const traits: Traits = { software: true, maxInvocations: 1024, workgroupBytes: 32768 };
  const [software] = lowerMatmul(launch, traits);
  const [hardware] = lowerMatmul(launch, { ...traits, software: false });
  assert.ok(!software!.shader.code.includes("var<workgroup>"));
  assert.ok(hardware!.shader.code.includes("var<workgroup>"));
  assert.equal(hardware!.workgroups, Math.ceil(600 / 128) * Math.ceil(600 / 64));
});
