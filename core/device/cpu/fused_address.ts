/** Addresses of fused kernels: coordinates and ints to loads and stores. @module */

import type { Access, FusedKernel, Instruction, Int } from "../../kernel.ts";
import { parameterBlock } from "./code.ts";
import { along, type Analysis } from "./fused_analysis.ts";
import {
  loadFour,
  loadOne,
  log2Bytes,
  narrow,
  storeFour,
  storeOne,
  widen,
} from "./fused_storage.ts";
import { Vectors } from "./vectors.ts";
import type { FunctionBuilder, Local } from "./wasm_function.ts";

type Load = Extract<Instruction, { op: "load" }>;
type Store = Extract<Instruction, { op: "store" }>;

/** What the code of one kernel shares: the launch's numbers in locals, and its coordinates. */
export interface Frame {
  readonly f: FunctionBuilder;
  readonly v: Vectors;
  readonly kernel: FusedKernel;
  readonly analysis: Analysis;
  /** The coordinate along each dim but the last, i64. */
  readonly coordinates: readonly Local[];
  /** A number of the launch, i64. */
  int(int: Int): Local;
  /** The size of a dim, i64. */
  size(dim: number): Local;
  /** The address of an argument. */
  argument(index: number): Local;
  /** A scalar of the run, in every lane. */
  scalar(index: number): Local;
}

/** Four lanes of the last dim: coordinates i + shift and the three that follow. */
export interface Point {
  readonly i: Local;
  readonly shift: number;
  /** If not null, lanes at or past this coordinate do not exist. */
  readonly end: Local | null;
}

/** Where an access is so far: the part of its address that outer loops fix. */
export interface Base {
  readonly address: Local;
  /** An i32 that is 0 where the access is masked out as a whole; null where it never is. */
  readonly valid: Local | null;
}

/** Starts the code of a kernel. What it needs of the parameter block is read on entry. */
export function createFrame(f: FunctionBuilder, kernel: FusedKernel, analysis: Analysis): Frame {
  const count = kernel.args.length;
  const known = new Map<string, Local>();
  const once = (key: string, type: "i64" | "v128", push: () => void): Local => {
    let local = known.get(key);
    if (local === undefined) {
      const fresh = local = f.local(type);
      f.onEntry(() => {
        push();
        f.set(fresh);
      });
      known.set(key, local);
    }
    return local;
  };
  const parameters = f.parameter(0);
  const word = (offset: number) =>
    once(`word ${offset}`, "i64", () => f.get(parameters).memory("i64.load", offset));
  const int = (int: Int) =>
    int === 1 ? once("one", "i64", () => f.i64(1)) : word(parameterBlock.int(count, int.slot));
  return {
    f,
    v: new Vectors(f),
    kernel,
    analysis,
    coordinates: Array.from({ length: analysis.rank - 1 }, () => f.local("i64")),
    int,
    size: (dim) => int(dim < kernel.rank ? { slot: dim } : 1),
    argument: (index) => word(parameterBlock.arg(index)),
    scalar: (index) =>
      once(`scalar ${index}`, "v128", () => {
        f.get(parameters).memory("i64.load", parameterBlock.scalars);
        f.memory("v128.load32_splat", 4 * index);
      }),
  };
}

/** Pushes stride·x·bytes for the i64 that `push` pushes. */
function pushScaled(frame: Frame, push: () => void, stride: Int, bytesLog2: number): void {
  push();
  if (stride !== 1) frame.f.get(frame.int(stride)).op("i64.mul");
  if (bytesLog2 > 0) frame.f.i64(bytesLog2).op("i64.shl");
}

/** Pushes whether low ≤ x < high. */
function pushWithin(frame: Frame, push: () => void, low: Int, high: Int): void {
  push();
  frame.f.get(frame.int(low)).op("i64.ge_s");
  push();
  frame.f.get(frame.int(high)).op("i64.lt_s", "i32.and");
}

/** Pushes the row number in a lane of a gather's index, as i64: past any count if negative. */
function pushGathered(frame: Frame, rows: Local, lane: number): void {
  frame.f.get(rows).lane("i32x4.extract_lane", lane).op("i64.extend_i32_s");
}

/**
 * Adds to a base (null: the argument's start) what the given loops contribute to an access: the
 * terms and masks of their dims. A `gather`, where given, is a row number that these loops fix.
 */
export function advanceBase(
  frame: Frame,
  instruction: Load | Store,
  loops: number,
  from: Base | null,
  gather: Local | null,
): Base {
  const { f, analysis } = frame;
  const { access, arg } = instruction;
  const log2 = log2Bytes[frame.kernel.args[arg]!.dtype];
  const ours = <T extends { readonly dim: number }>(items: readonly T[]): T[] =>
    items.filter(({ dim }) => (analysis.loopOf(dim) & loops) !== 0);
  const terms = ours(access.terms);
  const masks = ours(access.masks);
  if (from !== null && terms.length + masks.length === 0 && gather === null) return from;

  f.get(from === null ? frame.argument(arg) : from.address);
  if (from === null && access.offset !== null) {
    pushScaled(frame, () => f.get(frame.int(access.offset!)), 1, log2);
    f.op("i64.add");
  }
  for (const { dim, stride } of terms) {
    pushScaled(frame, () => f.get(frame.coordinates[dim]!), stride, log2);
    f.op("i64.add");
  }
  if (gather !== null) {
    pushScaled(frame, () => pushGathered(frame, gather, 0), access.gather!.stride, log2);
    f.op("i64.add");
  }
  const address = f.local("i64");
  f.set(address);

  const conditions = masks.map(({ dim, low, high }) => () =>
    pushWithin(frame, () => f.get(frame.coordinates[dim]!), low, high)
  );
  if (from !== null && from.valid !== null) {
    const outer = from.valid;
    conditions.push(() => f.get(outer));
  }
  if (gather !== null) {
    conditions.push(() => {
      pushGathered(frame, gather, 0);
      f.get(frame.int(access.gather!.count)).op("i64.lt_u");
    });
  }
  if (conditions.length === 0) return { address, valid: null };
  const valid = f.local("i32");
  pushAll(f, conditions);
  f.set(valid);
  return { address, valid };
}

/** Pushes the conjunction of conditions, at least one. */
function pushAll(f: FunctionBuilder, conditions: readonly (() => void)[]): void {
  conditions.forEach((push, index) => {
    push();
    if (index > 0) f.op("i32.and");
  });
}

/** Whether an access moves along the last dim, or gathers other rows along it. */
function stepsAlongLanes(frame: Frame, access: Access): boolean {
  const { analysis } = frame;
  const gathers = access.gather !== null &&
    (analysis.varies[access.gather.index]! & along.lanes) !== 0;
  return gathers || (analysis.accessVaries(access) & along.lanes) !== 0;
}

/** Loads, at the lanes of `point`; `rows` is the gather's index if it varies along the lanes. */
export function loadLanes(
  frame: Frame,
  load: Load,
  base: Base,
  point: Point | null,
  rows: Local | null,
): Local {
  const { f, v } = frame;
  const { dtype } = frame.kernel.args[load.arg]!;
  const bits = v.temporary();
  const read = () => {
    if (point === null || !stepsAlongLanes(frame, load.access)) {
      f.get(base.address);
      loadOne(v, dtype);
      f.op("i32x4.splat").set(bits);
    } else readLanes(frame, load, base, point, rows, bits);
  };
  if (base.valid === null) read();
  else {
    // Masked out, an address may be anywhere.
    f.get(base.valid).if(read, () => f.get(v.int(0)).set(bits));
  }
  return v.keep(widen(v, dtype, bits));
}

/** Reads four lanes' bits: at once where they are adjacent and unmasked, else one by one. */
function readLanes(
  frame: Frame,
  load: Load,
  base: Base,
  point: Point,
  rows: Local | null,
  bits: Local,
): void {
  const { f, v } = frame;
  const last = frame.analysis.rank - 1;
  const { dtype } = frame.kernel.args[load.arg]!;
  const log2 = log2Bytes[dtype];
  const terms = load.access.terms.filter(({ dim }) => dim === last);
  const stride = terms.length === 1 ? terms[0]!.stride : null;
  const masks = load.access.masks.filter(({ dim }) => dim === last);

  const together = () => {
    f.get(base.address, point.i).i64(log2).op("i64.shl", "i64.add");
    loadFour(v, dtype, point.shift << log2);
    f.set(bits);
  };
  const oneByOne = () => {
    f.get(v.int(0)).set(bits);
    for (let lane = 0; lane < 4; lane++) readLane(frame, load, base, point, rows, bits, lane);
  };
  if (rows !== null || stride !== 1) oneByOne();
  else if (masks.length === 0) together();
  else {
    const inside = masks.map(({ low, high }) => () => {
      f.get(point.i).i64(point.shift).op("i64.add").get(frame.int(low)).op("i64.ge_s");
      f.get(point.i).i64(point.shift + 4).op("i64.add").get(frame.int(high));
      f.op("i64.le_s", "i32.and");
    });
    pushAll(f, inside);
    f.if(together, oneByOne);
  }
}

function readLane(
  frame: Frame,
  load: Load,
  base: Base,
  point: Point,
  rows: Local | null,
  bits: Local,
  lane: number,
): void {
  const { f, v } = frame;
  const last = frame.analysis.rank - 1;
  const { dtype } = frame.kernel.args[load.arg]!;
  const { gather } = load.access;
  const terms = load.access.terms.filter(({ dim }) => dim === last);
  const masks = load.access.masks.filter(({ dim }) => dim === last);

  const coordinate = f.local("i64");
  f.get(point.i).i64(point.shift + lane).op("i64.add").set(coordinate);
  const conditions = masks.map(({ low, high }) => () =>
    pushWithin(frame, () => f.get(coordinate), low, high)
  );
  if (point.end !== null) {
    const end = point.end;
    conditions.push(() => f.get(coordinate, end).op("i64.lt_s"));
  }
  if (rows !== null) {
    conditions.push(() => {
      pushGathered(frame, rows, lane);
      f.get(frame.int(gather!.count)).op("i64.lt_u");
    });
  }
  const read = () => {
    f.get(bits, base.address);
    for (const { stride } of terms) {
      pushScaled(frame, () => f.get(coordinate), stride, log2Bytes[dtype]);
      f.op("i64.add");
    }
    if (rows !== null) {
      pushScaled(frame, () => pushGathered(frame, rows, lane), gather!.stride, log2Bytes[dtype]);
      f.op("i64.add");
    }
    loadOne(v, dtype);
    f.lane("i32x4.replace_lane", lane).set(bits);
  };
  if (conditions.length === 0) return read();
  pushAll(f, conditions);
  f.if(read);
}

/** Stores the lanes of `point`, or one element where the access does not move along the lanes. */
export function storeLanes(
  frame: Frame,
  store: Store,
  base: Base,
  point: Point | null,
  x: Local,
): void {
  const { f, v } = frame;
  const { dtype } = frame.kernel.args[store.arg]!;
  const log2 = log2Bytes[dtype];
  const packed = v.keep(narrow(v, dtype, x));
  const terms = store.access.terms.filter(({ dim }) => dim === frame.analysis.rank - 1);
  if (point === null || terms.length === 0) {
    f.get(base.address);
    storeOne(v, dtype, packed, 0, 0);
    return;
  }
  const { i, shift, end } = point;
  const stride = terms.length === 1 ? terms[0]!.stride : null;
  const together = () => {
    f.get(base.address, i).i64(log2).op("i64.shl", "i64.add");
    storeFour(v, dtype, packed, shift << log2);
  };
  const oneByOne = () => {
    for (let lane = 0; lane < 4; lane++) {
      const write = () => {
        f.get(base.address);
        for (const term of terms) {
          const coordinate = () => f.get(i).i64(shift + lane).op("i64.add");
          pushScaled(frame, coordinate, term.stride, log2);
          f.op("i64.add");
        }
        storeOne(v, dtype, packed, lane, 0);
      };
      if (end === null) write();
      else f.get(i).i64(shift + lane).op("i64.add").get(end).op("i64.lt_s").if(write);
    }
  };
  if (stride !== 1) oneByOne();
  else if (end === null) together();
  else f.get(i).i64(shift + 4).op("i64.add").get(end).op("i64.le_s").if(together, oneByOne);
}

/** The coordinate along a dim, in every lane or, along the last dim, in turn. */
export function indexLanes(frame: Frame, dim: number, point: Point | null): Local {
  const { f, v } = frame;
  const coordinate = frame.coordinates[dim];
  if (coordinate !== undefined) {
    return v.keep(() => f.get(coordinate).op("i32.wrap_i64", "i32x4.splat"));
  }
  if (point === null) return v.int(0);
  const { i, shift } = point;
  return v.keep(() => {
    f.get(i).op("i32.wrap_i64", "i32x4.splat");
    f.get(v.constant(shift, shift + 1, shift + 2, shift + 3)).op("i32x4.add");
  });
}
