/**
 * Block-wise attention as WGSL (online softmax; Dao et al., FlashAttention). A workgroup takes 32
 * queries of one head and walks over the keys they may see.
 *
 * @module
 */

import type { HandMadeLaunch } from "../../launch.ts";
import type { AttentionKernel } from "../../operations/attention.ts";
import { lowerParts, type PartText } from "./attention_shader.ts";
import {
  addWeighted,
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

/** Dispatches of attention: one, or none without queries. */
export function lowerAttention(
  launch: HandMadeLaunch<AttentionKernel>,
  traits: Traits,
): Dispatch[] {
  const { kernel, sizes: { queries, keys, queryHeads } } = launch;
  return lowerParts("attention", launch, traits, [{
    outputs: ["out", "lse"],
    text: (chunks) => forwardText(kernel, chunks),
    blocks: Math.ceil(queries / block),
    heads: queryHeads,
    loops: (chunks) => Math.ceil(keys / block) * iterations(chunks, 3, 2),
  }]);
}

const rows = [0, 1, 2, 3];
const pairs = rows.flatMap((i) => rows.map((j) => [i, j] as const));

function forwardText(kernel: AttentionKernel, chunks: number): PartText {
  const globals = `var<workgroup> partial: array<vec4<f32>, 64>;
// Below every score, yet finite: differences of two of them are zero.
const lowest = -3.0e38;`;
  const body = `  let t0 = i32(group % blocks) * 32;
  let h = i32(group / blocks);
  let keyHead = h * K / H;
  ${loadQueries("@querySegments")}
  workgroupBarrier();
  ${joinRanges}
  ${each(chunks, (c) => zeros(`o${c}_`))}
  var highest = vec4<f32>(lowest);
  var total = vec4<f32>();
  for (var s0 = keys.x; s0 < keys.y; s0 += 32) {
    workgroupBarrier();
    ${loadKeys("@keySegments")}
    workgroupBarrier();
    ${visibility(kernel)}
    ${rowProducts("p", queryRows("@q"), keyRows("@k"))}
    var high = vec4<f32>(lowest);
    ${
    pairs.map(([i, j]) =>
      `{
      let away = querySegment[4u * y + ${i}u].z - keySegment[4u * x + ${j}u].y;
      p${i}[${j}] = score(p${i}[${j}], away, h, R, scale, cap).x;
      if ((visible & ${1 << (4 * i + j)}u) != 0u) { high[${i}] = max(high[${i}], p${i}[${j}]); }
    }`
    ).join("\n    ")
  }
    partial[lane] = high;
    workgroupBarrier();
    for (var other = 0u; other < 8u; other++) { high = max(high, partial[8u * y + other]); }
    high = max(high, highest);
    let shrink = vec4<f32>(${rows.map((i) => `exp_(highest[${i}] - high[${i}])`).join(", ")});
    highest = high;
    total = total * shrink;
    ${
    pairs.map(([i, j]) =>
      `{
      let seen = (visible & ${1 << (4 * i + j)}u) != 0u;
      p${i}[${j}] = select(0.0, exp_(p${i}[${j}] - high[${i}]), seen);
      total[${i}] += p${i}[${j}];
    }`
    ).join("\n    ")
  }
    for (var j = 0u; j < 4u; j++) {
      weights[(4u * x + j) * 8u + y] = vec4<f32>(p0[j], p1[j], p2[j], p3[j]);
    }
    ${each(chunks, (c) => rows.map((i) => `o${c}_${i} *= shrink[${i}];`).join(" "))}
    ${addWeighted("o", chunks, "weights", keyRows("@v"))}
  }
  workgroupBarrier();
  partial[lane] = total;
  workgroupBarrier();
  total = vec4<f32>();
  for (var other = 0u; other < 8u; other++) { total += partial[8u * y + other]; }
  ${
    rows.map((i) =>
      `{
    let t = t0 + i32(4u * y) + ${i};
    let none = total[${i}] == 0.0;
    let inverse = select(1.0 / total[${i}], 0.0, none);
    if (t < T) {
      let at = (t * H + h) * D;
      ${
        each(chunks, (c) =>
          `for (var j = 0; j < 4; j++) {
        let d = ${c * block} + i32(4u * x) + j;
        if (d < D) { @out[at + d] = o${c}_${i}[j] * inverse; }
      }`)
      }
      if (x == 0u) {
        @lse[t * H + h] = select(highest[${i}] + log_(total[${i}]), -bitcast<f32>(infinityBits), none);
      }
    }
  }`
    ).join("\n  ")
  }`;
  return { math: ["log", "infinity"], globals, body };
}
