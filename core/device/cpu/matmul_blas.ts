/** Matrix products by the BLAS; operands in narrower storage are widened block by block. @module */

import type { MatmulKernel } from "../../operations/matmul.ts";
import { sgemmFlags } from "./blas.ts";
import type { MatrixType } from "./matmul_load.ts";
import { type OperandStorage, sourceParameters, unitShift, widenSlack } from "./matmul_widen.ts";
import { FunctionBuilder, type Local } from "./wasm_function.ts";
import type { ValueType } from "./wasm_opcodes.ts";

/** Rows and columns of a widened block. */
const side = 512;
const blockBytes = 4 * side * side + widenSlack;

/** Scratch a thread needs for widening: one block of each operand. */
export const widenedBytes: number = 2 * blockBytes;

function i64s(count: number): ValueType[] {
  return Array<ValueType>(count).fill("i64");
}

/**
 * product(a, aRow, b, bRow, c, cRow, m, n, k, scratch, …source of B): C ← A·B, or C + A·B for a kernel
 * that accumulates; all are i64, addresses and strides in bytes, those of a coded B in elements.
 *
 * @param widen Indices of the functions that widen A and B, null where they are f32.
 */
export function emitBlasProduct(
  kernel: MatmulKernel,
  [aType, bType]: readonly [MatrixType, OperandStorage],
  sgemm: number,
  widen: { readonly a: number | null; readonly b: number | null },
): FunctionBuilder {
  const f = new FunctionBuilder([...i64s(10), ...sourceParameters(bType)], []);
  const source = sourceParameters(bType).map((_, i) => f.parameter(10 + i));
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
    transposeA ? at(a, p, aRow, i, unitShift(aType)) : at(a, i, aRow, p, unitShift(aType));
  const pushB = () =>
    transposeB ? at(b, j, bRow, p, unitShift(bType)) : at(b, p, bRow, j, unitShift(bType));
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
        f.get(...(transposeB ? [columns, depth] : [depth, columns]), scratch, ...source);
        f.call(widen.b);
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
