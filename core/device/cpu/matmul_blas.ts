/** Matrix products by the BLAS; half-precision operands are widened block by block. @module */

import type { MatmulKernel } from "../../kernel.ts";
import { sgemmFlags } from "./blas.ts";
import { loadVector, type MatrixType, shiftOf } from "./matmul_load.ts";
import { FunctionBuilder, type Local, type ValueType } from "./wasm.ts";

/** Rows and columns of a widened block. */
const side = 512;
const blockBytes = 4 * side * side + 64;

/** Scratch a thread needs for widening: one block of each operand. */
export const widenedBytes: number = 2 * blockBytes;

function i64s(count: number): ValueType[] {
  return Array<ValueType>(count).fill("i64");
}

/**
 * widen(source, stride, rows, columns, out), all i64, `stride` in bytes: f32 rows one behind the
 * other; up to 12 bytes behind the last are overwritten too.
 */
export function emitWiden(type: MatrixType): FunctionBuilder {
  const f = new FunctionBuilder(i64s(5), []);
  const [source, stride, rows, columns, out] = [0, 1, 2, 3, 4].map((i) => f.parameter(i)) as [
    ...[Local, Local, Local, Local, Local],
  ];
  const [row, from, to, end] = [1, 2, 3, 4].map(() => f.local("i64")) as [
    ...[Local, Local, Local, Local],
  ];
  const scratch = f.local("v128");
  return f.forRange(row, rows, 1, () => {
    f.get(source).set(from).get(out).tee(to).get(columns).i64(2).op("i64.shl", "i64.add").set(end);
    f.block((exit) => {
      f.loop((next) => {
        f.get(to, end).op("i64.ge_u").brIf(exit).get(to, from);
        loadVector(f, type, 0, scratch);
        f.memory("v128.store").get(from).i64(4 << shiftOf(type)).op("i64.add").set(from);
        f.get(to).i64(16).op("i64.add").set(to).br(next);
      });
    });
    f.get(source, stride).op("i64.add").set(source).get(end).set(out);
  });
}

/**
 * product(a, aRow, b, bRow, c, cRow, m, n, k, scratch): C ← A·B, or C + A·B for a kernel that
 * accumulates; all are i64, addresses and strides in bytes.
 *
 * @param widen Indices of the functions that widen A and B, null where they are f32.
 */
export function emitBlasProduct(
  kernel: MatmulKernel,
  sgemm: number,
  widen: { readonly a: number | null; readonly b: number | null },
): FunctionBuilder {
  const f = new FunctionBuilder(i64s(10), []);
  const [a, aRow, b, bRow, c] = [0, 1, 2, 3, 4].map((i) => f.parameter(i)) as [
    ...[Local, Local, Local, Local, Local],
  ];
  const [cRow, m, n, k, scratch] = [5, 6, 7, 8, 9].map((i) => f.parameter(i)) as [
    ...[Local, Local, Local, Local, Local],
  ];
  const { transposeA, transposeB, accumulate } = kernel;
  const forms = (transposeA ? sgemmFlags.transposeA : 0) | (transposeB ? sgemmFlags.transposeB : 0);
  const [i, j, p] = [f.local("i64"), f.local("i64"), f.local("i64")];
  const [rows, columns, depth] = [f.local("i64"), f.local("i64"), f.local("i64")];
  const whole = widen.a === null && widen.b === null;

  /** Elements between rows; BLAS insists on at least a row's length, even for a single row. */
  const elements = (row: Local, length: Local) => {
    f.get(row).i64(2).op("i64.shr_u").get(length).get(row).i64(2).op("i64.shr_u").get(length);
    f.op("i64.gt_s", "select", "i32.wrap_i64");
  };
  /** Pushes base + row · stride + column · bytes per element. */
  const at = (base: Local, row: Local, stride: Local, column: Local, shift: number) =>
    f.get(base, row, stride).op("i64.mul", "i64.add").get(column).i64(shift)
      .op("i64.shl", "i64.add");
  const pushA = () =>
    transposeA
      ? at(a, p, aRow, i, widen.a === null ? 2 : 1)
      : at(a, i, aRow, p, widen.a === null ? 2 : 1);
  const pushB = () =>
    transposeB
      ? at(b, j, bRow, p, widen.b === null ? 2 : 1)
      : at(b, p, bRow, j, widen.b === null ? 2 : 1);
  const widenedA = () => f.get(scratch).i64(blockBytes).op("i64.add");

  function call(): void {
    f.i32(forms);
    if (accumulate) f.i32(sgemmFlags.accumulate);
    else f.i32(sgemmFlags.accumulate).i32(0).get(p).i64(0).op("i64.ne", "select");
    f.op("i32.or");
    for (const size of [rows, columns, depth]) f.get(size).op("i32.wrap_i64");
    if (widen.a === null) pushA();
    else widenedA();
    f.op("f64.convert_i64_s");
    if (widen.a === null) elements(aRow, transposeA ? rows : depth);
    else f.get(transposeA ? rows : depth).op("i32.wrap_i64");
    if (widen.b === null) pushB();
    else f.get(scratch);
    f.op("f64.convert_i64_s");
    if (widen.b === null) elements(bRow, transposeB ? depth : columns);
    else f.get(transposeB ? depth : columns).op("i32.wrap_i64");
    at(c, i, cRow, j, 2).op("f64.convert_i64_s");
    elements(cRow, columns);
    f.call(sgemm);
  }

  /** Runs the body for each piece of `total`, or once for all of it. */
  function pieces(at: Local, total: Local, size: Local, body: () => void): void {
    f.i64(0).set(at);
    f.forRange(at, total, side, () => {
      f.get(total, at).op("i64.sub").tee(size).i64(side).get(size).i64(side);
      f.op("i64.lt_s", "select").set(size);
      body();
    });
  }

  if (whole) {
    f.get(m).set(rows).get(n).set(columns).get(k).set(depth);
    call();
    return f;
  }
  pieces(j, n, columns, () => {
    pieces(p, k, depth, () => {
      if (widen.b !== null) {
        pushB().get(bRow);
        f.get(...(transposeB ? [columns, depth] : [depth, columns]), scratch).call(widen.b);
      }
      if (widen.a === null) {
        f.i64(0).set(i).get(m).set(rows);
        call();
        return;
      }
      const widenA = widen.a;
      pieces(i, m, rows, () => {
        pushA().get(aRow, ...(transposeA ? [depth, rows] : [rows, depth]));
        widenedA().call(widenA);
        call();
      });
    });
  });
  return f;
}
