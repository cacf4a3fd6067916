/** A block's panels: walking them, bringing their rows in and out, and their scores. @module */

import { log2e } from "./attention_math.ts";
import { type Frame, panelQueries, tileKeys } from "./attention_frame.ts";
import type { Value } from "./attention_integers.ts";
import type { Item } from "./attention_prepare.ts";
import { padRow, stripTileBytes, type Tiles, writeRow, zero } from "./attention_tiles.ts";
import { tileCode, type Visibility } from "./attention_visibility.ts";
import { elementary } from "./math.ts";
import type { Vectors } from "./vectors.ts";
import type { Local } from "./wasm_function.ts";

/** A panel of the block at hand. */
export interface Panel {
  readonly queryPanel: Local;
  /** Which of the query heads on the key/value head, and its number among all query heads. */
  readonly member: Local;
  readonly queryHead: Local;
  /** queryPanel·group + member. */
  readonly index: Local;
}

/** Runs `body` for the panels of one query panel: one per query head. */
export function forMembers(
  frame: Frame,
  item: Item,
  queryPanel: Local,
  body: (panel: Panel) => void,
): void {
  const { n, group } = frame;
  const index = n.let(n.mul(queryPanel, group));
  const queryHead = n.let(n.mul(item.head, group));
  n.range(0, group, 1, (member) => {
    body({ queryPanel, member, queryHead, index });
    n.set(index, n.add(index, 1));
    n.set(queryHead, n.add(queryHead, 1));
  });
}

/** Runs `body` for all panels of the block. */
export function forPanels(frame: Frame, item: Item, body: (panel: Panel) => void): void {
  frame.n.range(0, frame.quantity.queryPanels, 1, (queryPanel) => {
    forMembers(frame, item, queryPanel, body);
  });
}

/**
 * Calls `body` for the panel's rows with the row's lane and its index t·H + h in [T, H], `missing`
 * for rows beyond T.
 */
export function forRows(
  frame: Frame,
  item: Item,
  panel: Panel,
  body: (lane: Local, row: Local) => void,
  missing: (lane: Local) => void = () => {},
): void {
  const { n, queries, quantity } = frame;
  const t = n.let(
    n.mul(n.add(n.mul(item.block, quantity.queryPanels), panel.queryPanel), panelQueries),
  );
  const row = n.let(n.add(n.mul(t, quantity.queryHeads), panel.queryHead));
  n.range(0, panelQueries, 1, (lane) => {
    n.ifLess(t, queries, () => body(lane, row), () => missing(lane));
    n.set(t, n.add(t, 1));
    n.set(row, n.add(row, quantity.queryHeads));
  });
}

/** Copies the panel's rows of a [T, H, D] argument to padded rows; rows beyond T are zeros. */
export function readPanel(
  frame: Frame,
  item: Item,
  panel: Panel,
  rows: Value,
  source: Local,
): void {
  const { n, rowBytes, width } = frame;
  const target = (lane: Local) => n.add(rows, n.mul(lane, rowBytes));
  forRows(
    frame,
    item,
    panel,
    (lane, row) => padRow(frame, target(lane), n.add(source, n.mul(row, width, 4))),
    (lane) => zero(frame, target(lane), rowBytes),
  );
}

/** Copies a panel's padded rows to a [T, H, D] argument, times a vector of `factors` per row. */
export function writePanel(
  frame: Frame,
  item: Item,
  panel: Panel,
  rows: Value,
  target: Local,
  factors?: Value,
): void {
  const { f, n, rowBytes, width } = frame;
  const factor = factors === undefined ? undefined : f.local("v128");
  forRows(frame, item, panel, (lane, row) => {
    if (factor !== undefined && factors !== undefined) {
      n.put(n.add(factors, n.mul(lane, 4)));
      f.memory("v128.load32_splat").set(factor);
    }
    const to = n.add(target, n.mul(row, width, 4));
    writeRow(frame, to, n.add(rows, n.mul(lane, rowBytes)), "set", factor);
  });
}

/** The variants of attention. */
export interface Variant {
  readonly causal: boolean;
  readonly softcap: boolean;
  readonly bias: boolean;
}

/** Emitters of scores, in powers of two: score·log2(e). */
export interface Scores {
  /** What queries are multiplied with when they are packed. */
  readonly factor: Local;
  /** Emitters for the tile at hand: set up before the tiles of a panel are walked. */
  readonly open: (panel: Panel) => void;
  /**
   * accumulators ← scores of the tile, unmasked. `slope(j, half, y)` receives, where there is a
   * soft cap, the tanh it bent by.
   */
  readonly tile: (
    keyRow: Value,
    transposed: Value,
    keyPositions: Value,
    slope?: (j: number, half: 0 | 1, y: Local) => void,
  ) => void;
  /** The index into a row of biases for the key with the position splat on the stack. */
  readonly distance: (half: 0 | 1) => void;
}

/** Makes the emitters. */
export function scores(
  frame: Frame,
  variant: Variant,
  tiles: Tiles,
  visible: Visibility,
  vectors: Vectors,
): Scores {
  const { f, n, quantity } = frame;
  const factor = f.local("v128");
  frame.float("scale");
  if (variant.softcap) {
    frame.float("softcap");
    f.op("f32.div");
  } else {
    f.f32(log2e).op("f32.mul");
  }
  f.op("f32x4.splat").set(factor);
  const cap = f.local("v128");
  if (variant.softcap) {
    frame.float("softcap");
    f.f32(log2e).op("f32.mul", "f32x4.splat").set(cap);
  }
  const reach = f.local("v128");
  const positions = [f.local("v128"), f.local("v128")] as const;
  const biasArgument = variant.bias ? frame.argument("bias") : undefined;
  const biasRow = f.local("i64");
  if (variant.bias) {
    f.get(frame.reach).op("i32.wrap_i64", "i32x4.splat").set(reach);
  }
  const distance = (half: 0 | 1) => {
    const difference = f.local("v128");
    f.set(difference).get(positions[half], difference).op("i32x4.sub");
    f.get(reach).op("i32x4.min_s").get(reach).op("i32x4.neg", "i32x4.max_s");
    f.get(reach).op("i32x4.add");
  };
  const [index, gathered] = [f.local("v128"), f.local("v128")];
  return {
    factor,
    open: (panel) => {
      if (biasArgument === undefined) return;
      n.set(biasRow, n.add(biasArgument, n.mul(panel.queryHead, quantity.distances, 4)));
      for (const half of [0, 1] as const) {
        n.put(visible.positions(panel.queryPanel));
        f.memory("v128.load", 16 * half).set(positions[half]);
      }
    },
    tile: (keyRow, transposed, keyPositions, slope) => {
      tiles.scores(keyRow, transposed);
      tiles.accumulators.forEach((pair, j) =>
        pair.forEach((x, half) => {
          const side = half === 0 ? 0 : 1;
          if (variant.softcap) {
            vectors.scope(() => {
              vectors.push(elementary.tanh(vectors, x));
              f.set(x);
            });
            slope?.(j, side, x);
            f.get(x, cap).op("f32x4.mul").set(x);
          }
          if (variant.bias) {
            n.put(keyPositions);
            f.memory("v128.load32_splat", 4 * j);
            distance(side);
            f.set(index);
            for (let lane = 0; lane < 4; lane++) {
              laneAddress(frame, biasRow, index, lane);
              f.get(gathered).memoryLane("v128.load32_lane", lane).set(gathered);
            }
            f.get(gathered, vectors.float(log2e), x).op("f32x4.relaxed_madd").set(x);
          }
        })
      );
    },
    distance,
  };
}

/** Pushes base + 4·index[lane]. */
export function laneAddress(frame: Frame, base: Local, index: Local, lane: number): void {
  const { f } = frame;
  f.get(base).get(index).lane("i32x4.extract_lane", lane).op("i64.extend_i32_u");
  f.i64(2).op("i64.shl", "i64.add");
}

/** Where the tile at hand is. */
export interface Cursor {
  /** Pushes the tile's code. */
  readonly code: Local;
  readonly keys: Local;
  readonly values: Local;
  readonly positions: Local;
  readonly masks: Local;
  /** Byte offset of the tile in a strip. */
  readonly strip: Local;
}

/** Walks tiles [low, high) of a chunk for one panel. */
export function forTiles(
  frame: Frame,
  visible: Visibility,
  panel: Panel,
  at: { readonly keys: Value; readonly values: Value; readonly positions: Value },
  low: Local,
  high: Local,
  body: (cursor: Cursor) => void,
): void {
  const { f, n, rowBytes } = frame;
  const code = f.local("i32");
  const codeAt = n.let(n.add(visible.codes(panel.queryPanel), n.mul(low, 4)));
  const keys = n.let(n.add(at.keys, n.mul(low, tileKeys, rowBytes)));
  const values = n.let(n.add(at.values, n.mul(low, tileKeys, rowBytes)));
  const positions = n.let(n.add(at.positions, n.mul(low, 4 * tileKeys)));
  const strip = n.let(n.mul(low, stripTileBytes));
  const masks = n.let(n.add(visible.masks(panel.queryPanel), strip));
  n.range(low, high, 1, () => {
    f.get(codeAt).memory("i32.load").set(code);
    body({ code, keys, values, positions, masks, strip });
    n.set(codeAt, n.add(codeAt, 4));
    n.set(keys, n.add(keys, n.mul(rowBytes, tileKeys)));
    n.set(values, n.add(values, n.mul(rowBytes, tileKeys)));
    n.set(positions, n.add(positions, 4 * tileKeys));
    n.set(strip, n.add(strip, stripTileBytes));
    n.set(masks, n.add(masks, stripTileBytes));
  });
}

/** Stores zeros in the cursor's tile of a strip. */
export function zeroTile(frame: Frame, strip: Local, cursor: Cursor): void {
  const { f, n } = frame;
  for (let offset = 0; offset < stripTileBytes; offset += 16) {
    n.put(n.add(strip, cursor.strip));
    f.f32x4(0).memory("v128.store", offset);
  }
}

/** Runs `then` if the cursor's tile has lanes that are not visible. */
export function ifMasked(frame: Frame, cursor: Cursor, then: () => void): void {
  frame.f.get(cursor.code).i32(tileCode.some).op("i32.eq").if(then);
}
