/** What all phases of the attention kernels share: their numbers, and where their scratch lies. @module */

import { type Integers, integers, type Value } from "./attention_integers.ts";
import type {
  AttentionGradKernel,
  AttentionKernel,
  AttentionSizes,
} from "../../operations/attention.ts";
import { blockOffsets, parameterBlock } from "./code.ts";
import type { FunctionBuilder, Local } from "./wasm_function.ts";

/** Queries of one panel: two vectors. A panel belongs to one query head. */
export const panelQueries = 8;
/** Keys of one tile, the smallest unit that is skipped. */
export const tileKeys = 4;
/** Keys of one chunk, which is processed at a time. */
export const chunkKeys = 64;
/** Tiles of one chunk. */
export const chunkTiles = chunkKeys / tileKeys;
/** Panels of one block, if there are not more query heads than that on a key/value head. */
const blockPanels = 4;

/** Quantities that sizes of scratch regions are products of. */
export type Quantity =
  | "queryHeads"
  | "keyHeads"
  | "depth"
  | "queryPanels"
  | "panels"
  | "chunks"
  | "blocks"
  | "threads"
  | "distances"
  /** Heads that one thread may work on in part: none if every thread takes whole heads; then 1. */
  | "slots";

/** Sizes in bytes of scratch regions: products, rounded up to 64. */
export interface Layout {
  readonly shared: Readonly<Record<string, readonly (Quantity | number)[]>>;
  /** Once per thread. */
  readonly perThread: Readonly<Record<string, readonly (Quantity | number)[]>>;
}

/** The quantities of a launch. */
function quantities(sizes: AttentionSizes, threads: number): Record<Quantity, number> {
  const { queries, keys, queryHeads, keyHeads, width, reach } = sizes;
  const group = Math.trunc(queryHeads / keyHeads);
  const queryPanels = Math.max(1, Math.trunc(blockPanels / group));
  return {
    queryHeads,
    keyHeads,
    depth: Math.ceil(width / 8) * 8,
    queryPanels,
    panels: queryPanels * group,
    chunks: Math.ceil(keys / chunkKeys),
    blocks: Math.ceil(queries / (queryPanels * panelQueries)),
    threads,
    distances: 2 * reach + 1,
    slots: keyHeads % threads === 0 ? 1 : 2,
  };
}

/** Bytes of scratch a layout takes. */
export function layoutBytes(layout: Layout, sizes: AttentionSizes, threads: number): number {
  const known = quantities(sizes, threads);
  const sum = (regions: Layout["shared"]) =>
    Object.values(regions).map((factors) =>
      factors.reduce<number>((product, q) => product * (typeof q === "number" ? q : known[q]), 1)
    ).reduce((x, y) => x + Math.ceil(y / 64) * 64, 0);
  return sum(layout.shared) + threads * sum(layout.perThread);
}

/** A phase's view of its launch. All locals are i64. */
export interface Frame {
  readonly f: FunctionBuilder;
  readonly n: Integers;
  readonly thread: Local;
  readonly threads: Local;
  readonly queries: Local;
  readonly keys: Local;
  readonly width: Local;
  readonly window: Local;
  readonly reach: Local;
  /** Query heads on one key/value head. */
  readonly group: Local;
  readonly quantity: Readonly<Record<Quantity, Local>>;
  /** Bytes of a padded row: 4·depth. */
  readonly rowBytes: Local;
  /** The address of an argument. */
  readonly argument: (name: string) => Local;
  /** Pushes one of the f32 numbers. */
  readonly float: (name: "scale" | "softcap") => void;
  /** The address of a scratch region (this thread's, if it is one per thread). */
  readonly region: (name: string) => Local;
  /** The address of a per-thread region of another thread. */
  readonly regionOf: (name: string, thread: Value) => () => void;
}

/** Reads the parameter block at the start of a phase. */
export function frame(
  f: FunctionBuilder,
  kernel: AttentionKernel | AttentionGradKernel,
  layout: Layout,
): Frame {
  const n = integers(f);
  const block = f.parameter(0);
  const at = blockOffsets(kernel);
  const int = (name: keyof AttentionSizes) => n.let(n.load64(block, at.size(name)));
  const unsigned = (index: number) => {
    f.get(f.parameter(index)).op("i64.extend_i32_u");
  };
  const thread = n.let(() => unsigned(1));
  const threads = n.let(() => unsigned(2));
  const queries = int("queries");
  const keys = int("keys");
  const queryHeads = int("queryHeads");
  const keyHeads = int("keyHeads");
  const width = int("width");
  const window = int("window");
  const reach = int("reach");
  const group = n.let(n.div(queryHeads, keyHeads));
  const queryPanels = n.let(n.max(1, n.div(blockPanels, group)));
  const quantity: Record<Quantity, Local> = {
    queryHeads,
    keyHeads,
    depth: n.let(n.mul(n.div(n.add(width, 7), 8), 8)),
    queryPanels,
    panels: n.let(n.mul(queryPanels, group)),
    chunks: n.let(n.div(n.add(keys, chunkKeys - 1), chunkKeys)),
    blocks: n.let(
      n.div(
        n.add(queries, n.sub(n.mul(queryPanels, panelQueries), 1)),
        n.mul(queryPanels, panelQueries),
      ),
    ),
    threads,
    distances: n.let(n.add(n.mul(reach, 2), 1)),
    slots: f.local("i64"),
  };
  f.i64(1).i64(2).get(keyHeads, threads).op("i64.rem_u", "i64.eqz", "select").set(quantity.slots);
  const size = (factors: readonly (Quantity | number)[]) => {
    const product = n.mul(...factors.map((q) => typeof q === "number" ? q : quantity[q]));
    return n.mul(n.div(n.add(product, 63), 64), 64);
  };
  const total = (regions: Layout["shared"], until?: string) => {
    const entries = Object.entries(regions);
    const end = until === undefined ? entries.length : entries.findIndex(([k]) => k === until);
    return n.add(0, ...entries.slice(0, end).map(([, factors]) => size(factors)));
  };
  const scratch = n.let(n.load64(block, parameterBlock.scratch));
  const own = n.let(n.add(scratch, total(layout.shared)));
  const stride = n.let(total(layout.perThread));
  const regionOf = (name: string, other: Value) =>
    n.add(own, n.mul(stride, other), total(layout.perThread, name));
  return {
    f,
    n,
    thread,
    threads,
    queries,
    keys,
    width,
    window,
    reach,
    group,
    quantity,
    rowBytes: n.let(n.mul(quantity.depth, 4)),
    argument: (name) => n.let(n.load64(block, at.arg(name))),
    float: (name) => {
      f.get(block).memory("f32.load", at.size(name));
    },
    region: (name) =>
      n.let(
        name in layout.shared ? n.add(scratch, total(layout.shared, name)) : regionOf(name, thread),
      ),
    regionOf,
  };
}
