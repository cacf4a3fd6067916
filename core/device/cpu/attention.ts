/**
 * Block-wise attention on the CPU: a block of queries meets the keys it may see a chunk at a time,
 * with a running maximum and sum (online softmax; Dao et al. 2022, arXiv:2205.14135).
 *
 * @module
 */

import type { AttentionKernel, AttentionSizes } from "../../operations/attention.ts";
import { chunkKeys, type Frame, frame, type Layout, layoutBytes } from "./attention_frame.ts";
import { attendFew, fewLayout, isFew, pushIsFew } from "./attention_few.ts";
import {
  forMembers,
  forPanels,
  forRows,
  forTiles,
  ifMasked,
  readPanel,
  scores,
  writePanel,
  zeroTile,
} from "./attention_block.ts";
import { exp2 } from "./attention_math.ts";
import { forItems, prepare, preparedRegions } from "./attention_prepare.ts";
import { stripKeyBytes, tiles, transposeRows, zero } from "./attention_tiles.ts";
import { visibility, visibilityRegions } from "./attention_visibility.ts";
import { type KernelCode, phase } from "./code.ts";
import { elementary } from "./math.ts";
import { type Vector, Vectors } from "./vectors.ts";
import type { FunctionBuilder, Local } from "./wasm_function.ts";

// Below every score, and finite so that differences are never NaN.
const lowest = -1e38;

const layout: Layout = {
  shared: preparedRegions,
  perThread: {
    ...visibilityRegions,
    // Per panel: queries as [depth][8]; sums as [8][depth]; maximum, sum and a factor per query.
    transposed: ["panels", "depth", 32],
    rows: ["panels", "depth", 32],
    state: ["panels", 128],
    strip: [chunkKeys * stripKeyBytes],
  },
};
const state = { maximum: 0, sum: 32, factor: 64 } as const;

/** Emits the forward kernel. */
export function emitAttention(kernel: AttentionKernel): KernelCode<AttentionSizes> {
  const first = phase();
  const second = phase();
  const whole = [
    () => prepare(frame(first, kernel, layout)),
    () => attend(frame(second, kernel, layout), kernel),
  ] as const;
  if (kernel.bias || kernel.softcap) whole.forEach((emit) => emit());
  else {
    const few = frame(first, kernel, fewLayout);
    pushIsFew(few);
    first.if(() => attendFew(few, kernel.causal), whole[0]);
    pushIsFew(frame(second, kernel, fewLayout));
    second.op("i32.eqz").if(whole[1]);
  }
  const layoutOf = (sizes: AttentionSizes) =>
    !kernel.bias && !kernel.softcap && isFew(sizes) ? fewLayout : layout;
  return {
    phases: [first, second],
    scratchBytes: (sizes, threads) => layoutBytes(layoutOf(sizes), sizes, threads),
  };
}

function attend(view: Frame, kernel: AttentionKernel): void {
  const { f, n, rowBytes, quantity } = view;
  const v = new Vectors(f);
  const masked = v.float(-Infinity);
  /** x ← an expression. */
  const assign = (x: Local, make: () => Vector) =>
    v.scope(() => {
      v.push(make());
      f.set(x);
    });
  const visible = visibility(view, kernel.causal);
  const products = tiles(view);
  const score = scores(view, kernel, products, visible, v);
  const [q, out, lse] = ["q", "out", "lse"].map(view.argument) as [Local, Local, Local];
  const transposed = view.region("transposed");
  const rows = view.region("rows");
  const states = view.region("state");
  const strip = view.region("strip");
  const keyRows = view.region("keyRows");
  const valueRows = view.region("valueRows");
  const keyPosition = view.region("keyPosition");
  const panelBytes = n.let(n.mul(rowBytes, 8));
  const maximum = pair(f);
  const greatest = pair(f);
  const sum = pair(f);
  const x = f.local("v128");
  const [low, high, stateAt] = [f.local("i64"), f.local("i64"), f.local("i64")];
  const halves = [0, 1] as const;

  forItems(view, {
    item: (item) => {
      visible.block(item.block);
      forPanels(view, item, (panel) => {
        const rowsAt = n.let(n.add(rows, n.mul(panel.index, panelBytes)));
        readPanel(view, item, panel, rowsAt, q);
        const target = n.add(transposed, n.mul(panel.index, panelBytes));
        transposeRows(view, target, rowsAt, score.factor);
        zero(view, rowsAt, panelBytes);
        n.set(stateAt, n.add(states, n.mul(panel.index, 128)));
        for (const half of halves) {
          f.get(stateAt).f32x4(lowest).memory("v128.store", state.maximum + 16 * half);
          f.get(stateAt).f32x4(0).memory("v128.store", state.sum + 16 * half);
        }
      });

      const lastChunk = n.let(n.div(n.add(item.last, chunkKeys - 1), chunkKeys));
      n.range(n.div(item.first, chunkKeys), lastChunk, 1, (chunk) => {
        visible.chunk(chunk);
        const offset = n.let(
          n.mul(n.add(n.mul(item.head, quantity.chunks), chunk), chunkKeys, rowBytes),
        );
        const at = {
          keys: n.let(n.add(keyRows, offset)),
          values: n.let(n.add(valueRows, offset)),
          positions: n.let(n.add(keyPosition, n.mul(chunk, 4 * chunkKeys))),
        };
        n.range(0, quantity.queryPanels, 1, (queryPanel) => {
          visible.range(queryPanel, low, high);
          n.ifLess(low, high, () =>
            forMembers(view, item, queryPanel, (panel) => {
              n.set(stateAt, n.add(states, n.mul(panel.index, 128)));
              const transposedAt = n.let(n.add(transposed, n.mul(panel.index, panelBytes)));
              for (const half of halves) {
                f.get(stateAt).memory("v128.load", state.maximum + 16 * half);
                f.tee(maximum[half]).set(greatest[half]);
                f.f32x4(0).set(sum[half]);
              }
              score.open(panel);
              forTiles(view, visible, panel, at, low, high, (cursor) => {
                f.get(cursor.code).if(() => {
                  score.tile(cursor.keys, transposedAt, cursor.positions);
                  ifMasked(view, cursor, () =>
                    products.accumulators.forEach((vectors, j) =>
                      vectors.forEach((s, half) => {
                        f.get(s, masked, cursor.masks);
                        f.memory("v128.load", j * stripKeyBytes + 16 * half);
                        f.op("v128.bitselect").set(s);
                      })
                    ));
                  products.accumulators.forEach((vectors, j) =>
                    vectors.forEach((s, half) => {
                      const most = greatest[half === 0 ? 0 : 1];
                      f.get(most, s).op("f32x4.pmax").set(most);
                      n.put(n.add(strip, cursor.strip));
                      f.get(s).memory("v128.store", j * stripKeyBytes + 16 * half);
                    })
                  );
                });
              });
              forTiles(view, visible, panel, at, low, high, (cursor) => {
                f.get(cursor.code).if(() => {
                  const stripAt = n.let(n.add(strip, cursor.strip));
                  for (let j = 0; j < 4; j++) {
                    for (const half of halves) {
                      const offset = j * stripKeyBytes + 16 * half;
                      f.get(stripAt).memory("v128.load", offset).set(x);
                      assign(x, () =>
                        exp2(v, v.op("f32x4.sub", x, greatest[half])));
                      f.get(stripAt, x).memory("v128.store", offset);
                      f.get(sum[half], x).op("f32x4.add").set(sum[half]);
                    }
                  }
                }, () =>
                  zeroTile(view, strip, cursor));
              });
              for (const half of halves) {
                assign(x, () =>
                  exp2(v, v.op("f32x4.sub", maximum[half], greatest[half])));
                f.get(stateAt, x).memory("v128.store", state.factor + 16 * half);
                f.get(stateAt).get(stateAt).memory("v128.load", state.sum + 16 * half);
                f.get(x, sum[half]).op("f32x4.relaxed_madd");
                f.memory("v128.store", state.sum + 16 * half);
                f.get(stateAt, greatest[half]).memory("v128.store", state.maximum + 16 * half);
              }
              const rowsAt = n.add(rows, n.mul(panel.index, panelBytes));
              products.gather(
                rowsAt,
                strip,
                at.values,
                low,
                high,
                n.add(stateAt, state.factor),
              );
            }));
        });
      });

      forPanels(view, item, (panel) => {
        n.set(stateAt, n.add(states, n.mul(panel.index, 128)));
        for (const half of halves) {
          const total = sum[half];
          f.get(stateAt).memory("v128.load", state.sum + 16 * half).set(total);
          // 1/sum, and 0 where nothing was seen.
          f.get(stateAt).f32x4(1).get(total).op("f32x4.div");
          f.get(total).f32x4(0).op("f32x4.ne", "v128.and");
          f.memory("v128.store", state.factor + 16 * half);
          assign(total, () => elementary.log(v, total));
          f.get(stateAt, stateAt).memory("v128.load", state.maximum + 16 * half);
          f.f32x4(Math.LN2).get(total).op("f32x4.relaxed_madd");
          f.memory("v128.store", state.maximum + 16 * half);
        }
        const rowsAt = n.let(n.add(rows, n.mul(panel.index, panelBytes)));
        writePanel(view, item, panel, rowsAt, out, n.add(stateAt, state.factor));
        forRows(view, item, panel, (lane, row) => {
          n.put(n.add(lse, n.mul(row, 4)));
          n.put(n.add(stateAt, n.mul(lane, 4)));
          f.memory("f32.load", state.maximum).memory("f32.store");
        });
      });
    },
  });
}

function pair(f: FunctionBuilder): readonly [Local, Local] {
  return [f.local("v128"), f.local("v128")];
}
