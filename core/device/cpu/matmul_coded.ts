/** Products with a right operand in a block code, decoded piece by piece into scratch memory. @module */

import type { BlockCode } from "../../block_codes.ts";
import { sourceParameters, widenSlack } from "./matmul_widen.ts";
import { thinRows, thinSignature } from "./matmul_thin.ts";
import { FunctionBuilder, type Local } from "./wasm_function.ts";

/** Columns and depth of the piece of B that a thin product decodes: it stays in the first-level cache. */
const pieces = {
  transposed: { columns: 4, depth: 512 },
  plain: { columns: 128, depth: 32 },
} as const;

/** Scratch bytes of a thin product with a coded operand. */
export const thinCodedBytes: number = widenSlack + 4 * Math.max(
      pieces.transposed.columns * pieces.transposed.depth,
      pieces.plain.columns * pieces.plain.depth,
    );

/**
 * pack(from, stride, count, k, out, codes, scales, scratch): packs a block of B as the function `pack`
 * does an f32 one.
 *
 * @param alongK Whether a stored row runs along k.
 */
export function emitPackCoded(
  code: BlockCode,
  alongK: boolean,
  widen: number,
  pack: number,
): FunctionBuilder {
  const f = new FunctionBuilder(
    ["i64", "i64", "i64", "i64", "i64", ...sourceParameters(code), "i64"],
    [],
  );
  const [from, stride, count, k, out, codes, scales, scratch] = [0, 1, 2, 3, 4, 5, 6, 7].map((i) =>
    f.parameter(i)
  ) as [...[Local, Local, Local, Local], ...[Local, Local, Local, Local]];
  const [rows, columns] = alongK ? [count, k] : [k, count];
  f.get(from, stride, rows, columns, scratch, codes, scales).call(widen);
  return f.get(scratch, columns).i64(2).op("i64.shl").get(count, k, out).call(pack);
}

/**
 * thin(…, codes, scales, scratch): as the thin product `thin` of f32 matrices, whose A is stored as its
 * form wants it; `b` is the number of an element, `bStride` a number of elements.
 */
export function emitThinCoded(
  code: BlockCode,
  transposed: boolean,
  widen: number,
  thin: number,
): FunctionBuilder {
  const f = new FunctionBuilder([...thinSignature, ...sourceParameters(code), "i64"], []);
  const [a, aStride, rows, b, bStride, columns, k, c, cStride, add] = thinSignature.map((_, i) =>
    f.parameter(i)
  ) as [
    ...[Local, Local, Local, Local, Local],
    ...[Local, Local, Local, Local, Local],
  ];
  const [codes, scales, scratch] = [10, 11, 12].map((i) => f.parameter(i)) as [
    ...[Local, Local, Local],
  ];
  const size = transposed ? pieces.transposed : pieces.plain;
  const [j, p, width, depth] = [1, 2, 3, 4].map(() => f.local("i64")) as [
    ...[Local, Local, Local, Local],
  ];
  const piece = (at: Local, total: Local, most: number, own: Local, body: () => void) => {
    f.i64(0).set(at);
    f.forRange(at, total, most, () => {
      f.get(total, at).op("i64.sub").tee(own).i64(most).get(own).i64(most);
      f.op("i64.lt_s", "select").set(own);
      body();
    });
  };
  piece(j, columns, size.columns, width, () => {
    piece(p, k, size.depth, depth, () => {
      const [row, column] = transposed ? [j, p] : [p, j];
      const [height, length] = transposed ? [width, depth] : [depth, width];
      f.get(b, row, bStride).op("i64.mul", "i64.add").get(column).op("i64.add");
      f.get(bStride, height, length, scratch, codes, scales).call(widen);
      f.get(a, p).i64(4 * (transposed ? 1 : thinRows)).op("i64.mul", "i64.add");
      f.get(aStride, rows, scratch, length).i64(2).op("i64.shl").get(width, depth);
      f.get(c, j).i64(2).op("i64.shl", "i64.add").get(cStride);
      f.get(add, p).i64(0).op("i64.ne", "i32.or").call(thin);
    });
  });
  return f;
}
