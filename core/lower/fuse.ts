/**
 * Fusion: which nodes share a kernel.
 *
 * What only one place needs at its own index is computed there: elementwise nodes with one user, and cheap
 * ones with several, are inner nodes, and belong to the tree of the node that uses them. Trees are placed
 * greedily, in the order of creation of their roots: in the group their inputs come from, or a group that
 * reads the same values, or one of their own.
 *
 * Groups must not depend on each other in circles. Every group has an epoch, larger than the epochs of
 * all it reads from; a tree joins a group only if everything else it needs has a smaller epoch. So reads
 * always go from larger to smaller epochs, and no circle can close.
 *
 * @module
 */

import { callOf, type Node } from "../graph.ts";
import { sizeOf } from "../shape.ts";
import { emptyGroup, type Group, join, type Limits, reveal } from "./groups.ts";
import { innerNodes } from "./inner.ts";
import { isBuffer } from "./operands.ts";

/** What is launched together: a fused kernel, or a kernel made by hand (or a barrier, which is none). */
export type Unit =
  | { readonly kind: "fused"; readonly group: Group }
  | { readonly kind: "single"; readonly node: Node };

interface Draft {
  unit: Unit;
  epoch: number;
}

/** Divides all computed nodes into units. */
export function fuse(limits: Limits): Unit[] {
  const { operands } = limits;
  const drafts: Draft[] = [];
  const draftOf = new Map<Node, Draft>();
  const readers = new Map<Node, Draft[]>();
  const position = new Map(operands.graph.nodes.map((node, i) => [node, i]));
  const inner = innerNodes(operands);

  const epochOf = (node: Node) => draftOf.get(sourceOf(node))?.epoch ?? 0;
  const place = (draft: Draft, unit: Unit, tree: readonly Node[]) => {
    draft.unit = unit;
    for (const node of tree) {
      if (!inner.has(node)) draftOf.set(node, draft);
      for (const { base } of operands.of(node)) {
        if (!(isBuffer(base) || operands.copied(base)) || inner.has(base)) continue;
        const list = readers.get(base);
        if (!list) readers.set(base, [draft]);
        else if (!list.includes(draft)) list.push(draft);
      }
    }
  };
  const begin = (unit: Unit, epoch: number, tree: readonly Node[]) => {
    const draft = { unit, epoch };
    drafts.push(draft);
    place(draft, unit, tree);
  };

  /** The node after the inner nodes it needs, in order. */
  const treeOf = (root: Node): Node[] => {
    const found = new Set([root]);
    for (const user of found) {
      for (const { base } of operands.of(user)) if (inner.has(base)) found.add(base);
    }
    return [...found].sort((a, b) => position.get(a)! - position.get(b)!);
  };

  const grow = (group: Group, tree: readonly Node[]): Group | null => {
    let grown: Group | null = group;
    for (const node of tree) {
      if (!grown.members.has(node)) grown = join(grown, node, limits, inner.has(node));
      else if (grown.inner.has(node) && !inner.has(node)) grown = reveal(grown, node, limits);
      if (!grown) return null;
    }
    return grown;
  };

  const tryJoin = (tree: readonly Node[], draft: Draft): boolean => {
    if (draft.unit.kind !== "fused") return false;
    // Inside a column kernel there is nowhere to store an element value.
    const root = tree.at(-1)!;
    const { kind, size } = draft.unit.group;
    if (kind === "column" && root.operation.name !== "reduce" && sizeOf(root.shape) === size) {
      return false;
    }
    const group = grow(draft.unit.group, tree);
    if (group) place(draft, { kind: "fused", group }, tree);
    return group !== null;
  };

  const isRead = (draft: Draft): boolean =>
    draft.unit.kind === "single" ||
    draft.unit.group.members.keys().some((node) =>
      readers.get(node)?.some((reader) => reader !== draft) ?? false
    );

  const assign = (node: Node) => {
    const tree = treeOf(node);
    const own = new Set(tree);
    const sources = [
      ...new Set(tree.flatMap((member) => operands.of(member).map(({ base }) => base))),
    ]
      .filter((base) => !own.has(base));
    const epoch = Math.max(0, ...sources.map(epochOf));
    if (callOf(node)?.record.alone && !operands.copied(node)) {
      begin({ kind: "single", node }, epoch + 1, tree);
      return;
    }
    const latest = new Set(sources.flatMap((base) => {
      const draft = draftOf.get(sourceOf(base));
      return draft && draft.epoch === epoch ? [draft] : [];
    }));
    for (const draft of latest) {
      // Beside others of its epoch, only a group that nobody reads yet can move behind them.
      if (latest.size > 1 && isRead(draft)) continue;
      if (!tryJoin(tree, draft)) continue;
      if (latest.size > 1) draft.epoch++;
      return;
    }
    for (const base of sources) {
      for (const draft of (readers.get(base) ?? []).slice(-8)) {
        if (draft.epoch > epoch && tryJoin(tree, draft)) return;
      }
    }
    const group = grow(emptyGroup(node, limits), tree);
    if (group) {
      begin({ kind: "fused", group }, epoch + 1, tree);
      return;
    }
    if (tree.length > 1) {
      // Too much for one kernel: each by itself.
      for (const member of tree) inner.delete(member);
      tree.forEach(assign);
      return;
    }
    // A reduction whose operand cannot be read along the axis: arrange the operand in memory first.
    const copy = operands.copyOperand(node);
    if (!copy) throw new Error(`No kernel for ${node.operation.name}`);
    if (!draftOf.has(copy)) assign(copy);
    assign(node);
  };

  for (const node of operands.graph.nodes) {
    if (!operands.computed(node) || inner.has(node) || draftOf.has(node)) continue;
    if (sizeOf(node.shape) === 0 && node.parts === null) continue;
    assign(node);
  }
  return drafts.map(({ unit }) => unit);
}

/** The node that computes a part. */
export function sourceOf(node: Node): Node {
  return node.operation.name === "part" && node.storage === null ? node.inputs[0]! : node;
}
