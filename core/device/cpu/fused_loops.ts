/** The loops of fused kernels: division of work among threads, rows, and vectors along a row. @module */

import type { Frame, Point } from "./fused_address.ts";
import type { Local } from "./wasm_function.ts";

/** Coordinates from ≤ x < to. */
export interface Range {
  readonly from: Local;
  readonly to: Local;
}

/** The product of the sizes of dims 0 … count−1. */
export function points(frame: Frame, count: number): Local {
  const { f } = frame;
  const product = f.local("i64");
  f.i64(1);
  for (let dim = 0; dim < count; dim++) f.get(frame.size(dim)).op("i64.mul");
  f.set(product);
  return product;
}

/** This thread's share of 0 … size−1, in whole granules but for the end. */
function share(frame: Frame, size: Local, granule: number): Range {
  const { f } = frame;
  const [thread, threads] = [f.parameter(1), f.parameter(2)];
  const bound = (next: number): Local => {
    // granules · (thread + next) / threads, in elements, at most `size`
    const local = f.local("i64");
    f.get(size).i64(granule - 1).op("i64.add").i64(granule).op("i64.div_s");
    f.get(thread).i32(next).op("i32.add", "i64.extend_i32_u", "i64.mul");
    f.get(threads).op("i64.extend_i32_u", "i64.div_s").i64(granule).op("i64.mul").set(local);
    f.get(local, size).op("i64.gt_s").if(() => f.get(size).set(local));
    return local;
  };
  return { from: bound(0), to: bound(1) };
}

/**
 * Divides a space of rows × lanes among the threads: by rows if there are many (or `rowsOnly`),
 * else each thread takes a range of lanes of every row.
 */
export function divide(
  frame: Frame,
  rows: Local,
  lanes: Local,
  rowsOnly: boolean,
): { rows: Range; lanes: Range } {
  const { f } = frame;
  if (rowsOnly) return { rows: share(frame, rows, 1), lanes: whole(frame, lanes) };
  const result = { rows: whole(frame, rows), lanes: whole(frame, lanes) };
  const narrowTo = (target: Range, part: Range) => {
    f.get(part.from).set(target.from);
    f.get(part.to).set(target.to);
  };
  f.get(rows).get(f.parameter(2)).op("i64.extend_i32_u").i64(8).op("i64.mul", "i64.ge_s");
  f.if(
    () => narrowTo(result.rows, share(frame, rows, 1)),
    () => narrowTo(result.lanes, share(frame, lanes, 16)),
  );
  return result;
}

function whole(frame: Frame, size: Local): Range {
  const { f } = frame;
  const range = { from: f.local("i64"), to: f.local("i64") };
  f.i64(0).set(range.from).get(size).set(range.to);
  return range;
}

/** Runs `body` for every row of a range, with the coordinates of dims 0 … count−1 set. */
export function forRows(frame: Frame, range: Range, count: number, body: () => void): void {
  const { f } = frame;
  const row = f.local("i64");
  const rest = f.local("i64");
  f.get(range.from).tee(row).set(rest);
  f.get(range.from, range.to).op("i64.lt_s").if(() => {
    for (let dim = count - 1; dim >= 0; dim--) {
      f.get(rest, frame.size(dim)).op("i64.rem_s").set(frame.coordinates[dim]!);
      f.get(rest, frame.size(dim)).op("i64.div_s").set(rest);
    }
    f.forRange(row, range.to, 1, () => {
      body();
      step(frame, count - 1);
    });
  });
}

/** Moves the coordinates of dims 0 … dim to the next row, as an odometer does. */
function step(frame: Frame, dim: number): void {
  if (dim < 0) return;
  const { f } = frame;
  const coordinate = frame.coordinates[dim]!;
  f.get(coordinate).i64(1).op("i64.add").tee(coordinate);
  f.get(frame.size(dim)).op("i64.eq").if(() => {
    f.i64(0).set(coordinate);
    step(frame, dim - 1);
  });
}

/** What a loop does now and then: after at most `run` rounds, and at its end. */
export interface Flush {
  readonly run: number;
  readonly write: () => void;
}

/** while (i < end) { body; i += step }, with pauses. */
export function forRuns(
  frame: Frame,
  i: Local,
  end: Local,
  step: number,
  body: () => void,
  flush: Flush | null,
): void {
  const { f } = frame;
  if (flush === null) return void f.forRange(i, end, step, body);
  const until = f.local("i64");
  f.block((done) => {
    f.loop((next) => {
      f.get(i, end).op("i64.ge_s").brIf(done);
      f.get(i).i64(step * flush.run).op("i64.add").tee(until);
      f.get(end).op("i64.gt_s").if(() => f.get(end).set(until));
      f.forRange(i, until, step, body);
      flush.write();
      f.br(next);
    });
  });
}

/**
 * Runs over a range of lanes: `body` is emitted for `unroll` vectors at a time, then for one at a
 * time of which lanes may be missing.
 */
export function forVectors(
  frame: Frame,
  range: Range,
  unroll: number,
  body: (vectors: readonly Point[]) => void,
  flush: Flush | null = null,
): void {
  const { f } = frame;
  const i = f.local("i64");
  f.get(range.from).set(i);
  const width = 4 * unroll;
  const vectors = Array.from({ length: unroll }, (_, k) => ({ i, shift: 4 * k, end: null }));
  const whole = f.local("i64");
  f.get(range.to).i64(width - 1).op("i64.sub").set(whole);
  forRuns(frame, i, whole, width, () => body(vectors), flush);
  f.forRange(i, range.to, 4, () => body([{ i, shift: 0, end: range.to }]));
  flush?.write();
}

/** Which lanes of a vector exist, as a mask; null if all do. */
export function presentLanes(frame: Frame, point: Point): Local | null {
  const { f, v } = frame;
  const { i, shift, end } = point;
  if (end === null) return null;
  return v.keep(() => {
    f.get(v.constant(shift, shift + 1, shift + 2, shift + 3));
    f.get(end, i).op("i64.sub", "i32.wrap_i64", "i32x4.splat", "i32x4.lt_s");
  });
}
