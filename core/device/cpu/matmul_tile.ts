/** The register tile of the matrix product: 6 rows by 8 columns. @module */

import { FunctionBuilder, type Local } from "./wasm_function.ts";

/**
 * Rows and columns of the tile. Its 12 accumulators, 2 vectors of B and 1 element of A are the 15
 * vector registers that engines hand out on x86-64.
 */
export const tile = { rows: 6, columns: 8 } as const;

/** Steps of k in one round of the inner loop. */
const unroll = 4;

/**
 * tile(a, b, k, c, cStride, add): C ← A·B on packed panels, or C + A·B where `add` (i32) is not 0.
 * All else is i64; `cStride` is in bytes.
 */
export function emitTile(): FunctionBuilder {
  const f = new FunctionBuilder(["i64", "i64", "i64", "i64", "i64", "i32"], []);
  const [a, b, k, c, cStride, add] = [0, 1, 2, 3, 4, 5].map((i) => f.parameter(i)) as [
    ...[Local, Local, Local, Local, Local, Local],
  ];
  const end = f.local("i64");
  const vectors = tile.columns / 4;
  const accumulators = Array.from(
    { length: tile.rows },
    () => Array.from({ length: vectors }, () => f.local("v128")),
  );
  const right = Array.from({ length: vectors }, () => f.local("v128"));
  const element = f.local("v128");

  const rounds = (steps: number) => {
    f.block((exit) => {
      f.loop((next) => {
        f.get(b, end).op("i64.ge_u").brIf(exit);
        for (let step = 0; step < steps; step++) {
          right.forEach((local, j) => {
            f.get(b).memory("v128.load", 4 * (tile.columns * step + 4 * j)).set(local);
          });
          accumulators.forEach((row, i) => {
            f.get(a).memory("v128.load32_splat", 4 * (tile.rows * step + i)).set(element);
            row.forEach((sum, j) => {
              f.get(element, right[j]!, sum).op("f32x4.relaxed_madd").set(sum);
            });
          });
        }
        f.get(a).i64(4 * tile.rows * steps).op("i64.add").set(a);
        f.get(b).i64(4 * tile.columns * steps).op("i64.add").set(b).br(next);
      });
    });
  };

  const store = (adding: boolean) => {
    accumulators.forEach((row, i) => {
      row.forEach((sum, j) => {
        f.get(c, sum);
        if (adding) f.get(c).memory("v128.load", 16 * j).op("f32x4.add");
        f.memory("v128.store", 16 * j);
      });
      if (i + 1 < tile.rows) f.get(c, cStride).op("i64.add").set(c);
    });
  };

  f.get(b, k).i64(-unroll).op("i64.and").i64(4 * tile.columns).op("i64.mul", "i64.add").set(end);
  rounds(unroll);
  f.get(end, k).i64(unroll - 1).op("i64.and").i64(4 * tile.columns).op("i64.mul", "i64.add");
  f.set(end);
  rounds(1);
  return f.get(add).if(() => store(true), () => store(false));
}
