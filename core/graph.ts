/**
 * The expression graph: what a tensor is before it is computed. Nodes are made by `primitives.ts` and by the
 * records of `operations/` (which check), differentiated by `vjp.ts`, and compiled by `lower/`.
 *
 * @module
 */

import type { DType } from "./dtype.ts";
import type { BinaryFunction, ReduceFunction, UnaryFunction } from "./kernel.ts";
import { takeNodeId } from "./node_id.ts";
import type { Shape } from "./shape.ts";
import type { Storage } from "./storage.ts";
import type { View } from "./view.ts";

/** A gradient rule of a `custom` node: cotangents of its outputs to cotangents of its inputs. */
export type CustomRule = (cotangents: readonly (Node | null)[]) => readonly (Node | null)[];

/** Where the elements of an input are: an arrangement of those of a node that is computed or given. */
export interface Source {
  /** The node. */
  readonly base: Node;
  /** How its elements are arranged. */
  readonly view: View;
}

/**
 * How an operation takes an input: `whole`, contiguous in memory; `fused`, as fused kernels read anything; or in
 * memory in one of the arrangements that a function tells.
 */
export type Demand = "whole" | "fused" | ((view: View) => boolean);

/** A launch whose arguments are still nodes. */
export interface NodeLaunch {
  /** The kernel: its name, and its settings. */
  readonly kernel: { readonly op: string };
  /** Its numbers by name. */
  readonly sizes: Readonly<Record<string, number>>;
  /** The nodes whose memory its arguments are. */
  readonly args: readonly Node[];
}

/**
 * What the graph must know of an operation of `operations/`. Differentiation, fusion and planning ask the record
 * of the operation and know none by name.
 */
export interface GraphRecord<S = unknown> {
  /** Of the operation: equal names with equal settings are equal operations. */
  readonly name: string;
  /** Whether it has a launch to itself; if not, it is fused with its neighbours. */
  readonly alone: boolean;
  /**
   * Cotangents of the inputs from those of the outputs; null is zero.
   *
   * @param cotangents One per output of the node (one, unless it has parts).
   */
  gradient(node: Node, settings: S, cotangents: readonly (Node | null)[]): readonly (Node | null)[];
  /** What is asked of an input; "whole" where this is not given. A copy is made of what does not meet it. */
  demand?(input: number, settings: S): Demand;
  /** The inputs as the operation's elements need them, where that is not as they are. */
  arrange?(node: Node, sources: readonly Source[]): readonly Source[];
  /** The input whose memory the kernel overwrites with the result, if it has such a one. */
  clobbers?(settings: S): number;
  /** The input that the result is only another name of. */
  readonly renames?: number;
  /** The node that is computed instead, its inputs being constants or not (null); to be asked before all else. */
  simplify?(
    node: Node,
    inputs: readonly Node[],
    constants: readonly (number | null)[],
  ): Node | null;
  /** The node that adds this one's result to an addend that nothing else needs; null if it takes none. */
  accumulate?(node: Node, settings: S, addend: Node): Node | null;
  /**
   * The launch that computes the node; null if there is nothing to compute.
   *
   * @param sources The inputs.
   * @param outputs The nodes of its parts, in order, or the node itself.
   */
  launch?(
    node: Node,
    settings: S,
    sources: readonly Source[],
    outputs: readonly Node[],
  ): NodeLaunch | null;
}

/** What a node computes, with everything but its inputs. */
export type Operation =
  /** Lives in `node.storage`. */
  | { readonly name: "leaf" }
  /** Bytes on the host, not yet on a device. */
  | { readonly name: "host"; readonly bytes: Uint8Array }
  /** An argument of a traced function. */
  | { readonly name: "placeholder"; readonly index: number }
  /** A number among the arguments of a traced function. */
  | { readonly name: "scalar"; readonly index: number }
  | { readonly name: "full"; readonly value: number }
  /** 0, 1, 2, … along the only axis. */
  | { readonly name: "iota" }
  | { readonly name: "unary"; readonly fn: UnaryFunction }
  | { readonly name: "binary"; readonly fn: BinaryFunction }
  | { readonly name: "where" }
  | { readonly name: "cast" }
  | { readonly name: "bitcast" }
  /** Views: other shapes of the same elements. */
  | { readonly name: "reshape" }
  | { readonly name: "expand" }
  | { readonly name: "permute"; readonly order: readonly number[] }
  | { readonly name: "slice"; readonly starts: readonly number[] }
  | { readonly name: "flip"; readonly axes: readonly number[] }
  /** Zeros around; `low[i]` of them before axis i. */
  | { readonly name: "pad"; readonly low: readonly number[] }
  /** Axes [start, end) become size 1. */
  | {
    readonly name: "reduce";
    readonly fn: ReduceFunction;
    readonly start: number;
    readonly end: number;
  }
  /** An operation of `operations/`, with its settings, which are plain data. */
  | { readonly name: "call"; readonly record: GraphRecord; readonly settings: unknown }
  /** One output of a node that has several. */
  | { readonly name: "part"; readonly index: number }
  /** The first input; gradients stop. */
  | { readonly name: "stopGradient" }
  /** The first input, as a variable that one differentiation is with respect to. */
  | { readonly name: "variable" }
  /** The first `outputs` inputs, whose gradient `rule` replaces. */
  | { readonly name: "custom"; readonly outputs: number; readonly rule: CustomRule };

/** One value of the graph. Mutable only when it is realised: it then becomes a leaf. */
export interface Node {
  /** Grows with creation, so inputs have smaller ids. */
  readonly id: number;
  /** What it computes. */
  operation: Operation;
  /** What it is computed from. */
  inputs: readonly Node[];
  /** Sizes of the axes. */
  readonly shape: Shape;
  /** Element type. */
  readonly dtype: DType;
  /** For nodes with several outputs: the shapes of all of them. */
  readonly parts: readonly Shape[] | null;
  /** Its memory, once it is computed. */
  storage: Storage | null;
}

/** A node. No checks: use the functions of `primitives.ts` and `operations/`. */
export function makeNode(
  operation: Operation,
  inputs: readonly Node[],
  shape: Shape,
  dtype: DType,
  parts: readonly Shape[] | null = null,
): Node {
  return { id: takeNodeId(), operation, inputs, shape, dtype, parts, storage: null };
}

/**
 * What sorts of nodes passes tell apart: memory that is `given`; constants and numbers that are `generated` where
 * they are needed; functions of elements; views; and other `names` of values, which compiled graphs do not have.
 */
export type Sort =
  | "given"
  | "generated"
  | "elementwise"
  | "view"
  | "reduction"
  | "call"
  | "part"
  | "name";

const sorts: Readonly<Record<Operation["name"], Sort>> = {
  leaf: "given",
  host: "given",
  placeholder: "given",
  scalar: "generated",
  full: "generated",
  iota: "generated",
  unary: "elementwise",
  binary: "elementwise",
  where: "elementwise",
  cast: "elementwise",
  bitcast: "elementwise",
  reshape: "view",
  expand: "view",
  permute: "view",
  slice: "view",
  flip: "view",
  pad: "view",
  reduce: "reduction",
  call: "call",
  part: "part",
  stopGradient: "name",
  variable: "name",
  custom: "name",
};

/** The node's sort. What is computed already is given. */
export function sortOf(node: Node): Sort {
  return node.storage === null ? sorts[node.operation.name] : "given";
}

/** The record and the settings of a call that is still to be computed; null for all other nodes. */
export function callOf(node: Node): Extract<Operation, { readonly name: "call" }> | null {
  return node.operation.name === "call" && node.storage === null ? node.operation : null;
}

/** A node's inputs; a realised node has none. */
export function inputsOf(node: Node): readonly Node[] {
  return node.storage === null ? node.inputs : [];
}

/** Everything the roots need, in no order. Iterative: graphs are deep. */
export function reachable(roots: Iterable<Node>): Set<Node> {
  const seen = new Set<Node>();
  const stack = [...roots];
  while (stack.length > 0) {
    const node = stack.pop()!;
    if (seen.has(node)) continue;
    seen.add(node);
    stack.push(...inputsOf(node));
  }
  return seen;
}

/** Everything the roots need, inputs before users. */
export function topologicalOrder(roots: Iterable<Node>): Node[] {
  // Ids grow with creation and inputs exist before their users.
  return [...reachable(roots)].sort((a, b) => a.id - b.id);
}
