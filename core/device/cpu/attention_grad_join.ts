/** Sums of key and value gradients by thread, and how threads' sums become one. @module */

import { chunkKeys, type Frame } from "./attention_frame.ts";
import type { Value } from "./attention_integers.ts";
import { forShare, type ItemHandlers } from "./attention_prepare.ts";
import { writeRow, zero } from "./attention_tiles.ts";
import type { Local } from "./wasm_function.ts";

/** A thread's running sums: padded rows of all keys for one head. */
export interface PartialSums {
  /** Addresses of the sums of the head at hand. */
  readonly keys: Local;
  readonly values: Local;
  readonly begin: NonNullable<ItemHandlers["begin"]>;
  readonly end: NonNullable<ItemHandlers["end"]>;
}

// A run of items touches at most two heads in part: its first and its last. Their sums stay in the
// thread's two slots, and `kept` says whose they are (−1: nobody's); a head that the thread did
// alone is written out at once and its slot used again.
const slots = [0, 1] as const;

/** Makes a phase's sums. */
export function partialSums(frame: Frame): PartialSums {
  const { f, n, rowBytes, quantity, keys: keyCount } = frame;
  const regions = [frame.region("keySums"), frame.region("valueSums")] as const;
  const targets = [frame.argument("dk"), frame.argument("dv")] as const;
  const current = [f.local("i64"), f.local("i64")] as const;
  const kept = n.let(n.add(frame.region("kept"), n.mul(frame.thread, 16)));
  for (const slot of slots) n.store32(kept, -1, 4 * slot);
  const used = n.let(0);
  const bytes = n.let(n.mul(quantity.chunks, chunkKeys, rowBytes));
  return {
    keys: current[0],
    values: current[1],
    begin: () =>
      current.forEach((local, i) => {
        n.set(local, n.add(regions[i]!, n.mul(used, bytes)));
        zero(frame, local, bytes);
      }),
    end: (head, done) => {
      n.ifLess(
        done,
        quantity.blocks,
        () => {
          n.store32(n.add(kept, n.mul(used, 4)), head);
          n.set(used, n.add(used, 1));
        },
        () =>
          n.range(
            0,
            keyCount,
            1,
            (s) =>
              current.forEach((local, i) =>
                writeRow(
                  frame,
                  keyRow(frame, targets[i]!, s, head),
                  n.add(local, n.mul(s, rowBytes)),
                )
              ),
          ),
      );
    },
  };
}

/** The address of row (s, head) of a [S, K, D] argument. */
function keyRow(frame: Frame, base: Local, s: Local, head: Local): () => void {
  const { n, width, quantity } = frame;
  return n.add(base, n.mul(n.add(n.mul(s, quantity.keyHeads), head), width, 4));
}

/** Emits the last phase of the backward kernel. */
export function joinThreads(frame: Frame, bias: boolean): void {
  const { f, n, keys, queries, rowBytes, threads, quantity, width } = frame;
  const kept = frame.region("kept");
  const targets = [frame.argument("dk"), frame.argument("dv")] as const;
  const names = ["keySums", "valueSums"] as const;
  const bytes = n.let(n.mul(quantity.chunks, chunkKeys, rowBytes));
  const first = f.local("i32");
  n.range(0, quantity.keyHeads, 1, (head) => {
    f.i32(1).set(first);
    n.range(0, threads, 1, (other) => {
      for (const slot of slots) {
        n.put(n.load32(n.add(kept, n.mul(other, 16)), 4 * slot));
        f.get(head).op("i64.eq").if(() => {
          const rows = (write: "set" | "add") =>
            names.forEach((name, i) => {
              const source = n.let(n.add(frame.regionOf(name, other), n.mul(bytes, slot)));
              forShare(frame, keys, (s) => {
                const target = keyRow(frame, targets[i]!, s, head);
                writeRow(frame, target, n.add(source, n.mul(s, rowBytes)), write);
              });
            });
          f.get(first).if(() => rows("set"), () => rows("add"));
          f.i32(0).set(first);
        });
      }
    });
  });
  // Without queries no thread had an item.
  f.get(queries, frame.thread).op("i64.or", "i64.eqz").if(() => {
    const all = n.mul(keys, quantity.keyHeads, width, 4);
    for (const target of targets) zero(frame, target, all);
  });
  if (bias) joinBias(frame);
}

function joinBias(frame: Frame): void {
  const { f, n, threads, quantity } = frame;
  const target = frame.argument("dBias");
  const sum = f.local("f32");
  const count: Value = n.mul(quantity.queryHeads, quantity.distances);
  forShare(frame, count, (i) => {
    f.f32(0).set(sum);
    n.range(0, threads, 1, (other) => {
      n.put(n.add(frame.regionOf("biasSums", other), n.mul(i, 4)));
      f.memory("f32.load").get(sum).op("f32.add").set(sum);
    });
    n.put(n.add(target, n.mul(i, 4)));
    f.get(sum).memory("f32.store");
  });
}
