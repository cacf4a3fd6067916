/** The order of launches. @module */

import type { Node } from "../graph.ts";
import { sourceOf, type Unit } from "./fuse.ts";
import type { Operands } from "./operands.ts";

/**
 * Units in an order that respects what they read, and otherwise follows the order in which the graph was
 * written: forward pass, backward pass, update. A unit goes when its last-written member would.
 */
export function schedule(units: readonly Unit[], operands: Operands): Unit[] {
  const position = new Map<Node, number>(operands.graph.nodes.map((node, i) => [node, i]));
  const unitOf = new Map<Node, number>();
  const membersOf = (unit: Unit) =>
    unit.kind === "fused" ? [...unit.group.members.keys()] : [unit.node];
  const isInside = (node: Node, unit: Unit) =>
    unit.kind === "fused" && unit.group.members.has(node);
  units.forEach((unit, i) => {
    for (const node of membersOf(unit)) {
      if (unit.kind === "single" || !unit.group.inner.has(node)) unitOf.set(node, i);
    }
  });
  const rank = units.map((unit) => Math.max(...membersOf(unit).map((node) => position.get(node)!)));
  const users: number[][] = units.map(() => []);
  const waits = units.map((unit, i) => {
    const sources = new Set<number>();
    for (const node of membersOf(unit)) {
      for (const { base } of operands.of(node)) {
        const source = isInside(base, unit) ? undefined : unitOf.get(sourceOf(base));
        if (source !== undefined && source !== i) sources.add(source);
      }
    }
    for (const source of sources) users[source]!.push(i);
    return sources.size;
  });
  const ready = new Heap((a, b) => rank[a]! - rank[b]!);
  waits.forEach((count, i) => count === 0 && ready.push(i));
  const order: Unit[] = [];
  for (let i = ready.pop(); i !== undefined; i = ready.pop()) {
    order.push(units[i]!);
    for (const user of users[i]!) if (--waits[user]! === 0) ready.push(user);
  }
  if (order.length !== units.length) {
    throw new Error("The fused kernels depend on each other in a circle");
  }
  return order;
}

/** A priority queue of numbers. */
class Heap {
  readonly #items: number[] = [];

  constructor(readonly compare: (a: number, b: number) => number) {}

  push(item: number): void {
    const items = this.#items;
    let i = items.push(item) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (this.compare(items[parent]!, item) <= 0) break;
      items[i] = items[parent]!;
      i = parent;
    }
    items[i] = item;
  }

  pop(): number | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && this.compare(items[child + 1]!, items[child]!) < 0) child++;
      if (this.compare(items[child]!, last) >= 0) break;
      items[i] = items[child]!;
      i = child;
    }
    items[i] = last;
    return top;
  }
}
