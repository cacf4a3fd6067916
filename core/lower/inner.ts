/** Inner nodes: values that are computed where they are needed instead of travelling through memory. @module */

import { isNarrow } from "../dtype.ts";
import { type Node, sortOf, type Source } from "../graph.ts";
import { sizeOf } from "../shape.ts";
import { isContiguous } from "../view.ts";
import { isBuffer, type Operands } from "./operands.ts";

/** The most instructions that are worth repeating instead of storing their result. */
const mostRepeated = 8;

const cheap: ReadonlySet<string> = new Set([
  ...["neg", "abs", "not", "add", "sub", "mul", "max", "min", "lt", "le", "eq", "ne"],
  ...["and", "or", "xor", "shl", "shr"],
]);

/**
 * Elementwise nodes that all their users need at the users' own index, and which have one user, or are made
 * of smaller things by a few instructions, as a mask is made of indices.
 */
export function innerNodes(operands: Operands): Set<Node> {
  const inner = new Set<Node>();
  const results = new Set(operands.graph.roots.map((root) => operands.resolve(root).base));
  const elsewhere = new Set<Node>();
  for (const user of operands.graph.nodes) {
    if (!operands.computed(user)) continue;
    for (const operand of operands.of(user)) {
      if (!usesInPlace(user, operand, operands)) elsewhere.add(operand.base);
    }
  }
  const repeated = new Map<Node, number>();
  for (const node of operands.graph.nodes) {
    if (!isElementwise(node, operands) || results.has(node) || elsewhere.has(node)) continue;
    const price = priceOf(node, operands, repeated);
    if (price <= mostRepeated) repeated.set(node, price);
    if (operands.uses(node) === 1 || price <= mostRepeated) inner.add(node);
  }
  return inner;
}

function isElementwise(node: Node, operands: Operands): boolean {
  // A narrow value is rounded on its way through memory, so it must take that way.
  return sortOf(node) === "elementwise" && !operands.copied(node) && !isNarrow(node.dtype);
}

/** Whether the user needs the operand's elements in order, one at each index of its own space. */
function usesInPlace(user: Node, { base, view }: Source, operands: Operands): boolean {
  const reduces = user.operation.name === "reduce" && !operands.copied(user);
  if (!reduces && !isElementwise(user, operands)) return false;
  const space = reduces ? user.inputs[0]! : user;
  return isContiguous(view) && sizeOf(base.shape) === sizeOf(space.shape);
}

/** Instructions to compute the node from constants, indices and values that are smaller than it. */
function priceOf(node: Node, operands: Operands, repeated: ReadonlyMap<Node, number>): number {
  const { operation } = node;
  if ((operation.name === "unary" || operation.name === "binary") && !cheap.has(operation.fn)) {
    return Infinity;
  }
  let price = 1;
  for (const { base } of operands.of(node)) {
    const small = !isBuffer(base) || 4 * sizeOf(base.shape) <= sizeOf(node.shape);
    price += small ? 0 : repeated.get(base) ?? Infinity;
  }
  return price;
}
