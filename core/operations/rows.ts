/** Rows of a table by number: gathering them, and scattering into them. Each is the other's gradient. @module */

import { bytesPerElement, type DType } from "../dtype.ts";
import { type GraphRecord, makeNode, type Node } from "../graph.ts";
import * as p from "../primitives.ts";
import { contiguousStrides, sameShape, sizeOf } from "../shape.ts";
import type { View } from "../view.ts";
import type { KernelRecord } from "./record.ts";

/**
 * table[ids[n], :] += rows[n, :] (`add`), or = rows[n, :], in place; ids outside [0, tableRows) are skipped.
 * Additions happen in the order of n. Arguments: table f32 [tableRows, columns] (readwrite), ids i32 [count],
 * rows f32 [count, columns].
 */
export interface ScatterKernel {
  /** Which kernel. */
  readonly op: "scatter";
  /** Whether rows are added or put in place. */
  readonly add: boolean;
  /** Element type. */
  readonly dtype: DType;
}

/** Numbers of a scatter. */
export type ScatterSizes = {
  /** Rows of the table. */
  readonly tableRows: number;
  /** Elements of a row. */
  readonly columns: number;
  /** Rows that are scattered. */
  readonly count: number;
};

/**
 * table[ids]: shape [...ids.shape, ...table.shape without its first axis]; a row outside the table is zeros.
 *
 * @param ids i32.
 */
export function gatherRows(table: Node, ids: Node): Node {
  if (ids.dtype !== "i32") throw new TypeError(`Cannot gather: ids are ${ids.dtype}, not i32`);
  if (table.shape.length === 0) throw new RangeError("Cannot gather from a number: it has no rows");
  return gatherNode(table, ids);
}

function gatherNode(table: Node, ids: Node): Node {
  const operation = { name: "call", record: gather, settings: null } as const;
  return makeNode(operation, [table, ids], [...ids.shape, ...table.shape.slice(1)], table.dtype);
}

/** The record of gathering. It is fused: a kernel reads where the ids of its own point lead. */
export const gather: GraphRecord<null> = {
  name: "gather",
  alone: false,

  gradient({ inputs }, _, [g]) {
    if (!g) return inputs.map(() => null);
    const [table, ids] = inputs as [Node, Node];
    const count = sizeOf(ids.shape);
    const width = count === 0 ? 1 : sizeOf(g.shape) / count;
    const base = p.full(0, [table.shape[0]!, width], "f32");
    const flatIds = p.reshape(ids, [count]);
    const rows = p.reshape(p.cast(g, "f32"), [count, width]);
    return [p.reshape(scatterNode(base, flatIds, rows, true), table.shape), null];
  },
  demand: (input) => input === 0 ? "whole" : "fused",
  arrange(node, [table, ids]) {
    const { base, view } = ids!;
    const extra = node.shape.length - view.shape.length;
    return [table!, {
      base,
      view: {
        shape: node.shape,
        strides: [...view.strides, ...new Array<number>(extra).fill(0)],
        offset: view.offset,
        masks: [...view.masks, ...new Array<null>(extra).fill(null)],
      },
    }];
  },
};

/**
 * base with rows[n] added to, or put in place of, its row ids[n].
 *
 * @param base [V, …].
 * @param ids i32 [N].
 * @param rows [N, …].
 */
export function scatterRows(base: Node, ids: Node, rows: Node, add: boolean): Node {
  const [count, ...inner] = base.shape;
  if (
    count === undefined || ids.dtype !== "i32" || ids.shape.length !== 1 ||
    rows.dtype !== base.dtype || !sameShape(rows.shape, [ids.shape[0]!, ...inner])
  ) {
    throw new RangeError(
      `Cannot scatter rows ${p.showNode(rows)} to ${p.showNode(base)} by ${p.showNode(ids)}`,
    );
  }
  const width = sizeOf(inner);
  const flatBase = p.reshape(base, [count, width]);
  const flatRows = p.reshape(rows, [ids.shape[0]!, width]);
  return p.reshape(scatterNode(flatBase, ids, flatRows, add), base.shape);
}

/** base [V, C], ids [N], rows [N, C]. */
function scatterNode(base: Node, ids: Node, rows: Node, add: boolean): Node {
  if (base.dtype !== rows.dtype) {
    throw new TypeError(`Cannot scatter ${rows.dtype} rows into a ${base.dtype} table`);
  }
  const operation = { name: "call", record: scatter, settings: { add } } as const;
  return makeNode(operation, [base, ids, rows], base.shape, base.dtype);
}

/** The record of scattering. */
export const scatter:
  & GraphRecord<{ readonly add: boolean }>
  & KernelRecord<ScatterKernel, ScatterSizes> = {
    name: "scatter",
    alone: true,

    gradient({ inputs }, { add }, [g]) {
      if (!g) return inputs.map(() => null);
      const [, ids, rows] = inputs as [Node, Node, Node];
      const toRows = gatherNode(g, ids);
      if (add) return [g, null, toRows];
      return [scatterNode(g, ids, p.full(0, rows.shape, "f32"), false), null, toRows];
    },
    clobbers: () => 0,
    launch({ shape, dtype, inputs }, { add }, [, ids, rows], [table]) {
      const [tableRows, columns] = shape as [number, number];
      const count = sizeOf(inputs[1]!.shape);
      if (count === 0 || columns === 0) return null;
      const kernel: ScatterKernel = { op: "scatter", add, dtype };
      return {
        kernel,
        sizes: { tableRows, columns, count },
        args: [table!, ids!.base, rows!.base],
      };
    },

    integers: ["tableRows", "columns", "count"],
    floats: [],
    args: () => ["table", "ids", "rows"],
    reach({ dtype }, { tableRows, columns, count }) {
      const row = columns * bytesPerElement[dtype];
      return [tableRows * row, count * 4, count * row];
    },
    cost({ add, dtype }, { columns, count }) {
      const row = columns * bytesPerElement[dtype];
      return { bytes: count * ((add ? 3 : 2) * row + 4), flops: 0 };
    },
    family: () => "scatter",
    label: ({ add }, { tableRows, columns, count }) =>
      `scatter${add ? "-add" : ""} ${count} rows into ${tableRows}x${columns}`,
  };

/** Whether an input of the node is a table whose rows are found by another input. */
export function isTable({ operation, storage }: Node, input: number): boolean {
  return storage === null && operation.name === "call" && operation.record === gather &&
    input === 0;
}

/** How a gather walks its table, but for the row's number. */
export function tableView(node: Node): View {
  const [table, ids] = node.inputs as [Node, Node];
  const inner = contiguousStrides(table.shape.slice(1));
  return {
    shape: node.shape,
    strides: [...ids.shape.map(() => 0), ...inner],
    offset: 0,
    masks: node.shape.map(() => null),
  };
}
