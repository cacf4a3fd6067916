/** The tensor: an immutable value that is computed when somebody looks. @module */

import type { DType } from "./dtype.ts";
import * as elementwise from "./elementwise.ts";
import { readNode, realizeNodes } from "./execute.ts";
import type { TensorData } from "./host.ts";
import type { Node } from "./graph.ts";
import type { BinaryFunction, UnaryFunction } from "./kernel.ts";
import { multiply } from "./operations/matmul.ts";
import { gatherRows } from "./operations/rows.ts";
import * as p from "./primitives.ts";
import { type Axes, reduceAxes, type ReduceOptions } from "./reduction.ts";
import {
  broadcastShapes,
  inferShape,
  normalizeAxis,
  type Shape,
  showShape,
  sizeOf,
} from "./shape.ts";

/** A tensor, or a number that broadcasts as a constant of the other operand's dtype. */
export type Operand = Tensor | number;

/**
 * An immutable array of numbers: shape, dtype, and a node of a lazy graph. Operators check at once and
 * compute later: on `await x.data()`, on `await realize(…)`, or inside `jit`.
 */
export class Tensor {
  /** Wraps a graph node. Tensors are made by `tensor`, `zeros`, … and by operators. */
  constructor(readonly node: Node) {}

  /** Sizes of the axes. */
  get shape(): Shape {
    return this.node.shape;
  }

  /** Element type. */
  get dtype(): DType {
    return this.node.dtype;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.node.shape);
  }

  /** Number of axes. */
  get rank(): number {
    return this.node.shape.length;
  }

  // Arithmetic, element by element, with broadcasting.

  /** x + y. */
  add(y: Operand): Tensor {
    return binary("add", this, y);
  }
  /** x − y. */
  sub(y: Operand): Tensor {
    return binary("sub", this, y);
  }
  /** x · y. */
  mul(y: Operand): Tensor {
    return binary("mul", this, y);
  }
  /** x / y; integers truncate. */
  div(y: Operand): Tensor {
    return binary("div", this, y);
  }
  /** The remainder of x / y, with the sign of x. */
  mod(y: Operand): Tensor {
    return binary("mod", this, y);
  }
  /** x to the power y. */
  pow(y: Operand): Tensor {
    return binary("pow", this, y);
  }
  /** The larger of x and y; NaN if either is. */
  maximum(y: Operand): Tensor {
    return binary("max", this, y);
  }
  /** The smaller of x and y; NaN if either is. */
  minimum(y: Operand): Tensor {
    return binary("min", this, y);
  }
  /** x limited to [low, high]. */
  clamp(low: Operand, high: Operand): Tensor {
    return this.maximum(low).minimum(high);
  }

  /** −x. */
  neg(): Tensor {
    return unary("neg", this);
  }
  /** |x|. */
  abs(): Tensor {
    return unary("abs", this);
  }
  /** −1, 0 or 1. */
  sign(): Tensor {
    return unary("sign", this);
  }
  /** The largest integer ≤ x. */
  floor(): Tensor {
    return unary("floor", this);
  }
  /** eˣ. */
  exp(): Tensor {
    return unary("exp", this);
  }
  /** eˣ − 1, exact near 0. */
  expm1(): Tensor {
    return unary("expm1", this);
  }
  /** Natural logarithm. */
  log(): Tensor {
    return unary("log", this);
  }
  /** log(1 + x), exact near 0. */
  log1p(): Tensor {
    return unary("log1p", this);
  }
  /** √x. */
  sqrt(): Tensor {
    return unary("sqrt", this);
  }
  /** 1 / √x. */
  rsqrt(): Tensor {
    return unary("rsqrt", this);
  }
  /** x². */
  square(): Tensor {
    return this.mul(this);
  }
  /** Sine of radians. */
  sin(): Tensor {
    return unary("sin", this);
  }
  /** Cosine of radians. */
  cos(): Tensor {
    return unary("cos", this);
  }
  /** Hyperbolic tangent. */
  tanh(): Tensor {
    return unary("tanh", this);
  }
  /** 1 / (1 + e⁻ˣ). */
  sigmoid(): Tensor {
    return unary("sigmoid", this);
  }
  /** The error function 2/√π ∫₀ˣ e^(−t²) dt. */
  erf(): Tensor {
    return unary("erf", this);
  }

  // Comparisons and logic: bool.

  /** x < y. */
  lt(y: Operand): Tensor {
    return binary("lt", this, y);
  }
  /** x ≤ y. */
  le(y: Operand): Tensor {
    return binary("le", this, y);
  }
  /** x > y. */
  gt(y: Operand): Tensor {
    return binary("lt", y, this);
  }
  /** x ≥ y. */
  ge(y: Operand): Tensor {
    return binary("le", y, this);
  }
  /** x = y. */
  eq(y: Operand): Tensor {
    return binary("eq", this, y);
  }
  /** x ≠ y. */
  ne(y: Operand): Tensor {
    return binary("ne", this, y);
  }
  /** Logical on bool, bitwise on integers. */
  and(y: Operand): Tensor {
    return binary("and", this, y);
  }
  /** Logical on bool, bitwise on integers. */
  or(y: Operand): Tensor {
    return binary("or", this, y);
  }
  /** Logical on bool, bitwise on integers. */
  xor(y: Operand): Tensor {
    return binary("xor", this, y);
  }
  /** Bits moved up, u32: x·2ʸ without what does not fit; 0 for y ≥ 32. */
  shiftLeft(y: Operand): Tensor {
    return new Tensor(elementwise.shift("shl", this.node, nodeOf(y)));
  }
  /** Bits moved down, u32: the whole part of x / 2ʸ; 0 for y ≥ 32. */
  shiftRight(y: Operand): Tensor {
    return new Tensor(elementwise.shift("shr", this.node, nodeOf(y)));
  }
  /** Logical negation of a bool. */
  not(): Tensor {
    return unary("not", this);
  }

  /** The same numbers in another dtype: to i32 and u32 truncates and saturates, to u8 keeps the low bits, to bool is ≠ 0. */
  cast(dtype: DType): Tensor {
    return new Tensor(p.cast(this.node, dtype));
  }
  /** The same bits as another 32-bit dtype. */
  bitcast(dtype: "f32" | "i32" | "u32"): Tensor {
    return new Tensor(p.bitcast(this.node, dtype));
  }

  // Views: no data moves until a kernel needs it to.

  /** The same elements in another shape; one size may be −1. */
  reshape(...shape: number[]): Tensor {
    return new Tensor(p.reshape(this.node, inferShape(shape, this.size, this.shape)));
  }
  /** Axes in another order; without arguments, reversed. */
  transpose(...order: number[]): Tensor {
    const axes = order.length > 0
      ? order.map((axis) => normalizeAxis(axis, this.shape, "transpose"))
      : this.shape.map((_, i) => this.rank - 1 - i);
    if (new Set(axes).size !== this.rank || axes.length !== this.rank) {
      throw new RangeError(
        `Cannot transpose ${showShape(this.shape)} by axes [${order.join(", ")}]`,
      );
    }
    return new Tensor(p.permute(this.node, axes));
  }
  /** Stretched to a shape by the rules of broadcasting. */
  broadcastTo(...shape: number[]): Tensor {
    const full = broadcastShapes(this.shape, shape, `broadcast to ${showShape(shape)}`);
    if (sizeOf(full) !== sizeOf(shape) || full.length !== shape.length) {
      throw new RangeError(`Cannot broadcast ${showShape(this.shape)} to ${showShape(shape)}`);
    }
    return new Tensor(elementwise.stretch(this.node, full));
  }
  /** Elements start … end − 1 along an axis; negative bounds count from the end. */
  slice(start: number, end?: number, axis = 0): Tensor {
    const along = normalizeAxis(axis, this.shape, "slice");
    const size = this.shape[along]!;
    const bound = (i: number) => Math.min(Math.max(i < 0 ? i + size : i, 0), size);
    const from = bound(start);
    const to = Math.max(bound(end ?? size), from);
    const starts = this.shape.map((_, i) => i === along ? from : 0);
    return new Tensor(
      p.slice(this.node, starts, this.shape.map((n, i) => i === along ? to - from : n)),
    );
  }
  /** Reversed along the given axes. */
  flip(...axes: number[]): Tensor {
    return new Tensor(
      p.flip(this.node, axes.map((axis) => normalizeAxis(axis, this.shape, "flip"))),
    );
  }
  /** Zeros before and after the elements of one axis. */
  pad(before: number, after: number, axis = 0): Tensor {
    const along = normalizeAxis(axis, this.shape, "pad");
    if (!(before >= 0 && after >= 0)) {
      throw new RangeError(`Cannot pad ${this} by ${before} and ${after}: use slice to cut`);
    }
    const low = this.shape.map((_, i) => i === along ? before : 0);
    const shape = this.shape.map((n, i) => i === along ? before + n + after : n);
    return new Tensor(p.pad(this.node, low, shape));
  }
  /** A new axis of size 1. */
  unsqueeze(axis: number): Tensor {
    const at = axis < 0 ? axis + this.rank + 1 : axis;
    return this.reshape(...this.shape.slice(0, at), 1, ...this.shape.slice(at));
  }

  // Reductions.

  /** Sum over axes. */
  sum(axes?: Axes, options: ReduceOptions = {}): Tensor {
    return new Tensor(reduceAxes("sum", this.node, axes, options));
  }
  /** Mean over axes. */
  mean(axes?: Axes, options: ReduceOptions = {}): Tensor {
    const total = this.sum(axes, options);
    return total.mul(total.size / this.size);
  }
  /** Largest element over axes. */
  max(axes?: Axes, options: ReduceOptions = {}): Tensor {
    return new Tensor(reduceAxes("max", this.node, axes, options));
  }
  /** Smallest element over axes. */
  min(axes?: Axes, options: ReduceOptions = {}): Tensor {
    return new Tensor(reduceAxes("min", this.node, axes, options));
  }
  /** Position of the largest element along one axis, i32; the first of several. */
  argMax(axis = -1, options: ReduceOptions = {}): Tensor {
    const along = normalizeAxis(axis, this.shape, "take the argMax");
    const size = this.shape[along]!;
    const shape = this.shape.map((_, i) => i === along ? size : 1);
    const position = new Tensor(p.iota(size)).reshape(...shape);
    // A NaN counts as the largest.
    const hit = this.eq(this.max(along, { keepDims: true })).or(this.ne(this));
    return where(hit, position, size - 1).min(along, options);
  }

  // Rows and products.

  /** this[ids]: rows of the first axis; ids i32 of any shape; ids outside give zeros. */
  gather(ids: Tensor): Tensor {
    return new Tensor(gatherRows(this.node, ids.node));
  }
  /** Matrix product on the last two axes, in f32; the axes before them broadcast. */
  matmul(other: Tensor): Tensor {
    return matmul(this, other);
  }

  // Values.

  /** Computes the tensor, if need be, and copies its elements to the host, row-major. */
  async data(): Promise<TensorData> {
    // What is computed already is read at once: its scope may end before the next await.
    if (this.node.storage === null) await realizeNodes([this.node]);
    return await readNode(this.node);
  }
  /** The only element of the tensor. */
  async item(): Promise<number> {
    if (this.size !== 1) {
      throw new RangeError(`Cannot take the item of ${this}: it has ${this.size} elements`);
    }
    return (await this.data())[0]!;
  }
  /** Gives the tensor's memory back now instead of at the end of its scope. */
  dispose(): void {
    this.node.storage?.dispose("disposed");
  }

  /** For error messages and logs; the values are not shown, because they may not exist yet. */
  toString(): string {
    return p.showNode(this.node);
  }
}

function nodeOf(x: Operand): elementwise.NodeOrNumber {
  return x instanceof Tensor ? x.node : x;
}

function unary(fn: UnaryFunction, x: Tensor): Tensor {
  return new Tensor(elementwise.unary(fn, x.node));
}

function binary(fn: BinaryFunction, x: Operand, y: Operand): Tensor {
  return new Tensor(elementwise.binary(fn, nodeOf(x), nodeOf(y)));
}

/** x where the condition holds, else y. */
export function where(condition: Tensor, x: Operand, y: Operand): Tensor {
  return new Tensor(elementwise.choose(condition.node, nodeOf(x), nodeOf(y)));
}

/** Options of {@link matmul}. */
export interface MatmulOptions {
  /** Use a with its last two axes exchanged. */
  readonly transposeA?: boolean;
  /** Use b with its last two axes exchanged. */
  readonly transposeB?: boolean;
}

/**
 * Matrix product of the last two axes: [..., m, k] · [..., k, n]; the axes before them broadcast.
 *
 * @throws RangeError if the inner sizes differ.
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transposeA = false, transposeB = false } = options;
  return new Tensor(multiply(a.node, b.node, transposeA, transposeB));
}
