/** Reductions of fused kernels: accumulators and how they are joined. @module */

import type { ComputeType } from "../../dtype.ts";
import type { ReduceFunction } from "../../kernel.ts";
import { binaryOp, literal } from "./fused_values.ts";
import type { Vector, Vectors } from "./vectors.ts";
import type { Local } from "./wasm_function.ts";

/**
 * How many numbers an accumulator may take before a flush. Short runs keep rounding errors small;
 * the runs' sums are added with compensation, so that long sums are as good as pairwise ones.
 */
export const runLength = 16;

/** One reduction under way, over some accumulators that take turns. */
export interface Reduction {
  /** Sets everything to the identity. */
  start(): void;
  /** Accounts for the lanes of `x` where `mask` is set (null: everywhere). */
  add(x: Local, accumulator: number, mask: Local | null): void;
  /** Empties the accumulators into the total; null if there is no need to. */
  readonly flush: (() => void) | null;
  /** The result, lane by lane. Accumulators are flushed. */
  total(): Vector;
}

const identities: Readonly<Record<ComputeType, Readonly<Record<ReduceFunction, number>>>> = {
  f32: { sum: 0, max: -Infinity, min: Infinity },
  i32: { sum: 0, max: -0x80000000, min: 0x7fffffff },
  u32: { sum: 0, max: 0, min: 0xffffffff },
  bool: { sum: 0, max: 0, min: 1 },
};

/** Begins a reduction with accumulators that are locals of its own. */
export function createReduction(
  v: Vectors,
  fn: ReduceFunction,
  type: ComputeType,
  accumulators: number,
): Reduction {
  const op = binaryOp(fn === "sum" ? "add" : fn, type);
  if (op === undefined) throw new Error(`A fused kernel cannot reduce ${type} by "${fn}".`);
  const parts = Array.from({ length: accumulators }, () => v.f.local("v128"));
  const identity = literal(v, identities[type][fn], type);
  const assign = (local: Local, x: Vector) => {
    v.push(x);
    v.f.set(local);
  };
  const joined = () =>
    parts.slice(1).reduce<Vector>((left, right) => v.op(op, left, right), parts[0]!);
  const startParts = () => parts.forEach((part) => assign(part, identity));
  const add = (x: Local, accumulator: number, mask: Local | null) => {
    const part = parts[accumulator]!;
    assign(part, v.op(op, part, mask === null ? x : v.select(mask, x, identity)));
  };
  if (fn !== "sum" || type !== "f32") {
    return { start: startParts, add, flush: null, total: joined };
  }

  const sum = v.f.local("v128");
  const error = v.f.local("v128");
  return {
    start: () => {
      startParts();
      assign(sum, identity);
      assign(error, identity);
    },
    add,
    flush: () =>
      v.scope(() => {
        // Knuth's two-sum: next + (what rounding lost) = sum + run.
        const run = v.keep(pairwise(v, parts));
        const next = v.keep(v.op("f32x4.add", sum, run));
        const back = v.keep(v.op("f32x4.sub", next, sum));
        const lost = v.op(
          "f32x4.add",
          v.op("f32x4.sub", sum, v.op("f32x4.sub", next, back)),
          v.op("f32x4.sub", run, back),
        );
        assign(error, v.op("f32x4.add", error, lost));
        assign(sum, next);
        startParts();
      }),
    // Of infinite sums the error is NaN, and nothing to add.
    total: () => v.op("f32x4.add", sum, v.op("v128.and", error, v.op("f32x4.eq", error, error))),
  };
}

function pairwise(v: Vectors, parts: readonly Local[]): Vector {
  let sums: Vector[] = [...parts];
  while (sums.length > 1) {
    const next: Vector[] = [];
    for (let i = 0; i < sums.length; i += 2) {
      next.push(i + 1 < sums.length ? v.op("f32x4.add", sums[i]!, sums[i + 1]!) : sums[i]!);
    }
    sums = next;
  }
  return sums[0]!;
}

const swapHalves = [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7];
const swapNeighbours = [4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11];

/** Joins the four lanes: the result is in every lane. */
export function acrossLanes(v: Vectors, fn: ReduceFunction, type: ComputeType, x: Vector): Local {
  const op = binaryOp(fn === "sum" ? "add" : fn, type)!;
  return [swapHalves, swapNeighbours].reduce((lanes, order) => {
    const swapped = () => {
      v.f.get(lanes, lanes).shuffle(order);
    };
    return v.keep(v.op(op, lanes, swapped));
  }, v.keep(x));
}
