/** The first phase of the attention kernels, and how their later phases divide the work. @module */

import { chunkKeys, type Frame, type Layout, panelQueries } from "./attention_frame.ts";
import type { Value } from "./attention_integers.ts";
import { padRow, zero } from "./attention_tiles.ts";
import type { Local } from "./wasm_function.ts";

/**
 * What the first phase leaves in scratch: keys and values by head as padded rows in whole chunks;
 * segments (−2 where there is none, which no query matches) and positions of keys; per chunk the
 * least and the greatest segment and position; per block of queries the range of keys it may see.
 */
export const preparedRegions: Layout["shared"] = {
  keyRows: ["keyHeads", "chunks", "depth", 4 * chunkKeys],
  valueRows: ["keyHeads", "chunks", "depth", 4 * chunkKeys],
  keySegment: ["chunks", 4 * chunkKeys],
  keyPosition: ["chunks", 4 * chunkKeys],
  summary: ["chunks", 16],
  ranges: ["blocks", 16],
};

/** Runs `body` for this thread's share of 0 … count. */
export function forShare(frame: Frame, count: Value, body: (i: Local) => void): void {
  const { n, thread, threads } = frame;
  const end = n.let(n.div(n.mul(count, n.add(thread, 1)), threads));
  n.range(n.div(n.mul(count, thread), threads), end, 1, body);
}

/** Emits the first phase. */
export function prepare(frame: Frame): void {
  const { f, n, keys, queries, width, rowBytes, quantity } = frame;
  const keySegments = frame.argument("keySegments");
  const querySegments = frame.argument("querySegments");
  const sources = [frame.argument("k"), frame.argument("v")];
  const targets = [frame.region("keyRows"), frame.region("valueRows")];
  const [segments, positions] = [frame.region("keySegment"), frame.region("keyPosition")];
  const summary = frame.region("summary");
  const ranges = frame.region("ranges");
  const [segment, position, from, to] = [0, 1, 2, 3].map(() => f.local("i64")) as Local4;
  const bounds = [0, 1, 2, 3].map(() => f.local("i64")) as Local4;
  const least = 0x7fffffff;

  forShare(frame, quantity.chunks, (chunk) => {
    bounds.forEach((bound, i) => n.set(bound, i % 2 === 0 ? least : -least));
    const end = n.let(n.mul(n.add(chunk, 1), chunkKeys));
    n.range(n.mul(chunk, chunkKeys), end, 1, (s) => {
      n.set(segment, -2);
      n.set(position, 0);
      n.ifLess(s, keys, () => {
        n.set(from, n.add(keySegments, n.mul(s, 4)));
        n.set(segment, n.load32(from));
        n.set(from, n.add(from, n.mul(keys, 8)));
        n.set(position, n.load32(from));
        n.ifLess(segment, 0, () => n.set(segment, -2));
      });
      n.store32(n.add(segments, n.mul(s, 4)), segment);
      n.store32(n.add(positions, n.mul(s, 4)), position);
      [segment, segment, position, position].forEach((value, i) => {
        const bound = bounds[i]!;
        n.set(bound, i % 2 === 0 ? n.min(bound, value) : n.max(bound, value));
      });
      sources.forEach((source, i) => {
        n.set(from, n.add(source, n.mul(s, quantity.keyHeads, width, 4)));
        n.set(to, n.add(targets[i]!, n.mul(s, rowBytes)));
        n.range(0, quantity.keyHeads, 1, () => {
          n.ifLess(s, keys, () => padRow(frame, to, from), () => zero(frame, to, rowBytes));
          n.set(from, n.add(from, n.mul(width, 4)));
          n.set(to, n.add(to, n.mul(quantity.chunks, chunkKeys, rowBytes)));
        });
      });
    });
    bounds.forEach((bound, i) => n.store32(n.add(summary, n.mul(chunk, 16)), bound, 4 * i));
  });

  const blockQueries = n.let(n.mul(quantity.queryPanels, panelQueries));
  const [first, last] = [f.local("i64"), f.local("i64")];
  forShare(frame, quantity.blocks, (block) => {
    n.set(first, keys);
    n.set(last, 0);
    const start = n.let(n.mul(block, blockQueries));
    const end = n.let(n.min(queries, n.add(start, blockQueries)));
    n.range(start, end, 1, (t) => {
      n.set(from, n.add(querySegments, n.mul(t, 4)));
      n.set(segment, n.load32(from));
      n.ifLess(-1, segment, () => {
        n.set(from, n.add(from, n.mul(queries, 12)));
        n.set(position, n.load32(from));
        n.set(first, n.min(first, position));
        n.set(from, n.add(from, n.mul(queries, 4)));
        n.set(position, n.load32(from));
        n.set(last, n.max(last, position));
      });
    });
    n.set(first, n.max(first, 0));
    n.set(last, n.max(first, n.min(last, keys)));
    n.store32(n.add(ranges, n.mul(block, 16)), first);
    n.store32(n.add(ranges, n.mul(block, 16)), last, 4);
  });
}

type Local4 = [Local, Local, Local, Local];

/** One piece of work: a block of queries with the query heads of one key/value head. */
export interface Item {
  readonly head: Local;
  readonly block: Local;
  /** The keys that the block may see. */
  readonly first: Local;
  readonly last: Local;
}

/** What {@link forItems} calls. */
export interface ItemHandlers {
  /** Before this thread's first item of a head. */
  readonly begin?: (head: Local) => void;
  readonly item: (item: Item) => void;
  /** After this thread's last item of a head; `done` is how many blocks of it the thread did. */
  readonly end?: (head: Local, done: Local) => void;
}

/**
 * Runs this thread's items. Items are ordered by head, then block; each thread takes a contiguous
 * run of about the same number of keys, so that a thread touches few heads. With threads dividing
 * heads, threads take whole heads.
 */
export function forItems(frame: Frame, handlers: ItemHandlers): void {
  const { f, n, thread, threads, quantity } = frame;
  const ranges = frame.region("ranges");
  const [first, last, at] = [f.local("i64"), f.local("i64"), f.local("i64")];
  const load = (block: Local) => {
    n.set(at, n.add(ranges, n.mul(block, 16)));
    n.set(first, n.load32(at));
    n.set(last, n.load32(at, 4));
  };
  // A block's cost is its keys plus a chunk's worth of work that it has anyway.
  const cost = n.add(n.sub(last, first), chunkKeys);
  const total = n.let(0);
  n.range(0, quantity.blocks, 1, (block) => {
    load(block);
    n.set(total, n.add(total, cost));
  });
  const share = (t: Value) => n.div(n.mul(total, quantity.keyHeads, t), threads);
  const low = n.let(share(thread));
  const high = n.let(share(n.add(thread, 1)));
  const position = n.let(0);
  const done = n.let(0);
  n.range(0, quantity.keyHeads, 1, (head) => {
    n.set(done, 0);
    n.range(0, quantity.blocks, 1, (block) => {
      load(block);
      f.get(position, low).op("i64.ge_s").get(position, high).op("i64.lt_s", "i32.and").if(() => {
        if (handlers.begin) f.get(done).op("i64.eqz").if(() => handlers.begin?.(head));
        handlers.item({ head, block, first, last });
        n.set(done, n.add(done, 1));
        load(block);
      });
      n.set(position, n.add(position, cost));
    });
    f.get(done).i64(0).op("i64.ne").if(() => handlers.end?.(head, done));
  });
}
