/**
 * Gradients of block-wise attention as WGSL. Weights are recomputed from `lse`; queries, keys with
 * values, and the bias each have a shader that owns what it writes, so that no order is left open.
 *
 * @module
 */

import type { HandMadeLaunch } from "../../launch.ts";
import type { AttentionGradKernel } from "../../operations/attention.ts";
import { lowerParts, type Part, type PartText } from "./attention_shader.ts";
import {
  addWeighted,
  attentionSize,
  block,
  each,
  iterations,
  joinRanges,
  keyRows,
  loadKeys,
  loadQueries,
  queryRows,
  rowProducts,
  visibility,
  zeros,
} from "./attention_text.ts";
import type { Dispatch, Traits } from "./shader.ts";

/** Dispatches of attention's gradient: dq, then dk with dv, then dBias where there is a bias. */
export function lowerAttentionGrad(
  launch: HandMadeLaunch<AttentionGradKernel>,
  traits: Traits,
): Dispatch[] {
  const { kernel, sizes: { queries, keys, queryHeads, keyHeads, reach } } = launch;
  const queryBlocks = Math.ceil(queries / block);
  const keyBlocks = Math.ceil(keys / block);
  const ofQueries: Part = {
    outputs: ["dq"],
    text: (chunks) => queryText(kernel, chunks),
    blocks: queryBlocks,
    heads: queryHeads,
    loops: (chunks) => keyBlocks * iterations(chunks, 5, 3),
  };
  const group = Math.ceil(queryHeads / keyHeads);
  const ofKeys: Part = {
    outputs: ["dk", "dv"],
    text: (chunks) => keyText(kernel, chunks),
    blocks: keyBlocks,
    heads: keyHeads,
    loops: (chunks) => queryBlocks * (1 + group * iterations(chunks, 6, 4)),
  };
  const ofBias: Part = {
    outputs: ["dBias"],
    text: () => biasText(kernel),
    blocks: Math.ceil((2 * reach + 1) / attentionSize),
    heads: queryHeads,
    loops: (chunks) => queryBlocks * (32 + keyBlocks * (32 + iterations(chunks, 4, 2))),
  };
  const parts = kernel.bias ? [ofQueries, ofKeys, ofBias] : [ofQueries, ofKeys];
  return lowerParts("attention gradient", launch, traits, parts);
}

const rows = [0, 1, 2, 3];

/** `p0…3 = q·k` and `g0…3 = dOut·v` for the block at (t0, s0), query head h. */
const products = `${rowProducts("p", queryRows("@q"), keyRows("@k"))}
    ${rowProducts("g", queryRows("@dOut"), keyRows("@v"))}`;

/**
 * Turns `p` into the attention weights and `g` into gradients of the scores (`raw` false) or of q·k
 * (`raw` true). Rows' `lse` and `delta` are in `rowLse` and `rowDelta`.
 */
function pairGradients(raw: boolean): string {
  return rows.flatMap((i) =>
    rows.map((j) =>
      `{
      let away = querySegment[4u * y + ${i}u].z - keySegment[4u * x + ${j}u].y;
      let s = score(p${i}[${j}], away, h, R, scale, cap);
      let seen = (visible & ${1 << (4 * i + j)}u) != 0u;
      p${i}[${j}] = select(0.0, exp_(s.x - rowLse[${i}]), seen);
      g${i}[${j}] = select(0.0, p${i}[${j}] * (g${i}[${j}] - rowDelta[${i}])${
        raw ? " * (s.y * scale)" : ""
      }, seen);
    }`
    )
  ).join("\n    ");
}

/** Defines `rowLse` and `rowDelta` of this invocation's four queries. */
const rowNumbers = `var rowLse = vec4<f32>();
    var rowDelta = vec4<f32>();
    for (var i = 0; i < 4; i++) {
      let t = t0 + i32(4u * y) + i;
      if (t < T) { rowLse[i] = @lse[t * H + h]; rowDelta[i] = @delta[t * H + h]; }
    }`;

/** Writes accumulators of rows from `row0` to `buffer`; `at` is the element where `row` begins. */
function writeRows(
  acc: string,
  chunks: number,
  buffer: string,
  row0: string,
  limit: string,
  at: string,
): string {
  return rows.map((i) =>
    `{
    let row = ${row0} + i32(4u * y) + ${i};
    if (row < ${limit}) {
      let at = ${at};
      ${
      each(chunks, (c) =>
        `for (var j = 0; j < 4; j++) {
        let d = ${c * block} + i32(4u * x) + j;
        if (d < D) { ${buffer}[at + d] = ${acc}${c}_${i}[j]; }
      }`)
    }
    }
  }`
  ).join("\n  ");
}

function queryText(kernel: AttentionGradKernel, chunks: number): PartText {
  const body = `  let t0 = i32(group % blocks) * 32;
  let h = i32(group / blocks);
  let keyHead = h * K / H;
  ${loadQueries("@querySegments")}
  workgroupBarrier();
  ${joinRanges}
  ${rowNumbers}
  ${each(chunks, (c) => zeros(`o${c}_`))}
  for (var s0 = keys.x; s0 < keys.y; s0 += 32) {
    workgroupBarrier();
    ${loadKeys("@keySegments")}
    workgroupBarrier();
    ${visibility(kernel)}
    ${products}
    ${pairGradients(true)}
    for (var j = 0u; j < 4u; j++) {
      weights[(4u * x + j) * 8u + y] = vec4<f32>(g0[j], g1[j], g2[j], g3[j]);
    }
    ${addWeighted("o", chunks, "weights", keyRows("@k"))}
  }
  ${writeRows("o", chunks, "@dq", "t0", "T", "(row * H + h) * D")}`;
  return { body };
}

function keyText(kernel: AttentionGradKernel, chunks: number): PartText {
  const body = `  let s0 = i32(group % blocks) * 32;
  let keyHead = i32(group / blocks);
  let firstHead = (keyHead * H + K - 1) / K;
  let lastHead = ((keyHead + 1) * H + K - 1) / K;
  ${loadKeys("@keySegments")}
  ${each(chunks, (c) => `${zeros(`m${c}_`)} ${zeros(`n${c}_`)}`)}
  for (var t0 = 0; t0 < T; t0 += 32) {
    workgroupBarrier();
    ${loadQueries("@querySegments")}
    workgroupBarrier();
    ${visibility(kernel)}
    for (var h = firstHead; h < lastHead; h++) {
    ${rowNumbers}
    ${products}
    ${pairGradients(true)}
    // The scores are done with \`left\`; here the summed index is the query.
    workgroupBarrier();
    ${
    rows.map((i) =>
      `left[(4u * y + ${i}u) * 8u + x] = p${i}; weights[(4u * y + ${i}u) * 8u + x] = g${i};`
    ).join("\n    ")
  }
    ${addWeighted("m", chunks, "weights", queryRows("@q"))}
    ${addWeighted("n", chunks, "left", queryRows("@dOut"))}
    }
  }
  ${writeRows("m", chunks, "@dk", "s0", "S", "(row * K + keyHead) * D")}
  ${writeRows("n", chunks, "@dv", "s0", "S", "(row * K + keyHead) * D")}`;
  return { body };
}

/** A workgroup owns 64 distances of one head: invocation b sums what lies at distance bin0 + b. */
function biasText(kernel: AttentionGradKernel): PartText {
  const inGroup =
    ` && clamp(away, -R, R) + R >= bin0 && clamp(away, -R, R) + R < bin0 + ${attentionSize}`;
  const body = `  let bin0 = i32(group % blocks) * ${attentionSize};
  let h = i32(group / blocks);
  let keyHead = h * K / H;
  var total = 0.0;
  for (var t0 = 0; t0 < T; t0 += 32) {
    workgroupBarrier();
    ${loadQueries("@querySegments")}
    workgroupBarrier();
    ${joinRanges}
    ${rowNumbers}
    for (var s0 = keys.x; s0 < keys.y; s0 += 32) {
    workgroupBarrier();
    ${loadKeys("@keySegments")}
    workgroupBarrier();
    ${visibility(kernel, inGroup)}
    ${products}
    ${pairGradients(false)}
    ${rows.map((i) => `weights[(4u * y + ${i}u) * 8u + x] = g${i};`).join("\n    ")}
    workgroupBarrier();
    var part = 0.0;
    for (var i = 0u; i < 32u; i++) {
      let position = querySegment[i].z;
      ${
    Array.from({ length: 32 }, (_, j) =>
      `part += select(0.0, weights[i * 8u + ${j >> 2}u][${j & 3}], ` +
      `clamp(position - keySegment[${j}u].y, -R, R) + R == bin0 + i32(lane));`).join("\n      ")
  }
    }
    total += part;
    }
  }
  if (bin0 + i32(lane) < 2 * R + 1) { @dBias[h * (2 * R + 1) + bin0 + i32(lane)] = total; }`;
  return { body };
}
