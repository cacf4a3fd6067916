/**
 * The backward pass of block-wise attention on the CPU. Probabilities are recomputed from the log
 * of the sum of exponentials; one pass over the visible tiles yields all gradients (Dao et al. 2022,
 * arXiv:2205.14135, algorithm 4). A thread sums the gradients of keys and values by itself for the
 * heads it works on; heads that several threads share are joined afterwards in thread order.
 *
 * @module
 */

import type { AttentionGradKernel, AttentionSizes } from "../../operations/attention.ts";
import {
  forMembers,
  forPanels,
  forRows,
  forTiles,
  ifMasked,
  laneAddress,
  readPanel,
  scores,
  writePanel,
  zeroTile,
} from "./attention_block.ts";
import { chunkKeys, type Frame, frame, type Layout, layoutBytes } from "./attention_frame.ts";
import { joinThreads, partialSums } from "./attention_grad_join.ts";
import { exp2, log2e } from "./attention_math.ts";
import { forItems, prepare, preparedRegions } from "./attention_prepare.ts";
import { stripKeyBytes, stripTileBytes, tiles, transposeRows, zero } from "./attention_tiles.ts";
import { visibility, visibilityRegions } from "./attention_visibility.ts";
import { type KernelCode, phase } from "./code.ts";
import { Vectors } from "./vectors.ts";
import type { Local } from "./wasm_function.ts";

/** Bytes of a strip. */
const stripBytes = chunkKeys * stripKeyBytes;

function layoutOf(kernel: AttentionGradKernel): Layout {
  return {
    shared: { ...preparedRegions, kept: ["threads", 16] },
    perThread: {
      ...visibilityRegions,
      // Per panel: queries and output gradients as [depth][8] and [8][depth], query gradients,
      // log-sums and deltas, probabilities and score gradients of a chunk.
      transposed: ["panels", "depth", 32],
      transposedGradients: ["panels", "depth", 32],
      rows: ["panels", "depth", 32],
      gradientRows: ["panels", "depth", 32],
      queryGradients: ["panels", "depth", 32],
      state: ["panels", 64],
      probabilities: ["panels", stripBytes],
      scoreGradients: ["panels", stripBytes],
      keySums: ["slots", "chunks", "depth", 4 * chunkKeys],
      valueSums: ["slots", "chunks", "depth", 4 * chunkKeys],
      ...(kernel.bias ? { biasSums: ["queryHeads", "distances", 4] as const } : {}),
    },
  };
}

/** Emits the backward kernel. */
export function emitAttentionGrad(kernel: AttentionGradKernel): KernelCode<AttentionSizes> {
  const layout = layoutOf(kernel);
  const phases = [phase(), phase(), phase()] as const;
  prepare(frame(phases[0], kernel, layout));
  differentiate(frame(phases[1], kernel, layout), kernel);
  joinThreads(frame(phases[2], kernel, layout), kernel.bias);
  return {
    phases,
    scratchBytes: (sizes, threads) => layoutBytes(layout, sizes, threads),
  };
}

function differentiate(view: Frame, kernel: AttentionGradKernel): void {
  const { f, n, rowBytes, quantity } = view;
  const v = new Vectors(f);
  const one = v.float(1);
  const visible = visibility(view, kernel.causal);
  const products = tiles(view);
  const score = scores(view, kernel, products, visible, v);
  const [q, dOut, lse, delta, dq] = ["q", "dOut", "lse", "delta", "dq"].map(view.argument) as [
    Local,
    Local,
    Local,
    Local,
    Local,
  ];
  const transposed = view.region("transposed");
  const transposedGradients = view.region("transposedGradients");
  const rows = view.region("rows");
  const gradientRows = view.region("gradientRows");
  const queryGradients = view.region("queryGradients");
  const states = view.region("state");
  const probabilities = view.region("probabilities");
  const scoreGradients = view.region("scoreGradients");
  const keyRows = view.region("keyRows");
  const valueRows = view.region("valueRows");
  const keyPosition = view.region("keyPosition");
  const biasSums = kernel.bias ? view.region("biasSums") : undefined;
  const sums = partialSums(view);
  const panelBytes = n.let(n.mul(rowBytes, 8));
  const scale = f.local("v128");
  view.float("scale");
  f.op("f32x4.splat").set(scale);
  const logSum = [f.local("v128"), f.local("v128")] as const;
  const deltas = [f.local("v128"), f.local("v128")] as const;
  const index = f.local("v128");
  const [low, high, biasAt] = [f.local("i64"), f.local("i64"), f.local("i64")];
  const [unionLow, unionHigh] = [f.local("i64"), f.local("i64")];
  const [probabilityAt, gradientAt] = [f.local("i64"), f.local("i64")];
  const ofPanel = (region: Local, panel: Local) => n.add(region, n.mul(panel, panelBytes));

  if (biasSums) zero(view, biasSums, n.mul(quantity.queryHeads, quantity.distances, 4));

  forItems(view, {
    begin: sums.begin,
    end: sums.end,
    item: (item) => {
      visible.block(item.block);
      forPanels(view, item, (panel) => {
        const rowsAt = n.let(ofPanel(rows, panel.index));
        readPanel(view, item, panel, rowsAt, q);
        transposeRows(view, ofPanel(transposed, panel.index), rowsAt, score.factor);
        n.set(rowsAt, ofPanel(gradientRows, panel.index));
        readPanel(view, item, panel, rowsAt, dOut);
        transposeRows(view, ofPanel(transposedGradients, panel.index), rowsAt, undefined);
        zero(view, ofPanel(queryGradients, panel.index), panelBytes);
        const state = n.let(n.add(states, n.mul(panel.index, 64)));
        const at = (lane: Local) => n.add(state, n.mul(lane, 4));
        forRows(view, item, panel, (lane, row) => {
          // Where nothing was seen (−∞), +∞ makes every probability 0.
          n.put(at(lane));
          n.put(n.add(lse, n.mul(row, 4)));
          f.memory("f32.load").f32(log2e).op("f32.mul").f32(Infinity);
          n.put(n.add(lse, n.mul(row, 4)));
          f.memory("f32.load").f32(-Infinity).op("f32.ne", "select").memory("f32.store");
          n.put(at(lane));
          n.put(n.add(delta, n.mul(row, 4)));
          f.memory("f32.load").memory("f32.store", 32);
        }, (lane) => {
          n.put(at(lane));
          f.f32(Infinity).memory("f32.store");
          n.put(at(lane));
          f.f32(0).memory("f32.store", 32);
        });
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
        n.set(unionLow, chunkKeys);
        n.set(unionHigh, 0);
        n.range(0, quantity.queryPanels, 1, (queryPanel) => {
          visible.range(queryPanel, low, high);
          n.ifLess(low, high, () => {
            n.set(unionLow, n.min(unionLow, low));
            n.set(unionHigh, n.max(unionHigh, high));
            forMembers(view, item, queryPanel, (panel) => {
              const state = n.let(n.add(states, n.mul(panel.index, 64)));
              for (const half of [0, 1] as const) {
                f.get(state).memory("v128.load", 16 * half).set(logSum[half]);
                f.get(state).memory("v128.load", 32 + 16 * half).set(deltas[half]);
              }
              const transposedAt = n.let(ofPanel(transposed, panel.index));
              const transposedGradientsAt = n.let(ofPanel(transposedGradients, panel.index));
              const ownProbabilities = n.let(
                n.add(probabilities, n.mul(panel.index, stripBytes)),
              );
              const ownGradients = n.let(n.add(scoreGradients, n.mul(panel.index, stripBytes)));
              if (biasSums) {
                n.set(biasAt, n.add(biasSums, n.mul(panel.queryHead, quantity.distances, 4)));
              }
              score.open(panel);
              forTiles(view, visible, panel, at, low, high, (cursor) => {
                f.get(cursor.code).if(() => {
                  n.set(probabilityAt, n.add(ownProbabilities, cursor.strip));
                  n.set(gradientAt, n.add(ownGradients, cursor.strip));
                  const each = (body: (x: Local, half: 0 | 1, offset: number) => void) =>
                    products.accumulators.forEach((vectors, j) =>
                      vectors.forEach((x, half) =>
                        body(x, half === 0 ? 0 : 1, j * stripKeyBytes + 16 * half)
                      )
                    );
                  score.tile(cursor.keys, transposedAt, cursor.positions, (j, half, bent) => {
                    // The slope of the soft cap, 1 − tanh², waits where the gradient will go.
                    f.get(gradientAt, bent, bent, one).op("f32x4.relaxed_nmadd");
                    f.memory("v128.store", j * stripKeyBytes + 16 * half);
                  });
                  each((s, half) => {
                    v.scope(() => {
                      v.push(exp2(v, v.op("f32x4.sub", s, logSum[half])));
                      f.set(s);
                    });
                  });
                  ifMasked(
                    view,
                    cursor,
                    () =>
                      each((p, _, offset) =>
                        f.get(p, cursor.masks).memory("v128.load", offset).op("v128.and").set(p)
                      ),
                  );
                  each((p, _, offset) => f.get(probabilityAt, p).memory("v128.store", offset));
                  products.scores(cursor.values, transposedGradientsAt);
                  each((d, half, offset) => {
                    f.get(d, deltas[half]).op("f32x4.sub").get(probabilityAt);
                    f.memory("v128.load", offset).op("f32x4.mul").set(d);
                  });
                  if (biasSums) {
                    each((d, half, offset) => {
                      f.get(cursor.positions);
                      f.memory("v128.load32_splat", 4 * Math.trunc(offset / stripKeyBytes));
                      score.distance(half);
                      f.set(index);
                      for (let lane = 0; lane < 4; lane++) {
                        laneAddress(view, biasAt, index, lane);
                        laneAddress(view, biasAt, index, lane);
                        f.memory("f32.load").get(d).lane("f32x4.extract_lane", lane);
                        f.op("f32.add").memory("f32.store");
                      }
                    });
                  }
                  each((d, _, offset) => {
                    f.get(gradientAt, d, scale).op("f32x4.mul");
                    if (kernel.softcap) {
                      f.get(gradientAt).memory("v128.load", offset).op("f32x4.mul");
                    }
                    f.memory("v128.store", offset);
                  });
                }, () => {
                  zeroTile(view, ownProbabilities, cursor);
                  zeroTile(view, ownGradients, cursor);
                });
              });
              const target = ofPanel(queryGradients, panel.index);
              products.gather(target, ownGradients, at.keys, low, high);
            });
          });
        });

        n.range(unionLow, unionHigh, 1, (tile) => {
          const key = n.let(n.mul(n.add(n.mul(chunk, chunkKeys), n.mul(tile, 4)), rowBytes));
          const stripOffset = n.let(n.mul(tile, stripTileBytes));
          for (
            const [target, strips, panelRows] of [
              [sums.values, probabilities, gradientRows],
              [sums.keys, scoreGradients, rows],
            ] as const
          ) {
            products.spread(n.add(target, key), (column, addPanel) => {
              n.range(0, quantity.queryPanels, 1, (queryPanel) => {
                visible.range(queryPanel, low, high);
                f.get(low, tile).op("i64.le_s").get(tile, high).op("i64.lt_s", "i32.and");
                f.if(() => {
                  const panel = n.mul(queryPanel, view.group);
                  const strip = n.let(
                    n.add(strips, n.mul(panel, stripBytes), stripOffset),
                  );
                  const rowsAt = n.let(n.add(panelRows, n.mul(panel, panelBytes), column));
                  n.range(0, view.group, 1, () => {
                    addPanel(strip, rowsAt);
                    n.set(strip, n.add(strip, stripBytes));
                    n.set(rowsAt, n.add(rowsAt, panelBytes));
                  });
                });
              });
            });
          }
        });
      });
      forPanels(view, item, (panel) => {
        writePanel(view, item, panel, ofPanel(queryGradients, panel.index), dq);
      });
    },
  });
}
