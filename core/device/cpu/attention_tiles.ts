/**
 * The inner products of attention as register tiles of eight accumulators, and the packing that
 * frees them of edges: rows are padded to a multiple of 8 with zeros, keys to whole chunks.
 *
 * A strip holds one number per (key, query of a panel) as `[chunkKeys][panelQueries]`, so that the
 * lanes of a vector are queries: softmax needs no horizontal operation, and a key's numbers are
 * read by splats at constant offsets.
 *
 * @module
 */

import { type Frame, panelQueries, tileKeys } from "./attention_frame.ts";
import type { Value } from "./attention_integers.ts";
import type { Local } from "./wasm_function.ts";

/** Bytes of one key's numbers in a strip. */
export const stripKeyBytes = 4 * panelQueries;
/** Bytes of a tile in a strip. */
export const stripTileBytes = tileKeys * stripKeyBytes;

/** Eight accumulators: four rows of two vectors. */
export type Accumulators = readonly (readonly [Local, Local])[];

/** The emitters of one phase; their locals are shared by all uses. */
export interface Tiles {
  readonly accumulators: Accumulators;
  /** accumulators[j] ← Σ_d keys[j, d]·transposed[d, 0…8] for the four keys at `keyRow`. */
  readonly scores: (keyRow: Value, transposed: Value) => void;
  /**
   * rows[r, :] ← rows[r, :]·factor[r] + Σ_j strip[j, r]·keys[j, :] for the 8 queries of a panel and
   * the keys of tiles [low, high); `strip` and `keys` are those of the chunk's first key, `factors`
   * the address of 8 floats.
   */
  readonly gather: (
    rows: Value,
    strip: Value,
    keys: Value,
    low: Value,
    high: Value,
    factors?: Value,
  ) => void;
  /**
   * target[j, :] += Σ_p Σ_r strip_p[j, r]·rows[8p + r, :] for the four keys of a tile; `each` calls
   * its argument for every panel p that sees the tile with the addresses of the tile in the panel's
   * strip and of the panel's rows, moved on by `column` bytes.
   */
  readonly spread: (
    target: Value,
    each: (column: Local, panel: (strip: Value, rows: Value) => void) => void,
  ) => void;
}

/** Makes the emitters of a phase. */
export function tiles(frame: Frame): Tiles {
  const { f, n, rowBytes } = frame;
  const accumulators = [0, 1, 2, 3].map(() => [f.local("v128"), f.local("v128")] as const);
  const [right0, right1, left] = [f.local("v128"), f.local("v128"), f.local("v128")];
  const pointers = [0, 1, 2, 3].map(() => f.local("i64"));
  const [p, q, end] = [f.local("i64"), f.local("i64"), f.local("i64")];

  /** One step along the summed dimension: a splat per row against two vectors at `at`. */
  const step = (at: Local, offset: number, splat: (row: number) => void) => {
    f.get(at).memory("v128.load", offset).set(right0);
    f.get(at).memory("v128.load", offset + 16).set(right1);
    accumulators.forEach(([x, y], row) => {
      splat(row);
      f.set(left);
      f.get(left, right0, x).op("f32x4.relaxed_madd").set(x);
      f.get(left, right1, y).op("f32x4.relaxed_madd").set(y);
    });
  };
  /** The four rows from `base` on. */
  const rowPointers = (base: Value) => {
    pointers.forEach((pointer, i) =>
      n.set(pointer, i === 0 ? base : n.add(pointers[i - 1]!, rowBytes))
    );
  };
  const loadRows = () =>
    accumulators.forEach(([x, y], row) => {
      f.get(pointers[row]!).memory("v128.load").set(x);
      f.get(pointers[row]!).memory("v128.load", 16).set(y);
    });
  const storeRows = () =>
    accumulators.forEach(([x, y], row) => {
      f.get(pointers[row]!).get(x).memory("v128.store");
      f.get(pointers[row]!).get(y).memory("v128.store", 16);
    });

  return {
    accumulators,
    scores: (keyRow, transposed) => {
      rowPointers(keyRow);
      n.set(end, n.add(pointers[0]!, rowBytes));
      n.set(p, transposed);
      for (const pair of accumulators) for (const local of pair) f.f32x4(0).set(local);
      f.loop((next) => {
        for (let d = 0; d < 4; d++) {
          step(p, d * stripKeyBytes, (row) => {
            f.get(pointers[row]!).memory("v128.load32_splat", 4 * d);
          });
        }
        n.set(p, n.add(p, 4 * stripKeyBytes));
        for (const pointer of pointers) n.set(pointer, n.add(pointer, 16));
        f.get(pointers[0]!, end).op("i64.lt_u").brIf(next);
      });
    },
    gather: (rows, strip, keys, low, high, factors) => {
      const base = n.let(rows);
      const first = n.let(n.add(strip, n.mul(low, stripTileBytes)));
      n.set(end, n.add(strip, n.mul(high, stripTileBytes)));
      const firstKey = n.let(n.add(keys, n.mul(low, tileKeys, rowBytes)));
      for (const half of [0, 1]) {
        n.range(0, rowBytes, 32, (column) => {
          rowPointers(n.add(base, n.mul(rowBytes, 4 * half), column));
          loadRows();
          if (factors !== undefined) {
            accumulators.forEach((pair, row) => {
              n.put(factors);
              f.memory("v128.load32_splat", 16 * half + 4 * row).set(left);
              for (const local of pair) f.get(local, left).op("f32x4.mul").set(local);
            });
          }
          n.set(p, first);
          n.set(q, n.add(firstKey, column));
          f.loop((next) => {
            for (let j = 0; j < tileKeys; j++) {
              step(q, 0, (row) => {
                f.get(p).memory("v128.load32_splat", j * stripKeyBytes + 16 * half + 4 * row);
              });
              n.set(q, n.add(q, rowBytes));
            }
            n.set(p, n.add(p, stripTileBytes));
            f.get(p, end).op("i64.lt_u").brIf(next);
          });
          storeRows();
        });
      }
    },
    spread: (target, each) => {
      const base = n.let(target);
      n.range(0, rowBytes, 32, (column) => {
        rowPointers(n.add(base, column));
        loadRows();
        each(column, (strip, rows) => {
          n.set(p, strip);
          n.set(q, rows);
          for (let r = 0; r < panelQueries; r++) {
            step(q, 0, (row) => {
              f.get(p).memory("v128.load32_splat", row * stripKeyBytes + 4 * r);
            });
            if (r + 1 < panelQueries) n.set(q, n.add(q, rowBytes));
          }
        });
        storeRows();
      });
    },
  };
}

/** How {@link writeRow} treats what is already there. */
export type Write = "set" | "add";

/**
 * Copies `width` floats from a padded row to an unpadded one, times `factor` (a vector) if given.
 */
export function writeRow(
  frame: Frame,
  target: Value,
  source: Value,
  write: Write = "set",
  factor?: Local,
): void {
  const { f, n, width } = frame;
  const to = n.let(target);
  const from = n.let(source);
  const part = (bytes: number, load: () => void, store: () => void, add: () => void) => {
    f.get(to, from);
    load();
    if (factor) f.get(factor).op("f32x4.mul");
    if (write === "add") {
      f.get(to);
      add();
      f.op("f32x4.add");
    }
    store();
    n.set(to, n.add(to, bytes));
    n.set(from, n.add(from, bytes));
  };
  const whole = n.let(n.mul(n.div(width, 4), 4));
  n.range(0, whole, 4, () => {
    const load = () => f.memory("v128.load");
    part(16, load, () => f.memory("v128.store"), load);
  });
  n.range(whole, width, 1, () => {
    const load = () => f.memory("v128.load32_zero");
    part(4, load, () => f.memoryLane("v128.store32_lane", 0), load);
  });
}

/** Copies `width` floats to a padded row and fills its end with zeros. May read 28 bytes too far. */
export function padRow(frame: Frame, target: Value, source: Value): void {
  const { f, n, width, rowBytes } = frame;
  const to = n.let(target);
  const from = n.let(source);
  n.range(0, rowBytes, 16, (d) => {
    n.put(n.add(to, d));
    n.put(n.add(from, d));
    f.memory("v128.load").memory("v128.store");
  });
  n.range(n.mul(width, 4), rowBytes, 4, (d) => {
    n.put(n.add(to, d));
    f.f32(0).memory("f32.store");
  });
}

/** Fills bytes (a multiple of 16) with zeros. */
export function zero(frame: Frame, target: Value, bytes: Value): void {
  frame.n.put(target);
  frame.f.i32(0);
  frame.n.put(bytes);
  frame.f.fill();
}

const low = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];
const high = low.map((byte) => byte + 8);
const even = [0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23];
const odd = even.map((byte) => byte + 8);

/** target[d, r] ← rows[r, d]·factor for the 8 padded rows of a panel. */
export function transposeRows(
  frame: Frame,
  target: Value,
  rows: Value,
  factor: Local | undefined,
): void {
  const { f, n, rowBytes } = frame;
  const to = n.let(target);
  const x = [0, 1, 2, 3].map(() => f.local("v128"));
  const y = [0, 1, 2, 3].map(() => f.local("v128"));
  const from = f.local("i64");
  const base = n.let(rows);
  n.range(0, rowBytes, 16, (column) => {
    for (const half of [0, 1]) {
      n.set(from, n.add(base, column, n.mul(rowBytes, 4 * half)));
      for (const local of x) {
        f.get(from).memory("v128.load");
        if (factor) f.get(factor).op("f32x4.mul");
        f.set(local);
        n.set(from, n.add(from, rowBytes));
      }
      f.get(x[0]!, x[1]!).shuffle(even).set(y[0]!);
      f.get(x[0]!, x[1]!).shuffle(odd).set(y[1]!);
      f.get(x[2]!, x[3]!).shuffle(even).set(y[2]!);
      f.get(x[2]!, x[3]!).shuffle(odd).set(y[3]!);
      for (
        const [d, [a, b, bytes]] of [[0, 2, low], [0, 2, high], [1, 3, low], [1, 3, high]]
          .map((entry) => entry as [number, number, number[]]).entries()
      ) {
        f.get(to).get(y[a]!, y[b]!).shuffle(bytes);
        f.memory("v128.store", d * stripKeyBytes + 16 * half);
      }
    }
    n.set(to, n.add(to, 4 * stripKeyBytes));
  });
}
