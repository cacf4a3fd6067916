/**
 * Block-wise attention as WGSL (online softmax; Dao et al., FlashAttention). A workgroup takes 32
 * queries of one head and walks over the keys they may see.
 *
 * @module
 */

import { UserError } from "../../errors.ts";
import { type AttentionKernel, kernelKey, type Launch } from "../../kernel.ts";
import {
  attentionInts,
  attentionPreamble,
  attentionShared,
  attentionSize,
  block,
  fillStraight,
  fillTransposed,
  iterations,
  joinRanges,
  loadKeys,
  loadQueries,
  multiplyTiles,
  rowProducts,
  scoreFunction,
  visibility,
  zeros,
} from "./attention_text.ts";
import { mathText } from "./math.ts";
import {
  bindingText,
  cachedShader,
  derivedNumbers,
  type Dispatch,
  entryParameters,
  groupIndex,
  packNumbers,
  rawNumberText,
  refuseHuge,
  refuseLongLoops,
  type Shader,
  type Traits,
} from "./shader.ts";

/** The longest head. Accumulators of a row are registers, so it is part of the text in chunks. */
export const maxHeadSize = 256;

/** Refuses sizes that attention kernels cannot take. */
export function checkAttention(name: string, launch: Launch): void {
  const [queries, keys, heads, keyHeads, size] = launch.ints as number[];
  if (size! > maxHeadSize) {
    throw new UserError(
      `Attention on WebGPU takes heads of at most ${maxHeadSize} features, not ${size}. ` +
        `Use --device cpu for this model.`,
    );
  }
  refuseHuge(
    `${name} [${launch.ints.join(", ")}]`,
    Math.max(queries! * heads! * size!, keys! * keyHeads! * size!),
  );
}

/** Dispatches of attention: one, or none without queries. */
export function lowerAttention(
  kernel: AttentionKernel,
  launch: Launch,
  traits: Traits,
): Dispatch[] {
  const [queries, keys, heads, , size] = launch.ints as [number, number, number, number, number];
  const name = attentionName("attention", kernel);
  checkAttention(name, launch);
  if (queries * heads === 0) return [];
  const chunks = Math.ceil(size / block);
  refuseLongLoops(name, Math.ceil(keys / block) * iterations(chunks, 3, 2), traits);
  const shader = cachedShader(
    `${kernelKey(kernel)}|${chunks}`,
    () => attentionShader(kernel, chunks, name),
  );
  const blocks = Math.ceil(queries / block);
  return [{
    shader,
    args: Array.from({ length: shader.buffers }, (_, i) => i),
    numbers: packNumbers([blocks * heads, blocks], launch),
    workgroups: blocks * heads,
  }];
}

/** A kernel's name with its options, for people. */
export function attentionName(
  base: string,
  kernel: { readonly causal: boolean; readonly softcap: boolean; readonly bias: boolean },
): string {
  const options = [
    kernel.causal ? "causal" : "both ways",
    ...(kernel.softcap ? ["soft cap"] : []),
    ...(kernel.bias ? ["bias"] : []),
  ];
  return `${base} (${options.join(", ")})`;
}

const rows = [0, 1, 2, 3];
const pairs = rows.flatMap((i) => rows.map((j) => [i, j] as const));

function attentionShader(kernel: AttentionKernel, chunks: number, name: string): Shader {
  const numbers = Math.ceil((derivedNumbers + attentionInts.length + 2) / 4);
  const out = kernel.bias ? 6 : 5;
  const arrays = ["f32", "f32", "f32", "i32", "i32", ...(kernel.bias ? ["f32"] : []), "f32", "f32"];
  const chunkList = Array.from({ length: chunks }, (_, c) => c);
  const code = `${bindingText(arrays, numbers, 0)}
${mathText(["exp", "log", "infinity", ...(kernel.softcap ? ["tanh"] : [])])}
${attentionShared}
var<workgroup> weights: array<vec4<f32>, 256>;
var<workgroup> partial: array<vec4<f32>, 64>;
${scoreFunction(kernel, "b5")}
// Below every score, yet finite: differences of two of them are zero.
const lowest = -3.0e38;

@compute @workgroup_size(${attentionSize})
fn main(${entryParameters}) {
${attentionPreamble()}
  let group = ${groupIndex};
  if (group >= u32(${rawNumberText(0)})) { return; }
  let t0 = i32(group % u32(${rawNumberText(1)})) * 32;
  let h = i32(group / u32(${rawNumberText(1)}));
  let keyHead = h * K / H;
  ${loadQueries("b3")}
  workgroupBarrier();
  ${joinRanges}
  ${chunkList.map((c) => zeros(`o${c}_`)).join("\n  ")}
  var highest = vec4<f32>(lowest);
  var total = vec4<f32>();
  for (var s0 = keys.x; s0 < keys.y; s0 += 32) {
    workgroupBarrier();
    ${loadKeys("b4")}
    workgroupBarrier();
    ${visibility(kernel)}
    ${
    rowProducts(
      "p",
      fillTransposed("left", "b0", "h * D", "t0", "T", "H * D", "d0"),
      fillTransposed("right", "b1", "keyHead * D", "s0", "S", "K * D", "d0"),
    )
  }
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
    ${chunkList.flatMap((c) => rows.map((i) => `o${c}_${i} *= shrink[${i}];`)).join("\n    ")}
    ${
    chunkList.map((c) =>
      `workgroupBarrier();
    ${fillStraight("right", "b2", "keyHead * D", "s0", "S", "K * D", String(c * block))}
    workgroupBarrier();
    ${multiplyTiles(`o${c}_`, "weights", "right")}`
    ).join("\n    ")
  }
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
        chunkList.map((c) =>
          `for (var j = 0; j < 4; j++) {
        let d = ${c * block} + i32(4u * x) + j;
        if (d < D) { b${out}[at + d] = o${c}_${i}[j] * inverse; }
      }`
        ).join("\n      ")
      }
      if (x == 0u) {
        b${
        out + 1
      }[t * H + h] = select(highest[${i}] + log_(total[${i}]), -bitcast<f32>(infinityBits), none);
      }
    }
  }`
    ).join("\n  ")
  }
}`;
  return { name, code, buffers: arrays.length, numbers, scalars: 0 };
}
