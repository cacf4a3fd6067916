/** Products with few rows by a BLAS that does small products well. @module */

import { sgemmFlags } from "./blas.ts";
import { FunctionBuilder, type Local } from "./wasm_function.ts";

/** The most rows of {@link emitBlasFewRows}. */
export const fewRows = 32;
/** Elements of C, and of the summed dimension, that make a small product for the BLAS. */
const smallTile = { elements: 512, columns: 64, depth: 1536 } as const;

/**
 * product(a, aRow, b, bRow, c, cRow, m, n, k, scratch): C ← A·Bᵀ for at most {@link fewRows} rows, f32, by
 * products so small that the BLAS reads B where it lies. Each makes a tile of Cᵀ = B·Aᵀ, the form that its
 * kernels do fastest, which is then turned into its place.
 */
export function emitBlasFewRows(sgemm: number): FunctionBuilder {
  const f = new FunctionBuilder(Array(10).fill("i64"), []);
  const [a, aRow, b, bRow, c] = [0, 1, 2, 3, 4].map((i) => f.parameter(i)) as [
    ...[Local, Local, Local, Local, Local],
  ];
  const [cRow, m, n, k, scratch] = [5, 6, 7, 8, 9].map((i) => f.parameter(i)) as [
    ...[Local, Local, Local, Local, Local],
  ];
  const [j, p, i, x, from, to] = [0, 1, 2, 3, 4, 5].map(() => f.local("i64")) as [
    ...[Local, Local, Local, Local, Local, Local],
  ];
  const [wide, columns, depth, tileRow] = [0, 1, 2, 3].map(() => f.local("i64")) as [
    ...[Local, Local, Local, Local],
  ];
  const vector = f.local("v128");
  const smaller = (y: Local, limit: Local | number) => {
    f.get(y);
    if (typeof limit === "number") f.i64(limit);
    else f.get(limit);
    f.get(y);
    if (typeof limit === "number") f.i64(limit);
    else f.get(limit);
    f.op("i64.lt_s", "select");
  };
  f.i64(smallTile.elements).get(m).op("i64.div_u").i64(-16).op("i64.and").set(wide);
  smaller(wide, smallTile.columns);
  f.set(wide).get(m).i64(2).op("i64.shl").set(tileRow).i64(0).set(j);
  f.block((exit) => {
    f.loop((next) => {
      f.get(j, n).op("i64.ge_s").brIf(exit);
      f.get(n, j).op("i64.sub").set(columns);
      smaller(columns, wide);
      f.set(columns).i64(0).set(p);
      f.forRange(p, k, smallTile.depth, () => {
        f.get(k, p).op("i64.sub").set(depth);
        smaller(depth, smallTile.depth);
        f.set(depth);
        const accumulate = sgemmFlags.transposeB | sgemmFlags.accumulate;
        f.i32(accumulate).i32(sgemmFlags.transposeB).get(p).i64(0).op("i64.ne", "select");
        for (const size of [columns, m, depth]) f.get(size).op("i32.wrap_i64");
        const at = (base: Local, row: Local | null, stride: Local) => {
          f.get(base);
          if (row) f.get(row, stride).op("i64.mul", "i64.add");
          f.get(p).i64(2).op("i64.shl", "i64.add", "f64.convert_i64_s");
          // BLAS insists on at least a row's length between rows, even for a single row.
          f.get(stride).i64(2).op("i64.shr_u").set(x);
          f.get(x, k, x, k).op("i64.gt_s", "select", "i32.wrap_i64");
        };
        at(b, j, bRow);
        at(a, null, aRow);
        f.get(scratch).op("f64.convert_i64_s").get(m).op("i32.wrap_i64").call(sgemm);
      });
      f.i64(0).set(i).get(c, j).i64(2).op("i64.shl", "i64.add").set(to);
      f.forRange(i, m, 1, () => {
        f.get(scratch, i).i64(2).op("i64.shl", "i64.add").set(from).i64(0).set(x);
        f.block((short) => {
          f.loop((again) => {
            f.get(x).i64(4).op("i64.add").get(columns).op("i64.gt_s").brIf(short);
            for (let lane = 0; lane < 4; lane++) {
              f.get(from);
              if (lane === 0) f.memory("v128.load32_zero");
              else f.get(vector).memoryLane("v128.load32_lane", lane);
              f.set(vector).get(from, tileRow).op("i64.add").set(from);
            }
            f.get(to, x).i64(2).op("i64.shl", "i64.add").get(vector).memory("v128.store");
            f.get(x).i64(4).op("i64.add").set(x).br(again);
          });
        });
        f.forRange(x, columns, 1, () => {
          f.get(to, x).i64(2).op("i64.shl", "i64.add").get(from).memory("f32.load");
          f.memory("f32.store").get(from, tileRow).op("i64.add").set(from);
        });
        f.get(to, cRow).op("i64.add").set(to);
      });
      f.get(j, wide).op("i64.add").set(j).br(next);
    });
  });
  return f;
}
