/** What all phases of the attention kernels share: their numbers, and where their scratch lies. @module */

import { type Integers, integers, type Value } from "./attention_integers.ts";
import { parameterBlock } from "./code.ts";
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

/** Number of an argument by name. */
export type Arguments = Readonly<Record<string, number>>;

/** The quantities of a launch. */
function quantities(ints: readonly number[], threads: number): Record<Quantity, number> {
  const [T, S, H, K, D, , R] = ints;
  const group = Math.trunc(H! / K!);
  const queryPanels = Math.max(1, Math.trunc(blockPanels / group));
  return {
    queryHeads: H!,
    keyHeads: K!,
    depth: Math.ceil(D! / 8) * 8,
    queryPanels,
    panels: queryPanels * group,
    chunks: Math.ceil(S! / chunkKeys),
    blocks: Math.ceil(T! / (queryPanels * panelQueries)),
    threads,
    distances: 2 * R! + 1,
    slots: K! % threads === 0 ? 1 : 2,
  };
}

/** Bytes of scratch a layout takes. */
export function layoutBytes(layout: Layout, ints: readonly number[], threads: number): number {
  const known = quantities(ints, threads);
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
  /** Pushes the f32 `scale` (0) or `softcap` (1). */
  readonly float: (index: number) => void;
  /** The address of a scratch region (this thread's, if it is one per thread). */
  readonly region: (name: string) => Local;
  /** The address of a per-thread region of another thread. */
  readonly regionOf: (name: string, thread: Value) => () => void;
}

/** Reads the parameter block at the start of a phase. */
export function frame(f: FunctionBuilder, args: Arguments, layout: Layout): Frame {
  const n = integers(f);
  const block = f.parameter(0);
  const count = Object.keys(args).length;
  const int = (index: number) => n.let(n.load64(block, parameterBlock.int(count, index)));
  const unsigned = (index: number) => {
    f.get(f.parameter(index)).op("i64.extend_i32_u");
  };
  const thread = n.let(() => unsigned(1));
  const threads = n.let(() => unsigned(2));
  const queries = int(0);
  const keys = int(1);
  const queryHeads = int(2);
  const keyHeads = int(3);
  const width = int(4);
  const window = int(5);
  const reach = int(6);
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
    argument: (name) => n.let(n.load64(block, parameterBlock.arg(args[name]!))),
    float: (index) => {
      f.get(block).memory("f32.load", parameterBlock.float(count, 7, index));
    },
    region: (name) =>
      n.let(
        name in layout.shared ? n.add(scratch, total(layout.shared, name)) : regionOf(name, thread),
      ),
    regionOf,
  };
}
