/**
 * Products with few rows (decoding): they read B once, where it lies. Both functions are
 * thin(a, aStride, rows, b, bStride, columns, k, c, cStride, add): C ← A·B for `rows` ≤ 8, or C + A·B
 * where `add` (i32) is not 0; all else is i64, strides are in bytes.
 *
 * @module
 */

import { loadVector, type MatrixType, shiftOf } from "./matmul_load.ts";
import { FunctionBuilder, type Local } from "./wasm_function.ts";
import type { ValueType } from "./wasm_opcodes.ts";

/** The most rows these functions take. */
export const thinRows = 8;

/** Types of their parameters. */
export const thinSignature: readonly ValueType[] = [...Array(9).fill("i64"), "i32"];

interface Parameters {
  readonly a: Local;
  readonly aStride: Local;
  readonly rows: Local;
  readonly b: Local;
  readonly bStride: Local;
  readonly columns: Local;
  readonly k: Local;
  readonly c: Local;
  readonly cStride: Local;
  readonly add: Local;
}

function parameters(f: FunctionBuilder): Parameters {
  const [a, aStride, rows, b, bStride, columns, k, c, cStride] = [0, 1, 2, 3, 4, 5, 6, 7, 8].map(
    (i) => f.parameter(i),
  ) as [...[Local, Local, Local], ...[Local, Local, Local], ...[Local, Local, Local]];
  return { a, aStride, rows, b, bStride, columns, k, c, cStride, add: f.parameter(9) };
}

function locals(f: FunctionBuilder, count: number, type: ValueType): Local[] {
  return Array.from({ length: count }, () => f.local(type));
}

/** pointer += stride · count */
function advance(f: FunctionBuilder, pointer: Local, stride: Local | number, count = 1): void {
  f.get(pointer);
  if (typeof stride === "number") f.i64(stride * count);
  else {
    f.get(stride);
    if (count > 1) f.i64(count).op("i64.mul");
  }
  f.op("i64.add").set(pointer);
}

/** Runs the body of the first height that `rows` does not exceed. */
function byHeight(
  f: FunctionBuilder,
  rows: Local,
  heights: readonly number[],
  body: (height: number) => void,
): void {
  const [height, ...rest] = heights;
  if (rest.length === 0) body(height!);
  else {
    f.get(rows).i64(height!).op("i64.le_s");
    f.if(() => body(height!), () => byHeight(f, rows, rest, body));
  }
}

/**
 * For B stored [n, k]. A is f32 rows, zeros from k to the next multiple of 4, and as many zero rows
 * behind them as make 1, 2, 4 or 8.
 */
export function emitThinTransposed(type: MatrixType): FunctionBuilder {
  const f = new FunctionBuilder(thinSignature, []);
  const { a, aStride, rows, b, bStride, columns, k, c, cStride, add } = parameters(f);
  const size = 1 << shiftOf(type);
  const [row, end, left] = locals(f, 3, "i64") as [Local, Local, Local];
  const [aRow, cRow, cAt] = locals(f, 3, "i64") as [Local, Local, Local];
  const aPointers = locals(f, 4, "i64");
  const bPointers = locals(f, 4, "i64");
  const sums = locals(f, 8, "v128");
  const right = locals(f, 4, "v128");
  const [mask, element] = [f.local("v128"), f.local("v128")];
  const x = f.local("f32");

  /** Adds up products of four lanes of `height` rows of A and `width` rows of B. */
  function multiply(height: number, width: number, step: number, masked: boolean): void {
    for (let j = 0; j < width; j++) {
      f.get(bPointers[j]!);
      loadVector(f, type, 4 * size * step, element);
      // What lies behind the row may be NaN.
      if (masked) f.get(mask).op("v128.and");
      f.set(right[j]!);
    }
    for (let i = 0; i < height; i++) {
      f.get(aPointers[i]!).memory("v128.load", 16 * step).set(element);
      for (let j = 0; j < width; j++) {
        const sum = sums[i * width + j]!;
        f.get(element, right[j]!, sum).op("f32x4.relaxed_madd").set(sum);
      }
    }
  }

  function tile(height: number, width: number): void {
    f.get(aRow).set(aPointers[0]!).get(b).set(bPointers[0]!);
    for (let i = 1; i < height; i++) {
      f.get(aPointers[i - 1]!, aStride).op("i64.add").set(aPointers[i]!);
    }
    for (let j = 1; j < width; j++) {
      f.get(bPointers[j - 1]!, bStride).op("i64.add").set(bPointers[j]!);
    }
    for (let i = 0; i < height * width; i++) f.f32x4(0).set(sums[i]!);
    for (const unroll of [4, 1]) {
      f.get(aRow, k).i64(-4 * unroll).op("i64.and").i64(4).op("i64.mul", "i64.add").set(end);
      f.block((exit) => {
        f.loop((next) => {
          f.get(aPointers[0]!, end).op("i64.ge_u").brIf(exit);
          for (let step = 0; step < unroll; step++) multiply(height, width, step, false);
          for (let i = 0; i < height; i++) advance(f, aPointers[i]!, 16, unroll);
          for (let j = 0; j < width; j++) advance(f, bPointers[j]!, 4 * size, unroll);
          f.br(next);
        });
      });
    }
    f.get(k).i64(3).op("i64.and").op("i64.eqz", "i32.eqz").if(() =>
      multiply(height, width, 0, true)
    );
    for (let i = 0; i < height; i++) {
      f.get(row).i64(i).op("i64.add").get(rows).op("i64.lt_s").if(() => {
        f.get(cRow).set(cAt);
        for (let step = 0; step < i; step++) advance(f, cAt, cStride);
        for (let j = 0; j < width; j++) {
          const sum = sums[i * width + j]!;
          for (let lane = 0; lane < 4; lane++) {
            f.get(sum).lane("f32x4.extract_lane", lane);
            if (lane % 2 === 1) f.op("f32.add");
          }
          f.op("f32.add").set(x).get(add).if(() => {
            f.get(x, cAt).memory("f32.load", 4 * j).op("f32.add").set(x);
          });
          f.get(cAt, x).memory("f32.store", 4 * j);
        }
      });
    }
  }

  f.get(k).i64(3).op("i64.and", "i32.wrap_i64", "i32x4.splat").set(mask);
  f.v128(0, 1, 2, 3).get(mask).op("i32x4.lt_s").set(mask);
  byHeight(f, rows, [1, 2, 4], (height) => {
    for (const width of [height === 4 ? 2 : 4, 1]) {
      f.get(columns).i64(width).op("i64.div_u").set(left);
      f.block((exit) => {
        f.loop((next) => {
          f.get(left).op("i64.eqz").brIf(exit);
          f.get(a).set(aRow).get(c).set(cRow).i64(0).set(row);
          f.forRange(row, rows, height, () => {
            tile(height, width);
            advance(f, aRow, aStride, height);
            advance(f, cRow, cStride, height);
          });
          advance(f, b, bStride, width);
          advance(f, c, 4, width);
          advance(f, columns, -width);
          advance(f, left, -1);
          f.br(next);
        });
      });
    }
  });
  return f;
}

/** For B stored [k, n]. A is a packed panel: 8 floats for each k, `aStride` is not used. */
export function emitThin(type: MatrixType): FunctionBuilder {
  const f = new FunctionBuilder(thinSignature, []);
  const { a, rows, b, bStride, columns, k, c, cStride, add } = parameters(f);
  const size = 1 << shiftOf(type);
  const [aPointer, bPointer, end, cAt] = locals(f, 4, "i64") as [Local, Local, Local, Local];
  const [row, cRow] = locals(f, 2, "i64") as [Local, Local];
  const sums = locals(f, 8, "v128");
  const elements = locals(f, 4, "v128");
  const [right, scratch] = [f.local("v128"), f.local("v128")];
  const x = f.local("f32");

  function tile(height: number, vectors: number): void {
    f.get(a, row).i64(2).op("i64.shl", "i64.add").tee(aPointer).get(k).i64(4 * thinRows);
    f.op("i64.mul", "i64.add").set(end).get(b).set(bPointer);
    for (let i = 0; i < height * vectors; i++) f.f32x4(0).set(sums[i]!);
    f.block((exit) => {
      f.loop((next) => {
        f.get(aPointer, end).op("i64.ge_u").brIf(exit);
        const splat = (i: number) => f.get(aPointer).memory("v128.load32_splat", 4 * i);
        if (vectors > 1) {
          for (let i = 0; i < height; i++) {
            splat(i);
            f.set(elements[i]!);
          }
        }
        for (let j = 0; j < vectors; j++) {
          f.get(bPointer);
          loadVector(f, type, 4 * size * j, scratch);
          f.set(right);
          for (let i = 0; i < height; i++) {
            const sum = sums[i * vectors + j]!;
            if (vectors > 1) f.get(elements[i]!);
            else splat(i);
            f.get(right, sum).op("f32x4.relaxed_madd").set(sum);
          }
        }
        advance(f, aPointer, 4 * thinRows);
        advance(f, bPointer, bStride);
        f.br(next);
      });
    });
    f.get(cRow).set(cAt);
    for (let i = 0; i < height; i++) {
      f.get(row).i64(i).op("i64.add").get(rows).op("i64.lt_s").if(() => {
        const vectorStores = () => {
          for (let j = 0; j < vectors; j++) {
            const sum = sums[i * vectors + j]!;
            f.get(add).if(() => {
              f.get(sum, cAt).memory("v128.load", 16 * j).op("f32x4.add").set(sum);
            });
            f.get(cAt, sum).memory("v128.store", 16 * j);
          }
        };
        if (vectors > 1) vectorStores();
        else {
          f.get(columns).i64(4).op("i64.ge_s").if(vectorStores, () => {
            for (let lane = 0; lane < 3; lane++) {
              f.get(columns).i64(lane).op("i64.gt_s").if(() => {
                f.get(sums[i]!).lane("f32x4.extract_lane", lane).set(x);
                f.get(add).if(() => {
                  f.get(x, cAt).memory("f32.load", 4 * lane).op("f32.add").set(x);
                });
                f.get(cAt, x).memory("f32.store", 4 * lane);
              });
            }
          });
        }
        advance(f, cAt, cStride);
      });
    }
  }

  byHeight(f, rows, [1, 2, 4], (height) => {
    for (const vectors of [8 / height, 1]) {
      f.block((exit) => {
        f.loop((next) => {
          // The last vector may hang over the edge: what it reads there is not stored.
          f.get(columns).i64(vectors > 1 ? 4 * vectors : 1).op("i64.lt_s").brIf(exit);
          f.i64(0).set(row).get(c).set(cRow);
          f.forRange(row, rows, height, () => {
            tile(height, vectors);
            advance(f, cRow, cStride, height);
          });
          advance(f, b, 4 * size * vectors);
          advance(f, c, 16 * vectors);
          advance(f, columns, -4 * vectors);
          f.br(next);
        });
      });
    }
  });
  return f;
}
