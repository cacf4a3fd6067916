/** Operators element by element: which dtypes they take, how operands are widened and stretched. @module */

import { computeType } from "./dtype.ts";
import type { Node } from "./graph.ts";
import type { BinaryFunction, UnaryFunction } from "./kernel.ts";
import * as p from "./primitives.ts";
import { broadcastShapes, type Shape, showShape } from "./shape.ts";

/** A node, or a number that broadcasts as a constant of the other operand's dtype. */
export type NodeOrNumber = Node | number;

/** A number as a constant of the dtype that arithmetic with `like` happens in. */
function lift(value: NodeOrNumber, like: Node | null): Node {
  if (typeof value !== "number") return value;
  const dtype = like ? computeType(like.dtype) : "f32";
  if (like && dtype !== "f32" && !Number.isInteger(value)) {
    throw new TypeError(
      `Cannot combine ${like.dtype}${showShape(like.shape)} with ${value}: cast it to f32`,
    );
  }
  return p.full(value, [], dtype);
}

function widen(x: Node): Node {
  return p.cast(x, computeType(x.dtype));
}

/** Both operands as nodes of the dtype that arithmetic happens in. */
function operands(x: NodeOrNumber, y: NodeOrNumber): [Node, Node] {
  const like = typeof x !== "number" ? x : typeof y !== "number" ? y : null;
  return [widen(lift(x, like)), widen(lift(y, like))];
}

/** x stretched to a shape that it broadcasts to. */
export function stretch(x: Node, shape: Shape): Node {
  const aligned = [...new Array<number>(shape.length - x.shape.length).fill(1), ...x.shape];
  return p.expand(p.reshape(x, aligned), shape);
}

/** A one-operand function. */
export function unary(fn: UnaryFunction, x: Node): Node {
  const wide = widen(x);
  const legal = fn === "not"
    ? wide.dtype === "bool"
    : fn === "neg" || fn === "abs"
    ? wide.dtype !== "bool"
    : wide.dtype === "f32";
  if (!legal) throw new TypeError(`Cannot take ${fn} of ${x.dtype}${showShape(x.shape)}`);
  return p.unary(fn, wide);
}

const ofBits: ReadonlySet<BinaryFunction> = new Set(["and", "or", "xor", "shl", "shr"]);

/** A two-operand function, with broadcasting. */
export function binary(fn: BinaryFunction, x: NodeOrNumber, y: NodeOrNumber): Node {
  const [a, b] = operands(x, y);
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
  return p.binary(fn, stretch(a, shape), stretch(b, shape));
}

/** The logical shift of a u32 by y bits. By 32 or more it is 0, where a device's own is whatever it is. */
export function shift(fn: "shl" | "shr", x: Node, y: NodeOrNumber): Node {
  if (widen(x).dtype !== "u32") {
    throw new TypeError(`Cannot shift ${x.dtype}${showShape(x.shape)}: cast it to u32`);
  }
  if (typeof y === "number") {
    if (y < 0) throw new RangeError(`Cannot shift by ${y} bits: shift the other way`);
    return y < 32 ? binary(fn, x, y) : p.full(0, x.shape, "u32");
  }
  return choose(binary("lt", y, 32), binary(fn, x, binary("and", y, 31)), 0);
}

/** x where the condition holds, else y. */
export function choose(condition: Node, x: NodeOrNumber, y: NodeOrNumber): Node {
  const [a, b] = operands(x, y);
  if (condition.dtype !== "bool" || a.dtype !== b.dtype) {
    throw new TypeError(`Cannot choose by a ${condition.dtype} between ${a.dtype} and ${b.dtype}`);
  }
  const shape = broadcastShapes(
    broadcastShapes(a.shape, b.shape, "choose"),
    condition.shape,
    "choose",
  );
  return p.where(stretch(condition, shape), stretch(a, shape), stretch(b, shape));
}
