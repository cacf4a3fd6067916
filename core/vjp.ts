/**
 * The gradient rules: for each primitive, the cotangents of its inputs from the cotangent of its output,
 * in the tensor language itself, so that the backward pass is fused like the forward one and can be
 * differentiated again. Those of matrix products, attention and the like are in their records.
 *
 * @module
 */

import { full } from "./create.ts";
import type { Node, Operation } from "./graph.ts";
import type { BinaryFunction, UnaryFunction } from "./kernel.ts";
import * as p from "./primitives.ts";
import { Tensor, where } from "./tensor.ts";

/** g: cotangent of the output y; x: inputs. Gives the cotangents of the inputs; null is zero. */
type Rule<O> = (
  g: Tensor,
  y: Tensor,
  x: readonly Tensor[],
  operation: O,
) => readonly (Tensor | null)[];

type Cotangents = readonly [Tensor | null, Tensor | null];

// dy/dx times g, in the order of calculus books.
const ofUnary: Partial<Record<UnaryFunction, (g: Tensor, y: Tensor, x: Tensor) => Tensor>> = {
  neg: (g) => g.neg(),
  abs: (g, _y, x) => g.mul(x.sign()),
  exp: (g, y) => g.mul(y),
  // From x, not y: near saturation y has lost the digits.
  expm1: (g, _y, x) => g.mul(x.exp()),
  log: (g, _y, x) => g.div(x),
  log1p: (g, _y, x) => g.div(x.add(1)),
  sqrt: (g, y) => g.div(y.mul(2)),
  rsqrt: (g, y, x) => g.mul(y).div(x.mul(-2)),
  sin: (g, _y, x) => g.mul(x.cos()),
  cos: (g, _y, x) => g.mul(x.sin().neg()),
  tanh: (g, y) => g.mul(y.square().neg().add(1)),
  sigmoid: (g, y, x) => g.mul(y).mul(x.neg().sigmoid()),
  erf: (g, _y, x) => g.mul(x.square().neg().exp().mul(2 / Math.sqrt(Math.PI))),
};

// Ties of max and min share the cotangent evenly.
const chosen = (x: Tensor, y: Tensor) => where(x.lt(y), 0, where(x.eq(y), 0.5, 1));

const ofBinary: Partial<
  Record<BinaryFunction, (g: Tensor, z: Tensor, x: Tensor, y: Tensor) => Cotangents>
> = {
  add: (g) => [g, g],
  sub: (g) => [g, g.neg()],
  // (xy)' = x'y + xy'
  mul: (g, _z, x, y) => [g.mul(y), g.mul(x)],
  div: (g, z, _x, y) => [g.div(y), g.mul(z).div(y).neg()],
  mod: (g, z, x, y) => [g, g.mul(x.sub(z).div(y)).neg()],
  // d xʸ = y·xʸ⁻¹ dx + xʸ·log x dy, where 0ʸ does not depend on y
  pow: (g, z, x, y) => [
    where(y.eq(0), 0, g.mul(y).mul(x.pow(y.sub(1)))),
    where(x.eq(0), 0, g.mul(z).mul(x.log())),
  ],
  max: (g, _z, x, y) => [g.mul(chosen(x, y)), g.mul(chosen(y, x))],
  min: (g, _z, x, y) => [g.mul(chosen(y, x)), g.mul(chosen(x, y))],
};

type Rules = { readonly [O in Operation as O["name"]]?: Rule<O> };

/** Sums a cotangent over the axes that were stretched. */
function unexpand(g: Tensor, x: Tensor): Tensor {
  const stretched = g.shape.flatMap((n, i) => n !== x.shape[i] ? [i] : []);
  return g.sum(stretched, { keepDims: true });
}

const rules: Rules = {
  unary: (g, y, [x], { fn }) => [ofUnary[fn]?.(g, y, x!) ?? null],
  binary: (g, z, [x, y], { fn }) => (ofBinary[fn]?.(g, z, x!, y!) ?? [null, null]),
  where: (g, _y, [condition]) => [null, where(condition!, g, 0), where(condition!, 0, g)],
  cast: (g, _y, [x]) => [g.cast(x!.dtype)],
  reshape: (g, _y, [x]) => [g.reshape(...x!.shape)],
  expand: (g, _y, [x]) => [unexpand(g, x!)],
  permute: (g, _y, _x, { order }) => [g.transpose(...order.map((_, i) => order.indexOf(i)))],
  flip: (g, _y, _x, { axes }) => [g.flip(...axes)],
  slice: (g, _y, [x], { starts }) => [new Tensor(p.pad(g.node, starts, x!.shape))],
  pad: (g, _y, [x], { low }) => [new Tensor(p.slice(g.node, low, x!.shape))],
  reduce: (g, y, [x], { fn, start, end }) => {
    const stretched = g.broadcastTo(...x!.shape);
    if (fn === "sum") return [stretched];
    // Ties split evenly.
    const hit = x!.eq(y).cast("f32");
    const axes = x!.shape.flatMap((_, i) => i >= start && i < end ? [i] : []);
    return [stretched.mul(hit).div(hit.sum(axes, { keepDims: true }))];
  },
  variable: (g) => [g],
};

/**
 * Cotangents of a node's inputs.
 *
 * @param cotangents One per output of the node (one, unless it has parts); null is zero.
 */
export function inputCotangents(
  node: Node,
  cotangents: readonly (Node | null)[],
): readonly (Node | null)[] {
  const { operation, inputs } = node;
  if (operation.name === "custom") {
    const own = operation.rule(cotangents);
    return [...new Array<null>(operation.outputs).fill(null), ...own];
  }
  if (operation.name === "call") {
    return operation.record.gradient(node, operation.settings, cotangents);
  }
  const g = cotangents[0];
  if (!g) return inputs.map(() => null);
  const rule = rules[operation.name] as Rule<Operation> | undefined;
  if (!rule) return inputs.map(() => null);
  const found = rule(new Tensor(g), new Tensor(node), inputs.map((x) => new Tensor(x)), operation);
  return found.map((t) => t?.node ?? null);
}

/** The sum of two cotangents. */
export function addCotangents(a: Node | null, b: Node): Node {
  return a === null ? b : new Tensor(a).add(new Tensor(b)).node;
}

/** A cotangent of one in every element. */
export function unitCotangent(like: Tensor): Tensor {
  return full(like.shape, 1);
}
