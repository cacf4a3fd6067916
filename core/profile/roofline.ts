/** What the machine can do at best, as measured: the roof over every kernel's speed. @module */

import type { Device, ObservedRun } from "../device/device.ts";
import type { FusedKernel } from "../kernel.ts";
import type { Launch, Plan } from "../launch.ts";
import type { MatmulKernel, MatmulSizes } from "../operations/matmul.ts";
import type { Cost } from "./cost.ts";

/** Two roofs (Williams et al., 2009): a kernel is bound by its arithmetic or by the memory. */
export interface Roofline {
  /** Best rate of a large f32 matrix product, in FLOP per millisecond. */
  readonly flopsPerMs: number;
  /** Side of that product. */
  readonly productSide: number;
  /** Best rate at which memory is read and written, in bytes per millisecond. */
  readonly bytesPerMs: number;
}

/** The shortest time in which work of this cost can be done, in milliseconds, and what bounds it. */
export function boundOf(
  { flops, bytes }: Cost,
  { flopsPerMs, bytesPerMs }: Roofline,
): { readonly ms: number; readonly by: "products" | "memory" } {
  const [products, memory] = [flops / flopsPerMs, bytes / bytesPerMs];
  return products > memory ? { ms: products, by: "products" } : { ms: memory, by: "memory" };
}

const product: MatmulKernel = {
  ...{ op: "matmul", a: "f32", b: "f32" },
  ...{ transposeA: false, transposeB: false, accumulate: false },
};

const element = { offset: null, terms: [{ dim: 0, stride: 1 }], masks: [], gather: null } as const;

/** c ← a + b, with memory that no cache holds. */
const sum: FusedKernel = {
  op: "fused",
  kind: "map",
  rank: 1,
  args: [
    { dtype: "f32", access: "read" },
    { dtype: "f32", access: "read" },
    { dtype: "f32", access: "write" },
  ],
  body: [
    { op: "load", arg: 0, access: element, type: "f32" },
    { op: "load", arg: 1, access: element, type: "f32" },
    { op: "binary", fn: "add", x: 0, y: 1, type: "f32" },
    { op: "store", arg: 2, access: element, x: 2 },
  ],
};

/** Elements of each operand of the sum: 64 MiB, more than last-level caches hold. */
const sumElements = 2 ** 24;

/**
 * Samples of the last measurements, and milliseconds they go on for: other work on the machine only ever slows
 * one down.
 */
const [fewest, longest] = [4, 250];

/** A product that takes this long, in milliseconds, is large enough to be measured. */
const longEnough = 8;
const largestSide = 4096;

/**
 * Measures both roofs on a device that has nothing to do. Takes a second or so; borrows 192 MiB, which it gives
 * back. Whoever observes the device is forgotten.
 */
export async function measureRoofline(device: Device): Promise<Roofline> {
  const productMs = (side: number, samplingMs: number) =>
    fastest(device, { of: productOf(side), elements: side ** 2, samplingMs });
  let productSide = 512;
  while (productSide < largestSide && await productMs(productSide, 0) < longEnough) {
    productSide *= 2;
  }
  const ms = await productMs(productSide, longest);
  const sumMs = await fastest(device, {
    of: { kernel: sum, ints: [sumElements] },
    elements: sumElements,
    samplingMs: longest,
  });
  return {
    flopsPerMs: 2 * productSide ** 3 / ms,
    productSide,
    bytesPerMs: 12 * sumElements / sumMs,
  };
}

function productOf(side: number): Trial["of"] {
  const sizes: MatmulSizes = {
    ...{ batch: 1, m: side, n: side, k: side },
    ...{ aOffset: 0, aBatch: 0, aRow: side },
    ...{ bOffset: 0, bBatch: 0, bRow: side },
    ...{ cOffset: 0, cBatch: 0, cRow: side },
  };
  return { kernel: product, sizes };
}

/** A launch over three operands of so many f32 elements, and how long it is tried. */
interface Trial {
  readonly of:
    | { readonly kernel: FusedKernel; readonly ints: readonly number[] }
    | { readonly kernel: MatmulKernel; readonly sizes: MatmulSizes };
  readonly elements: number;
  readonly samplingMs: number;
}

/** Milliseconds of the fastest of some launches. */
async function fastest(
  device: Device,
  { of, elements, samplingMs }: Trial,
): Promise<number> {
  const args = [0, 1, 2].map((external) => ({ external }));
  const launch: Launch = { ...of, args };
  const plan: Plan = { launches: [launch], externals: 3, arenaBytes: 0 };
  const operands = args.map(() => device.allocate(4 * elements));
  const zeros = new Uint8Array(4 * elements);
  for (const operand of operands.slice(0, 2)) device.write(operand, zeros);
  const program = device.compile(plan);
  let observed: ObservedRun | null = null;
  device.observe({ ran: (run) => observed = run, waited: () => {} });
  let best = Infinity;
  try {
    const started = performance.now();
    for (let i = 0; i < fewest || performance.now() - started < samplingMs; i++) {
      const began = performance.now();
      device.run(program, operands, new Float32Array(0));
      await device.synchronize();
      const wall = performance.now() - began;
      const times = await (observed as ObservedRun | null)?.times;
      // The first run makes the memory real.
      if (i > 0) best = Math.min(best, times ? times[1]! - times[0]! : wall);
    }
  } finally {
    device.observe(null);
    program.dispose();
    for (const operand of operands) device.free(operand);
  }
  return best;
}
