/** Where a node's inputs come from once views are looked through. @module */

import { callOf, type Node, sortOf, type Source } from "../graph.ts";
import * as p from "../primitives.ts";
import { sizeOf } from "../shape.ts";
import { isContiguous, tidyMasks, wholeView } from "../view.ts";
import { applyView } from "./apply_view.ts";
import type { Simplified } from "./simplify.ts";

/** Resolves inputs through views, and knows which views have to be copied after all. */
export class Operands {
  readonly #resolved = new Map<Node, Source>();
  readonly #copies = new Set<Node>();
  readonly #operands = new Map<Node, readonly Source[]>();
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
  resolve(node: Node): Source {
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
  of(node: Node): readonly Source[] {
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

  #arranged(node: Node): readonly Source[] {
    if (this.#copies.has(node)) return [this.#resolved.get(node)!];
    if (!isComputed(node)) return [];
    const sources = node.inputs.map((input) => this.resolve(input));
    return callOf(node)?.record.arrange?.(node, sources) ?? sources;
  }

  #resolve(node: Node): void {
    if (sortOf(node) !== "view") {
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
    const call = callOf(node);
    if (call === null) return;
    const { record, settings } = call;
    for (const [i, input] of node.inputs.entries()) {
      const demand = record.demand?.(i, settings) ?? "whole";
      if (demand === "fused") continue;
      if (demand === "whole") {
        this.#contiguous(input);
        continue;
      }
      const { base, view } = this.resolve(input);
      if (!isBuffer(base) || !demand(view)) this.#copies.add(input);
    }
  }

  #contiguous(node: Node): void {
    const { base, view } = this.resolve(node);
    const whole = sizeOf(view.shape) === sizeOf(base.shape);
    if (!isBuffer(base) || !whole || !isContiguous(view)) this.#copies.add(node);
  }
}

/** Whether a load of the node reads memory: constants, coordinates and scalars are not there. */
export function isBuffer(node: Node): boolean {
  return sortOf(node) !== "generated";
}

function isComputed(node: Node): boolean {
  return ["elementwise", "reduction", "call"].includes(sortOf(node));
}
