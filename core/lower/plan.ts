/**
 * From roots to a plan: an order of launches, and a place in memory for everything.
 *
 * @module
 */

import { bytesPerElement, computeType, type DType } from "../dtype.ts";
import { callOf, type Node, type NodeLaunch, sortOf } from "../graph.ts";
import type { FusedKernel } from "../kernel.ts";
import type { BufferRef, FusedLaunch, Launch, Plan } from "../launch.ts";
import * as p from "../primitives.ts";
import { sizeOf } from "../shape.ts";
import { isContiguous, type View } from "../view.ts";
import { placeInArena, type Span } from "./arena.ts";
import { fuse, sourceOf, type Unit } from "./fuse.ts";
import { kernelize } from "./kernelize.ts";
import { Operands } from "./operands.ts";
import { schedule } from "./schedule.ts";
import { simplify } from "./simplify.ts";

/** What to compile. */
export interface PlanRequest {
  /** What is to be computed. */
  readonly roots: readonly Node[];
  /** Placeholders whose memory a root may take over: placeholder index → position of the root. */
  readonly donations?: ReadonlyMap<number, number>;
  /** The most buffers a kernel takes. */
  readonly maxArguments: number;
  /** Bytes of the largest buffer, of which the arena may need several; no limit by default. */
  readonly maxBufferBytes?: number;
}

/** A plan, and what its externals are. */
export interface PlannedGraph {
  /** What the device runs. */
  readonly plan: Plan;
  /** For each external, in order: a given node (leaf, host or placeholder), or the root it holds. */
  readonly externals: readonly ExternalBinding[];
  /** For each root: the external that holds it. */
  readonly roots: readonly number[];
}

/** What a program's external is bound to. */
export type ExternalBinding =
  | { readonly kind: "given"; readonly node: Node }
  | { readonly kind: "result"; readonly bytes: number };

/** A range of memory under planning. Buffers that become one share a representative. */
interface Buffer {
  readonly bytes: number;
  external: ExternalBinding | null;
  first: number;
  last: number;
  merged: Buffer | null;
}

/** A launch but for its arguments. */
type Call = Omit<FusedLaunch, "args"> | Omit<NodeLaunch, "args">;

/** Compiles a graph into a plan. */
export function planGraph(request: PlanRequest): PlannedGraph {
  const graph = simplify(request.roots);
  const operands = new Operands(graph);
  const units = schedule(fuse({ operands, maxArguments: request.maxArguments }), operands);
  return new Planner(request, operands, units).plan();
}

class Planner {
  readonly #buffers = new Map<Node, Buffer>();
  readonly #launches: { readonly call: Call; readonly args: readonly Buffer[] }[] = [];
  readonly #ids = new Map<Buffer, number>();
  readonly #lastRead = new Map<Buffer, number>();
  readonly #readers = new Map<Node, Set<Unit>>();
  readonly #parts = new Map<Node, Node[]>();
  readonly #rootSet: ReadonlySet<Node>;
  readonly #rootBases: readonly Node[];

  constructor(
    readonly request: PlanRequest,
    readonly operands: Operands,
    readonly units: readonly Unit[],
  ) {
    this.#rootBases = operands.graph.roots.map((root) => operands.resolve(root).base);
    this.#rootSet = new Set(this.#rootBases);
    for (const node of operands.graph.nodes) {
      if (node.operation.name !== "part" || node.storage !== null) continue;
      const source = node.inputs[0]!;
      this.#parts.set(source, [...this.#parts.get(source) ?? [], node]);
    }
  }

  plan(): PlannedGraph {
    this.#mergeNames();
    this.#bindRoots();
    this.#noteReads();
    this.#donate();
    this.units.forEach((unit, index) => this.#launch(unit, index));
    return this.#finish();
  }

  /** The buffer of a node's elements. */
  #bufferOf(node: Node): Buffer {
    let buffer = this.#buffers.get(node);
    if (!buffer) {
      const given = sortOf(node) === "given";
      const bytes = Math.max(
        4,
        Math.ceil(sizeOf(node.shape) * bytesPerElement[node.dtype] / 4) * 4,
      );
      const external: ExternalBinding | null = given ? { kind: "given", node } : null;
      buffer = { bytes, external, first: Infinity, last: -1, merged: null };
      this.#buffers.set(node, buffer);
    }
    while (buffer.merged) buffer = buffer.merged;
    return buffer;
  }

  #merge(from: Node, into: Node): void {
    const [a, b] = [this.#bufferOf(from), this.#bufferOf(into)];
    if (a === b) return;
    if (a.external && !b.external) b.external = a.external;
    a.merged = b;
    this.#lastRead.set(b, Math.max(this.#lastRead.get(a) ?? -1, this.#lastRead.get(b) ?? -1));
  }

  /** What is only another name of a value lives where the value does. */
  #mergeNames(): void {
    for (const unit of this.units) {
      if (unit.kind === "fused") continue;
      const renamed = callOf(unit.node)?.record.renames;
      if (renamed !== undefined) {
        this.#merge(unit.node, this.operands.of(unit.node)[renamed]!.base);
      }
    }
  }

  #bindRoots(): void {
    for (const base of this.#rootBases) {
      const buffer = this.#bufferOf(base);
      buffer.external ??= { kind: "result", bytes: buffer.bytes };
    }
  }

  /** When each buffer is read for the last time, by position in the schedule. */
  #noteReads(): void {
    this.units.forEach((unit, index) => {
      for (const node of this.#readsOf(unit)) {
        this.#lastRead.set(this.#bufferOf(node), index);
        const readers = this.#readers.get(node);
        if (readers) readers.add(unit);
        else this.#readers.set(node, new Set([unit]));
      }
    });
  }

  #readsOf(unit: Unit): Node[] {
    if (unit.kind === "fused") return unit.group.loads.map(({ base }) => base);
    return this.operands.of(unit.node).map(({ base }) => base);
  }

  /** Lets roots live in donated memory where nothing reads the old value afterwards. */
  #donate(): void {
    const producer = new Map<Node, number>();
    this.units.forEach((unit, index) => {
      for (const node of unit.kind === "fused" ? unit.group.members.keys() : [unit.node]) {
        producer.set(node, index);
      }
    });
    const placeholders = new Map<number, Node>();
    for (const node of this.operands.graph.nodes) {
      if (node.operation.name === "placeholder" && node.storage === null) {
        placeholders.set(node.operation.index, node);
      }
    }
    for (const [index, rootPosition] of this.request.donations ?? []) {
      const donor = placeholders.get(index);
      const root = this.#rootBases[rootPosition]!;
      const at = producer.get(sourceOf(root));
      if (!donor || at === undefined || this.#rootSet.has(donor)) continue;
      if (this.#bufferOf(root).external?.kind !== "result") continue;
      const last = this.#lastRead.get(this.#bufferOf(donor)) ?? -1;
      if (last > at || (last === at && !this.#updatesInPlace(this.units[at]!, donor, root))) {
        continue;
      }
      const given = this.#bufferOf(donor).external;
      this.#merge(root, donor);
      this.#bufferOf(root).external = given;
    }
  }

  /** Whether a unit that reads the donor may write the root onto it. */
  #updatesInPlace(unit: Unit, donor: Node, root: Node): boolean {
    if (unit.kind === "single") {
      const base = this.#clobbered(unit.node);
      return unit.node === root && base !== null && this.#same(base, donor) &&
        this.operands.of(unit.node).filter((operand) => this.#same(operand.base, donor)).length ===
          1;
    }
    const { kind, members, loads } = unit.group;
    // Values of a map, and of columns once they are summed, are each computed at one place only. Rows are stored
    // on the last way along them, element by element, and what belongs to one as a whole when all have read it.
    const level = members.get(root);
    return level !== undefined && (kind !== "column" || level === "reduced") &&
      loads.every((load) =>
        !this.#same(load.base, donor) || (load.level === level && isLinear(load, donor))
      );
  }

  /** Whether two nodes share memory: they are one, or one stands behind a barrier. */
  #same(a: Node, b: Node): boolean {
    return a === b || this.#bufferOf(a) === this.#bufferOf(b);
  }

  /** The input whose memory a kernel made by hand writes its result into, if it has one. */
  #clobbered(node: Node): Node | null {
    const call = callOf(node);
    const input = call?.record.clobbers?.(call.settings);
    return input === undefined ? null : this.operands.of(node)[input]?.base ?? null;
  }

  #launch(unit: Unit, index: number): void {
    if (unit.kind === "single") {
      this.#launchSingle(unit.node, index);
      return;
    }
    const { group } = unit;
    if (group.size === 0) return;
    const stored = new Set(
      [...group.members.keys()].filter((node) =>
        !group.inner.has(node) && this.#neededOutside(node, unit)
      ),
    );
    const call = kernelize(
      group,
      this.operands,
      stored,
      (node) => this.#idOf(this.#bufferOf(node)),
    );
    this.#push({ kernel: call.kernel, ints: call.ints }, this.#buffersOf(call.args));
  }

  #neededOutside(node: Node, unit: Unit): boolean {
    if (this.#rootSet.has(node)) return true;
    const readers = this.#readers.get(node);
    return readers !== undefined && (readers.size > 1 || !readers.has(unit));
  }

  #launchSingle(node: Node, index: number): void {
    const call = callOf(node);
    if (!call?.record.launch) return;
    const base = this.#clobbered(node);
    if (base) this.#claim(node, base, index);
    const sources = this.operands.of(node);
    const launch = call.record.launch(node, call.settings, sources, this.#outputsOf(node));
    if (launch === null) return;
    const { args, ...numbered } = launch;
    this.#push(numbered, this.#buffersOf(args));
  }

  /** Makes the node's memory begin as the base's value: by taking it over, or by a copy. */
  #claim(node: Node, base: Node, index: number): void {
    const [own, source] = [this.#bufferOf(node), this.#bufferOf(base)];
    if (own === source) return;
    const dead = (this.#lastRead.get(source) ?? -1) <= index && source.external === null;
    const once =
      this.operands.of(node).filter((operand) => this.#same(operand.base, base)).length === 1;
    // A donor's memory holds its old value until now, so nothing earlier may be moved into it.
    if (dead && once && own.external?.kind !== "given" && source.bytes === own.bytes) {
      // Everything that named the base's buffer must now see the result's.
      source.merged = own;
      own.first = Math.min(own.first, source.first);
      own.last = Math.max(own.last, source.last);
      return;
    }
    this.#push({ kernel: copyKernel(node.dtype), ints: [sizeOf(node.shape)] }, [source, own]);
  }

  #idOf(buffer: Buffer): number {
    let id = this.#ids.get(buffer);
    if (id === undefined) this.#ids.set(buffer, id = this.#ids.size);
    return id;
  }

  #buffersOf(nodes: readonly Node[]): Buffer[] {
    return nodes.map((node) => this.#bufferOf(node));
  }

  /** The nodes that stand for a node's outputs, used or not: its parts, or itself. */
  #outputsOf(node: Node): readonly Node[] {
    if (node.parts === null) return [node];
    const used = this.#parts.get(node) ?? [];
    const known = new Map(
      used.map((u) => [u.operation.name === "part" ? u.operation.index : -1, u]),
    );
    return node.parts.map((_, i) => known.get(i) ?? p.part(node, i));
  }

  #push(call: Call, args: readonly Buffer[]): void {
    const position = this.#launches.push({ call, args }) - 1;
    for (const buffer of args) {
      buffer.first = Math.min(buffer.first, position);
      buffer.last = Math.max(buffer.last, position);
    }
  }

  #finish(): PlannedGraph {
    const find = (buffer: Buffer): Buffer => {
      while (buffer.merged) buffer = buffer.merged;
      return buffer;
    };
    const externals: ExternalBinding[] = [];
    const externalIndex = new Map<Buffer, number>();
    const refOf = (buffer: Buffer): number => {
      let index = externalIndex.get(buffer);
      if (index === undefined) {
        externalIndex.set(buffer, index = externals.push(buffer.external!) - 1);
      }
      return index;
    };
    const spans = new Map<Buffer, Span>();
    for (const { args } of this.#launches) {
      for (const arg of args) {
        const { external, bytes, first, last } = find(arg);
        if (!external) spans.set(find(arg), { bytes, first, last, offset: 0 });
      }
    }
    const arenaBytes = placeInArena([...spans.values()], this.request.maxBufferBytes);
    const launches = this.#launches.map(({ call, args }) => {
      const refs = args.map((arg): BufferRef => {
        const buffer = find(arg);
        const span = spans.get(buffer);
        return span ? { arena: span.offset, bytes: span.bytes } : { external: refOf(buffer) };
      });
      // A record launches its own kernel.
      return { ...call, args: refs } as Launch;
    });
    const roots = this.#rootBases.map((base) => refOf(this.#bufferOf(base)));
    return { plan: { launches, externals: externals.length, arenaBytes }, externals, roots };
  }
}

/** Whether a load takes each element at its own position, whatever the shapes are called. */
function isLinear({ view }: { readonly view: View }, donor: Node): boolean {
  return sizeOf(view.shape) === sizeOf(donor.shape) && isContiguous(view);
}

function copyKernel(dtype: DType): FusedKernel {
  const access = { offset: null, terms: [{ dim: 0, stride: 1 }], masks: [], gather: null } as const;
  return {
    op: "fused",
    kind: "map",
    rank: 1,
    args: [{ dtype, access: "read" }, { dtype, access: "write" }],
    body: [
      { op: "load", arg: 0, access, type: computeType(dtype) },
      { op: "store", arg: 1, access, x: 0 },
    ],
  };
}
