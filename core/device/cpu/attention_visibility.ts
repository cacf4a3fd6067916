/** Which keys a panel of queries sees: by chunk where that is plain, else by tile and lane. @module */

import {
  chunkKeys,
  chunkTiles,
  type Frame,
  type Layout,
  panelQueries,
  tileKeys,
} from "./attention_frame.ts";
import { stripKeyBytes } from "./attention_tiles.ts";
import type { Local } from "./wasm_function.ts";

/** Per-thread scratch of {@link visibility}. */
export const visibilityRegions: Layout["perThread"] = {
  // Rows of eight i32: segment, parent, position, first, last.
  queryRows: ["queryPanels", 5 * 4 * panelQueries],
  queryFacts: ["queryPanels", 64],
  codes: ["queryPanels", 4 * chunkTiles],
  tileRanges: ["queryPanels", 16],
  masks: ["queryPanels", 4 * panelQueries * chunkKeys],
};

/** What a panel sees of a tile. */
export const tileCode = { none: 0, some: 1, all: 2 } as const;

/** Emitters that decide what is visible. */
export interface Visibility {
  /** Reads the queries of a block. */
  readonly block: (block: Local) => void;
  /**
   * Decides a chunk for all query panels of the block. Leaves codes and, where a code is `some`,
   * masks; and the range of tiles that are not `none`.
   */
  readonly chunk: (chunk: Local) => void;
  /** Sets `low` and `high` to the range of tiles of the chunk that a query panel sees. */
  readonly range: (queryPanel: Local, low: Local, high: Local) => void;
  /** The address of a query panel's codes, i32 per tile. */
  readonly codes: (queryPanel: Local) => () => void;
  /** The address of a query panel's masks, `[chunkKeys][panelQueries]` like a strip. */
  readonly masks: (queryPanel: Local) => () => void;
  /** The address of the positions (i32) of a query panel. */
  readonly positions: (queryPanel: Local) => () => void;
}

const rowBytes = 4 * panelQueries;
// Fields of a panel's facts: bytes.
const facts = {
  uniform: 0,
  segment: 4,
  parent: 8,
  minPosition: 12,
  maxPosition: 16,
  minFirst: 20,
  maxFirst: 24,
  minLast: 28,
  maxLast: 32,
} as const;

/** Makes the emitters. */
export function visibility(frame: Frame, causal: boolean): Visibility {
  const { f, n, queries, quantity } = frame;
  const { queryPanels } = quantity;
  const querySegments = frame.argument("querySegments");
  const queryRows = frame.region("queryRows");
  const queryFacts = frame.region("queryFacts");
  const codes = frame.region("codes");
  const tileRanges = frame.region("tileRanges");
  const masks = frame.region("masks");
  const keySegment = frame.region("keySegment");
  const keyPosition = frame.region("keyPosition");
  const summary = frame.region("summary");
  const window = n.let(n.min(frame.window, 0x7fffffff));
  const windowVector = f.local("v128");
  f.get(window).op("i32.wrap_i64", "i32x4.splat").set(windowVector);
  const factsOf = (panel: Local) => n.add(queryFacts, n.mul(panel, 64));
  const codesOf = (panel: Local) => n.add(codes, n.mul(panel, 4 * chunkTiles));
  const masksOf = (panel: Local) => n.add(masks, n.mul(panel, 4 * panelQueries * chunkKeys));
  const rowsOf = (panel: Local) => n.add(queryRows, n.mul(panel, 5 * rowBytes));

  const block = (index: Local) => {
    const [segment, parent, position, first, last] = five(() => f.local("i64"));
    const values = [segment, parent, position, first, last];
    const [at, to, lane] = [f.local("i64"), f.local("i64"), f.local("i64")];
    const fact = Object.fromEntries(
      Object.keys(facts).map((name) => [name, f.local("i64")]),
    ) as Record<keyof typeof facts, Local>;
    n.range(0, queryPanels, 1, (panel) => {
      n.set(to, rowsOf(panel));
      const start = n.let(
        n.mul(n.add(n.mul(index, queryPanels), panel), panelQueries),
      );
      n.set(lane, 0);
      const end = n.let(n.add(start, panelQueries));
      n.range(start, end, 1, (t) => {
        n.ifLess(t, queries, () => {
          n.set(at, n.add(querySegments, n.mul(t, 4)));
          for (const value of values) {
            n.set(value, n.load32(at));
            n.set(at, n.add(at, n.mul(queries, 4)));
          }
          n.ifLess(parent, 0, () => n.set(parent, -1));
          n.ifLess(segment, 0, () => {
            n.set(segment, -1);
            n.set(parent, -1);
            n.set(first, 0);
            n.set(last, 0);
          });
        }, () => {
          n.set(segment, -1);
          n.set(parent, -1);
          for (const value of [position, first, last]) n.set(value, 0);
        });
        values.forEach((value, row) => n.store32(to, value, row * rowBytes));
        f.get(lane).op("i64.eqz").if(() => {
          n.set(fact.uniform, 1);
          n.set(fact.segment, segment);
          n.set(fact.parent, parent);
          for (const name of ["minPosition", "maxPosition"] as const) n.set(fact[name], position);
          for (const name of ["minFirst", "maxFirst"] as const) n.set(fact[name], first);
          for (const name of ["minLast", "maxLast"] as const) n.set(fact[name], last);
        }, () => {
          f.get(segment, fact.segment).op("i64.ne").get(parent, fact.parent).op("i64.ne");
          f.op("i32.or").if(() => n.set(fact.uniform, 0));
          n.set(fact.minPosition, n.min(fact.minPosition, position));
          n.set(fact.maxPosition, n.max(fact.maxPosition, position));
          n.set(fact.minFirst, n.min(fact.minFirst, first));
          n.set(fact.maxFirst, n.max(fact.maxFirst, first));
          n.set(fact.minLast, n.min(fact.minLast, last));
          n.set(fact.maxLast, n.max(fact.maxLast, last));
        });
        n.set(lane, n.add(lane, 1));
        n.set(to, n.add(to, 4));
      });
      n.set(to, factsOf(panel));
      for (const [name, offset] of Object.entries(facts)) {
        n.store32(to, fact[name as keyof typeof facts], offset);
      }
    });
  };

  const [at, start, end] = [f.local("i64"), f.local("i64"), f.local("i64")];
  const [minSegment, maxSegment, minKey, maxKey] = five(() => f.local("i64"));
  const [nothing, everything] = [f.local("i32"), f.local("i32")];
  /** Pushes 1 where both comparisons of pairs hold, and so on. */
  const all = (...tests: readonly (() => void)[]) =>
    tests.forEach((test, i) => {
      test();
      if (i > 0) f.op("i32.and");
    });
  const less = (x: Local | (() => void), y: Local | (() => void)) => () => {
    n.put(x);
    n.put(y);
    f.op("i64.lt_s");
  };
  const atMost = (x: Local | (() => void), y: Local | (() => void)) => () => {
    n.put(x);
    n.put(y);
    f.op("i64.le_s");
  };

  const chunk = (index: Local) => {
    n.set(at, n.add(summary, n.mul(index, 16)));
    [minSegment, maxSegment, minKey, maxKey].forEach((local, i) =>
      n.set(local, n.load32(at, 4 * i))
    );
    n.set(start, n.mul(index, chunkKeys));
    n.set(end, n.add(start, chunkKeys));
    n.range(0, queryPanels, 1, (panel) => {
      n.set(at, factsOf(panel));
      const fact = (name: keyof typeof facts) => n.load32(at, facts[name]);
      // Nothing is visible if the ranges, the segments or the positions cannot meet.
      atMost(end, fact("minFirst"))();
      atMost(fact("maxLast"), start)();
      const outside = (name: "segment" | "parent") => {
        less(fact(name), minSegment)();
        less(maxSegment, fact(name))();
        f.op("i32.or");
      };
      n.put(fact("uniform"));
      f.op("i32.wrap_i64");
      outside("segment");
      outside("parent");
      f.op("i32.and", "i32.and");
      less(fact("maxPosition"), causal ? minKey : n.sub(minKey, n.sub(window, 1)))();
      less(n.add(maxKey, n.sub(window, 1)), fact("minPosition"))();
      f.op("i32.or", "i32.or", "i32.or", "i32.or").set(nothing);
      all(
        () => {
          n.put(fact("uniform"));
          f.op("i32.wrap_i64");
        },
        () => {
          f.get(minSegment, maxSegment).op("i64.eq");
        },
        () => {
          f.get(minSegment).i64(0).op("i64.ge_s");
        },
        () => {
          f.get(minSegment);
          n.put(fact("segment"));
          f.op("i64.eq").get(minSegment);
          n.put(fact("parent"));
          f.op("i64.eq", "i32.or");
        },
        atMost(fact("maxFirst"), start),
        atMost(end, fact("minLast")),
        causal
          ? atMost(maxKey, fact("minPosition"))
          : less(n.sub(maxKey, fact("minPosition")), window),
        less(n.sub(fact("maxPosition"), minKey), window),
      );
      f.set(everything);
      const rangeAt = n.let(n.add(tileRanges, n.mul(panel, 16)));
      f.get(nothing).if(() => {
        n.store32(rangeAt, 0);
        n.store32(rangeAt, 0, 4);
      }, () => {
        f.get(everything).if(() => {
          for (let tile = 0; tile < chunkTiles; tile += 4) {
            n.put(codesOf(panel));
            f.i32x4(tileCode.all).memory("v128.store", 4 * tile);
          }
          n.store32(rangeAt, 0);
          n.store32(rangeAt, chunkTiles, 4);
        }, () => scan(panel, rangeAt));
      });
    });
  };

  const q = five(() => [f.local("v128"), f.local("v128")] as const);
  const [segmentOf, positionOf, indexOf, mask] = five(() => f.local("v128"));
  const [any, every] = [f.local("v128"), f.local("v128")];
  const code = f.local("i32");
  const scan = (panel: Local, rangeAt: Local) => {
    const [maskAt, codeAt, keyAt] = five(() => f.local("i64"));
    const [low, high] = [n.let(0), n.let(0)];
    n.set(maskAt, rowsOf(panel));
    q.forEach((pair, row) =>
      pair.forEach((local, half) =>
        f.get(maskAt).memory("v128.load", row * rowBytes + 16 * half).set(local)
      )
    );
    n.set(maskAt, masksOf(panel));
    n.set(codeAt, codesOf(panel));
    n.set(keyAt, n.mul(start, 4));
    const [segments, parents, positions, firsts, lasts] = q;
    n.range(0, chunkTiles, 1, (tile) => {
      f.i32x4(0).set(any).i32x4(-1).set(every);
      for (let j = 0; j < tileKeys; j++) {
        n.put(n.add(keySegment, keyAt));
        f.memory("v128.load32_splat", 4 * j).set(segmentOf);
        n.put(n.add(keyPosition, keyAt));
        f.memory("v128.load32_splat", 4 * j).set(positionOf);
        n.put(n.add(n.div(keyAt, 4), j));
        f.op("i32.wrap_i64", "i32x4.splat").set(indexOf);
        for (const half of [0, 1] as const) {
          f.get(segments[half], segmentOf).op("i32x4.eq");
          f.get(parents[half], segmentOf).op("i32x4.eq", "v128.or");
          f.get(positions[half], positionOf).op("i32x4.sub");
          // One unsigned comparison tests 0 ≤ difference < window.
          if (causal) f.get(windowVector).op("i32x4.lt_u");
          else f.op("i32x4.abs").get(windowVector).op("i32x4.lt_u");
          f.op("v128.and").get(firsts[half], indexOf).op("i32x4.le_s", "v128.and");
          f.get(indexOf, lasts[half]).op("i32x4.lt_s", "v128.and").set(mask);
          f.get(maskAt, mask).memory("v128.store", j * stripKeyBytes + 16 * half);
          f.get(any, mask).op("v128.or").set(any);
          f.get(every, mask).op("v128.and").set(every);
        }
      }
      f.get(any).op("v128.any_true").get(every).op("i32x4.all_true", "i32.add").set(code);
      f.get(codeAt, code).memory("i32.store");
      f.get(code).if(() => {
        f.get(high).op("i64.eqz").if(() => n.set(low, tile));
        n.set(high, n.add(tile, 1));
      });
      n.set(maskAt, n.add(maskAt, tileKeys * stripKeyBytes));
      n.set(codeAt, n.add(codeAt, 4));
      n.set(keyAt, n.add(keyAt, 4 * tileKeys));
    });
    n.store32(rangeAt, low);
    n.store32(rangeAt, high, 4);
  };

  return {
    block,
    chunk,
    range: (panel, low, high) => {
      n.set(low, n.add(tileRanges, n.mul(panel, 16)));
      n.set(high, n.load32(low, 4));
      n.set(low, n.load32(low));
    },
    codes: codesOf,
    masks: masksOf,
    positions: (panel) => n.add(rowsOf(panel), 2 * rowBytes),
  };
}

function five<T>(make: () => T): [T, T, T, T, T] {
  return [make(), make(), make(), make(), make()];
}
