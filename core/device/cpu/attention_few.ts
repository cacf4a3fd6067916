/**
 * Attention of few queries over many keys, as in decoding: nothing is packed, and only rows of keys and
 * values that a query sees are read, as they lie: all heads of a key before the next key.
 *
 * @module
 */

import type { AttentionSizes } from "../../operations/attention.ts";
import { chunkKeys, type Frame, type Layout } from "./attention_frame.ts";
import { exp2, log2e } from "./attention_math.ts";
import { zero } from "./attention_tiles.ts";
import { elementary } from "./math.ts";
import { type Vector, Vectors } from "./vectors.ts";
import type { FunctionBuilder, Local } from "./wasm_function.ts";

/** Keys per query from which on this way is taken. */
const leastKeysPerQuery = 8;

/** Keys whose values are used by all heads before the next ones are read. */
const valueTile = 16;

/** Scratch of this way: a query's visible keys (i32), and their weights for each of its heads. */
export const fewLayout: Layout = {
  shared: {},
  perThread: {
    visible: ["chunks", 4 * chunkKeys],
    weights: ["queryHeads", "chunks", 4 * chunkKeys],
  },
};

/** Whether a launch's queries are few, by its numbers; the head width has to be whole vectors. */
export function isFew({ queries, keys, width }: AttentionSizes): boolean {
  return queries * leastKeysPerQuery <= keys && width % 4 === 0;
}

/** Pushes {@link isFew} of the launch at hand. */
export function pushIsFew({ f, n, queries, keys, width }: Frame): void {
  n.put(n.mul(queries, leastKeysPerQuery));
  f.get(keys).op("i64.le_s").get(width).i64(3).op("i64.and", "i64.eqz", "i32.and");
}

/** Emits the kernel's only phase. */
export function attendFew(frame: Frame, causal: boolean): void {
  const { f, n, group, width, quantity, threads, thread, queries } = frame;
  const v = new Vectors(f);
  const [out, lse, q] = ["out", "lse", "q"].map(frame.argument) as [Local, Local, Local];
  const [k, values] = ["k", "v"].map(frame.argument) as [Local, Local];
  const visible = frame.region("visible");
  const weights = frame.region("weights");
  const weightBytes = n.let(n.mul(quantity.chunks, 4 * chunkKeys));
  const rowBytes = n.let(n.mul(width, 4));
  const keyBytes = n.let(n.mul(rowBytes, quantity.keyHeads));
  const list = visibleKeys(frame, visible, causal);
  const items = n.let(n.mul(queries, quantity.keyHeads));
  const start = n.let(n.div(n.mul(items, thread), threads));
  const end = n.let(n.div(n.mul(items, n.add(thread, 1)), threads));
  const [count, padded] = [n.let(0), n.let(0)];
  const factor = f.local("v128");
  frame.float("scale");
  f.f32(log2e).op("f32.mul", "f32x4.splat").set(factor);
  const lastQuery = n.let(n.div(n.add(end, n.sub(quantity.keyHeads, 1)), quantity.keyHeads));

  n.range(n.div(start, quantity.keyHeads), lastQuery, 1, (t) => {
    const before = n.let(n.mul(t, quantity.keyHeads));
    const firstHead = n.let(n.max(0, n.sub(start, before)));
    const lastHead = n.let(n.min(quantity.keyHeads, n.sub(end, before)));
    const queryRow = n.let(n.mul(t, quantity.queryHeads));
    const rowOf = (row: Local) => n.let(n.add(queryRow, row));
    list(t, count);
    // Whole tiles of keys: what is too much weighs nothing.
    n.set(padded, n.mul(n.div(n.add(count, 3), 4), 4));
    n.range(count, padded, 1, (i) => {
      n.store32(n.add(visible, n.mul(i, 4)), n.load32(visible));
    });
    const common = { visible, weightBytes, keyBytes, rowBytes };
    /** Runs `body` for this thread's heads, two of a group at a time. */
    const forHeads = (
      body: (heads: 1 | 2, at: { readonly row: Local; readonly offset: Local }) => void,
    ) => {
      n.range(firstHead, lastHead, 1, (head) => {
        const offset = n.let(n.mul(head, rowBytes));
        const first = n.let(n.mul(head, group));
        const afterPairs = n.let(n.add(first, n.mul(n.div(group, 2), 2)));
        n.range(first, afterPairs, 2, (row) => body(2, { row, offset }));
        n.range(afterPairs, n.let(n.add(first, group)), 1, (row) => body(1, { row, offset }));
      });
    };
    n.range(0, padded, 4, (i) => {
      forHeads((heads, { row, offset }) => {
        scores(frame, heads, {
          ...common,
          first: i,
          queries: n.let(n.add(q, n.mul(rowOf(row), rowBytes))),
          keys: n.let(n.add(k, offset)),
          weights: n.let(n.add(weights, n.mul(row, weightBytes))),
          factor,
        });
      });
    });
    const firstRow = n.let(n.mul(firstHead, group));
    const lastRow = n.let(n.mul(lastHead, group));
    n.range(firstRow, lastRow, 1, (row) => {
      const at = n.let(n.add(weights, n.mul(row, weightBytes)));
      normalize(frame, v, at, count, padded, n.let(n.add(lse, n.mul(rowOf(row), 4))));
      zero(frame, n.add(out, n.mul(rowOf(row), rowBytes)), rowBytes);
    });
    n.range(0, padded, valueTile, (i) => {
      const last = n.let(n.min(padded, n.add(i, valueTile)));
      forHeads((heads, { row, offset }) => {
        addWeighted(frame, heads, {
          ...common,
          first: i,
          last,
          target: n.let(n.add(out, n.mul(rowOf(row), rowBytes))),
          values: n.let(n.add(values, offset)),
          weights: n.let(n.add(weights, n.mul(row, weightBytes))),
        });
      });
    });
  });
}

/** Weights of `padded` keys ← the softmax of the scores of the first `count`, in place. */
function normalize(
  { f, n }: Frame,
  v: Vectors,
  at: Local,
  count: Local,
  padded: Local,
  lse: Local,
): void {
  const [maximum, sum, x] = [f.local("v128"), f.local("v128"), f.local("v128")];
  const assign = (make: () => Vector) =>
    v.scope(() => {
      v.push(make());
      f.set(x);
    });
  const until = n.let(n.add(at, n.mul(padded, 4)));
  n.range(count, padded, 1, (i) => {
    n.put(n.add(at, n.mul(i, 4)));
    f.f32(-Infinity).memory("f32.store");
  });
  f.f32x4(-1e38).set(maximum).f32x4(0).set(sum);
  n.range(at, until, 16, (i) => {
    f.get(maximum, i).memory("v128.load").op("f32x4.pmax").set(maximum);
  });
  foldLanes(f, maximum, "f32x4.pmax");
  n.range(at, until, 16, (i) => {
    f.get(i).memory("v128.load").set(x);
    assign(() => exp2(v, v.op("f32x4.sub", x, maximum)));
    f.get(i, x).memory("v128.store").get(sum, x).op("f32x4.add").set(sum);
  });
  foldLanes(f, sum, "f32x4.add");
  // The logarithm of the sum of exponentials, −∞ where nothing was seen.
  assign(() => elementary.log(v, sum));
  f.get(lse, maximum).f32x4(Math.LN2).get(x).op("f32x4.relaxed_madd");
  f.lane("f32x4.extract_lane", 0).memory("f32.store");
  f.f32x4(1).get(sum).op("f32x4.div").get(sum).f32x4(0).op("f32x4.ne", "v128.and").set(sum);
  n.range(at, until, 16, (i) => {
    f.get(i, i).memory("v128.load").get(sum).op("f32x4.mul").memory("v128.store");
  });
}

/** Emits what writes the numbers of the keys that query `t` sees to a list, in order. */
function visibleKeys(
  frame: Frame,
  list: Local,
  causal: boolean,
): (t: Local, count: Local) => void {
  const { f, n, queries, keys } = frame;
  const querySegments = frame.argument("querySegments");
  const keySegments = frame.argument("keySegments");
  const [segment, parent, position, window, index] = [0, 1, 2, 3, 4].map(() => f.local("v128")) as [
    ...[Local, Local, Local, Local, Local],
  ];
  const mask = f.local("v128");
  const bits = f.local("i32");
  const positionOffset = n.let(n.mul(keys, 8));
  n.put(n.min(frame.window, 0x7fffffff));
  f.op("i32.wrap_i64", "i32x4.splat").set(window);
  return (t, count) => {
    const field = (i: number) =>
      n.let(n.load32(n.add(querySegments, n.mul(n.add(n.mul(queries, i), t), 4))));
    const [own, family, at] = [field(0), field(1), field(2)];
    const first = n.let(n.max(field(3), 0));
    const last = n.let(n.min(field(4), keys));
    n.set(count, 0);
    n.ifLess(-1, own, () => {
      n.ifLess(family, 0, () => n.set(family, own));
      for (const [value, vector] of [[own, segment], [family, parent], [at, position]] as const) {
        f.get(value).op("i32.wrap_i64", "i32x4.splat").set(vector);
      }
      n.range(first, last, 4, (j) => {
        const from = n.let(n.add(keySegments, n.mul(j, 4)));
        f.get(from).memory("v128.load").tee(index).get(segment).op("i32x4.eq");
        f.get(index, parent).op("i32x4.eq", "v128.or");
        f.get(position);
        n.put(n.add(from, positionOffset));
        f.memory("v128.load").op("i32x4.sub");
        // One unsigned comparison tests 0 ≤ difference < window.
        if (!causal) f.op("i32x4.abs");
        f.get(window).op("i32x4.lt_u", "v128.and").set(mask);
        f.get(j).op("i32.wrap_i64", "i32x4.splat").v128(0, 1, 2, 3).op("i32x4.add").set(index);
        f.get(index, last).op("i32.wrap_i64", "i32x4.splat", "i32x4.lt_s").get(mask);
        f.op("v128.and", "i32x4.bitmask").tee(bits).if(() => {
          for (let lane = 0; lane < 4; lane++) {
            f.get(bits).i32(1 << lane).op("i32.and").if(() => {
              n.store32(n.add(list, n.mul(count, 4)), n.add(j, lane));
              n.set(count, n.add(count, 1));
            });
          }
        });
      });
    });
  };
}

interface Common {
  /** The numbers of the keys. */
  readonly visible: Local;
  /** The first of the keys to go through, by its place in the list. */
  readonly first: Local;
  /** Of all keys, for the first query. */
  readonly weights: Local;
  /** Bytes between the queries' weights, between keys, and between heads. */
  readonly weightBytes: Local;
  readonly keyBytes: Local;
  readonly rowBytes: Local;
}

/** weights[g][i] ← factor · queries[g]·keys[visible[i]] for four keys. */
function scores(
  frame: Frame,
  heads: 1 | 2,
  { queries, keys, factor, first, ...c }: Common & {
    readonly queries: Local;
    readonly keys: Local;
    readonly factor: Local;
  },
): void {
  const { f, n } = frame;
  const sums = Array.from({ length: heads }, () => [0, 1, 2, 3].map(() => f.local("v128")));
  const pointers = [0, 1, 2, 3].map(() => f.local("i64"));
  const [key, x] = [f.local("v128"), f.local("v128")];
  const query = sums.map(() => f.local("v128"));
  pointers.forEach((pointer, j) => {
    const number = n.load32(n.add(c.visible, n.mul(first, 4)), 4 * j);
    n.set(pointer, n.add(keys, n.mul(number, c.keyBytes)));
  });
  for (const sum of sums.flat()) f.f32x4(0).set(sum);
  n.range(queries, n.let(n.add(queries, c.rowBytes)), 16, (at) => {
    query.forEach((local, g) => {
      n.put(g === 0 ? at : n.add(at, c.rowBytes));
      f.memory("v128.load").set(local);
    });
    pointers.forEach((pointer, j) => {
      f.get(pointer).memory("v128.load").set(key);
      sums.forEach((of, g) => {
        f.get(query[g]!, key, of[j]!).op("f32x4.relaxed_madd").set(of[j]!);
      });
      n.set(pointer, n.add(pointer, 16));
    });
  });
  sums.forEach((of, g) => {
    sumLanes(f, of, x);
    n.put(n.add(c.weights, n.mul(first, 4), g === 0 ? 0 : c.weightBytes));
    f.get(x, factor).op("f32x4.mul").memory("v128.store");
  });
}

/** target[g] += Σ_i weights[g][i]·values[visible[i]] for keys `first` to `last`. */
function addWeighted(
  frame: Frame,
  heads: 1 | 2,
  { target, values, first, last, ...c }: Common & {
    readonly target: Local;
    readonly values: Local;
    readonly last: Local;
  },
): void {
  const { f, n } = frame;
  const column = n.let(0);
  const share = Array.from({ length: heads }, () => f.local("v128"));
  const value = f.local("v128");
  const from = f.local("i64");
  for (const vectors of [4, 1]) {
    const sums = share.map(() => Array.from({ length: vectors }, () => f.local("v128")));
    f.block((exit) => {
      f.loop((next) => {
        n.put(n.add(column, 16 * vectors));
        f.get(c.rowBytes).op("i64.gt_s").brIf(exit);
        const to = share.map((_, g) =>
          n.let(n.add(target, column, ...(g === 0 ? [] : [c.rowBytes])))
        );
        sums.forEach((of, g) =>
          of.forEach((sum, j) => f.get(to[g]!).memory("v128.load", 16 * j).set(sum))
        );
        const at = n.let(n.add(values, column));
        const weight = n.let(n.add(c.weights, n.mul(first, 4)));
        const end = n.let(n.add(c.visible, n.mul(last, 4)));
        n.range(n.add(c.visible, n.mul(first, 4)), end, 4, (index) => {
          n.set(from, n.add(at, n.mul(n.load32(index), c.keyBytes)));
          share.forEach((local, g) => {
            n.put(g === 0 ? weight : n.add(weight, c.weightBytes));
            f.memory("v128.load32_splat").set(local);
          });
          for (let j = 0; j < vectors; j++) {
            f.get(from).memory("v128.load", 16 * j).set(value);
            sums.forEach((of, g) => {
              f.get(share[g]!, value, of[j]!).op("f32x4.relaxed_madd").set(of[j]!);
            });
          }
          n.set(weight, n.add(weight, 4));
        });
        sums.forEach((of, g) =>
          of.forEach((sum, j) => f.get(to[g]!, sum).memory("v128.store", 16 * j))
        );
        n.set(column, n.add(column, 16 * vectors));
        f.br(next);
      });
    });
  }
}

/** target ← [Σ a, Σ b, Σ c, Σ d]. */
function sumLanes(f: FunctionBuilder, [a, b, c, d]: readonly Local[], target: Local): void {
  const words = (...picks: readonly number[]) => {
    f.shuffle(picks.flatMap((pick) => [0, 1, 2, 3].map((byte) => 4 * pick + byte)));
  };
  const across = (x: Local, y: Local) => {
    f.get(x, y);
    words(0, 4, 1, 5);
    f.get(x, y);
    words(2, 6, 3, 7);
    f.op("f32x4.add");
  };
  across(a!, b!);
  f.set(a!);
  across(c!, d!);
  f.set(c!).get(a!, c!);
  words(0, 1, 4, 5);
  f.get(a!, c!);
  words(2, 3, 6, 7);
  f.op("f32x4.add").set(target);
}

/** Every lane of x ← all lanes combined. */
function foldLanes(f: FunctionBuilder, x: Local, op: "f32x4.add" | "f32x4.pmax"): void {
  for (const distance of [2, 1]) {
    const picks = [0, 1, 2, 3].map((lane) => lane ^ distance);
    f.get(x, x, x).shuffle(picks.flatMap((pick) => [0, 1, 2, 3].map((byte) => 4 * pick + byte)));
    f.op(op).set(x);
  }
}
