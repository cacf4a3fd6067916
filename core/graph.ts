/**
 * The expression graph: what a tensor is before it is computed. Nodes are made by `primitives.ts`
 * (which checks), differentiated by `vjp.ts`, and compiled by `lower/`.
 *
 * @module
 */

import type { BlockCode } from "./block_codes.ts";
import type { DType } from "./dtype.ts";
import type { BinaryFunction, ReduceFunction, UnaryFunction } from "./kernel.ts";
import { takeNodeId } from "./node_id.ts";
import type { Shape } from "./shape.ts";
import type { Storage } from "./storage.ts";

/** Settings of an attention node; see `attention.ts`. */
export interface AttentionAttributes {
  /** Whether a token sees only positions up to its own. */
  readonly causal: boolean;
  /** Keys at this distance or more are not seen. 2³¹ − 1 is no limit. */
  readonly window: number;
  /** Factor of the scores. */
  readonly scale: number;
  /** Limit of the scores, if there is one. */
  readonly softcap: number | null;
  /** Whether a bias by relative position is added. */
  readonly bias: boolean;
}

/** A right operand in a block code: what its codes, which are just bytes, do not say. */
export interface CodedOperand {
  /** The code. */
  readonly code: BlockCode;
  /** Shape of the matrix as it is stored. */
  readonly shape: readonly [rows: number, columns: number];
}

/** A gradient rule of a `custom` node: cotangents of its outputs to cotangents of its inputs. */
export type CustomRule = (cotangents: readonly (Node | null)[]) => readonly (Node | null)[];

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
  /** Rows of a table by number; a row outside the table is zeros. */
  | { readonly name: "gather" }
  /** Inputs: base, ids, rows. */
  | { readonly name: "scatter"; readonly add: boolean }
  /** Inputs: a; b, or its codes and scales if it is coded; and a matrix to add to, if there is one more. */
  | {
    readonly name: "matmul";
    readonly transposeA: boolean;
    readonly transposeB: boolean;
    readonly coded: CodedOperand | null;
  }
  | { readonly name: "attention"; readonly attributes: AttentionAttributes }
  | { readonly name: "attentionGrad"; readonly attributes: AttentionAttributes }
  /** One output of a node that has several. */
  | { readonly name: "part"; readonly index: number }
  /** The first input, but not before the others are computed, and never merged with it. */
  | { readonly name: "barrier" }
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

/** A node. No checks: use the functions of `primitives.ts`. */
export function makeNode(
  operation: Operation,
  inputs: readonly Node[],
  shape: Shape,
  dtype: DType,
  parts: readonly Shape[] | null = null,
): Node {
  return { id: takeNodeId(), operation, inputs, shape, dtype, parts, storage: null };
}

/** The position, among its inputs, of the matrix that a product adds to if it has one. */
export function addendPosition(product: Operation & { readonly name: "matmul" }): number {
  return product.coded === null ? 2 : 3;
}

/** Everything the roots need, inputs before users. Iterative: graphs are deep. */
export function topologicalOrder(roots: Iterable<Node>): Node[] {
  const seen = new Set<Node>();
  const stack = [...roots];
  while (stack.length > 0) {
    const node = stack.pop()!;
    if (seen.has(node)) continue;
    seen.add(node);
    for (const input of node.inputs) if (!seen.has(input)) stack.push(input);
  }
  // Ids grow with creation and inputs exist before their users.
  return [...seen].sort((a, b) => a.id - b.id);
}
