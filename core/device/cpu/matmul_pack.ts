/** Copying blocks of a matrix into panels that the register tile reads in order. @module */

import { loadScalar, loadVector, type MatrixType, shiftOf } from "./matmul_load.ts";
import { FunctionBuilder, type Local } from "./wasm_function.ts";

/** Bytes of four lanes picked from two vectors. */
function lanes(...picks: readonly [number, number, number, number]): number[] {
  return picks.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte));
}

const [lowPairs, highPairs] = [lanes(0, 4, 1, 5), lanes(2, 6, 3, 7)];
const [lowHalves, highHalves] = [lanes(0, 1, 4, 5), lanes(2, 3, 6, 7)];

/**
 * pack(source, stride, count, k, destination), all i64: writes a block of `count` rows (of A; columns
 * of B) by k as panels of `width`: for each panel, for each k, `width` adjacent floats; rows beyond
 * `count` are zeros. `stride` is in bytes, between stored rows: `alongK` says whether a stored row
 * runs along k or along the panel.
 */
export function emitPack(width: 6 | 8, alongK: boolean, type: MatrixType): FunctionBuilder {
  const f = new FunctionBuilder(["i64", "i64", "i64", "i64", "i64"], []);
  const [source, stride, count, k, out] = [0, 1, 2, 3, 4].map((i) => f.parameter(i)) as [
    ...[Local, Local, Local, Local, Local],
  ];
  const size = 1 << shiftOf(type);
  const [kk, whole, i, pointer] = [1, 2, 3, 4].map(() => f.local("i64")) as [
    ...[Local, Local, Local, Local],
  ];
  const [scratch, x] = [f.local("v128"), f.local("f32")];
  const rowStride = () => alongK ? f.get(stride) : f.i64(size);
  const kStride = () => alongK ? f.i64(size) : f.get(stride);

  /** A full panel, while kk < whole. */
  function fast(): void {
    if (!alongK) {
      f.get(k).set(whole).get(source).set(pointer);
      f.forRange(kk, whole, 1, () => {
        for (let column = 0; column < width; column += 4) {
          f.get(out, pointer);
          loadVector(f, type, column * size, scratch);
          if (width - column >= 4) f.memory("v128.store", 4 * column);
          else f.memoryLane("v128.store64_lane", 0, 4 * column);
        }
        f.get(pointer, stride).op("i64.add").set(pointer);
        f.get(out).i64(4 * width).op("i64.add").set(out);
      });
      return;
    }
    const rows = Array.from({ length: width }, () => f.local("i64"));
    const v = Array.from({ length: 4 }, () => f.local("v128"));
    const [t0, t1] = [f.local("v128"), f.local("v128")];
    f.get(k).i64(-4).op("i64.and").set(whole).get(source).set(rows[0]!);
    for (let row = 1; row < width; row++) {
      f.get(rows[row - 1]!, stride).op("i64.add").set(rows[row]!);
    }
    f.forRange(kk, whole, 4, () => {
      for (let first = 0; first < width; first += 4) {
        const height = Math.min(4, width - first);
        for (let row = 0; row < height; row++) {
          f.get(rows[first + row]!);
          loadVector(f, type, 0, scratch);
          f.set(v[row]!);
        }
        const to = (step: number) => 4 * (width * step + first);
        if (height === 2) {
          for (const [half, pairs] of [lowPairs, highPairs].entries()) {
            f.get(v[0]!, v[1]!).shuffle(pairs).set(t0);
            f.get(out, t0).memoryLane("v128.store64_lane", 0, to(2 * half));
            f.get(out, t0).memoryLane("v128.store64_lane", 1, to(2 * half + 1));
          }
          continue;
        }
        for (const [half, pairs] of [lowPairs, highPairs].entries()) {
          f.get(v[0]!, v[1]!).shuffle(pairs).set(t0).get(v[2]!, v[3]!).shuffle(pairs).set(t1);
          f.get(out, t0, t1).shuffle(lowHalves).memory("v128.store", to(2 * half));
          f.get(out, t0, t1).shuffle(highHalves).memory("v128.store", to(2 * half + 1));
        }
      }
      for (const row of rows) f.get(row).i64(4 * size).op("i64.add").set(row);
      f.get(out).i64(16 * width).op("i64.add").set(out);
    });
  }

  return f.block((exit) => {
    f.loop((next) => {
      f.get(count).i64(0).op("i64.le_s").brIf(exit);
      f.i64(0).set(kk);
      f.get(count).i64(width).op("i64.ge_s").if(fast);
      f.forRange(kk, k, 1, () => {
        f.i64(0).set(i);
        f.forRange(i, width, 1, () => {
          f.f32(0).set(x).get(i, count).op("i64.lt_s").if(() => {
            f.get(source, i);
            rowStride().op("i64.mul", "i64.add").get(kk);
            kStride().op("i64.mul", "i64.add");
            loadScalar(f, type, scratch);
            f.set(x);
          });
          f.get(out, i).i64(2).op("i64.shl", "i64.add").get(x).memory("f32.store");
        });
        f.get(out).i64(4 * width).op("i64.add").set(out);
      });
      f.get(source);
      rowStride().i64(width).op("i64.mul", "i64.add").set(source);
      f.get(count).i64(width).op("i64.sub").set(count).br(next);
    });
  });
}
