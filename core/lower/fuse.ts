/**
 * Fusion: which nodes share a kernel. Greedy, in the order of creation: a node joins the group its inputs
 * come from, or a group that reads the same values, or begins its own.
 *
 * Groups must not depend on each other in circles. Every group has an epoch, larger than the epochs of
 * all it reads from; a node joins a group only if everything else it needs has a smaller epoch. So reads
 * always go from larger to smaller epochs, and no circle can close.
 *
 * @module
 */

import type { Node } from "../graph.ts";
import { sizeOf } from "../shape.ts";
import { type Group, isBuffer, join, type Limits, newGroup } from "./groups.ts";
import type { Operands } from "./operands.ts";

/** What is launched together: a fused kernel, or a kernel made by hand (or a barrier, which is none). */
export type Unit =
  | { readonly kind: "fused"; readonly group: Group }
  | { readonly kind: "single"; readonly node: Node };

interface Draft {
  unit: Unit;
  epoch: number;
}

/** Nodes with a kernel of their own. */
function isSingle(node: Node): boolean {
  return ["matmul", "attention", "attentionGrad", "scatter", "barrier"].includes(
    node.operation.name,
  );
}

/** Divides all computed nodes into units. */
export function fuse(limits: Limits): Unit[] {
  const { operands } = limits;
  const drafts: Draft[] = [];
  const draftOf = new Map<Node, Draft>();
  const readers = new Map<Node, Draft[]>();
  const deferred = deferredToColumns(operands);

  const epochOf = (node: Node) => draftOf.get(sourceOf(node))?.epoch ?? 0;
  const place = (draft: Draft, unit: Unit, nodes: Iterable<Node>) => {
    draft.unit = unit;
    for (const node of nodes) {
      draftOf.set(node, draft);
      for (const { base } of operands.of(node)) {
        if (!isBuffer(base)) continue;
        const list = readers.get(base);
        if (!list) readers.set(base, [draft]);
        else if (!list.includes(draft)) list.push(draft);
      }
    }
  };
  const begin = (unit: Unit, epoch: number, nodes: Iterable<Node>) => {
    const draft = { unit, epoch };
    drafts.push(draft);
    place(draft, unit, nodes);
  };

  const tryJoin = (node: Node, draft: Draft): boolean => {
    if (draft.unit.kind !== "fused") return false;
    // Inside a column kernel there is nowhere to store an element value.
    const { kind, size } = draft.unit.group;
    if (kind === "column" && node.operation.name !== "reduce" && sizeOf(node.shape) === size) {
      return false;
    }
    const group = join(draft.unit.group, node, limits);
    if (group) place(draft, { kind: "fused", group }, [node]);
    return group !== null;
  };

  const assign = (node: Node) => {
    const inputs = operands.of(node);
    const epoch = Math.max(0, ...inputs.map(({ base }) => epochOf(base)));
    if (isSingle(node) && !operands.copied(node)) {
      begin({ kind: "single", node }, epoch + 1, [node]);
      return;
    }
    const latest = new Set(inputs.flatMap(({ base }) => {
      const draft = draftOf.get(sourceOf(base));
      return draft && draft.epoch === epoch ? [draft] : [];
    }));
    if (latest.size === 1 && tryJoin(node, [...latest][0]!)) return;
    for (const { base } of inputs) {
      for (const draft of (readers.get(base) ?? []).slice(-8)) {
        if (draft.epoch > epoch && tryJoin(node, draft)) return;
      }
    }
    const group = newGroup(node, epoch + 1, limits);
    if (group) {
      begin({ kind: "fused", group }, epoch + 1, [node]);
      return;
    }
    // A reduction whose operand cannot be read along the axis: arrange the operand in memory first.
    const copy = operands.copyOperand(node);
    if (!copy) throw new Error(`No kernel for ${node.operation.name}`);
    if (!draftOf.has(copy)) assign(copy);
    assign(node);
  };

  const assignColumn = (node: Node, producers: readonly Node[]): boolean => {
    const inside = new Set([...producers, node]);
    const sources = [...inside].flatMap((n) => operands.of(n)).filter(({ base }) =>
      !inside.has(base)
    );
    const epoch = Math.max(0, ...sources.map(({ base }) => epochOf(base))) + 1;
    let group = newGroup(node, epoch, limits);
    if (!group) return false;
    // Begin again with the producers inside, in order, and the reduction last.
    group = { ...group, members: new Map(), loads: [] };
    for (const member of [...producers, node]) {
      group = join(group, member, limits);
      if (!group) return false;
    }
    begin({ kind: "fused", group }, epoch, inside);
    return true;
  };

  for (const node of operands.graph.nodes) {
    if (!operands.computed(node) || deferred.owner.has(node) || draftOf.has(node)) continue;
    if (sizeOf(node.shape) === 0 && node.parts === null) continue;
    const producers = deferred.producers.get(node);
    if (producers) {
      if (assignColumn(node, producers)) continue;
      for (const producer of producers) assign(producer);
    }
    assign(node);
  }
  return drafts.map(({ unit }) => unit);
}

/** The node that computes a part. */
export function sourceOf(node: Node): Node {
  return node.operation.name === "part" && node.storage === null ? node.inputs[0]! : node;
}

/**
 * Elementwise nodes that only a sum over columns needs: they are computed inside that kernel instead of
 * travelling through memory.
 */
function deferredToColumns(operands: Operands): {
  owner: ReadonlyMap<Node, Node>;
  producers: ReadonlyMap<Node, readonly Node[]>;
} {
  const owner = new Map<Node, Node>();
  const producers = new Map<Node, readonly Node[]>();
  const position = new Map(operands.graph.nodes.map((node, i) => [node, i]));
  for (const node of operands.graph.nodes) {
    const { operation, storage } = node;
    if (operation.name !== "reduce" || storage !== null || operands.copied(node)) continue;
    if (sizeOf(node.inputs[0]!.shape.slice(operation.end)) === 1) continue;
    const found: Node[] = [];
    const visit = (user: Node) => {
      for (const { base, view } of operands.of(user)) {
        const elementwise =
          ["unary", "binary", "where", "cast", "bitcast"].includes(base.operation.name) &&
          base.storage === null;
        const same = view.offset === 0 && sizeOf(base.shape) === sizeOf(node.inputs[0]!.shape) &&
          !view.masks.some((mask) => mask !== null);
        if (elementwise && same && operands.uses(base) === 1 && !owner.has(base)) {
          owner.set(base, node);
          found.push(base);
          visit(base);
        }
      }
    };
    visit(node);
    found.sort((a, b) => position.get(a)! - position.get(b)!);
    if (found.length > 0) producers.set(node, found);
  }
  return { owner, producers };
}
