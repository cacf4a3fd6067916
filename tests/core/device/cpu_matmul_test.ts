import assert from "node:assert/strict";
import { openCpu } from "../../../core/device/cpu/device.ts";
import type { Device } from "../../../core/device/device.ts";
import type { MatmulKernel } from "../../../core/kernel.ts";

type FloatType = "f32" | "f16" | "bf16";

/** A generator of uniform numbers in [−1, 1). */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

/** Rounds values to a storage type: the bytes, and the values they stand for. */
function store(values: Float32Array, type: FloatType): { bytes: Uint8Array; values: Float64Array } {
  if (type === "f32") {
    return { bytes: new Uint8Array(values.buffer), values: Float64Array.from(values) };
  }
  const padded = new Uint8Array(Math.ceil(values.length / 2) * 4);
  if (type === "f16") {
    const halves = new Float16Array(padded.buffer, 0, values.length);
    halves.set(values);
    return { bytes: padded, values: Float64Array.from(halves) };
  }
  const bits = new Uint32Array(values.buffer);
  const halves = new Uint16Array(padded.buffer, 0, values.length);
  for (let i = 0; i < bits.length; i++) halves[i] = bits[i]! >>> 16;
  const widened = new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
  return { bytes: padded, values: Float64Array.from(widened) };
}

interface Case {
  readonly batch?: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly a?: FloatType;
  readonly b?: FloatType;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly accumulate?: boolean;
  /** Elements between the end of a row and the next, and before the first. */
  readonly gap?: number;
}

/** Runs a product; checks it against float64, and that nothing beside C is written. */
async function check(device: Device, test: Case): Promise<Uint8Array> {
  const { batch = 1, m, n, k, a = "f32", b = "f32", gap = 0 } = test;
  const { transposeA = false, transposeB = false, accumulate = false } = test;
  const kernel: MatmulKernel = { op: "matmul", a, b, transposeA, transposeB, accumulate };
  const matrix = (rows: number, columns: number) => {
    const rowStride = columns + gap;
    const batchStride = rows * rowStride + gap;
    return { offset: gap, rowStride, batchStride, length: gap + batch * batchStride };
  };
  const [la, lb, lc] = [
    transposeA ? matrix(k, m) : matrix(m, k),
    transposeB ? matrix(n, k) : matrix(k, n),
    matrix(m, n),
  ];
  const random = uniform(1 + m + 7 * n + 31 * k);
  // What lies between the rows must not matter, so it is NaN.
  const fill = (l: typeof la, rows: number, columns: number) => {
    const values = new Float32Array(l.length + 4).fill(NaN);
    for (let i = 0; i < batch; i++) {
      for (let row = 0; row < rows; row++) {
        const start = l.offset + i * l.batchStride + row * l.rowStride;
        for (let column = 0; column < columns; column++) values[start + column] = random();
      }
    }
    return values;
  };
  const left = store(transposeA ? fill(la, k, m) : fill(la, m, k), a);
  const right = store(transposeB ? fill(lb, n, k) : fill(lb, k, n), b);
  const before = fill(lc, m, n);
  const data = [left.bytes, right.bytes, new Uint8Array(before.buffer)];
  const buffers = data.map((bytes) => device.allocate(bytes.length));
  buffers.forEach((buffer, i) => device.write(buffer, data[i]!));
  const ints = [
    ...[batch, m, n, k, la.offset, la.batchStride, la.rowStride],
    ...[lb.offset, lb.batchStride, lb.rowStride, lc.offset, lc.batchStride, lc.rowStride],
  ];
  const program = device.compile({
    launches: [{ kernel, ints, floats: [], args: [0, 1, 2].map((external) => ({ external })) }],
    externals: 3,
    arenaBytes: 0,
  });
  device.run(program, buffers, new Float32Array());
  const bytes = await device.read(buffers[2]!, data[2]!.length);
  const got = new Float32Array(bytes.buffer);
  program.dispose();
  for (const buffer of buffers) device.free(buffer);

  const want = Float64Array.from(before);
  const tolerance = new Float64Array(want.length);
  for (let i = 0; i < batch; i++) {
    for (let row = 0; row < m; row++) {
      for (let column = 0; column < n; column++) {
        const at = lc.offset + i * lc.batchStride + row * lc.rowStride + column;
        let sum = accumulate ? want[at]! : 0;
        let size = Math.abs(sum);
        const aStart = la.offset + i * la.batchStride + (transposeA ? row : row * la.rowStride);
        const bStart = lb.offset + i * lb.batchStride +
          (transposeB ? column * lb.rowStride : column);
        const [aStep, bStep] = [transposeA ? la.rowStride : 1, transposeB ? 1 : lb.rowStride];
        for (let kk = 0; kk < k; kk++) {
          const product = left.values[aStart + kk * aStep]! * right.values[bStart + kk * bStep]!;
          sum += product;
          size += Math.abs(product);
        }
        want[at] = sum;
        tolerance[at] = 2 ** -23 * (2 + Math.sqrt(k)) * size;
      }
    }
  }
  for (let i = 0; i < want.length; i++) {
    const same = Number.isNaN(want[i]!)
      ? Number.isNaN(got[i]!)
      : Math.abs(got[i]! - want[i]!) <= tolerance[i]!;
    if (!same) assert.fail(`${JSON.stringify(test)}: element ${i} is ${got[i]}, not ${want[i]}`);
  }
  return bytes;
}

const forms: readonly Pick<Case, "transposeA" | "transposeB">[] = [
  { transposeA: false, transposeB: false },
  { transposeA: false, transposeB: true },
  { transposeA: true, transposeB: false },
  { transposeA: true, transposeB: true },
];

const sizes: readonly [number, number, number][] = [
  ...[[1, 1, 1], [2, 3, 4], [3, 5, 7], [5, 1, 9], [6, 8, 16], [7, 9, 1], [8, 33, 70]] as const,
  ...[[9, 17, 31], [1, 40, 300], [2, 21, 530], [4, 66, 259], [13, 7, 5], [37, 41, 67]] as const,
  ...[[130, 50, 270], [64, 64, 64], [25, 1100, 12], [50, 2, 33], [300, 1, 3]] as const,
] as [number, number, number][];

const configurations = [
  { threads: 1, blas: false },
  { threads: 2, blas: false },
  { threads: 3, blas: false },
  { threads: 2, blas: "auto" },
] as const;

for (const options of configurations) {
  const title = `on ${options.threads} threads, ${options.blas ? "with a" : "without"} BLAS`;
  Deno.test(`matrix products agree with float64 in every form ${title}`, async () => {
    const device = await openCpu(options);
    if (options.blas && !device.description.includes("by")) console.log("skipped: no BLAS"); // deno-lint-ignore no-console
    try {
      for (const form of forms) {
        for (const [m, n, k] of sizes) {
          await check(device, { m, n, k, ...form });
          await check(device, { m, n, k, ...form, accumulate: true, gap: 3 });
          await check(device, { m, n, k, ...form, batch: 5, gap: 1 });
        }
      }
    } finally {
      device.destroy();
    }
  });
}
