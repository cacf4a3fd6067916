/** The matrix product. @module */

import { type BlockCode, codeBytes, isBlockCode, scaleCount } from "../block_codes.ts";
import { bytesPerElement, type DType, isFloat } from "../dtype.ts";
import { stretch } from "../elementwise.ts";
import { type GraphRecord, makeNode, type Node } from "../graph.ts";
import * as p from "../primitives.ts";
import { broadcastShapes, type Shape, showShape, sizeOf } from "../shape.ts";
import { isContiguous, type View } from "../view.ts";
import type { KernelRecord } from "./record.ts";

/**
 * C ← A·B, or C + A·B with `accumulate`. Row-major matrices with free strides between rows and
 * between batches. f32 accumulation. Arguments: a, b, c.
 *
 * B may be stored in a block code: argument b holds the codes, and a fourth argument, behind c, the
 * scales (f32). Elements are then numbered through the whole matrix, bOffset + … + row·bRow + column:
 * code and scale follow from that number, where a code that scales rows takes bRow for a row's
 * length. Kernels decode what they read; no decoded matrix exists in memory.
 */
export interface MatmulKernel {
  /** Which kernel. */
  readonly op: "matmul";
  /** How the left operand is stored. */
  readonly a: DType;
  /** How the right operand is stored. */
  readonly b: DType | BlockCode;
  /** Whether A is stored transposed. */
  readonly transposeA: boolean;
  /** Whether B is stored transposed. */
  readonly transposeB: boolean;
  /** Whether C is added to. */
  readonly accumulate: boolean;
}

/**
 * Numbers of a product. Offsets and strides are in elements. A "row" is a row of the stored matrix: A is stored
 * [m, k], or [k, m] with `transposeA`; B is stored [k, n], or [n, k] with `transposeB`. Elements of a stored row
 * are adjacent. k = 0 gives zeros (or leaves C).
 */
export type MatmulSizes = {
  /** Products that are one launch. */
  readonly batch: number;
  /** Rows of C. */
  readonly m: number;
  /** Columns of C. */
  readonly n: number;
  /** Elements that are summed up for one of C. */
  readonly k: number;
  /** Where A begins. */
  readonly aOffset: number;
  /** From one A of the batch to the next; 0 if they share it. */
  readonly aBatch: number;
  /** From one stored row of A to the next. */
  readonly aRow: number;
  /** Where B begins. */
  readonly bOffset: number;
  /** From one B of the batch to the next; 0 if they share it. */
  readonly bBatch: number;
  /** From one stored row of B to the next. */
  readonly bRow: number;
  /** Where C begins. */
  readonly cOffset: number;
  /** From one C of the batch to the next. */
  readonly cBatch: number;
  /** From one row of C to the next. */
  readonly cRow: number;
};

/** A right operand in a block code: what its codes, which are just bytes, do not say. */
export interface CodedOperand {
  /** The code. */
  readonly code: BlockCode;
  /** Shape of the matrix as it is stored. */
  readonly shape: readonly [rows: number, columns: number];
}

/** How a node multiplies. Inputs: a; b, or its codes and scales; and a matrix to add to, if there is one more. */
interface MatmulSettings {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly coded: CodedOperand | null;
}

/** The position, among the inputs, of the matrix that is added to. */
function addendOf({ coded }: MatmulSettings): number {
  return coded === null ? 2 : 3;
}

/** a·b on the last two axes; the axes before them are equal. f32. */
function product(a: Node, b: Node, transposeA: boolean, transposeB: boolean): Node {
  const m = a.shape.at(transposeA ? -1 : -2)!;
  const n = b.shape.at(transposeB ? -2 : -1)!;
  return call({ transposeA, transposeB, coded: null }, [a, b], [...a.shape.slice(0, -2), m, n]);
}

function call(settings: MatmulSettings, inputs: readonly Node[], shape: Shape): Node {
  return makeNode({ name: "call", record: matmul, settings }, inputs, shape, "f32");
}

/**
 * Product of the last two axes, each operand's exchanged or not; the axes before them broadcast. f32.
 *
 * @throws TypeError if an operand is not of floats or has fewer than two axes.
 * @throws RangeError if the inner sizes differ.
 */
export function multiply(a: Node, b: Node, transposeA: boolean, transposeB: boolean): Node {
  const [rankA, rankB] = [a.shape.length, b.shape.length];
  if (rankA < 2 || rankB < 2 || !isFloat(a.dtype) || !isFloat(b.dtype)) {
    throw new TypeError(
      `Cannot multiply matrices: got ${p.showNode(a)} and ${
        p.showNode(b)
      }, need float tensors of ` +
        "two axes or more",
    );
  }
  const inner = [a.shape.at(transposeA ? -2 : -1)!, b.shape.at(transposeB ? -1 : -2)!];
  if (inner[0] !== inner[1]) {
    const show = ({ shape }: Node, flipped: boolean) =>
      showShape(shape) + (flipped ? " transposed" : "");
    throw new RangeError(
      "Cannot multiply matrices: inner sizes must agree: shapes are " +
        `${show(a, transposeA)} and ${show(b, transposeB)}`,
    );
  }
  if (rankB === 2 && rankA > 2 && !transposeA) {
    // One product instead of a batch of them.
    const outer = a.shape.slice(0, -1);
    const rows = product(p.reshape(a, [sizeOf(outer), inner[0]!]), b, false, transposeB);
    return p.reshape(rows, [...outer, rows.shape[1]!]);
  }
  const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2), "multiply matrices");
  const expand = (x: Node) => stretch(x, [...batch, ...x.shape.slice(-2)]);
  return product(expand(a), expand(b), transposeA, transposeB);
}

/** a·B, or a·Bᵀ with `transposeB`, for a [m, k] and a matrix B in a block code. f32. */
export function multiplyCoded(
  a: Node,
  codes: Node,
  scales: Node,
  coded: CodedOperand,
  transposeB: boolean,
): Node {
  const shape = [a.shape[0]!, coded.shape[transposeB ? 0 : 1]];
  return call({ transposeA: false, transposeB, coded }, [a, codes, scales], shape);
}

function gradients(
  [a, b, scales]: readonly Node[],
  g: Node,
  { transposeA, transposeB, coded }: MatmulSettings,
): (Node | null)[] {
  // Codes are constants, and so are their scales.
  if (coded !== null) return [multiplyCoded(g, b!, scales!, coded, !transposeB), null, null];
  return [
    // C = AB: dA = dC·Bᵀ, dB = Aᵀ·dC; a transposed operand's cotangent is transposed by exchanging factors.
    transposeA ? product(b!, g, transposeB, true) : product(g, b!, false, !transposeB),
    transposeB ? product(g, a!, true, transposeA) : product(a!, g, !transposeA, false),
  ];
}

/** A matrix, or a batch of them, as the kernel takes it. */
interface MatrixLayout {
  readonly offset: number;
  readonly batch: number;
  readonly row: number;
  /** Whether the stored rows are the view's columns. */
  readonly transposed: boolean;
}

/** The layout of a view's last two axes as rows of adjacent elements, or null. */
function matrixLayout(view: View): MatrixLayout | null {
  if (view.masks.some((mask) => mask !== null) || view.strides.some((s) => s < 0)) return null;
  const rank = view.shape.length;
  const [rows, columns] = [view.shape[rank - 2]!, view.shape[rank - 1]!];
  const [rowStep, columnStep] = [view.strides[rank - 2]!, view.strides[rank - 1]!];
  let batch = 0;
  let size = 1;
  for (let d = rank - 3; d >= 0; d--) {
    if (view.shape[d] === 1) continue;
    if (size === 1) batch = view.strides[d]!;
    else if (view.strides[d] !== batch * size) return null;
    size *= view.shape[d]!;
  }
  const base = { offset: view.offset, batch };
  if (columnStep === 1 || columns === 1) {
    if (rowStep >= columns || rows === 1) {
      return { ...base, row: rows === 1 ? columns : rowStep, transposed: false };
    }
  }
  if (rowStep === 1 || rows === 1) {
    if (columnStep >= rows || columns === 1) {
      return { ...base, row: columns === 1 ? rows : columnStep, transposed: true };
    }
  }
  return null;
}

/** Names of storages: "f32", or "f32·nf4" where they differ. */
function types({ a, b }: MatmulKernel): string {
  return a === b ? a : `${a}·${b}`;
}

/** The record of the matrix product. */
export const matmul: GraphRecord<MatmulSettings> & KernelRecord<MatmulKernel, MatmulSizes> = {
  name: "matmul",
  alone: true,

  gradient(node, settings, [g]) {
    if (!g) return node.inputs.map(() => null);
    const ofAddend = node.inputs.length > addendOf(settings) ? [g] : [];
    return [...gradients(node.inputs, g, settings), ...ofAddend];
  },
  demand(input, settings) {
    if (input === addendOf(settings)) return isContiguous;
    if (input > 0 && settings.coded !== null) return "whole";
    return (view) => matrixLayout(view) !== null;
  },
  clobbers: addendOf,
  accumulate(node, settings, addend) {
    if (node.inputs.length !== addendOf(settings)) return null;
    return call(settings, [...node.inputs, addend], node.shape);
  },
  launch({ shape, inputs }, settings, [a, b, scales], [c]) {
    const { coded, transposeA, transposeB } = settings;
    const layoutA = matrixLayout(a!.view)!;
    const layoutB = coded === null
      ? matrixLayout(b!.view)!
      : { offset: 0, batch: 0, row: coded.shape[1], transposed: false };
    const [m, n] = [shape.at(-2)!, shape.at(-1)!];
    const kernel: MatmulKernel = {
      op: "matmul",
      a: a!.base.dtype,
      b: coded?.code ?? b!.base.dtype,
      transposeA: transposeA !== layoutA.transposed,
      transposeB: transposeB !== layoutB.transposed,
      accumulate: inputs.length > addendOf(settings),
    };
    const sizes: MatmulSizes = {
      batch: sizeOf(shape.slice(0, -2)),
      m,
      n,
      k: a!.view.shape.at(transposeA ? -2 : -1)!,
      aOffset: layoutA.offset,
      aBatch: layoutA.batch,
      aRow: layoutA.row,
      bOffset: layoutB.offset,
      bBatch: layoutB.batch,
      bRow: layoutB.row,
      cOffset: 0,
      cBatch: m * n,
      cRow: n,
    };
    const args = [a!.base, b!.base, c!, ...(coded === null ? [] : [scales!.base])];
    return { kernel, sizes, args };
  },

  integers: [
    ...["batch", "m", "n", "k", "aOffset", "aBatch", "aRow", "bOffset", "bBatch", "bRow"] as const,
    ...["cOffset", "cBatch", "cRow"] as const,
  ],
  floats: [],
  args: ({ b }) => isBlockCode(b) ? ["a", "b", "c", "scales"] : ["a", "b", "c"],
  reach(kernel, { batch, m, n, k, ...at }) {
    const elements = (offset: number, stride: number, row: number, rows: number, columns: number) =>
      offset + (batch - 1) * stride + (rows - 1) * row + columns;
    const [aRows, aColumns] = kernel.transposeA ? [k, m] : [m, k];
    const [bRows, bColumns] = kernel.transposeB ? [n, k] : [k, n];
    const a = elements(at.aOffset, at.aBatch, at.aRow, aRows, aColumns) * bytesPerElement[kernel.a];
    const b = elements(at.bOffset, at.bBatch, at.bRow, bRows, bColumns);
    const c = elements(at.cOffset, at.cBatch, at.cRow, m, n) * 4;
    if (!isBlockCode(kernel.b)) return [a, b * bytesPerElement[kernel.b], c];
    const columns = Math.max(1, at.bRow);
    const scales = scaleCount(kernel.b, Math.ceil(b / columns), columns);
    return [a, codeBytes(kernel.b, b), c, scales * 4];
  },
  cost({ a, b, transposeB, accumulate }, { batch, m, n, k, aBatch, bBatch }) {
    // A matrix that all products of a batch share is read once.
    const copies = (stride: number) => stride === 0 ? 1 : batch;
    const weights = isBlockCode(b)
      ? codeBytes(b, n * k) + 4 * scaleCount(b, transposeB ? n : k, transposeB ? k : n)
      : n * k * bytesPerElement[b];
    const bytes = copies(aBatch) * m * k * bytesPerElement[a] + copies(bBatch) * weights +
      batch * m * n * 4 * (accumulate ? 2 : 1);
    return { bytes, flops: 2 * batch * m * n * k };
  },
  family: (kernel) => `matmul ${types(kernel)}`,
  label(kernel, { batch, m, n, k }) {
    const forms = [
      ...(kernel.transposeA ? ["Aᵀ"] : []),
      ...(kernel.transposeB ? ["Bᵀ"] : []),
      ...(kernel.accumulate ? ["added"] : []),
    ];
    const sizes = `${batch === 1 ? "" : `${batch}x`}${m}x${n}x${k}`;
    return [`matmul ${sizes} ${types(kernel)}`, ...forms].join(", ");
  },
};
