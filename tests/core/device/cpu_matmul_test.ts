import assert from "node:assert/strict";
import { openCpu } from "../../../core/device/cpu/device.ts";
import type { Device } from "../../../core/device/device.ts";
import type { MatmulKernel, MatmulSizes } from "../../../core/operations/matmul.ts";

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
  const sizes: MatmulSizes = {
    ...{ batch, m, n, k },
    ...{ aOffset: la.offset, aBatch: la.batchStride, aRow: la.rowStride },
    ...{ bOffset: lb.offset, bBatch: lb.batchStride, bRow: lb.rowStride },
    ...{ cOffset: lc.offset, cBatch: lc.batchStride, cRow: lc.rowStride },
  };
  const program = device.compile({
    launches: [{ kernel, sizes, args: [0, 1, 2].map((external) => ({ external })) }],
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
  // Few rows, long sums and columns that leave something over.
  ...[[1, 150, 1700], [8, 203, 517], [11, 90, 1537], [32, 75, 300], [33, 75, 300]] as const,
] as [number, number, number][];

const configurations = [
  { threads: 1, blas: false },
  { threads: 2, blas: false },
  { threads: 3, blas: false },
  { threads: 2, blas: "auto" },
] as const;

/** Opens a device for `body` and destroys it afterwards. */
async function withCpu(
  options: typeof configurations[number],
  body: (device: Device) => Promise<void>,
): Promise<void> {
  const device = await openCpu(options);
  try {
    await body(device);
  } finally {
    device.destroy();
  }
}

for (const options of configurations) {
  const title = `on ${options.threads} thread(s) ${options.blas ? "with" : "without"} a BLAS`;

  Deno.test(`matrix products agree with float64 in every form ${title}`, () =>
    withCpu(options, async (device) => {
      // Where no BLAS is installed, this repeats the built-in products.
      if (options.blas && !device.description.includes("products by")) {
        // deno-lint-ignore no-console -- A skipped check should be seen.
        console.log("no BLAS is installed or permitted: its part of this test is skipped");
      }
      for (const form of forms) {
        for (const [m, n, k] of sizes) {
          await check(device, { m, n, k, ...form });
          await check(device, { m, n, k, ...form, accumulate: true, gap: 3 });
          await check(device, { m, n, k, ...form, batch: 5, gap: 1 });
        }
      }
    }));

  Deno.test(`matrix products widen half-precision operands ${title}`, () =>
    withCpu(options, async (device) => {
      for (const form of forms) {
        for (const a of ["f32", "f16", "bf16"] as const) {
          for (const b of ["f32", "f16", "bf16"] as const) {
            for (
              const [m, n, k] of [[1, 13, 37], [4, 30, 70], [8, 21, 33], [31, 45, 270]] as const
            ) {
              await check(device, { m, n, k, a, b, ...form, gap: 2 });
              await check(device, { m, n, k, a, b, ...form, accumulate: true });
            }
          }
        }
      }
    }));

  Deno.test(`matrix products widen half-precision operands of several blocks ${title}`, () =>
    withCpu(options, async (device) => {
      for (const form of forms) {
        const size = { m: 70, n: 40, k: 530, ...form };
        await check(device, { ...size, b: "bf16", accumulate: true });
        await check(device, { ...size, a: "f16", b: "bf16", gap: 1 });
      }
      await check(device, { m: 1100, n: 20, k: 9, a: "bf16" });
      await check(device, { m: 20, n: 1100, k: 9, b: "f16", transposeB: true });
    }));

  Deno.test(`matrix products of size zero give zeros or nothing ${title}`, () =>
    withCpu(options, async (device) => {
      for (const form of forms) {
        for (const [m, n, k] of [[0, 3, 2], [3, 0, 2], [3, 20, 0], [20, 9, 0]] as const) {
          await check(device, { m, n, k, ...form, gap: 1 });
          await check(device, { m, n, k, ...form, accumulate: true });
        }
        await check(device, { batch: 0, m: 3, n: 4, k: 5, ...form });
      }
    }));

  Deno.test(`matrix products give the same bits twice ${title}`, () =>
    withCpu(options, async (device) => {
      for (const size of [{ m: 67, n: 90, k: 600 }, { m: 8, n: 90, k: 600 }]) {
        const first = await check(device, size);
        for (let i = 0; i < 5; i++) assert.deepEqual(await check(device, size), first);
      }
    }));
}

Deno.test("matrix products spread a row over a batch and over rows with strides of zero", async () => {
  for (const options of configurations) {
    await withCpu(options, async (device) => {
      const [m, n, k] = [40, 30, 50];
      const random = uniform(5);
      const [a, b] = [k, k * n].map((length) => Float32Array.from({ length }, random));
      const [pa, pb, pc] = [k, k * n, 2 * m * n].map((length) => device.allocate(4 * length));
      device.write(pa!, new Uint8Array(a!.buffer));
      device.write(pb!, new Uint8Array(b!.buffer));
      const kernel: MatmulKernel = {
        ...{ op: "matmul", a: "f32", b: "f32" },
        ...{ transposeA: false, transposeB: false, accumulate: false },
      };
      const program = device.compile({
        launches: [{
          kernel,
          sizes: {
            ...{ batch: 2, m, n, k, aOffset: 0, aBatch: 0, aRow: 0 },
            ...{ bOffset: 0, bBatch: 0, bRow: n, cOffset: 0, cBatch: m * n, cRow: n },
          },
          args: [{ external: 0 }, { external: 1 }, { external: 2 }],
        }],
        externals: 3,
        arenaBytes: 0,
      });
      device.run(program, [pa!, pb!, pc!], new Float32Array());
      const c = new Float32Array((await device.read(pc!, 8 * m * n)).buffer);
      for (let i = 0; i < c.length; i++) {
        let want = 0;
        for (let kk = 0; kk < k; kk++) want += a![kk]! * b![kk * n + i % n]!;
        assert.ok(Math.abs(c[i]! - want) < 1e-5, `element ${i} is ${c[i]}, not ${want}`);
      }
    });
  }
});

Deno.test("half-precision operands may be subnormal, infinite or NaN", async () => {
  await withCpu(configurations[0], async (device) => {
    const special = [0, -0, 2 ** -24, -3 * 2 ** -20, 65504, Infinity, -Infinity, NaN, 1 / 3];
    for (const transposeB of [false, true]) {
      for (const rows of [1, 12]) {
        const halves = new Float16Array(24);
        halves.set(special);
        const [a, b, c] = [4, 48, 4 * rows * 24].map((bytes) => device.allocate(bytes));
        // C[i, j] = 1 · B[j], rows of A being one 1.
        device.write(a!, new Uint8Array(new Float32Array([1]).buffer));
        device.write(b!, new Uint8Array(halves.buffer));
        const kernel: MatmulKernel = {
          ...{ op: "matmul", a: "f32", b: "f16" },
          ...{ transposeA: false, transposeB, accumulate: false },
        };
        const program = device.compile({
          launches: [{
            kernel,
            sizes: {
              ...{ batch: 1, m: rows, n: 24, k: 1, aOffset: 0, aBatch: 0, aRow: 0 },
              ...{ bOffset: 0, bBatch: 0, bRow: transposeB ? 1 : 24 },
              ...{ cOffset: 0, cBatch: 0, cRow: 24 },
            },
            args: [{ external: 0 }, { external: 1 }, { external: 2 }],
          }],
          externals: 3,
          arenaBytes: 0,
        });
        device.run(program, [a!, b!, c!], new Float32Array());
        const got = new Float32Array((await device.read(c!, 96 * rows)).buffer);
        for (let i = 0; i < got.length; i++) {
          // A sum that starts at +0 loses the sign of −0.
          assert.equal(got[i]! + 0, halves[i % 24]! + 0, `element ${i}`);
        }
      }
    }
  });
});
