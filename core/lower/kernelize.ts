/** From a group of nodes to a kernel and its numbers. @module */

import { computeType } from "../dtype.ts";
import type { Node, Source } from "../graph.ts";
import type { Access, FusedKernel, Instruction, Int, KernelArgument } from "../kernel.ts";
import { isTable, tableView } from "../operations/rows.ts";
import { sizeOf } from "../shape.ts";
import type { View } from "../view.ts";
import { axesIn, type Group, type Level, type LoadAxis } from "./groups.ts";
import { isBuffer, type Operands } from "./operands.ts";

/** A kernel, the numbers of its launch, and the nodes whose memory its arguments are. */
export interface KernelCall {
  readonly kernel: FusedKernel;
  readonly ints: readonly number[];
  readonly args: readonly Node[];
}

/** An axis of the kernel: adjacent axes of the group that everything walks as one. */
interface Axis {
  readonly size: number;
  readonly suffix: number;
}

/**
 * Writes the kernel.
 *
 * @param stored The members whose values are needed outside.
 * @param sameBuffer A number that is equal for nodes that share memory.
 */
export function kernelize(
  group: Group,
  operands: Operands,
  stored: ReadonlySet<Node>,
  sameBuffer: (node: Node) => number,
): KernelCall {
  const axes = collapse(group);
  const writer = new KernelWriter(group, axes, sameBuffer);
  const values = new Map<Node, number>();
  for (const [node, level] of group.members) {
    const reduces = node.operation.name === "reduce" && !operands.copied(node);
    const at: Level = reduces ? "element" : level;
    const value = (operand: Source) =>
      values.get(operand.base) ?? writer.read(operand.base, operand.view, at);
    values.set(
      node,
      operands.copied(node)
        ? value(operands.of(node)[0]!)
        : compute(node, operands, value, writer, at),
    );
  }
  for (const [node, level] of group.members) {
    if (stored.has(node)) writer.store(node, level, values.get(node)!);
  }
  return writer.finish();
}

function compute(
  node: Node,
  operands: Operands,
  value: (operand: Source) => number,
  writer: KernelWriter,
  level: Level,
): number {
  const inputs = operands.of(node);
  const type = computeType(node.dtype);
  const { operation } = node;
  const x = () => value(inputs[0]!);
  switch (operation.name) {
    case "unary":
      return writer.add({ op: "unary", fn: operation.fn, x: x(), type });
    case "binary":
      return writer.add({ op: "binary", fn: operation.fn, x: x(), y: value(inputs[1]!), type });
    case "where":
      return writer.add({
        op: "where",
        condition: x(),
        x: value(inputs[1]!),
        y: value(inputs[2]!),
        type,
      });
    case "cast":
      return writer.cast(x(), type);
    case "bitcast":
      return writer.add({ op: "bitcast", x: x(), type });
    case "reduce":
      return writer.add({ op: "reduce", fn: operation.fn, x: x(), type });
    case "call":
      if (!isTable(node, 0)) break;
      return writer.gather(inputs[0]!.base, value(inputs[1]!), node, level);
  }
  throw new Error(`No instruction for ${operation.name}`);
}

/** The group's axes with neighbours merged where all loads allow; outermost first. */
function collapse(group: Group): Axis[] {
  const views = group.loads.map((load) => axesIn(group, load));
  const walls = new Set(group.kind === "map" ? [] : [group.behind, group.behind * group.length]);
  const count = group.boundaries.length - 1;
  const axes: Axis[] = [];
  for (let i = 0; i < count; i++) {
    const suffix = group.boundaries[count - i]!;
    const size = group.boundaries[count - 1 - i]! / suffix;
    const last = axes.at(-1);
    const merges = last !== undefined && !walls.has(suffix) && views.every((view) => {
      const [inner, outer] = [view[i - 1]!, view[i]!];
      return !inner.masked && !outer.masked && outer.stride === inner.stride * inner.size;
    });
    if (merges) axes[axes.length - 1] = { size: last.size * size, suffix: last.suffix };
    else axes.push({ size, suffix });
  }
  axes.reverse();
  if (axes.length === 0) return [{ size: 1, suffix: 1 }];
  return axes;
}

/** Collects instructions, arguments and numbers. */
class KernelWriter {
  readonly #body: Instruction[] = [];
  readonly #known = new Map<string, number>();
  readonly #args: {
    node: Node;
    dtype: KernelArgument["dtype"];
    reads: boolean;
    writes: boolean;
  }[] = [];
  readonly #argOf = new Map<number, number>();
  readonly #loads = new Map<string, number>();
  readonly #ints: number[];

  constructor(
    readonly group: Group,
    readonly axes: readonly Axis[],
    readonly sameBuffer: (node: Node) => number,
  ) {
    this.#ints = axes.map((axis) => axis.size);
  }

  /** Appends an instruction, or finds the same one. */
  add(instruction: Instruction): number {
    const key = JSON.stringify(instruction);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    this.#body.push(instruction);
    this.#known.set(key, this.#body.length - 1);
    return this.#body.length - 1;
  }

  cast(x: number, type: ReturnType<typeof computeType>): number {
    const from = this.#body[x]!;
    return from.op !== "store" && from.type === type ? x : this.add({ op: "cast", x, type });
  }

  /** The value at the current index of something given: memory, a constant, a coordinate, a scalar. */
  read(base: Node, view: View, level: Level): number {
    const type = computeType(base.dtype);
    const axes = this.#axesOf(view, level);
    if (isBuffer(base)) return this.#load(base, view, axes);
    const value = this.#given(base, view, axes);
    const inside = this.#inside(axes);
    if (inside === null) return value;
    return this.add({ op: "where", condition: inside, x: value, y: this.#constant(0, type), type });
  }

  /** A row of a table. */
  gather(table: Node, ids: number, node: Node, level: Level): number {
    const view = tableView(node);
    // The table may be stored as another shape than it is read in.
    const [count, ...row] = node.inputs[0]!.shape;
    const terms = this.#terms(this.#axesOf(view, level));
    const gather = { index: ids, stride: this.#int(sizeOf(row)), count: this.#slot(count!) };
    const access: Access = { offset: null, terms, masks: [], gather };
    return this.#loadAt(table, access, `gather|${ids}|${table.id}|${count},${row}|${level}`);
  }

  /** Writes a member's value to memory. */
  store(node: Node, level: Level, x: number): void {
    const { group } = this;
    const terms = this.axes.flatMap((axis, dim) => {
      const gone = level === "reduced" && axis.suffix >= group.behind &&
        axis.suffix < group.behind * group.length;
      if (gone || axis.size === 1) return [];
      const stride = level === "reduced" && axis.suffix >= group.behind
        ? axis.suffix / group.length
        : axis.suffix;
      return [{ dim, stride: this.#int(stride) }];
    });
    const access: Access = { offset: null, terms, masks: [], gather: null };
    this.#body.push({ op: "store", arg: this.#arg(node, "writes"), access, x });
  }

  /** The kernel and its launch. */
  finish(): KernelCall {
    const args = this.#args.map(({ dtype, reads, writes }): KernelArgument => ({
      dtype,
      access: reads && writes ? "readwrite" : writes ? "write" : "read",
    }));
    return {
      kernel: {
        op: "fused",
        kind: this.group.kind,
        rank: this.axes.length,
        args,
        body: this.#body,
      },
      ints: this.#ints,
      args: this.#args.map(({ node }) => node),
    };
  }

  /** The kernel's axes as a view sees them. */
  #axesOf(view: View, level: Level): LoadAxis[] {
    const fine = axesIn(this.group, { view, level });
    return this.axes.map(({ suffix, size }) => {
      const axis = fine.find((f) => f.suffix === suffix);
      return axis ? { ...axis, size } : { stride: 0, size, suffix, masked: null };
    });
  }

  #terms(axes: readonly LoadAxis[]): Access["terms"] {
    return axes.flatMap(({ stride, size }, dim) =>
      stride === 0 || size === 1 ? [] : [{ dim, stride: this.#int(stride) }]
    );
  }

  #load(base: Node, view: View, axes: readonly LoadAxis[]): number {
    const key = `${this.sameBuffer(base)}|${view.offset}|` +
      axes.map((a) => `${a.stride},${a.masked}`).join(";");
    const known = this.#loads.get(key);
    if (known !== undefined) return known;
    const access: Access = {
      offset: view.offset === 0 ? null : this.#slot(view.offset),
      terms: this.#terms(axes),
      masks: axes.flatMap(({ masked }, dim) =>
        masked ? [{ dim, low: this.#slot(masked[0]), high: this.#slot(masked[1]) }] : []
      ),
      gather: null,
    };
    return this.#loadAt(base, access, key);
  }

  #loadAt(base: Node, access: Access, key: string): number {
    const known = this.#loads.get(key);
    if (known !== undefined) return known;
    const index = this.add({
      op: "load",
      arg: this.#arg(base, "reads"),
      access,
      type: computeType(base.dtype),
    });
    this.#loads.set(key, index);
    return index;
  }

  #given(base: Node, view: View, axes: readonly LoadAxis[]): number {
    const { operation } = base;
    switch (operation.name) {
      case "full":
        return this.#constant(operation.value, computeType(base.dtype));
      case "scalar":
        return this.add({ op: "scalar", index: operation.index, type: "f32" });
      default: {
        // iota: the coordinates' own sum.
        let sum = this.#constant(view.offset, "i32");
        axes.forEach(({ stride, size }, dim) => {
          if (stride === 0 || size === 1) return;
          let term = this.add({ op: "index", dim, type: "i32" });
          if (stride !== 1) {
            term = this.add({
              op: "binary",
              fn: "mul",
              x: term,
              y: this.#constant(stride, "i32"),
              type: "i32",
            });
          }
          sum = view.offset === 0 && this.#isZero(sum)
            ? term
            : this.add({ op: "binary", fn: "add", x: sum, y: term, type: "i32" });
        });
        return sum;
      }
    }
  }

  #isZero(index: number): boolean {
    const instruction = this.#body[index]!;
    return instruction.op === "const" && instruction.value === 0;
  }

  /** Whether every masked coordinate is inside its bounds; null if nothing is masked. */
  #inside(axes: readonly LoadAxis[]): number | null {
    let all: number | null = null;
    axes.forEach(({ masked }, dim) => {
      if (!masked) return;
      const index = this.add({ op: "index", dim, type: "i32" });
      const low = this.add({
        op: "binary",
        fn: "le",
        x: this.#constant(masked[0], "i32"),
        y: index,
        type: "bool",
      });
      const high = this.add({
        op: "binary",
        fn: "lt",
        x: index,
        y: this.#constant(masked[1], "i32"),
        type: "bool",
      });
      const both = this.add({ op: "binary", fn: "and", x: low, y: high, type: "bool" });
      all = all === null
        ? both
        : this.add({ op: "binary", fn: "and", x: all, y: both, type: "bool" });
    });
    return all;
  }

  #constant(value: number, type: ReturnType<typeof computeType>): number {
    // JSON has no infinities and no −0, and kernels are compared as JSON.
    const plain = Number.isFinite(value) && !Object.is(value, -0);
    return this.add({
      op: "const",
      value: plain ? value : Object.is(value, -0) ? "-0" : String(value),
      type,
    });
  }

  #arg(node: Node, use: "reads" | "writes"): number {
    const buffer = this.sameBuffer(node);
    let index = this.#argOf.get(buffer);
    if (index === undefined) {
      index = this.#args.push({ node, dtype: node.dtype, reads: false, writes: false }) - 1;
      this.#argOf.set(buffer, index);
    }
    this.#args[index]![use] = true;
    return index;
  }

  #int(value: number): Int {
    return value === 1 ? 1 : this.#slot(value);
  }

  #slot(value: number): { slot: number } {
    return { slot: this.#ints.push(value) - 1 };
  }
}
