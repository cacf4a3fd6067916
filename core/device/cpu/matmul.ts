/** The matrix product: divided among threads, then by BLAS, thin kernels or packed panels. @module */

import { UserError } from "../../errors.ts";
import { isBlockCode } from "../../block_codes.ts";
import { matmul, type MatmulKernel, type MatmulSizes } from "../../operations/matmul.ts";
import { blockOffsets, type EmitContext, type KernelCode, parameterBlock, phase } from "./code.ts";
import { emitBlasProduct, widenedBytes } from "./matmul_blas.ts";
import { emitBlasFewRows, fewRows } from "./matmul_blas_few.ts";
import { emitPackCoded, emitThinCoded, thinCodedBytes } from "./matmul_coded.ts";
import { isMatrixType, loadScalar, type MatrixType } from "./matmul_load.ts";
import { emitPack } from "./matmul_pack.ts";
import { emitThin, emitThinTransposed, thinRows } from "./matmul_thin.ts";
import { emitTile, tile } from "./matmul_tile.ts";
import { emitWiden, type OperandStorage, unitShift, widenSlack } from "./matmul_widen.ts";
import { FunctionBuilder, type Local } from "./wasm_function.ts";

/**
 * Blocks: a block of A (rows × depth) stays in the second-level cache while panels of B
 * (depth × 8) pass through the first level; a block of B is packed once.
 */
const block = { rows: 120, columns: 1024, depth: 256 } as const;

/** Rows of B that a thin product goes through together, as many as prefetchers follow. */
const thinDepth = 64;

/** Products of fewer multiplications are not worth the way to the BLAS. */
const blasLeast = 20000;
/** Products of no more rows than this are faster by the thin kernels, which do not copy B. */
const blasRows = 4;

/** Scratch of one thread: packed B, packed A, a tile for the edges of C, and a coded B's decoded block. */
const packedB = 0;
const packedA = 4 * block.columns * block.depth;
const edgeTile = packedA + 4 * block.rows * block.depth;
const packedBytes = edgeTile + 4 * tile.rows * tile.columns + 64;
const decodedBytes = 4 * block.columns * block.depth + widenSlack;

/** Bytes for A of a thin product: all of k, padded. */
function thinBytes(k: number): number {
  return 4 * thinRows * Math.ceil(k / 4) * 4;
}

/** rows(source, rowStride, kStride, rows, k, destination): f32 rows, padded for thin products. */
function emitRows(type: MatrixType): FunctionBuilder {
  const f = new FunctionBuilder(["i64", "i64", "i64", "i64", "i64", "i64"], []);
  const [source, rowStride, kStride, rows, k, out] = [0, 1, 2, 3, 4, 5].map((i) =>
    f.parameter(i)
  ) as [...[Local, Local, Local, Local, Local, Local]];
  const [row, kk, padded, at] = [f.local("i64"), f.local("i64"), f.local("i64"), f.local("i64")];
  const [scratch, x] = [f.local("v128"), f.local("f32")];
  f.get(k).i64(3).op("i64.add").i64(-4).op("i64.and").set(padded);
  return f.forRange(row, thinRows, 1, () => {
    f.i64(0).set(kk).get(source).set(at);
    f.forRange(kk, padded, 1, () => {
      f.f32(0).set(x).get(row, rows).op("i64.lt_s").get(kk, k).op("i64.lt_s", "i32.and").if(() => {
        f.get(at);
        loadScalar(f, type, scratch);
        f.set(x);
      });
      f.get(out, x).memory("f32.store").get(out).i64(4).op("i64.add").set(out);
      f.get(at, kStride).op("i64.add").set(at);
    });
    f.get(source, rowStride).op("i64.add").set(source);
  });
}

/**
 * Emits a matrix product. Every thread computes its own rectangle of C, or its own products of the
 * batch; which one depends on the sizes and the number of threads alone.
 *
 * @throws {UserError} for operands that are not f32, f16 or bf16, nor the right one in a block code.
 */
export function emitMatmul(
  kernel: MatmulKernel,
  { link, sgemm, smallProducts }: EmitContext,
): KernelCode<MatmulSizes> {
  const { a: aType, b: bType, transposeA, transposeB, accumulate } = kernel;
  if (!isMatrixType(aType) || !(isBlockCode(bType) || isMatrixType(bType))) {
    throw new UserError(
      `Cannot multiply matrices of ${aType} and ${bType} on the CPU device: operands must be f32, ` +
        `f16 or bf16. Cast them first.`,
    );
  }
  const [aShift, bShift] = [unitShift(aType), unitShift(bType)];
  const tileFunction = link(emitTile());
  const edgeFunction = link(emitEdge());
  const packAFunction = link(emitPack(tile.rows, !transposeA, aType));
  // A coded B is decoded into scratch memory, piece by piece, for functions of f32 matrices.
  const coded = isBlockCode(bType);
  const widenBFunction = bType === "f32" ? null : link(emitWiden(bType));
  const directB = coded ? "f32" : bType;
  let packBFunction = link(emitPack(tile.columns, transposeB, directB));
  let thinFunction = link(transposeB ? emitThinTransposed(directB) : emitThin(directB));
  if (coded) {
    packBFunction = link(emitPackCoded(bType, transposeB, widenBFunction!, packBFunction));
    thinFunction = link(emitThinCoded(bType, transposeB, widenBFunction!, thinFunction));
  }
  const packThinFunction = link(
    transposeB ? emitRows(aType) : emitPack(thinRows, !transposeA, aType),
  );
  const widened = aType !== "f32" || bType !== "f32";
  const blasFunction = sgemm === null ? null : link(emitBlasProduct(kernel, [aType, bType], sgemm, {
    a: aType === "f32" ? null : link(emitWiden(aType)),
    b: widenBFunction,
  }));
  const few = smallProducts && sgemm !== null && !widened && !accumulate && !transposeA &&
    transposeB;
  const fewFunction = few ? link(emitBlasFewRows(sgemm)) : null;
  /** Scratch of one thread, without what thin products add. */
  const threadBytes = Math.max(
    coded ? Math.max(packedBytes + decodedBytes, thinCodedBytes) : packedBytes,
    blasFunction !== null && widened ? widenedBytes : 0,
  );

  const f = phase();
  const [block_, thread32, threads32] = [f.parameter(0), f.parameter(1), f.parameter(2)];
  const long = () => f.local("i64");
  const [a, b, c, scratch, thread, threads] = [long(), long(), long(), long(), long(), long()];
  const offsets = blockOffsets(kernel);
  const source = coded ? [long(), long()] : [];
  const int = Object.fromEntries(matmul.integers.map((name) => [name, long()])) as Record<
    keyof MatmulSizes,
    Local
  >;
  const { batch, m, n, k } = int;
  const [m0, m1, n0, n1, item, itemEnd] = [long(), long(), long(), long(), long(), long()];

  const add = (x: Local, y: Local | number) =>
    (typeof y === "number" ? f.get(x).i64(y) : f.get(x, y)).op("i64.add");
  /** Pushes the smaller one. */
  const min = (x: Local, y: Local | number) => {
    const push = () => typeof y === "number" ? f.i64(y) : f.get(y);
    f.get(x);
    push();
    f.get(x);
    push();
    return f.op("i64.lt_s", "select");
  };
  /** Pushes ⌈x / y⌉ rounded up to a multiple of `unit`. */
  const share = (x: Local, y: Local, unit: number) =>
    f.get(x, y).op("i64.add").i64(1).op("i64.sub").get(y).op("i64.div_u")
      .i64(unit - 1).op("i64.add").i64(unit).op("i64.div_u").i64(unit).op("i64.mul");

  // What was given.
  f.get(block_).memory("i64.load", offsets.arg("a")).set(a);
  if (coded) {
    ["b", "scales"].forEach((arg, i) => {
      f.get(block_).memory("i64.load", offsets.arg(arg)).set(source[i]!);
    });
    f.i64(0).set(b);
  } else f.get(block_).memory("i64.load", offsets.arg("b")).set(b);
  f.get(block_).memory("i64.load", offsets.arg("c")).set(c);
  matmul.integers.forEach((name) => {
    f.get(block_).memory("i64.load", offsets.size(name)).set(int[name]);
  });
  f.get(thread32).op("i64.extend_i32_u").set(thread).get(threads32).op("i64.extend_i32_u");
  f.set(threads);
  f.get(block_).memory("i64.load", parameterBlock.scratch).get(thread).i64(threadBytes);
  f.get(k).i64(3).op("i64.add").i64(-4).op("i64.and").i64(4 * thinRows).op("i64.mul", "i64.add");
  f.op("i64.mul", "i64.add").set(scratch);
  // From here on, offsets and strides are in bytes, those of a coded B in elements.
  for (
    const [names, shift] of [
      [["aOffset", "aBatch", "aRow"], aShift],
      [["bOffset", "bBatch", "bRow"], bShift],
      [["cOffset", "cBatch", "cRow"], 2],
    ] as const
  ) {
    for (const name of names) f.get(int[name]).i64(shift).op("i64.shl").set(int[name]);
  }
  add(a, int.aOffset).set(a);
  add(b, int.bOffset).set(b);
  add(c, int.cOffset).set(c);

  // This thread's part.
  f.get(batch, threads).op("i64.rem_u", "i64.eqz").get(batch, threads).i64(2);
  f.op("i64.shl", "i64.ge_u", "i32.or").if(() => {
    f.get(batch, thread).op("i64.mul").get(threads).op("i64.div_u").set(item);
    f.get(batch, thread).i64(1).op("i64.add", "i64.mul").get(threads).op("i64.div_u").set(itemEnd);
    f.get(m).set(m1).get(n).set(n1);
  }, () => {
    f.get(batch).set(itemEnd);
    const [divisor, other, rows] = [long(), long(), long()];
    const [columns, cost, least] = [long(), long(), long()];
    f.i64(1).set(divisor).i64(-1).set(least);
    f.block((exit) => {
      f.loop((next) => {
        f.get(divisor, threads).op("i64.gt_u").brIf(exit);
        f.get(threads, divisor).op("i64.rem_u", "i64.eqz").if(() => {
          f.get(threads, divisor).op("i64.div_u").set(other);
          share(m, divisor, tile.rows).set(rows);
          share(n, other, 2 * tile.columns).set(columns);
          // Multiplications and, with some weight, what has to be packed for them.
          f.get(rows, columns).op("i64.mul").get(rows, columns).op("i64.add").i64(16);
          f.op("i64.mul", "i64.add").set(cost);
          f.get(cost, least).op("i64.lt_u").if(() => {
            f.get(cost).set(least);
            f.get(thread, other).op("i64.div_u").get(rows).op("i64.mul").set(m0);
            min(m0, m).set(m0);
            add(m0, rows).set(m1);
            min(m1, m).set(m1);
            f.get(thread, other).op("i64.rem_u").get(columns).op("i64.mul").set(n0);
            min(n0, n).set(n0);
            add(n0, columns).set(n1);
            min(n1, n).set(n1);
          });
        });
        add(divisor, 1).set(divisor).br(next);
      });
    });
  });
  // Move to the rectangle; from here on, m and n are its sizes.
  const move = (pointer: Local, distance: Local, stride: () => void) => {
    f.get(pointer, distance);
    stride();
    f.op("i64.mul", "i64.add").set(pointer);
  };
  move(a, m0, () => transposeA ? f.i64(1 << aShift) : f.get(int.aRow));
  move(b, n0, () => transposeB ? f.get(int.bRow) : f.i64(1 << bShift));
  move(c, m0, () => f.get(int.cRow));
  move(c, n0, () => f.i64(4));
  f.get(m1, m0).op("i64.sub").set(m).get(n1, n0).op("i64.sub").set(n);
  f.get(m).op("i64.eqz").get(n).op("i64.eqz", "i32.or").if(() => f.op("return"));

  const [ca, cb, cc] = [long(), long(), long()];
  for (
    const [pointer, base, stride] of [
      [ca, a, int.aBatch],
      [cb, b, int.bBatch],
      [cc, c, int.cBatch],
    ] as const
  ) {
    f.get(base, item, stride).op("i64.mul", "i64.add").set(pointer);
  }

  function zeros(): void {
    const [row, pointer] = [long(), long()];
    f.get(cc).set(pointer).i64(0).set(row);
    f.forRange(row, m, 1, () => {
      f.get(pointer).i32(0).get(n).i64(2).op("i64.shl").fill();
      add(pointer, int.cRow).set(pointer);
    });
  }

  function thin(): void {
    if (transposeB) {
      const step = () => f.i64(1 << aShift);
      f.get(ca);
      if (transposeA) step().get(int.aRow);
      else {
        f.get(int.aRow);
        step();
      }
      f.get(m, k).get(scratch).i64(threadBytes).op("i64.add").call(packThinFunction);
      f.get(scratch).i64(threadBytes).op("i64.add");
      f.get(k).i64(3).op("i64.add").i64(-4).op("i64.and").i64(4).op("i64.mul");
      f.get(m, cb, int.bRow, n, k, cc, int.cRow).i32(accumulate ? 1 : 0).get(...source);
      if (coded) f.get(scratch);
      f.call(thinFunction);
      return;
    }
    f.get(ca, int.aRow, m, k, scratch).i64(threadBytes).op("i64.add").call(packThinFunction);
    const [from, depth] = [long(), long()];
    f.i64(0).set(from);
    f.forRange(from, k, thinDepth, () => {
      f.get(k, from).op("i64.sub").set(depth);
      min(depth, thinDepth).set(depth);
      f.get(scratch, from).i64(4 * thinRows).op("i64.mul", "i64.add").i64(threadBytes);
      f.op("i64.add").i64(0).get(m).get(cb, from, int.bRow).op("i64.mul", "i64.add");
      f.get(int.bRow, n, depth, cc, int.cRow);
      if (accumulate) f.i32(1);
      else f.get(from).i64(0).op("i64.ne");
      if (coded) f.get(...source, scratch);
      f.call(thinFunction);
    });
  }

  function packed(): void {
    const [jc, nc, pc, kc, ic, mc] = [long(), long(), long(), long(), long(), long()];
    const [jr, ir, panelA, panelB, at, left] = [long(), long(), long(), long(), long(), long()];
    const adding = f.local("i32");
    const within = (from: Local, total: Local, most: number, size: Local) => {
      f.get(total, from).op("i64.sub").set(size);
      min(size, most).set(size);
    };
    /** Pushes the address of A's element (ic, pc), or B's (pc, jc). */
    const element = (base: Local, row: Local, column: Local, stride: Local, shift: number) =>
      f.get(base, row, stride).op("i64.mul", "i64.add").get(column).i64(shift)
        .op("i64.shl", "i64.add");
    const edge = () => f.get(scratch).i64(edgeTile).op("i64.add");
    f.i64(0).set(jc);
    f.forRange(jc, n, block.columns, () => {
      within(jc, n, block.columns, nc);
      f.i64(0).set(pc);
      f.forRange(pc, k, block.depth, () => {
        within(pc, k, block.depth, kc);
        if (accumulate) f.i32(1).set(adding);
        else f.get(pc).i64(0).op("i64.ne").set(adding);
        if (transposeB) element(cb, jc, pc, int.bRow, bShift);
        else element(cb, pc, jc, int.bRow, bShift);
        f.get(int.bRow, nc, kc, scratch).i64(packedB).op("i64.add").get(...source);
        if (coded) f.get(scratch).i64(packedBytes).op("i64.add");
        f.call(packBFunction);
        f.i64(0).set(ic);
        f.forRange(ic, m, block.rows, () => {
          within(ic, m, block.rows, mc);
          if (transposeA) element(ca, pc, ic, int.aRow, aShift);
          else element(ca, ic, pc, int.aRow, aShift);
          f.get(int.aRow, mc, kc, scratch).i64(packedA).op("i64.add").call(packAFunction);
          f.get(scratch).i64(packedB).op("i64.add").set(panelB).i64(0).set(jr);
          f.forRange(jr, nc, tile.columns, () => {
            f.get(scratch).i64(packedA).op("i64.add").set(panelA).i64(0).set(ir);
            f.forRange(ir, mc, tile.rows, () => {
              f.get(cc, ic, ir).op("i64.add").get(int.cRow).op("i64.mul", "i64.add");
              f.get(jc, jr).op("i64.add").i64(2).op("i64.shl", "i64.add").set(at);
              f.get(mc, ir).op("i64.sub").i64(tile.rows).op("i64.ge_s");
              f.get(nc, jr).op("i64.sub").i64(tile.columns).op("i64.ge_s", "i32.and").if(() => {
                f.get(panelA, panelB, kc, at, int.cRow, adding).call(tileFunction);
              }, () => {
                f.get(panelA, panelB, kc);
                edge().i64(4 * tile.columns).i32(0).call(tileFunction);
                within(ir, mc, tile.rows, left);
                f.get(at, int.cRow, left);
                within(jr, nc, tile.columns, left);
                f.get(left);
                edge().get(adding).call(edgeFunction);
              });
              f.get(panelA, kc).i64(4 * tile.rows).op("i64.mul", "i64.add").set(panelA);
            });
            f.get(panelB, kc).i64(4 * tile.columns).op("i64.mul", "i64.add").set(panelB);
          });
        });
      });
    });
  }

  f.block((exit) => {
    f.loop((next) => {
      f.get(item, itemEnd).op("i64.ge_s").brIf(exit);
      f.get(k).op("i64.eqz").if(() => {
        if (!accumulate) zeros();
      }, () => {
        const own = () => {
          f.get(m).i64(thinRows).op("i64.le_s").if(thin, packed);
        };
        if (blasFunction !== null) {
          // BLAS knows no rows that overlap, such as broadcast ones.
          const fits = (row: Local, length: Local, rows: Local, type: OperandStorage) => {
            if (type !== "f32") return f.i32(1);
            f.get(row).i64(2).op("i64.shr_u").get(length).op("i64.ge_s");
            return f.get(rows).i64(1).op("i64.le_s", "i32.or");
          };
          f.get(m, n).op("i64.mul").get(k).op("i64.mul").i64(blasLeast).op("i64.ge_s");
          if (!few) f.get(m).i64(widened ? thinRows : blasRows).op("i64.gt_s", "i32.and");
          fits(int.aRow, transposeA ? m : k, transposeA ? k : m, aType);
          fits(int.bRow, transposeB ? k : n, transposeB ? n : k, bType);
          f.op("i32.and", "i32.and").if(() => {
            const call = (index: number) =>
              f.get(ca, int.aRow, cb, int.bRow, cc, int.cRow, m, n, k, scratch, ...source)
                .call(index);
            if (fewFunction === null) call(blasFunction);
            else {
              f.get(m).i64(fewRows).op("i64.le_s");
              f.if(() => call(fewFunction), () => call(blasFunction));
            }
          }, own);
        } else own();
      });
      add(ca, int.aBatch).set(ca);
      add(cb, int.bBatch).set(cb);
      add(cc, int.cBatch).set(cc);
      add(item, 1).set(item).br(next);
    });
  });

  return {
    phases: [f],
    scratchBytes: ({ k }, count) => count * (threadBytes + thinBytes(k)),
  };
}

/** edge(c, cStride, rows, columns, tile, add): copies or adds the part of a tile that is in C. */
function emitEdge(): FunctionBuilder {
  const f = new FunctionBuilder(["i64", "i64", "i64", "i64", "i64", "i32"], []);
  const [c, cStride, rows, columns, from, add] = [0, 1, 2, 3, 4, 5].map((i) => f.parameter(i)) as [
    ...[Local, Local, Local, Local, Local, Local],
  ];
  const [row, column] = [f.local("i64"), f.local("i64")];
  const x = f.local("f32");
  const at = (base: Local) => f.get(base, column).i64(2).op("i64.shl", "i64.add");
  return f.forRange(row, rows, 1, () => {
    f.i64(0).set(column);
    f.forRange(column, columns, 1, () => {
      at(from).memory("f32.load").set(x).get(add).if(() => {
        at(c).memory("f32.load").get(x).op("f32.add").set(x);
      });
      at(c).get(x).memory("f32.store");
    });
    f.get(c, cStride).op("i64.add").set(c);
    f.get(from).i64(4 * tile.columns).op("i64.add").set(from);
  });
}
