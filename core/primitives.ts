/**
 * Checked constructors of graph nodes: the primitive set, to which `operations/` adds. Shapes and dtypes must
 * already agree; broadcasting and promotion are done by the operators above.
 *
 * @module
 */

import { type DType, isFloat } from "./dtype.ts";
import { type CustomRule, makeNode, type Node, type Operation } from "./graph.ts";
import type { BinaryFunction, ReduceFunction, UnaryFunction } from "./kernel.ts";
import { sameShape, type Shape, showShape, sizeOf } from "./shape.ts";

const comparisons: ReadonlySet<BinaryFunction> = new Set(["lt", "le", "eq", "ne"]);

/** A constant in every element. */
export function full(value: number, shape: Shape, dtype: DType): Node {
  return makeNode({ name: "full", value }, [], shape, dtype);
}

/** 0 … count − 1, i32. */
export function iota(count: number): Node {
  return makeNode({ name: "iota" }, [], [count], "i32");
}

/** A one-operand function, element by element. */
export function unary(fn: UnaryFunction, x: Node): Node {
  return makeNode({ name: "unary", fn }, [x], x.shape, x.dtype);
}

/** A two-operand function, element by element. */
export function binary(fn: BinaryFunction, x: Node, y: Node): Node {
  if (!sameShape(x.shape, y.shape) || x.dtype !== y.dtype) {
    throw new RangeError(
      `Cannot ${fn}: ${x.dtype}${showShape(x.shape)} and ${y.dtype}${showShape(y.shape)} differ`,
    );
  }
  return makeNode({ name: "binary", fn }, [x, y], x.shape, comparisons.has(fn) ? "bool" : x.dtype);
}

/** x where the condition holds, else y. */
export function where(condition: Node, x: Node, y: Node): Node {
  return makeNode({ name: "where" }, [condition, x, y], x.shape, x.dtype);
}

/** The same numbers in another dtype. */
export function cast(x: Node, dtype: DType): Node {
  return x.dtype === dtype ? x : makeNode({ name: "cast" }, [x], x.shape, dtype);
}

/** The same bits as another 32-bit dtype. */
export function bitcast(x: Node, dtype: DType): Node {
  return x.dtype === dtype ? x : makeNode({ name: "bitcast" }, [x], x.shape, dtype);
}

/** The same elements in the same order. */
export function reshape(x: Node, shape: Shape): Node {
  if (sizeOf(shape) !== sizeOf(x.shape)) {
    throw new RangeError(`Cannot reshape ${showShape(x.shape)} to ${showShape(shape)}`);
  }
  return sameShape(shape, x.shape) ? x : makeNode({ name: "reshape" }, [x], shape, x.dtype);
}

/** Repeats axes of size 1; the rank stays. */
export function expand(x: Node, shape: Shape): Node {
  return sameShape(shape, x.shape) ? x : makeNode({ name: "expand" }, [x], shape, x.dtype);
}

/** Axis i of the result is axis order[i] of x. */
export function permute(x: Node, order: readonly number[]): Node {
  if (order.every((axis, i) => axis === i)) return x;
  return makeNode({ name: "permute", order }, [x], order.map((i) => x.shape[i]!), x.dtype);
}

/** The box that begins at `starts` and has `shape`. */
export function slice(x: Node, starts: readonly number[], shape: Shape): Node {
  if (sameShape(shape, x.shape)) return x;
  return makeNode({ name: "slice", starts }, [x], shape, x.dtype);
}

/** Reverses axes. */
export function flip(x: Node, axes: readonly number[]): Node {
  return makeNode({ name: "flip", axes }, [x], x.shape, x.dtype);
}

/** Puts x into zeros of `shape`, beginning at `low`. */
export function pad(x: Node, low: readonly number[], shape: Shape): Node {
  return sameShape(shape, x.shape) ? x : makeNode({ name: "pad", low }, [x], shape, x.dtype);
}

/** Reduces the adjacent axes [start, end) to size 1. */
export function reduce(fn: ReduceFunction, x: Node, start: number, end: number): Node {
  const shape = x.shape.map((n, i) => i >= start && i < end ? 1 : n);
  if (sameShape(shape, x.shape)) return x;
  if (sizeOf(x.shape) === 0) {
    if (fn !== "sum" && sizeOf(shape) > 0) {
      throw new RangeError(`Cannot take the ${fn} of ${showShape(x.shape)}: it is empty`);
    }
    return full(0, shape, x.dtype);
  }
  return makeNode({ name: "reduce", fn, start, end }, [x], shape, x.dtype);
}

/** One output of a node with several. */
export function part(x: Node, index: number): Node {
  if (x.operation.name === "custom") {
    const output = x.inputs[index]!;
    return makeNode({ name: "part", index }, [x], output.shape, output.dtype);
  }
  return makeNode({ name: "part", index }, [x], x.parts![index]!, x.dtype);
}

/** x under another identity. */
export function alias(x: Node, name: "stopGradient" | "variable"): Node {
  return makeNode({ name }, [x], x.shape, x.dtype);
}

/** The outputs, whose gradient with respect to the inputs is given by a rule. */
export function custom(
  outputs: readonly Node[],
  inputs: readonly Node[],
  rule: CustomRule,
): Node[] {
  const operation: Operation = { name: "custom", outputs: outputs.length, rule };
  // Gradients flow through the node if they do through any of its outputs, so it is known by such a one.
  const first = outputs.find(differentiable) ?? outputs[0]!;
  const node = makeNode(operation, [...outputs, ...inputs], first.shape, first.dtype);
  return outputs.map((_, index) => part(node, index));
}

/** Whether gradients flow through the node's value. */
export function differentiable(node: Node): boolean {
  return isFloat(node.dtype);
}

/** A node in an error message. */
export function showNode({ dtype, shape }: Node): string {
  return `Tensor ${dtype}${showShape(shape)}`;
}
