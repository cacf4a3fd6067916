/** Launches of the kernels made by hand. @module */

import { addendPosition, type Node } from "../graph.ts";
import type { Kernel } from "../kernel.ts";
import * as p from "../primitives.ts";
import { sizeOf } from "../shape.ts";
import { matrixLayout, type Operands } from "./operands.ts";

/** A launch whose arguments are still nodes. */
export interface SingleLaunch {
  readonly kernel: Kernel;
  readonly ints: readonly number[];
  readonly floats: readonly number[];
  readonly args: readonly Node[];
}

/**
 * The launch of a node with a kernel of its own; null if there is nothing to compute.
 *
 * @param parts For a node with several outputs: the nodes that stand for them.
 */
export function launchSingle(
  node: Node,
  operands: Operands,
  parts: readonly Node[],
): SingleLaunch | null {
  const bases = operands.of(node).map(({ base }) => base);
  const { operation } = node;
  switch (operation.name) {
    case "matmul":
      return launchMatmul(node, operands);
    case "scatter": {
      const [rows, columns] = [node.shape[0]!, node.shape[1]!];
      const count = sizeOf(node.inputs[1]!.shape);
      if (count === 0 || columns === 0) return null;
      return {
        kernel: { op: "scatter", add: operation.add, dtype: node.dtype },
        ints: [rows, columns, count],
        floats: [],
        args: [node, bases[1]!, bases[2]!],
      };
    }
    case "attention":
    case "attentionGrad": {
      const [q, k] = node.inputs as [Node, Node];
      const { causal, window, scale, softcap, bias } = operation.attributes;
      const [t, h, d] = q.shape as [number, number, number];
      const [s, heads] = k.shape as [number, number];
      const reach = bias ? (node.inputs[5]!.shape[1]! - 1) / 2 : 0;
      return {
        kernel: { op: operation.name, causal, softcap: softcap !== null, bias },
        ints: [t, s, h, heads, d, window, reach],
        floats: [scale, softcap ?? 0],
        args: [...bases, ...parts],
      };
    }
    default:
      throw new Error(`No kernel for ${operation.name}`);
  }
}

function launchMatmul(node: Node, operands: Operands): SingleLaunch {
  if (node.operation.name !== "matmul") throw new Error("Not a product");
  const { coded, transposeA, transposeB } = node.operation;
  const [a, b, scales] = operands.of(node);
  const layoutA = matrixLayout(a!.view)!;
  const layoutB = coded === null
    ? matrixLayout(b!.view)!
    : { offset: 0, batchStride: 0, rowStride: coded.shape[1], transposed: false };
  const rank = node.shape.length;
  const [m, n] = [node.shape[rank - 2]!, node.shape[rank - 1]!];
  const k = a!.view.shape[transposeA ? rank - 2 : rank - 1]!;
  return {
    kernel: {
      op: "matmul",
      a: a!.base.dtype,
      b: coded?.code ?? b!.base.dtype,
      transposeA: transposeA !== layoutA.transposed,
      transposeB: transposeB !== layoutB.transposed,
      accumulate: node.inputs.length > addendPosition(node.operation),
    },
    ints: [
      sizeOf(node.shape.slice(0, -2)),
      ...[m, n, k],
      ...[layoutA.offset, layoutA.batchStride, layoutA.rowStride],
      ...[layoutB.offset, layoutB.batchStride, layoutB.rowStride],
      ...[0, m * n, n],
    ],
    floats: [],
    args: [a!.base, b!.base, node, ...(coded === null ? [] : [scales!.base])],
  };
}

/** Nodes that stand for the outputs of a node with several, used or not. */
export function partsOf(node: Node, used: readonly Node[]): Node[] {
  const known = new Map(used.map((u) => [u.operation.name === "part" ? u.operation.index : -1, u]));
  return (node.parts ?? []).map((_, i) => known.get(i) ?? p.part(node, i));
}
