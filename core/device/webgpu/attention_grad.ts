/**
 * Gradients of block-wise attention as WGSL. Weights are recomputed from `lse`; queries, keys with
 * values, and the bias each have a shader that owns what it writes, so that no order is left open.
 *
 * @module
 */

import { type AttentionGradKernel, kernelKey, type Launch } from "../../kernel.ts";
import { attentionName, checkAttention } from "./attention.ts";
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
  refuseLongLoops,
  type Shader,
  type Traits,
} from "./shader.ts";

/** Dispatches of attention's gradient: dq, then dk with dv, then dBias where there is a bias. */
export function lowerAttentionGrad(
  kernel: AttentionGradKernel,
  launch: Launch,
  traits: Traits,
): Dispatch[] {
  const [queries, keys, heads, keyHeads, size, , reach] = launch.ints as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const name = attentionName("attention gradient", kernel);
  checkAttention(name, launch);
  const chunks = Math.ceil(size / block);
  const base = `${kernelKey(kernel)}|${chunks}`;
  const roles = argumentRoles(kernel);
  const dispatches: Dispatch[] = [];
  const add = (
    part: string,
    make: () => Part,
    groups: number,
    derived: readonly number[],
    loops: number,
  ): void => {
    if (groups === 0) return;
    refuseLongLoops(`${name}: ${part}`, loops, traits);
    const shader = cachedShader(
      `${base}|${part}`,
      () => assemble(kernel, make(), `${name}: ${part}`),
    );
    dispatches.push({
      shader,
      args: rolesOf(kernel, part).map((role) => roles.indexOf(role)),
      numbers: packNumbers([groups, ...derived], launch),
      workgroups: groups,
    });
  };
  const queryBlocks = Math.ceil(queries / block);
  const keyBlocks = Math.ceil(keys / block);
  add(
    "dq",
    () => queryPart(kernel, chunks),
    queryBlocks * heads,
    [queryBlocks],
    keyBlocks * iterations(chunks, 5, 3),
  );
  add(
    "dk, dv",
    () => keyPart(kernel, chunks),
    keyBlocks * keyHeads,
    [keyBlocks],
    queryBlocks * (1 + Math.ceil(heads / keyHeads) * iterations(chunks, 6, 4)),
  );
  if (kernel.bias) {
    const binGroups = Math.ceil((2 * reach + 1) / attentionSize);
    add(
      "dBias",
      () => biasPart(kernel),
      binGroups * heads,
      [binGroups],
      queryBlocks * (32 + keyBlocks * (32 + iterations(chunks, 4, 2))),
    );
  }
  return dispatches;
}

/** Names of the kernel's arguments, in order. */
function argumentRoles(kernel: AttentionGradKernel): string[] {
  const bias = kernel.bias ? ["bias"] : [];
  const inputs = ["q", "k", "v", "queries", "keys", ...bias, "lse", "delta", "dOut"];
  return [...inputs, "dq", "dk", "dv", ...(kernel.bias ? ["dBias"] : [])];
}

/** Arguments that a part binds, in order. */
function rolesOf(kernel: AttentionGradKernel, part: string): string[] {
  const outputs = part.split(", ");
  return argumentRoles(kernel).filter((role) =>
    outputs.includes(role) || !["dq", "dk", "dv", "dBias"].includes(role)
  );
}

interface Part {
  readonly outputs: string;
  readonly globals: string;
  readonly body: string;
}

/** Buffers are named by their role in the text of the parts. */
function assemble(kernel: AttentionGradKernel, part: Part, name: string): Shader {
  const numbers = Math.ceil((derivedNumbers + attentionInts.length + 2) / 4);
  const roles = rolesOf(kernel, part.outputs);
  const arrays = roles.map((role) => role === "queries" || role === "keys" ? "i32" : "f32");
  const text = `${mathText(["exp", ...(kernel.softcap ? ["tanh"] : [])])}
${attentionShared}
var<workgroup> weights: array<vec4<f32>, 256>;
${part.globals}
${scoreFunction(kernel, "@bias")}
@compute @workgroup_size(${attentionSize})
fn main(${entryParameters}) {
${attentionPreamble()}
  let group = ${groupIndex};
  if (group >= u32(${rawNumberText(0)})) { return; }
  let blocks = u32(${rawNumberText(1)});
${part.body}
}`;
  const named = text.replaceAll(
    /@(q|k|v|queries|keys|bias|lse|delta|dOut|dq|dk|dv|dBias)\b/g,
    (_, role: string) => `b${roles.indexOf(role)}`,
  );
  return {
    name,
    code: `${bindingText(arrays, numbers, 0)}\n${named}`,
    buffers: roles.length,
    numbers,
    scalars: 0,
  };
}

const rows = [0, 1, 2, 3];

/** `p0…3 = q·k` and `g0…3 = dOut·v` for the block at (t0, s0), query head h. */
const products = `${
  rowProducts(
    "p",
    fillTransposed("left", "@q", "h * D", "t0", "T", "H * D", "d0"),
    fillTransposed("right", "@k", "keyHead * D", "s0", "S", "K * D", "d0"),
  )
}
    ${
  rowProducts(
    "g",
    fillTransposed("left", "@dOut", "h * D", "t0", "T", "H * D", "d0"),
    fillTransposed("right", "@v", "keyHead * D", "s0", "S", "K * D", "d0"),
  )
}`;

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

function each(chunks: number, text: (chunk: number) => string): string {
  return Array.from({ length: chunks }, (_, c) => text(c)).join("\n    ");
}

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

function queryPart(kernel: AttentionGradKernel, chunks: number): Part {
  const body = `  let t0 = i32(group % blocks) * 32;
  let h = i32(group / blocks);
  let keyHead = h * K / H;
  ${loadQueries("@queries")}
  workgroupBarrier();
  ${joinRanges}
  ${rowNumbers}
  ${each(chunks, (c) => zeros(`o${c}_`))}
  for (var s0 = keys.x; s0 < keys.y; s0 += 32) {
    workgroupBarrier();
    ${loadKeys("@keys")}
    workgroupBarrier();
    ${visibility(kernel)}
    ${products}
    ${pairGradients(true)}
    for (var j = 0u; j < 4u; j++) {
      weights[(4u * x + j) * 8u + y] = vec4<f32>(g0[j], g1[j], g2[j], g3[j]);
    }
    ${
    each(chunks, (c) =>
      `workgroupBarrier();
    ${fillStraight("right", "@k", "keyHead * D", "s0", "S", "K * D", String(c * block))}
    workgroupBarrier();
    ${multiplyTiles(`o${c}_`, "weights", "right")}`)
  }
  }
  ${writeRows("o", chunks, "@dq", "t0", "T", "(row * H + h) * D")}`;
  return { outputs: "dq", globals: "", body };
}

function keyPart(kernel: AttentionGradKernel, chunks: number): Part {
  const accumulate = (acc: string, tile: string, source: string) =>
    each(chunks, (c) =>
      `workgroupBarrier();
    ${fillStraight("right", source, "h * D", "t0", "T", "H * D", String(c * block))}
    workgroupBarrier();
    ${multiplyTiles(`${acc}${c}_`, tile, "right")}`);
  const body = `  let s0 = i32(group % blocks) * 32;
  let keyHead = i32(group / blocks);
  let firstHead = (keyHead * H + K - 1) / K;
  let lastHead = ((keyHead + 1) * H + K - 1) / K;
  ${loadKeys("@keys")}
  ${each(chunks, (c) => `${zeros(`m${c}_`)} ${zeros(`n${c}_`)}`)}
  for (var t0 = 0; t0 < T; t0 += 32) {
    workgroupBarrier();
    ${loadQueries("@queries")}
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
    ${accumulate("m", "weights", "@q")}
    ${accumulate("n", "left", "@dOut")}
    }
  }
  ${writeRows("m", chunks, "@dk", "s0", "S", "(row * K + keyHead) * D")}
  ${writeRows("n", chunks, "@dv", "s0", "S", "(row * K + keyHead) * D")}`;
  return { outputs: "dk, dv", globals: "", body };
}

/** A workgroup owns 64 distances of one head: invocation b sums what lies at distance bin0 + b. */
function biasPart(kernel: AttentionGradKernel): Part {
  const inGroup =
    ` && clamp(away, -R, R) + R >= bin0 && clamp(away, -R, R) + R < bin0 + ${attentionSize}`;
  const body = `  let bin0 = i32(group % blocks) * ${attentionSize};
  let h = i32(group / blocks);
  let keyHead = h * K / H;
  var total = 0.0;
  for (var t0 = 0; t0 < T; t0 += 32) {
    workgroupBarrier();
    ${loadQueries("@queries")}
    workgroupBarrier();
    ${joinRanges}
    ${rowNumbers}
    for (var s0 = keys.x; s0 < keys.y; s0 += 32) {
    workgroupBarrier();
    ${loadKeys("@keys")}
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
  return { outputs: "dBias", globals: "", body };
}
