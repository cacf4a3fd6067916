/**
 * A device that interprets kernels, slowly and strictly: it refuses launches that break a kernel's contract
 * (an access outside its buffer, arguments that overlap, an in-place update that would read what another
 * point wrote), and memory nobody wrote is NaN. Tests of fusion and planning run on it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { isBlockCode } from "../../core/block_codes.ts";
import type { Allocation, Device, DeviceCounters, Program } from "../../core/device/device.ts";
import { bytesPerElement, type DType } from "../../core/dtype.ts";
import { type Elements, interpret } from "./interpret.ts";
import type { Access, FusedKernel, Instruction, Int } from "../../core/kernel.ts";
import {
  type BufferRef,
  type HandMadeLaunch,
  isLaunchOf,
  type Kernel,
  type Launch,
  type Plan,
} from "../../core/launch.ts";
import type { MatmulKernel } from "../../core/operations/matmul.ts";
import type { ScatterKernel } from "../../core/operations/rows.ts";
import { printKernel } from "../../core/print.ts";

/** The interpreting device; nothing to destroy. Attention is not among its kernels. */
export function referenceDevice(maxKernelArguments = 8): Device {
  const memory = new Map<number, Uint8Array>();
  const plans = new WeakMap<Program, Plan>();
  let next = 0;
  let launches = 0;
  let runs = 0;
  const held = (allocation: Allocation) => {
    const bytes = memory.get(allocation.id);
    assert.ok(bytes, `allocation ${allocation.id} was freed`);
    return bytes;
  };
  return {
    kind: "cpu",
    description: "interpreter",
    maxKernelArguments,
    maxBufferBytes: Infinity,
    allocate(bytes) {
      const allocation = { id: next++, bytes };
      memory.set(allocation.id, new Uint8Array(Math.ceil(bytes / 4) * 4).fill(0xff));
      return allocation;
    },
    free: (allocation) => void memory.delete(allocation.id),
    write: (allocation, data) => held(allocation).set(data),
    read: (allocation, bytes) => Promise.resolve(held(allocation).slice(0, bytes)),
    compile(plan) {
      const program = { externals: plan.externals, dispose: () => {} };
      plans.set(program, plan);
      return program;
    },
    run(program, externals, scalars) {
      const plan = plans.get(program)!;
      const arena = new Uint8Array(plan.arenaBytes).fill(0xff);
      const external = externals.map(held);
      assert.equal(new Set(external).size, external.length, "externals are distinct");
      runs++;
      for (const launch of plan.launches) {
        launches++;
        assertDisjoint(launch);
        const views = launch.args.map((ref) =>
          "external" in ref
            ? external[ref.external]!
            : arena.subarray(ref.arena, ref.arena + ref.bytes)
        );
        runLaunch(launch, views, scalars);
      }
    },
    synchronize: () => Promise.resolve(),
    counters: (): DeviceCounters => ({
      objects: next,
      launches,
      runs,
      flops: 0,
      bytes: 0,
      peakBytes: 0,
    }),
    observe: () => {},
    destroy: () => memory.clear(),
  };
}

function assertDisjoint({ args, kernel }: Launch): void {
  const overlap = (a: BufferRef, b: BufferRef) =>
    "external" in a
      ? "external" in b && a.external === b.external
      : "arena" in b && a.arena < b.arena + b.bytes && b.arena < a.arena + a.bytes;
  args.forEach((a, i) =>
    args.forEach((b, k) =>
      assert.ok(
        i === k || !isWritten(kernel, i) || !overlap(a, b),
        `argument ${i} of ${kernel.op} overlaps with ${k}`,
      )
    )
  );
}

function isWritten(kernel: Kernel, arg: number): boolean {
  if (kernel.op === "fused") return kernel.args[arg]!.access !== "read";
  return arg === (kernel.op === "scatter" ? 0 : 2);
}

function elements(dtype: DType, bytes: Uint8Array): Elements {
  const length = Math.floor(bytes.byteLength / bytesPerElement[dtype]);
  switch (dtype) {
    case "f32":
      return new Float32Array(bytes.buffer, bytes.byteOffset, length);
    case "i32":
      return new Int32Array(bytes.buffer, bytes.byteOffset, length);
    case "u32":
    case "bool":
      return new Uint32Array(bytes.buffer, bytes.byteOffset, length);
    case "f16":
    case "bf16":
      return new Uint16Array(bytes.buffer, bytes.byteOffset, length);
    case "u8":
      return bytes;
  }
}

function runLaunch(launch: Launch, args: readonly Uint8Array[], scalars: Float32Array): void {
  if (isLaunchOf(launch, "matmul")) return multiply(launch, args);
  if (isLaunchOf(launch, "scatter")) return scatter(launch, args);
  if (!isLaunchOf(launch, "fused")) {
    throw new Error(`The reference device has no ${launch.kernel.op}`);
  }
  const { kernel, ints } = launch;
  const arrays = kernel.args.map(({ dtype }, i) => elements(dtype, args[i]!));
  try {
    checkContract(kernel, ints, arrays);
  } catch (error) {
    throw new Error(`In ${printKernel(kernel, ints)}`, { cause: error });
  }
  interpret(kernel, ints, [], scalars, arrays);
}

/** What every fused kernel promises; see `FusedKernel`. */
function checkContract(kernel: FusedKernel, ints: readonly number[], args: readonly Elements[]) {
  const { body, kind, rank } = kernel;
  const int = (value: Int) => value === 1 ? 1 : ints[value.slot]!;
  const line = kind === "row" ? rank - 1 : kind === "column" ? rank - 2 : -1;
  const dependent = new Set<number>();
  body.forEach((instruction, index) => {
    if (instruction.op === "reduce") {
      assert.ok(kind !== "map", "a map reduces");
      assert.ok(kind !== "column" || !dependent.has(instruction.x), "columns are reduced twice");
      dependent.add(index);
    } else if (operandsOf(instruction).some((x) => dependent.has(x))) dependent.add(index);
    if (instruction.op !== "load" && instruction.op !== "store") return;
    const { access, arg } = instruction;
    const [low, high] = extent(access, ints.slice(0, rank), int);
    assert.ok(low > high || (low >= 0 && high < args[arg]!.length), `%${index} is out of bounds`);
    if (instruction.op === "load") return;
    assert.ok(access.masks.length === 0 && access.gather === null, "a store is masked");
    const along = access.terms.some(({ dim }) => dim === line);
    if (kind === "column") {
      assert.ok(dependent.has(instruction.x) && !along, "a column kernel stores no sum");
    }
    const values = JSON.stringify(resolve(access, int));
    body.forEach((other, position) => {
      if (other.op === "load" && other.arg === arg) {
        assert.ok(position < index, "a load follows the store of its argument");
        assert.equal(kernel.args[arg]!.access, "readwrite");
        assert.equal(JSON.stringify(resolve(other.access, int)), values, "not in place");
      }
    });
  });
}

function operandsOf(instruction: Instruction): number[] {
  switch (instruction.op) {
    case "load":
      return instruction.access.gather ? [instruction.access.gather.index] : [];
    case "binary":
      return [instruction.x, instruction.y];
    case "where":
      return [instruction.condition, instruction.x, instruction.y];
    case "const":
    case "scalar":
    case "index":
      return [];
    default:
      return [instruction.x];
  }
}

/** The least and the largest element an access touches; empty (low > high) if it touches none. */
function extent(access: Access, sizes: readonly number[], int: (value: Int) => number) {
  const start = access.offset ? int(access.offset) : 0;
  let [low, high] = [start, start];
  for (const [dim, size] of sizes.entries()) {
    let [from, to] = [0, size];
    for (const mask of access.masks) {
      if (mask.dim === dim) {
        [from, to] = [Math.max(from, int(mask.low)), Math.min(to, int(mask.high))];
      }
    }
    if (from >= to) return [0, -1] as const;
    for (const term of access.terms) {
      if (term.dim !== dim) continue;
      const ends = [from * int(term.stride), (to - 1) * int(term.stride)];
      low += Math.min(...ends);
      high += Math.max(...ends);
    }
  }
  if (access.gather) high += (int(access.gather.count) - 1) * int(access.gather.stride);
  return [low, high] as const;
}

function resolve(access: Access, int: (value: Int) => number) {
  return {
    offset: access.offset ? int(access.offset) : 0,
    terms: access.terms.map(({ dim, stride }) => [dim, int(stride)]),
    masks: access.masks.length,
    gather: access.gather !== null,
  };
}

function widened(dtype: DType, array: Elements, index: number): number {
  const element = array[index];
  assert.ok(element !== undefined, "a product reads outside of its operand");
  assert.equal(dtype, "f32", "the reference device multiplies f32 only");
  return element;
}

function multiply(
  { kernel, sizes }: HandMadeLaunch<MatmulKernel>,
  args: readonly Uint8Array[],
): void {
  const { batch, m, n, k, aOffset, aBatch, aRow, bOffset, bBatch, bRow, cOffset, cBatch, cRow } =
    sizes;
  const { a: aType, b: bType } = kernel;
  assert.ok(!isBlockCode(bType), "the reference device decodes nothing");
  const [a, b, c] = [aType, bType, "f32" as const].map((dtype, i) => elements(dtype, args[i]!)) as [
    Elements,
    Elements,
    Elements,
  ];
  for (let g = 0; g < batch; g++) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        const at = cOffset + g * cBatch + i * cRow + j;
        assert.ok(at < c.length, "a product writes outside of its result");
        let sum = kernel.accumulate ? c[at]! : 0;
        for (let l = 0; l < k; l++) {
          const x = aOffset + g * aBatch + (kernel.transposeA ? l * aRow + i : i * aRow + l);
          const y = bOffset + g * bBatch + (kernel.transposeB ? j * bRow + l : l * bRow + j);
          sum += widened(aType, a, x) * widened(bType, b, y);
        }
        c[at] = sum;
      }
    }
  }
}

function scatter(
  { kernel, sizes }: HandMadeLaunch<ScatterKernel>,
  args: readonly Uint8Array[],
): void {
  const { tableRows: count, columns: width, count: n } = sizes;
  assert.equal(kernel.dtype, "f32", "the reference device scatters f32 only");
  const [table, ids, rows] = [
    elements("f32", args[0]!),
    elements("i32", args[1]!),
    elements("f32", args[2]!),
  ];
  for (let i = 0; i < n; i++) {
    const row = ids[i]!;
    if (row < 0 || row >= count) continue;
    for (let c = 0; c < width; c++) {
      const value = rows[i * width + c]!;
      table[row * width + c] = kernel.add ? table[row * width + c]! + value : value;
    }
  }
}
