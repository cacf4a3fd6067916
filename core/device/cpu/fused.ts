/**
 * Fused kernels in WebAssembly. Every value is a vector of four 32-bit lanes along the last dim;
 * what does not vary along it has the same number in each lane.
 *
 * A map or a row kernel is a loop over rows. What varies along the outer dims only is computed at the
 * start of a row, the rest in passes along the row: one for each level of reductions, each computing
 * just what it needs, and the last one storing. A column kernel is a loop over tiles of columns, and
 * for each tile one over the rows that are summed away.
 *
 * @module
 */

import type { FusedKernel, Instruction } from "../../kernel.ts";
import { type KernelCode, phase } from "./code.ts";
import {
  advanceBase,
  type Base,
  createFrame,
  type Frame,
  indexLanes,
  loadLanes,
  type Point,
  storeLanes,
} from "./fused_address.ts";
import { along, analyse, needed } from "./fused_analysis.ts";
import {
  divide,
  type Flush,
  forRows,
  forRuns,
  forVectors,
  points,
  presentLanes,
  type Range,
} from "./fused_loops.ts";
import { acrossLanes, createReduction, type Reduction, runLength } from "./fused_reduce.ts";
import { compute, cost, typeOf } from "./fused_values.ts";
import type { Local } from "./wasm_function.ts";

/** What has been computed so far, by instruction. Inner loops see what outer ones know. */
interface Known {
  readonly values: ReadonlyMap<number, Local>;
  readonly bases: ReadonlyMap<number, Base>;
}

/** What the loop being written adds to it. */
interface Knowing extends Known {
  readonly values: Map<number, Local>;
  readonly bases: Map<number, Base>;
}

function inner(known: Known): Knowing {
  return { values: new Map(known.values), bases: new Map(known.bases) };
}

/** Emits a fused kernel. Throws on functions that its types do not have. */
export function emitFused(kernel: FusedKernel): KernelCode {
  const f = phase();
  const frame = createFrame(f, kernel, analyse(kernel));
  if (kernel.kind === "column") emitColumns(frame);
  else emitRows(frame);
  return { phases: [f], scratchBytes: () => 0 };
}

type Indexed<Op extends Instruction["op"]> = readonly [number, Extract<Instruction, { op: Op }>];

/** The instructions of one kind, with their indices. */
function all<Op extends Instruction["op"]>(body: readonly Instruction[], op: Op): Indexed<Op>[] {
  const isOp = (i: Instruction): i is Extract<Instruction, { op: Op }> => i.op === op;
  return body.flatMap((instruction, index) => isOp(instruction) ? [[index, instruction]] : []);
}

/** Computes instructions at a point, in order, into `known`. */
function evaluate(
  frame: Frame,
  indices: readonly number[],
  known: Knowing,
  point: Point | null,
): void {
  const { v, analysis } = frame;
  const value = (index: number) => known.values.get(index)!;
  for (const index of indices) {
    const instruction = analysis.body[index]!;
    switch (instruction.op) {
      case "store":
      case "reduce":
        break;
      case "load": {
        const { gather } = instruction.access;
        const varying = gather && (analysis.varies[gather.index]! & along.lanes) !== 0;
        const rows = varying ? value(gather.index) : null;
        const base = known.bases.get(index)!;
        known.values.set(index, loadLanes(frame, instruction, base, point, rows));
        break;
      }
      case "scalar":
        known.values.set(index, frame.scalar(instruction.index));
        break;
      case "index":
        known.values.set(index, indexLanes(frame, instruction.dim, point));
        break;
      default:
        known.values.set(index, v.keep(compute(v, analysis.body, instruction, value)));
    }
  }
}

/** The innermost loop of a set. */
function innermost(loops: number): number {
  return loops & along.lanes || loops & along.rows || loops;
}

/**
 * Enters `loop`, with the loops outside it in `fixed`: moves the bases of accesses, and computes what
 * is the same for everything inside. `stage` is the number of reductions done before.
 */
function enter(frame: Frame, known: Knowing, loop: number, fixed: number, stage: number): void {
  const { body, varies, stage: stages } = frame.analysis;
  body.forEach((instruction, index) => {
    if (instruction.op === "load" || instruction.op === "store") {
      const gather = instruction.op === "load" ? instruction.access.gather : null;
      const gatherLoop = gather === null ? null : innermost(varies[gather.index]!);
      const reached = gather === null || gatherLoop === along.lanes ? 0 : stages[gather.index]!;
      if (reached === stage) {
        const before = known.bases.get(index) ?? null;
        const row = gather !== null && gatherLoop === loop ? known.values.get(gather.index)! : null;
        known.bases.set(index, advanceBase(frame, instruction, loop, before, row));
      }
    }
    const ready = (varies[index]! & ~(fixed | loop)) === 0 && stages[index] === stage;
    if (ready && !known.values.has(index)) evaluate(frame, [index], known, null);
  });
}

/** How many vectors to work on at once: fewer the longer their code is. */
function unrollFor(frame: Frame, indices: readonly number[]): number {
  const total = indices.reduce((sum, index) => sum + cost(frame.analysis.body[index]!), 0);
  return total <= 48 ? 4 : total <= 120 ? 2 : 1;
}

/** Reductions over accumulators of their own, started. */
function startReductions(
  frame: Frame,
  ending: readonly Indexed<"reduce">[],
  accumulators: number,
): Reduction[] {
  return ending.map(([, { fn, x }]) => {
    const type = typeOf(frame.analysis.body, x);
    const reduction = createReduction(frame.v, fn, type, accumulators);
    reduction.start();
    return reduction;
  });
}

function flushOf(reductions: readonly Reduction[]): Flush | null {
  const flushes = reductions.flatMap(({ flush }) => flush ?? []);
  if (flushes.length === 0) return null;
  return { run: runLength, write: () => flushes.forEach((flush) => flush()) };
}

function emitRows(frame: Frame): void {
  const { f, v, kernel } = frame;
  const { rank, body, varies, stage } = frame.analysis;
  const reductions = all(body, "reduce");
  const isPoint = (index: number) => (varies[index]! & along.lanes) !== 0;
  const pointStores = all(body, "store").filter(([index]) => isPoint(index));
  const rowStores = all(body, "store").filter(([index]) => !isPoint(index));
  const stages = (items: readonly Indexed<"reduce" | "store">[]) =>
    items.map(([index]) => stage[index]!);
  const stagesDone = Math.max(0, ...stages(reductions));
  const lastPass = Math.max(stagesDone - 1, ...stages(pointStores));

  const size = frame.size(rank - 1);
  const work = divide(frame, points(frame, rank - 1), size, kernel.kind === "row");
  const launch = inner({ values: new Map(), bases: new Map() });
  enter(frame, launch, 0, 0, 0);
  forRows(frame, work.rows, rank - 1, () =>
    v.scope(() => {
      const row = inner(launch);
      enter(frame, row, along.outer, 0, 0);
      for (let pass = 0; pass <= lastPass; pass++) {
        const ending = reductions.filter(([index]) => stage[index] === pass + 1);
        emitPass(frame, row, work.lanes, ending, pass === lastPass ? pointStores : []);
        if (pass < stagesDone) enter(frame, row, along.outer, 0, pass + 1);
      }
      if (rowStores.length === 0) return;
      const store = () => {
        for (const [index, instruction] of rowStores) {
          const x = row.values.get(instruction.x)!;
          v.scope(() => storeLanes(frame, instruction, row.bases.get(index)!, null, x));
        }
      };
      // In a map with one row, the thread that has its lanes stores for it.
      if (kernel.kind === "row") store();
      else f.get(work.lanes.from, work.lanes.to).op("i64.lt_s").if(store);
    }));
}

/** One run along the row: reductions that end with it, and stores. */
function emitPass(
  frame: Frame,
  row: Knowing,
  lanes: Range,
  ending: readonly Indexed<"reduce">[],
  storing: readonly Indexed<"store">[],
): void {
  const { f, v } = frame;
  const { body, varies } = frame.analysis;
  const roots = [...ending.map(([, { x }]) => x), ...storing.map(([index]) => index)];
  const indices = needed(body, roots, (index) => (varies[index]! & along.lanes) !== 0);
  const unroll = unrollFor(frame, indices);
  const reductions = startReductions(frame, ending, unroll);

  const atPoint = (point: Point, turn: number) => {
    const here = inner(row);
    evaluate(frame, indices, here, point);
    const mask = ending.length > 0 ? presentLanes(frame, point) : null;
    ending.forEach(([, { x }], k) => reductions[k]!.add(here.values.get(x)!, turn, mask));
    for (const [index, store] of storing) {
      storeLanes(frame, store, here.bases.get(index)!, point, here.values.get(store.x)!);
    }
  };
  forVectors(
    frame,
    lanes,
    unroll,
    (vectors) => vectors.forEach((point, turn) => v.scope(() => atPoint(point, turn))),
    flushOf(reductions),
  );

  ending.forEach(([index, { fn, x }], k) => {
    const result = f.local("v128");
    v.scope(() => {
      f.get(acrossLanes(v, fn, typeOf(body, x), reductions[k]!.total())).set(result);
    });
    row.values.set(index, result);
  });
}

function emitColumns(frame: Frame): void {
  const { v } = frame;
  const { rank, body, varies } = frame.analysis;
  if (rank < 2) throw new Error(`A column kernel has at least 2 dims, not ${rank}.`);
  const operandsOfReductions = all(body, "reduce").map(([, { x }]) => x);
  const summed = needed(
    body,
    operandsOfReductions,
    (index) => (varies[index]! & along.lanes) !== 0,
  );
  const isInner = (index: number) => (varies[index]! & along.rows) !== 0;
  const perTile = summed.filter((index) => !isInner(index));
  const perPoint = summed.filter(isInner);

  const work = divide(frame, points(frame, rank - 2), frame.size(rank - 1), false);
  const launch = inner({ values: new Map(), bases: new Map() });
  enter(frame, launch, 0, 0, 0);
  forRows(frame, work.rows, rank - 2, () =>
    v.scope(() => {
      const block = inner(launch);
      enter(frame, block, along.outer, 0, 0);
      forVectors(
        frame,
        work.lanes,
        unrollFor(frame, perPoint),
        (vectors) => v.scope(() => emitTile(frame, block, vectors, perTile, perPoint)),
      );
    }));
}

/** Reduces some vectors of columns over the rows, and stores what follows from the results. */
function emitTile(
  frame: Frame,
  block: Known,
  vectors: readonly Point[],
  perTile: readonly number[],
  perPoint: readonly number[],
): void {
  const { f, v } = frame;
  const { rank, body } = frame.analysis;
  const ending = all(body, "reduce");
  const storing = all(body, "store");
  const columns = vectors.map((point) => {
    const known = inner(block);
    evaluate(frame, perTile, known, point);
    return { point, known, reductions: startReductions(frame, ending, 1) };
  });

  const row = frame.coordinates[rank - 2]!;
  f.i64(0).set(row);
  const atRow = () => {
    const fixed = inner(block);
    enter(frame, fixed, along.rows, along.outer, 0);
    for (const { point, known, reductions } of columns) {
      v.scope(() => {
        const values = new Map([...known.values, ...fixed.values]);
        const here = { values, bases: new Map(fixed.bases) };
        evaluate(frame, perPoint, here, point);
        ending.forEach(([, { x }], k) => reductions[k]!.add(values.get(x)!, 0, null));
      });
    }
  };
  const flush = flushOf(columns.flatMap(({ reductions }) => reductions));
  forRuns(frame, row, frame.size(rank - 2), 1, () => v.scope(atRow), flush);

  const roots = storing.map(([index]) => index);
  for (const { point, known, reductions } of columns) {
    v.scope(() => {
      ending.forEach(([index], k) => known.values.set(index, v.keep(reductions[k]!.total())));
      evaluate(frame, needed(body, roots, (index) => !known.values.has(index)), known, point);
      for (const [index, store] of storing) {
        storeLanes(frame, store, known.bases.get(index)!, point, known.values.get(store.x)!);
      }
    });
  }
}
