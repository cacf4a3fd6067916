/** The tensor: an immutable value that is computed when somebody looks. @module */

import { computeType, type DType, isFloat } from "./dtype.ts";
import { readNode, realizeNodes } from "./execute.ts";
import type { TensorData } from "./host.ts";
import type { Node } from "./graph.ts";
import type { BinaryFunction, ReduceFunction, UnaryFunction } from "./kernel.ts";
import * as p from "./primitives.ts";
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

/** Axes to reduce over: one, several, or (not given) all. Negative ones count from the end. */
export type Axes = number | readonly number[] | undefined;

/** Options of reductions. */
export interface ReduceOptions {
  /** Keep the reduced axes with size 1. */
  readonly keepDims?: boolean;
}

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
    return binary("lt", lift(y, this), this);
  }
  /** x ≥ y. */
  ge(y: Operand): Tensor {
    return binary("le", lift(y, this), this);
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
  /** Bits moved up; u32. */
  shiftLeft(y: Operand): Tensor {
    return binary("shl", this, y);
  }
  /** Bits moved down; u32. */
  shiftRight(y: Operand): Tensor {
    return binary("shr", this, y);
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
    const aligned = [...new Array<number>(shape.length - this.rank).fill(1), ...this.shape];
    return new Tensor(p.expand(p.reshape(this.node, aligned), full));
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
    return reduceAxes("sum", this, axes, options);
  }
  /** Mean over axes. */
  mean(axes?: Axes, options: ReduceOptions = {}): Tensor {
    const total = this.sum(axes, options);
    return total.mul(total.size / this.size);
  }
  /** Largest element over axes. */
  max(axes?: Axes, options: ReduceOptions = {}): Tensor {
    return reduceAxes("max", this, axes, options);
  }
  /** Smallest element over axes. */
  min(axes?: Axes, options: ReduceOptions = {}): Tensor {
    return reduceAxes("min", this, axes, options);
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
    if (ids.dtype !== "i32") throw new TypeError(`Cannot gather: ids are ${ids.dtype}, not i32`);
    if (this.rank === 0) throw new RangeError("Cannot gather from a number: it has no rows");
    return new Tensor(p.gather(this.node, ids.node));
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
    return `Tensor ${this.dtype}${showShape(this.shape)}`;
  }
}

/** A number as a constant of the dtype that arithmetic with `like` happens in. */
export function lift(value: Operand, like: Tensor): Tensor {
  if (value instanceof Tensor) return value;
  const dtype = computeType(like.dtype);
  if (dtype !== "f32" && !Number.isInteger(value)) {
    throw new TypeError(
      `Cannot combine ${like.dtype}${showShape(like.shape)} with ${value}: cast it to f32`,
    );
  }
  return new Tensor(p.full(value, [], dtype));
}

function widen(x: Tensor): Tensor {
  return x.cast(computeType(x.dtype));
}

function unary(fn: UnaryFunction, x: Tensor): Tensor {
  const wide = widen(x);
  const legal = fn === "not"
    ? wide.dtype === "bool"
    : fn === "neg" || fn === "abs"
    ? wide.dtype !== "bool"
    : wide.dtype === "f32";
  if (!legal) throw new TypeError(`Cannot take ${fn} of ${x.dtype}${showShape(x.shape)}`);
  return new Tensor(p.unary(fn, wide.node));
}

const ofBits: ReadonlySet<BinaryFunction> = new Set(["and", "or", "xor", "shl", "shr"]);

function binary(fn: BinaryFunction, x: Operand, y: Operand): Tensor {
  const [a, b] = [x, y].map((v) => widen(lift(v, (x instanceof Tensor ? x : y) as Tensor))) as [
    Tensor,
    Tensor,
  ];
  if (a.dtype !== b.dtype) {
    throw new TypeError(
      `Cannot ${fn} ${a.dtype}${showShape(a.shape)} and ${b.dtype}${
        showShape(b.shape)
      }: cast one of them`,
    );
  }
  const logical = fn === "and" || fn === "or" || fn === "xor" || fn === "eq" || fn === "ne";
  if (a.dtype === "bool" ? !logical : a.dtype === "f32" && ofBits.has(fn)) {
    throw new TypeError(`Cannot ${fn} ${a.dtype} tensors`);
  }
  const shape = broadcastShapes(a.shape, b.shape, fn);
  return new Tensor(
    p.binary(fn, a.broadcastTo(...shape).node, b.broadcastTo(...shape).node),
  );
}

/**
 * Reduces axes block by block. A long block is reduced in two stages, which keeps all threads busy
 * and the sum's rounding error small.
 */
function reduceAxes(fn: ReduceFunction, x: Tensor, axes: Axes, options: ReduceOptions): Tensor {
  const wide = widen(x.dtype === "bool" ? x.cast("i32") : x);
  const list = axes === undefined
    ? x.shape.map((_, i) => i)
    : typeof axes === "number"
    ? [axes]
    : axes;
  const chosen = new Set(list.map((axis) => normalizeAxis(axis, x.shape, `take the ${fn}`)));
  let node = wide.node;
  for (let end = x.rank; end > 0; end--) {
    if (!chosen.has(end - 1)) continue;
    let start = end - 1;
    while (chosen.has(start - 1)) start--;
    node = reduceBlock(fn, node, start, end);
    end = start;
  }
  if (options.keepDims) return new Tensor(node);
  return new Tensor(p.reshape(node, x.shape.filter((_, i) => !chosen.has(i))));
}

function reduceBlock(fn: ReduceFunction, x: Node, start: number, end: number): Node {
  const [outer, length, inner] = [
    sizeOf(x.shape.slice(0, start)),
    sizeOf(x.shape.slice(start, end)),
    sizeOf(x.shape.slice(end)),
  ];
  const split = inner === 1
    ? (outer < 64 && length > 16384 ? divisorNear(length, Math.sqrt(length) * 2) : 1)
    : (length >= 256 ? divisorNear(length, Math.sqrt(length)) : 1);
  if (split === 1) return p.reduce(fn, x, start, end);
  const blocks = p.reshape(x, [outer, length / split, split, inner]);
  const partial = p.reduce(fn, blocks, 2, inner === 1 ? 4 : 3);
  const whole = p.reduce(
    fn,
    p.reshape(partial, [outer, length / split, inner]),
    1,
    inner === 1 ? 3 : 2,
  );
  return p.reshape(whole, x.shape.map((n, i) => i >= start && i < end ? 1 : n));
}

/** The divisor of n whose ratio to the target is nearest to 1, or 1 if none is within a factor of 8. */
function divisorNear(n: number, target: number): number {
  for (let distance = 0; distance < target * 8; distance++) {
    for (const candidate of [Math.floor(target) - distance, Math.floor(target) + distance]) {
      if (candidate >= target / 8 && candidate > 1 && n % candidate === 0) return candidate;
    }
  }
  return 1;
}

/** x where the condition holds, else y. */
export function where(condition: Tensor, x: Operand, y: Operand): Tensor {
  const like = x instanceof Tensor ? x : y instanceof Tensor ? y : tensorLike;
  const [a, b] = [widen(lift(x, like)), widen(lift(y, like))];
  if (condition.dtype !== "bool" || a.dtype !== b.dtype) {
    throw new TypeError(`Cannot choose by a ${condition.dtype} between ${a.dtype} and ${b.dtype}`);
  }
  const shape = broadcastShapes(
    broadcastShapes(a.shape, b.shape, "choose"),
    condition.shape,
    "choose",
  );
  const [c, m, n] = [condition, a, b].map((t) => t.broadcastTo(...shape).node) as [
    Node,
    Node,
    Node,
  ];
  return new Tensor(p.where(c, m, n));
}

const tensorLike = new Tensor(p.full(0, [], "f32"));

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
  if (a.rank < 2 || b.rank < 2 || !isFloat(a.dtype) || !isFloat(b.dtype)) {
    throw new TypeError(
      `Cannot multiply matrices: got ${a} and ${b}, need float tensors of two axes or more`,
    );
  }
  const inner = [a.shape.at(transposeA ? -2 : -1)!, b.shape.at(transposeB ? -1 : -2)!];
  if (inner[0] !== inner[1]) {
    const show = (t: Tensor, flipped: boolean) =>
      showShape(t.shape) + (flipped ? " transposed" : "");
    throw new RangeError(
      "Cannot multiply matrices: inner sizes must agree: shapes are " +
        `${show(a, transposeA)} and ${show(b, transposeB)}`,
    );
  }
  if (b.rank === 2 && a.rank > 2 && !transposeA) {
    // One product instead of a batch of them.
    const rows = a.reshape(-1, inner[0]!);
    const product = new Tensor(p.matmul(rows.node, b.node, false, transposeB));
    return product.reshape(...a.shape.slice(0, -1), product.shape[1]!);
  }
  const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2), "multiply matrices");
  const expand = (t: Tensor) => t.broadcastTo(...batch, ...t.shape.slice(-2)).node;
  return new Tensor(p.matmul(expand(a), expand(b), transposeA, transposeB));
}
