/**
 * Groups: sets of nodes that one fused kernel computes, and the rules by which a node may join one.
 *
 * All values of a group live on one index space of `size` elements in a fixed linear order: element
 * values on all of it; row values on what remains when the reduced axis is gone. Values pass from node
 * to node in registers, so a node can use a group's value only at its own index.
 *
 * @module
 */

import { isNarrow } from "../dtype.ts";
import type { Node, Source } from "../graph.ts";
import { isTable, tableView } from "../operations/rows.ts";
import { sizeOf } from "../shape.ts";
import type { View } from "../view.ts";
import { isBuffer, type Operands } from "./operands.ts";

/** Which of a group's spaces a value lives on. */
export type Level = "element" | "reduced";

/** A read from memory by a group. */
interface Load {
  readonly base: Node;
  readonly view: View;
  readonly level: Level;
}

/** Nodes that one kernel computes. */
export interface Group {
  readonly kind: "map" | "row" | "column";
  /** Elements of the space. */
  readonly size: number;
  /** Elements that are reduced together (1 in a map). */
  readonly length: number;
  /** Elements behind the reduced axis: 1, but in columns. */
  readonly behind: number;
  readonly members: ReadonlyMap<Node, Level>;
  /** Members that are a reduction or depend on one. */
  readonly reduced: ReadonlySet<Node>;
  /** Members that are never stored: whoever needs one computes it. */
  readonly inner: ReadonlySet<Node>;
  /** Sizes of the trailing parts of the space at which axes begin: a chain of divisors. */
  readonly boundaries: readonly number[];
  readonly loads: readonly Load[];
}

/** What the rules need to know of the whole. */
export interface Limits {
  readonly operands: Operands;
  /** The most buffers a kernel takes. */
  readonly maxArguments: number;
}

const maxMembers = 200;

/** A group for a node to join first, perhaps after what it is computed from: a map, or a reduction. */
export function emptyGroup(node: Node, { operands }: Limits): Group {
  const { operation } = node;
  const empty = {
    members: new Map(),
    reduced: new Set<Node>(),
    inner: new Set<Node>(),
    loads: [],
  };
  if (operation.name !== "reduce" || operands.copied(node)) {
    const size = sizeOf(node.shape);
    return { ...empty, kind: "map", size, length: 1, behind: 1, boundaries: chainOf(size) };
  }
  const { size, length, behind } = reduction(node);
  const boundaries = [...new Set([size, length * behind, behind, 1])].sort((a, b) => b - a);
  return { ...empty, kind: behind === 1 ? "row" : "column", size, length, behind, boundaries };
}

function chainOf(size: number): number[] {
  return size === 1 ? [1] : [size, 1];
}

function reduction(node: Node): { size: number; length: number; behind: number } {
  const { operation, inputs } = node;
  const shape = inputs[0]!.shape;
  if (operation.name !== "reduce") throw new Error("Not a reduction");
  return {
    size: sizeOf(shape),
    length: sizeOf(shape.slice(operation.start, operation.end)),
    behind: sizeOf(shape.slice(operation.end)),
  };
}

/**
 * The group with one more member, or null if the rules forbid it.
 *
 * @param inner Whether the member is never stored.
 */
export function join(group: Group, node: Node, limits: Limits, inner = false): Group | null {
  if (group.members.size >= maxMembers) return null;
  const { operands } = limits;
  const reduces = node.operation.name === "reduce" && !operands.copied(node);
  let next = group;
  if (reduces) {
    const { size, length, behind } = reduction(node);
    if (size !== group.size) return null;
    if (group.kind === "map") {
      // A column kernel keeps nothing but sums, so it never grows out of a map that others use.
      if (behind !== 1) return null;
      const boundaries = insert(group.boundaries, length);
      if (!boundaries) return null;
      next = { ...group, kind: "row", length, behind, boundaries };
    } else if (length !== group.length || behind !== group.behind) return null;
  }
  const level = reduces ? "reduced" : levelOf(next, sizeOf(node.shape));
  if (level === null) return null;
  const follows = reduces || operands.of(node).some(({ base }) => next.reduced.has(base));
  // What a column kernel stores depends on its sums.
  if (next.kind === "column" && !inner && !follows) return null;
  const loads = [...next.loads];
  let boundaries: readonly number[] | null = next.boundaries;
  for (const [i, operand] of operands.of(node).entries()) {
    const at: Level = reduces ? "element" : level;
    const table = isTable(node, i) && !operands.copied(node);
    const inside = next.members.get(operand.base);
    if (inside !== undefined) {
      // A narrow value is rounded on its way through memory, so it must take that way.
      if (isNarrow(operand.base.dtype) || table || !passes(next, operand, inside, at)) return null;
      continue;
    }
    if (table) {
      loads.push({ base: operand.base, view: tableView(node), level: at });
      continue;
    }
    boundaries = refine(boundaries, next, operand.view, at);
    if (!boundaries) return null;
    if (
      !loads.some((l) =>
        l.base === operand.base && l.level === at && sameView(l.view, operand.view)
      )
    ) {
      loads.push({ base: operand.base, view: operand.view, level: at });
    }
  }
  boundaries = refine(
    boundaries,
    next,
    shapeOnly(reduces ? node.inputs[0]! : node),
    reduces ? "element" : level,
  );
  if (!boundaries) return null;
  const members = new Map(next.members).set(node, level);
  const hidden = inner ? new Set(next.inner).add(node) : next.inner;
  const reduced = follows ? new Set(next.reduced).add(node) : next.reduced;
  const grown: Group = { ...next, members, reduced, inner: hidden, loads, boundaries };
  if (loads.some((l) => cutsMask(grown, l))) return null;
  if (grown.kind !== "map" && !loads.every((l) => runsThrough(grown, l))) return null;
  if (argumentsOf(grown, operands) > limits.maxArguments) return null;
  return grown;
}

/** The group with one of its inner members stored after all, or null if the rules forbid it. */
export function reveal(group: Group, node: Node, limits: Limits): Group | null {
  if (group.kind === "column" && !group.reduced.has(node)) return null;
  const inner = new Set(group.inner);
  inner.delete(node);
  const revealed = { ...group, inner };
  return argumentsOf(revealed, limits.operands) > limits.maxArguments ? null : revealed;
}

/** An estimate from above of the buffers the group's kernel takes. */
function argumentsOf(group: Group, operands: Operands): number {
  const inside = new Map<Node, number>();
  for (const node of group.members.keys()) {
    for (const { base } of operands.of(node)) inside.set(base, (inside.get(base) ?? 0) + 1);
  }
  let count = new Set(group.loads.filter((l) => isBuffer(l.base)).map((l) => l.base)).size;
  for (const node of group.members.keys()) {
    if (!group.inner.has(node) && operands.uses(node) > (inside.get(node) ?? 0)) count++;
  }
  return count;
}

function levelOf(group: Group, size: number): Level | null {
  if (size === group.size) return "element";
  if (group.kind !== "map" && size === group.size / group.length) return "reduced";
  return null;
}

/** Whether a value at `from` can be used through the operand's view at `to`, index by index. */
function passes(group: Group, { view }: Source, from: Level, to: Level): boolean {
  if (view.offset !== 0 || view.masks.some((mask) => mask !== null)) return false;
  // In columns nothing follows the sums but what lives where they do.
  if (from !== to && (group.kind !== "row" || from === "element")) return false;
  let step = 1;
  for (let d = view.shape.length - 1; d >= 0; d--) {
    const n = view.shape[d]!;
    if (n !== 1) {
      const expected = from === to ? step : step >= group.length ? step / group.length : 0;
      if (view.strides[d] !== expected) return false;
      // An axis across the row's end would need two strides.
      if (from !== to && step < group.length && step * n > group.length) return false;
    }
    step *= n;
  }
  return true;
}

/** Where an axis with `suffix` elements behind it, in the space of `level`, begins in the group's space. */
export function scaleSuffix(group: Group, suffix: number, level: Level): number {
  return level === "reduced" && suffix >= group.behind ? suffix * group.length : suffix;
}

/** Boundaries with those of a view's axes added; null if they do not divide one another. */
function refine(
  boundaries: readonly number[],
  group: Group,
  view: View,
  level: Level,
): readonly number[] | null {
  let result: readonly number[] | null = boundaries;
  let suffix = 1;
  for (let d = view.shape.length - 1; d >= 0 && result; d--) {
    if (view.shape[d] !== 1) {
      const end = suffix * view.shape[d]!;
      if (level === "reduced" && suffix < group.behind && end > group.behind) return null;
      result = insert(result, scaleSuffix(group, suffix, level));
    }
    suffix *= view.shape[d]!;
  }
  return result;
}

function insert(boundaries: readonly number[], value: number): readonly number[] | null {
  if (boundaries.includes(value)) return boundaries;
  const all = [...boundaries, value].sort((a, b) => b - a);
  return all.every((b, i) => i === 0 || all[i - 1]! % b === 0) ? all : null;
}

function shapeOnly(node: Node): View {
  const zeros = new Array<number>(node.shape.length).fill(0);
  return { shape: node.shape, strides: zeros, offset: 0, masks: zeros.map(() => null) };
}

function cutsMask(group: Group, { view, level }: Load): boolean {
  let suffix = 1;
  for (let d = view.shape.length - 1; d >= 0; d--) {
    const low = scaleSuffix(group, suffix, level);
    if (view.masks[d] && group.boundaries.some((b) => b > low && b < low * view.shape[d]!)) {
      return true;
    }
    suffix *= view.shape[d]!;
  }
  return false;
}

/** Whether the load has one stride in each part of the space that a kernel walks as one axis. */
function runsThrough(group: Group, load: Load): boolean {
  const reduced: [number, number] = [group.behind, group.behind * group.length];
  const regions = group.kind === "row"
    ? [reduced]
    : [[1, group.behind] as [number, number], reduced];
  return regions.every(([low, high]) => {
    let previous: number | null = null;
    for (const { stride, size, suffix, masked } of axesIn(group, load)) {
      if (suffix < low || suffix >= high) continue;
      if (masked && (suffix !== low || suffix * size !== high)) return false;
      if (previous !== null && stride !== previous) return false;
      previous = stride * size;
    }
    return true;
  });
}

/** One of the group's axes as a load sees it. */
export interface LoadAxis {
  readonly stride: number;
  readonly size: number;
  /** Elements of the group's space behind the axis. */
  readonly suffix: number;
  readonly masked: readonly [low: number, high: number] | null;
}

/** The group's axes, innermost first, with a load's stride along each. */
export function axesIn(
  group: Group,
  load: { readonly view: View; readonly level: Level },
): LoadAxis[] {
  const { view, level } = load;
  const axes: LoadAxis[] = [];
  let d = view.shape.length - 1;
  let suffix = 1;
  const ends = group.boundaries;
  for (let i = ends.length - 1; i > 0; i--) {
    const [low, high] = [ends[i]!, ends[i - 1]!];
    const size = high / low;
    // Advance to the view's axis that covers this one.
    while (
      d >= 0 && (view.shape[d] === 1 || scaleSuffix(group, suffix * view.shape[d]!, level) <= low)
    ) {
      suffix *= view.shape[d]!;
      d--;
    }
    const start = d < 0 ? Infinity : scaleSuffix(group, suffix, level);
    // Along the reduced axis, values that remain when it is gone have no stride.
    const gone = level === "reduced" && low >= group.behind && low < group.behind * group.length;
    const covered = !gone && d >= 0 && start <= low;
    axes.push({
      stride: covered ? view.strides[d]! * (low / start) : 0,
      size,
      suffix: low,
      masked: covered ? view.masks[d]! : null,
    });
  }
  return axes;
}

function sameView(a: View, b: View): boolean {
  return a.offset === b.offset && a.shape.length === b.shape.length &&
    a.shape.every((n, d) =>
      n === b.shape[d] && a.strides[d] === b.strides[d] && a.masks[d]?.[0] === b.masks[d]?.[0] &&
      a.masks[d]?.[1] === b.masks[d]?.[1]
    );
}
