/**
 * From the graph as written to the graph as compiled: dead code falls away, equal subexpressions become
 * one, constants fold, names that only matter to differentiation vanish.
 *
 * @module
 */

import {
  callOf,
  inputsOf,
  makeNode,
  type Node,
  type Operation,
  reachable,
  sortOf,
  topologicalOrder,
} from "../graph.ts";
import type { BinaryFunction } from "../kernel.ts";
import * as p from "../primitives.ts";
import { sizeOf } from "../shape.ts";

/** The simplified graph: nodes in a topological order that follows creation, and the roots in it. */
export interface Simplified {
  readonly nodes: readonly Node[];
  readonly roots: readonly Node[];
  /** Nodes to be computed into memory of their own, although they only rename another. */
  readonly copies: readonly Node[];
}

/** Simplifies everything the roots need. */
export function simplify(roots: readonly Node[]): Simplified {
  const order = topologicalOrder(roots);
  const canonical = new Map<Node, Node>();
  const known = new Map<string, Node>();
  const kept = new Set<Node>();
  const keep = (node: Node): Node => {
    const one = unique(node, known);
    kept.add(one);
    return one;
  };
  for (const node of order) {
    const inputs = node.storage === null ? node.inputs.map((input) => canonical.get(input)!) : [];
    canonical.set(node, keep(rewrite(node, inputs, keep)));
  }
  return separate(accumulate([...kept], roots.map((root) => canonical.get(root)!)), roots);
}

/** Results that were different tensors get different memory, even if they are equal. */
function separate(graph: Simplified, originals: readonly Node[]): Simplified {
  const owner = new Map<Node, Node>();
  const nodes = [...graph.nodes];
  const copies: Node[] = [];
  const roots = graph.roots.map((root, i) => {
    const given = root.storage !== null || root.operation.name === "placeholder";
    const first = owner.get(root);
    if (given || first === undefined || first === originals[i]) {
      owner.set(root, originals[i]!);
      return root;
    }
    const copy = makeNode({ name: "reshape" }, [root], root.shape, root.dtype);
    nodes.push(copy);
    copies.push(copy);
    return copy;
  });
  return { nodes, roots, copies };
}

/** The first node seen that computes the same. */
function unique(node: Node, known: Map<string, Node>): Node {
  const key = keyOf(node);
  if (key === null) return node;
  const same = known.get(key);
  if (same) return same;
  known.set(key, node);
  return node;
}

function keyOf(node: Node): string | null {
  if (node.storage !== null) return null;
  const { operation, inputs, shape, dtype } = node;
  switch (operation.name) {
    case "leaf":
    case "host":
    case "custom":
      return null;
    case "placeholder":
    case "scalar":
      return `${operation.name}${operation.index}`;
    case "call": {
      const { record, settings } = operation;
      const ids = inputs.map((input) => input.id);
      return `${dtype}|${record.name}|${JSON.stringify(settings)}|${shape}|${ids}`;
    }
    default: {
      let key = dtype;
      for (const value of Object.values(operation) as Operation[keyof Operation][]) {
        key += typeof value === "object"
          ? JSON.stringify(value)
          : `|${Object.is(value, -0) ? "-0" : value}`;
      }
      key += `|${shape.join()}`;
      for (const input of inputs) key += `|${input.id}`;
      return key;
    }
  }
}

/** The value of a constant node, or null. */
function constantOf(node: Node): number | null {
  return node.operation.name === "full" && node.storage === null ? node.operation.value : null;
}

/** @param keep Takes in a node made on the way. */
function rewrite(node: Node, inputs: readonly Node[], keep: (node: Node) => Node): Node {
  const { operation, shape, dtype } = node;
  const first = inputs[0];
  switch (operation.name) {
    case "variable":
    case "stopGradient":
      return first!;
    case "part":
      if (first!.operation.name === "custom") return first!.inputs[operation.index]!;
      break;
    case "call": {
      const simpler = operation.record.simplify?.(node, inputs, inputs.map(constantOf));
      if (simpler) return simpler;
      break;
    }
    case "binary": {
      const folded = foldBinary(operation.fn, inputs, node);
      if (folded) return folded;
      break;
    }
    case "where": {
      const condition = constantOf(first!);
      if (condition !== null) return inputs[condition ? 1 : 2]!;
      break;
    }
    case "unary": {
      const value = constantOf(first!);
      if (value !== null && operation.fn === "neg") return p.full(-value, shape, dtype);
      break;
    }
    case "cast": {
      if (first!.dtype === dtype) return first!;
      const value = constantOf(first!);
      if (value !== null && dtype === "f32") return p.full(Math.fround(value), shape, dtype);
      break;
    }
    case "reduce": {
      const value = constantOf(first!);
      if (value !== null && dtype === "f32") {
        const times = operation.fn === "sum" ? sizeOf(first!.shape) / sizeOf(shape) : 1;
        return p.full(Math.fround(value * times), shape, dtype);
      }
      break;
    }
    case "reshape":
    case "expand":
    case "permute":
    case "slice":
    case "flip": {
      const value = constantOf(first!);
      if (value !== null) return p.full(value, shape, dtype);
      return moved(node, first!, keep);
    }
    case "pad":
      if (constantOf(first!) === 0) return p.full(0, shape, dtype);
      return moved(node, first!, keep);
  }
  const same = node.storage !== null || inputs.every((input, i) => input === node.inputs[i]);
  return same ? node : makeNode(operation, inputs, shape, dtype, node.parts);
}

/**
 * A view of −x is minus the view of x, which whoever uses it can compute from memory: the halves that rotary
 * embeddings exchange need no copy.
 */
function moved(view: Node, x: Node, keep: (node: Node) => Node): Node {
  const { operation, shape, dtype } = view;
  if (x.operation.name !== "unary" || x.operation.fn !== "neg" || x.storage !== null) {
    return x === view.inputs[0] ? view : makeNode(operation, [x], shape, dtype);
  }
  const inside = keep(makeNode(operation, [x.inputs[0]!], shape, dtype));
  return makeNode(x.operation, [inside], shape, dtype);
}

function foldBinary(fn: BinaryFunction, [x, y]: readonly Node[], node: Node): Node | null {
  const [a, b] = [constantOf(x!), constantOf(y!)];
  if (a !== null && b !== null && x!.dtype === "f32") {
    const value = calculate(fn, a, b);
    if (value !== null) return p.full(Math.fround(Number(value)), node.shape, node.dtype);
  }
  if (fn === "add") return b === 0 ? x! : a === 0 ? y! : null;
  if (fn === "sub") return b === 0 ? x! : null;
  if (fn === "mul") return b === 1 ? x! : a === 1 ? y! : null;
  // Shader compilers may refuse to divide by a constant zero.
  if (fn === "div" && b === 0 && node.dtype === "f32") {
    const infinite = p.full(Object.is(b, -0) ? -Infinity : Infinity, node.shape, node.dtype);
    return p.binary("mul", x!, infinite);
  }
  if (fn === "div") return b === 1 ? x! : null;
  return null;
}

function calculate(fn: BinaryFunction, a: number, b: number): number | boolean | null {
  switch (fn) {
    case "add":
      return a + b;
    case "sub":
      return a - b;
    case "mul":
      return a * b;
    case "div":
      return a / b;
    case "lt":
      return a < b;
    case "le":
      return a <= b;
    case "eq":
      return a === b;
    case "ne":
      return a !== b;
    default:
      return null;
  }
}

/** x + a·b and the like, where nothing else needs the product, becomes a product that accumulates onto x. */
function accumulate(kept: readonly Node[], roots: readonly Node[]): Simplified {
  const needed = reachable(roots);
  const order = kept.filter((node) => needed.has(node));
  const uses = new Map<Node, number>();
  for (const node of order) {
    for (const input of inputsOf(node)) uses.set(input, (uses.get(input) ?? 0) + 1);
  }
  for (const root of roots) uses.set(root, (uses.get(root) ?? 0) + 1);
  const replaced = new Map<Node, Node>();
  const nodes: Node[] = [];
  for (const node of order) {
    const inputs = inputsOf(node).map((input) => replaced.get(input) ?? input);
    const fused = accumulated(node, inputs, uses);
    const changed = inputs.some((input, i) => input !== node.inputs[i]);
    const next = fused ??
      (changed ? makeNode(node.operation, inputs, node.shape, node.dtype, node.parts) : node);
    if (next !== node) replaced.set(node, next);
    nodes.push(next);
  }
  const finalRoots = roots.map((root) => replaced.get(root) ?? root);
  const alive = reachable(finalRoots);
  return { nodes: nodes.filter((node) => alive.has(node)), roots: finalRoots, copies: [] };
}

function accumulated(node: Node, inputs: readonly Node[], uses: Map<Node, number>): Node | null {
  if (node.operation.name !== "binary" || node.operation.fn !== "add" || node.storage !== null) {
    return null;
  }
  for (const [product, other] of [[1, 0], [0, 1]] as const) {
    const m = inputs[product]!;
    const single = uses.get(node.inputs[product]!) === 1;
    const addend = inputs[other]!;
    const free = uses.get(node.inputs[other]!) === 1 && sortOf(addend) !== "view" &&
      addend.operation.name !== "placeholder" && addend.storage === null;
    const call = callOf(m);
    const sum = single && free ? call?.record.accumulate?.(m, call.settings, addend) : null;
    if (sum) return sum;
  }
  return null;
}
