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
import { divide, forRows, forVectors, points, presentLanes } from "./fused_loops.ts";
import { acrossLanes, createReduction, type Reduction, runLength } from "./fused_reduce.ts";
import { compute, cost, typeOf } from "./fused_values.ts";
import type { Local } from "./wasm.ts";

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

/**
 * Enters a loop that fixes the coordinates of `loops` (with all loops outside it: `fixed`): moves the
 * bases of accesses, and computes what is known now that was not known outside.
 */
function enter(frame: Frame, known: Knowing, loops: number, fixed: number, stage: number): void {
  const { analysis } = frame;
  const { body, varies } = analysis;
  body.forEach((instruction, index) => {
    if (analysis.stage[index] !== stage) return;
    if (instruction.op === "load" || instruction.op === "store") {
      const gather = instruction.op === "load" ? instruction.access.gather : null;
      const before = known.bases.get(index) ?? null;
      // A gather's row number belongs to the loop where it becomes known.
      const gathers = gather !== null && (varies[gather.index]! & ~fixed) === 0 &&
        !known.bases.has(index + body.length);
      known.bases.set(
        index,
        advanceBase(
          frame,
          instruction,
          loops,
          before,
          gathers ? known.values.get(gather.index)! : null,
        ),
      );
      if (gathers) known.bases.set(index + body.length, known.bases.get(index)!);
    }
    if ((varies[index]! & ~fixed) === 0 && !known.values.has(index)) {
      evaluate(frame, [index], known, null);
    }
  });
}

/** How many vectors to work on at once: fewer the longer their code is. */
function unrollFor(frame: Frame, indices: readonly number[]): number {
  const total = indices.reduce((sum, index) => sum + cost(frame.analysis.body[index]!), 0);
  return total <= 48 ? 4 : total <= 120 ? 2 : 1;
}

function emitRows(frame: Frame): void {
  const { f, v, kernel } = frame;
  const { rank, body, varies, stage } = frame.analysis;
  const reductions = all(body, "reduce");
  const stores = all(body, "store");
  const isPoint = (index: number) => (varies[index]! & along.lanes) !== 0;
  const pointStores = stores.filter(([index]) => isPoint(index));
  const rowStores = stores.filter(([index]) => !isPoint(index));

  const reducingPasses = Math.max(0, ...reductions.map(([index]) => stage[index]!));
  const lastPass = Math.max(
    reducingPasses - 1,
    ...pointStores.map(([index]) => stage[index]!),
  );

  const size = frame.size(rank - 1);
  const work = divide(frame, points(frame, rank - 1), size, kernel.kind === "row");
  const launch = inner({ values: new Map(), bases: new Map() });
  enter(frame, launch, 0, 0, 0);
  forRows(frame, work.rows, rank - 1, () => {
    const row = inner(launch);
    enter(frame, row, along.outer, along.outer, 0);
    for (let pass = 0; pass <= lastPass; pass++) {
      const ending = reductions.filter(([index]) => stage[index] === pass + 1);
      const storing = pass === lastPass ? pointStores : [];
      emitPass(frame, row, work.lanes, ending, storing);
      enter(frame, row, along.outer, along.outer, pass + 1);
    }
    for (const [index, store] of rowStores) {
      v.scope(() => storeLanes(frame, store, row.bases.get(index)!, null, row.values.get(store.x)!));
    }
  });
  void f;
}
