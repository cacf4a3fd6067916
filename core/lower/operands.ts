/** Where a node's inputs come from once views are looked through. @module */

import { addendPosition, type Node } from "../graph.ts";
import * as p from "../primitives.ts";
import { contiguousStrides } from "../shape.ts";
import { isView, type Simplified } from "./simplify.ts";
import { applyView, isContiguous, tidyMasks, type View, wholeView } from "./view.ts";

/** An input: an arrangement of the elements of a node that is computed or given. */
export interface Operand {
  readonly base: Node;
  readonly view: View;
}

/** Resolves inputs through views, and knows which views have to be copied after all. */
export class Operands {
  readonly #resolved = new Map<Node, Operand>();
  readonly #copies = new Set<Node>();
  readonly #operands = new Map<Node, readonly Operand[]>();
  readonly #uses = new Map<Node, number>();

  constructor(readonly graph: Simplified) {
    for (const node of graph.nodes) this.#resolve(node);
    for (const node of graph.nodes) if (isComputed(node)) this.#demand(node);
    for (const node of graph.copies) this.#copies.add(node);
    for (const root of graph.roots) this.#contiguous(root);
    const used = graph.nodes.flatMap((node) => this.computed(node) ? this.of(node) : []);
    for (const { base } of [...used, ...graph.roots.map((root) => this.resolve(root))]) {
      this.#uses.set(base, this.uses(base) + 1);
    }
  }

  /** The node as an arrangement of something computed. */
  resolve(node: Node): Operand {
    return this.#copies.has(node)
      ? { base: node, view: wholeView(node.shape) }
      : this.#resolved.get(node)!;
  }

  /** How often the node is used, views looked through; results count as uses. */
  uses(node: Node): number {
    return this.#uses.get(node) ?? 0;
  }

  /** Whether a kernel computes the node: it is not a view, a constant or given. */
  computed(node: Node): boolean {
    return this.#copies.has(node) || isComputed(node);
  }

  /** Whether the node is a copy of a view. */
  copied(node: Node): boolean {
    return this.#copies.has(node);
  }

  /** The inputs of a computed node, arranged as its elements need them (ids of a gather: by row). */
  of(node: Node): readonly Operand[] {
    let operands = this.#operands.get(node);
    if (!operands) this.#operands.set(node, operands = this.#arranged(node));
    return operands;
  }

  /**
   * From now on the first operand of the node is a copy of what it shows. Other users of the same view, whose
   * kernels may have been chosen already, read it as before.
   *
   * @returns The node of the copy; null if it was one already.
   */
  copyOperand(node: Node): Node | null {
    const input = node.inputs[0]!;
    if (this.of(node)[0]!.base === input) return null;
    this.#copies.add(input);
    this.#operands.set(node, this.#arranged(node));
    this.#uses.set(input, this.uses(input) + 1);
    return input;
  }

  #arranged(node: Node): readonly Operand[] {
    if (this.#copies.has(node)) return [this.#resolved.get(node)!];
    if (!isComputed(node)) return [];
    const operands = node.inputs.map((input) => this.resolve(input));
    if (node.operation.name !== "gather") return operands;
    const { base, view } = operands[1]!;
    const extra = node.shape.length - view.shape.length;
    return [operands[0]!, {
      base,
      view: {
        shape: node.shape,
        strides: [...view.strides, ...new Array<number>(extra).fill(0)],
        offset: view.offset,
        masks: [...view.masks, ...new Array<null>(extra).fill(null)],
      },
    }];
  }

  #resolve(node: Node): void {
    if (!isView(node)) {
      this.#resolved.set(node, { base: node, view: wholeView(node.shape) });
      return;
    }
    const input = node.inputs[0]!;
    let { base, view: source } = this.resolve(input);
    let view = applyView(node, source);
    if (!view) {
      this.#copies.add(input);
      [base, source] = [input, wholeView(input.shape)];
      view = applyView(node, source)!;
    }
    const tidy = tidyMasks(view);
    this.#resolved.set(
      node,
      tidy
        ? { base, view: tidy }
        : { base: p.full(0, node.shape, node.dtype), view: wholeView(node.shape) },
    );
  }

  /** Kernels made by hand want their inputs in memory, most of them contiguous. */
  #demand(node: Node): void {
    const { inputs, operation } = node;
    switch (operation.name) {
      case "matmul":
        for (const [i, input] of inputs.entries()) {
          if (operation.coded !== null && (i === 1 || i === 2)) {
            this.#contiguous(input);
            continue;
          }
          const { base, view } = this.resolve(input);
          const fits = i === addendPosition(operation)
            ? isContiguous(view)
            : matrixLayout(view) !== null;
          if (!isStored(base) || !fits) this.#copies.add(input);
        }
        break;
      case "gather":
        this.#contiguous(inputs[0]!);
        break;
      case "attention":
      case "attentionGrad":
      case "scatter":
      case "barrier":
        for (const input of inputs) this.#contiguous(input);
        break;
    }
  }

  #contiguous(node: Node): void {
    const { base, view } = this.resolve(node);
    const whole = view.shape.reduce((a, n) => a * n, 1) === base.shape.reduce((a, n) => a * n, 1);
    if (!isStored(base) || !whole || !isContiguous(view)) this.#copies.add(node);
  }
}

/** Whether the node's elements are in memory before or after some kernel; constants are not. */
function isStored(node: Node): boolean {
  return node.storage !== null || !["full", "iota", "scalar"].includes(node.operation.name);
}

function isComputed(node: Node): boolean {
  if (node.storage !== null || isView(node)) return false;
  return !["leaf", "host", "placeholder", "scalar", "full", "iota", "part", "custom"].includes(
    node.operation.name,
  );
}

/** A matrix, or a batch of them, as the product kernel takes it. */
export interface MatrixLayout {
  readonly offset: number;
  readonly batchStride: number;
  readonly rowStride: number;
  /** Whether the stored rows are the view's columns. */
  readonly transposed: boolean;
}

/** The layout of a view's last two axes as rows of adjacent elements, or null. */
export function matrixLayout(view: View): MatrixLayout | null {
  if (view.masks.some((mask) => mask !== null) || view.strides.some((s) => s < 0)) return null;
  const rank = view.shape.length;
  const [rows, columns] = [view.shape[rank - 2]!, view.shape[rank - 1]!];
  const [rowStep, columnStep] = [view.strides[rank - 2]!, view.strides[rank - 1]!];
  let batchStride = 0;
  let size = 1;
  for (let d = rank - 3; d >= 0; d--) {
    if (view.shape[d] === 1) continue;
    if (size === 1) batchStride = view.strides[d]!;
    else if (view.strides[d] !== batchStride * size) return null;
    size *= view.shape[d]!;
  }
  const base = { offset: view.offset, batchStride };
  if (columnStep === 1 || columns === 1) {
    if (rowStep >= columns || rows === 1) {
      return { ...base, rowStride: rows === 1 ? columns : rowStep, transposed: false };
    }
  }
  if (rowStep === 1 || rows === 1) {
    if (columnStep >= rows || columns === 1) {
      return { ...base, rowStride: columns === 1 ? rows : columnStep, transposed: true };
    }
  }
  return null;
}

/** How a gather walks its table, but for the row's number. */
export function tableView(node: Node): View {
  const [table, ids] = node.inputs as [Node, Node];
  const inner = contiguousStrides(table.shape.slice(1));
  return {
    shape: node.shape,
    strides: [...ids.shape.map(() => 0), ...inner],
    offset: 0,
    masks: node.shape.map(() => null),
  };
}
