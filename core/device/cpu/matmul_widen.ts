/** Widening pieces of a stored matrix to f32, whatever it is stored as. @module */

import { type BlockCode, blockCodes, isBlockCode } from "../../block_codes.ts";
import { loadVector, type MatrixType, shiftOf } from "./matmul_load.ts";
import { FunctionBuilder, type Local } from "./wasm_function.ts";
import type { ValueType } from "./wasm_opcodes.ts";

/** How a right operand may be stored. */
export type OperandStorage = MatrixType | BlockCode;

/**
 * log2 of the distance of two neighbours, as functions that take pieces of an operand count: bytes,
 * from an address, or, in a block code, elements, from the number of an element.
 */
export function unitShift(storage: OperandStorage): number {
  return isBlockCode(storage) ? 0 : shiftOf(storage);
}

/** Parameters that a function on pieces of an operand has behind its others: for a code, codes and scales. */
export function sourceParameters(storage: OperandStorage): readonly ValueType[] {
  return isBlockCode(storage) ? ["i64", "i64"] : [];
}

/** Bytes behind the last row of a widened piece that are overwritten too. */
export const widenSlack = 64;

/**
 * widen(from, stride, rows, columns, out, …source), all i64: f32 rows one behind the other. `from` and
 * `stride` are in the operand's units; up to {@link widenSlack} bytes behind the last row are overwritten.
 */
export function emitWiden(storage: OperandStorage): FunctionBuilder {
  return isBlockCode(storage) ? emitDecode(storage) : emitWidenHalf(storage);
}

function i64s(f: FunctionBuilder, first: number, count: number): Local[] {
  return Array.from({ length: count }, (_, i) => f.parameter(first + i));
}

function emitWidenHalf(type: MatrixType): FunctionBuilder {
  const f = new FunctionBuilder(Array<ValueType>(5).fill("i64"), []);
  const [source, stride, rows, columns, out] = i64s(f, 0, 5) as [
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

/** Elements decoded at a time. */
const group = 16;

/** Goes from block to block along each row; a group that hangs over is overwritten by the next block. */
function emitDecode(code: BlockCode): FunctionBuilder {
  const f = new FunctionBuilder(Array<ValueType>(7).fill("i64"), []);
  const [first, stride, rows, columns, out, codes, scales] = i64s(f, 0, 7) as [
    ...[Local, Local, Local, Local, Local, Local, Local],
  ];
  const { bits, block, values } = blockCodes[code];
  const [row, at, left, index, count] = [1, 2, 3, 4, 5].map(() => f.local("i64")) as [
    ...[Local, Local, Local, Local, Local],
  ];
  const [from, to, end] = [1, 2, 3].map(() => f.local("i64")) as [...[Local, Local, Local]];
  const scale = f.local("v128");
  const length = () => block === null ? f.get(stride) : f.i64(block);
  const decode = values === null ? decodeBytes(f, scale) : decodeNibbles(f, scale, values);

  const run = (odd: boolean) => {
    f.block((exit) => {
      f.loop((next) => {
        f.get(to, end).op("i64.ge_u").brIf(exit);
        decode(from, to, odd);
        f.get(from).i64(group * bits / 8).op("i64.add").set(from);
        f.get(to).i64(4 * group).op("i64.add").set(to).br(next);
      });
    });
  };

  return f.forRange(row, rows, 1, () => {
    f.get(first).set(at).get(columns).set(left);
    f.block((exit) => {
      f.loop((next) => {
        f.get(left).i64(0).op("i64.le_s").brIf(exit);
        f.get(at);
        length().op("i64.div_u").set(index);
        // What is left of the block, and of the row.
        length().get(at, index);
        length().op("i64.mul", "i64.sub", "i64.sub").tee(count).get(left).get(count, left);
        f.op("i64.lt_s", "select").set(count);
        f.get(scales, index).i64(2).op("i64.shl", "i64.add").memory("v128.load32_splat").set(scale);
        if (values === null) f.get(scale).f32x4(1 / 127).op("f32x4.mul").set(scale);
        f.get(codes, at);
        if (bits === 4) f.i64(1).op("i64.shr_u");
        f.op("i64.add").set(from);
        f.get(out).tee(to).get(count).i64(2).op("i64.shl", "i64.add").tee(end).set(out);
        if (bits === 4) {
          f.get(at).i64(1).op("i64.and", "i32.wrap_i64").if(() => run(true), () => run(false));
        } else run(false);
        f.get(at, count).op("i64.add").set(at).get(left, count).op("i64.sub").set(left).br(next);
      });
    });
    f.get(first, stride).op("i64.add").set(first);
  });
}

type Decoder = (from: Local, to: Local, odd: boolean) => void;

/** Sixteen two's-complement bytes. */
function decodeBytes(f: FunctionBuilder, scale: Local): Decoder {
  const [bytes, words] = [f.local("v128"), f.local("v128")];
  return (from, to) => {
    f.get(from).memory("v128.load").set(bytes);
    for (const [half, extend] of (["low", "high"] as const).entries()) {
      f.get(bytes).op(`i16x8.extend_${extend}_i8x16_s`).set(words);
      for (const [part, widen] of (["low", "high"] as const).entries()) {
        f.get(to, words).op(`i32x4.extend_${widen}_i16x8_s`, "f32x4.convert_i32x4_s").get(scale);
        f.op("f32x4.mul").memory("v128.store", 32 * half + 16 * part);
      }
    }
  };
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** Picks `size`-byte parts of two vectors by turns, beginning at part `first`. */
function interleaved(size: number, first: number): number[] {
  return range(8 / size).flatMap((i) =>
    [0, 16].flatMap((vector) => range(size).map((byte) => vector + size * (first + i) + byte))
  );
}

/** Sixteen nibbles by a table of their values, looked up byte by byte. `odd` begins at a low nibble. */
function decodeNibbles(f: FunctionBuilder, scale: Local, values: readonly number[]): Decoder {
  const bytes = new Uint8Array(Float32Array.from(values).buffer);
  const tables = range(4).map(() => f.local("v128"));
  const mask = f.local("v128");
  f.onEntry(() => {
    tables.forEach((table, plane) => {
      const lanes = new Int32Array(Uint8Array.from(range(16), (i) => bytes[4 * i + plane]!).buffer);
      f.v128(lanes[0]!, lanes[1]!, lanes[2]!, lanes[3]!).set(table);
    });
    f.i32x4(0x0f0f0f0f).set(mask);
  });
  const [packed, high, nibbles] = [f.local("v128"), f.local("v128"), f.local("v128")];
  const planes = range(4).map(() => f.local("v128"));
  const halves = range(2).map(() => f.local("v128"));
  // The low nibble of a byte comes after the high one of the same byte, and before that of the next.
  const order = {
    even: interleaved(1, 0),
    odd: range(8).flatMap((i) => [i, 16 + i + 1]),
  };
  return (from, to, odd) => {
    f.get(from).memory("v128.load").tee(packed).i32(4).op("i32x4.shr_u").get(mask);
    f.op("v128.and").set(high).get(packed, mask).op("v128.and").set(packed);
    if (odd) f.get(packed, high).shuffle(order.odd);
    else f.get(high, packed).shuffle(order.even);
    f.set(nibbles);
    tables.forEach((table, plane) => {
      f.get(table, nibbles).op("i8x16.relaxed_swizzle").set(planes[plane]!);
    });
    for (const half of [0, 1]) {
      for (const pair of [0, 1]) {
        f.get(planes[2 * pair]!, planes[2 * pair + 1]!).shuffle(interleaved(1, 8 * half));
        f.set(halves[pair]!);
      }
      for (const part of [0, 1]) {
        f.get(to, halves[0]!, halves[1]!).shuffle(interleaved(2, 4 * part)).get(scale);
        f.op("f32x4.mul").memory("v128.store", 32 * half + 16 * part);
      }
    }
  };
}
