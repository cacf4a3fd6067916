/** Products for hardware adapters: tiles in workgroup memory. @module */

import { isBlockCode } from "../../block_codes.ts";
import type { DType } from "../../dtype.ts";
import type { MatmulKernel } from "../../operations/matmul.ts";
import { type CodedSource, decoderText, vectorDecoderText } from "./coded_text.ts";
import { mathText } from "./math.ts";
import {
  arrayTypes,
  codedSource,
  preamble,
  productNumbers,
  range,
  type Tile,
  vectorLoadText,
} from "./matmul_text.ts";
import { bindingText, entryParameters, loadText, type Shader, type Traits } from "./shader.ts";

/** The tile of a product [m, n], by what fits workgroup memory. */
export function sharedTile(m: number, n: number, traits: Traits): Tile {
  if (m <= 16) return { rows: 16, columns: 64, rowsEach: 1, columnsEach: 4, depth: 32 };
  const large = m >= 512 && n >= 512 && traits.workgroupBytes >= 16384;
  if (large) return { rows: 128, columns: 64, rowsEach: 8, columnsEach: 4, depth: 16 };
  return { rows: 64, columns: 64, rowsEach: 4, columnsEach: 4, depth: 16 };
}

/**
 * C by tiles: a workgroup copies `depth` inner elements of its rows of A and columns of B into
 * workgroup memory, both with the inner index outermost, then every invocation multiplies its part.
 */
export function sharedShader(
  kernel: MatmulKernel,
  tile: Tile,
  name: string,
  aAligned: boolean,
  bAligned: boolean,
): Shader {
  const { rows, columns, rowsEach, columnsEach, depth } = tile;
  const size = (rows / rowsEach) * (columns / columnsEach);
  const used = new Set<string>();
  const use = (function_: string) => void used.add(function_);
  const across = columns / columnsEach;

  // An operand stored with its inner index along rows has four inner elements per read.
  const fill = (
    target: string,
    reader: string,
    base: string,
    stride: string,
    innerAlong: boolean,
    first: string,
    limit: string,
    length: number,
  ): string => {
    const stride4 = length / 4 + 1;
    if (innerAlong) {
      // Four stored rows at a time, turned, because a vector must be written whole.
      const reads = range(4).map((i) =>
        `      if (${first} + outer + ${i} < ${limit}) {
        r${i} = ${reader}(${base} + (${first} + outer + ${i}) * ${stride}, p0 + inner, k);
      }`
      );
      return `    for (var v = lane; v < ${length * depth / 16}u; v += ${size}u) {
      let inner = i32(v % ${depth / 4}u) * 4;
      let outer = i32(v / ${depth / 4}u) * 4;
      ${range(4).map((i) => `var r${i} = vec4<f32>();`).join(" ")}
${reads.join("\n")}
      for (var c = 0; c < 4; c++) {
        ${target}[(inner + c) * ${stride4} + outer / 4] = vec4<f32>(r0[c], r1[c], r2[c], r3[c]);
      }
    }`;
    }
    return `    for (var v = lane; v < ${length * depth / 4}u; v += ${size}u) {
      let outer = i32(v % ${length / 4}u) * 4;
      let inner = i32(v / ${length / 4}u);
      var r = vec4<f32>();
      if (p0 + inner < k) {
        r = ${reader}(${base} + (p0 + inner) * ${stride}, ${first} + outer, ${limit});
      }
      ${target}[inner * ${stride4} + outer / 4] = r;
    }`;
  };
  const rowsOf = range(rowsEach);
  const [rows4, columns4] = [rows / 4 + 1, columns / 4 + 1];
  const vectors = range(Math.ceil(rowsEach / 4));
  const x = (i: number) => rowsEach === 1 ? "x0[row % 4]" : `x${i >> 2}[${i & 3}]`;
  const lines = [
    preamble(tile),
    `  let row = i32(lane / ${across}u) * ${rowsEach};`,
    `  let column = i32(lane % ${across}u) * ${columnsEach};`,
    ...rowsOf.map((i) => `  var s${i} = vec4<f32>();`),
    `  for (var p0 = 0; p0 < k; p0 += ${depth}) {`,
    fill("tileA", "readA", "aBase", "aRow", !kernel.transposeA, "row0", "m", rows),
    fill("tileB", "readB", "bBase", "bRow", kernel.transposeB, "column0", "n", columns),
    `    workgroupBarrier();`,
    `    for (var p = 0; p < ${depth}; p++) {`,
    `      let y = tileB[p * ${columns4} + column / 4];`,
    ...vectors.map((i) => `      let x${i} = tileA[p * ${rows4} + row / 4 + ${i}];`),
    ...rowsOf.map((i) => `      s${i} = s${i} + ${x(i)} * y;`),
    `    }`,
    `    workgroupBarrier();`,
    `  }`,
    ...rowsOf.map((i) =>
      `  if (row0 + row + ${i} < m) {
    let at = cBase + (row0 + row + ${i}) * cRow + column0 + column;
    for (var c = 0; c < 4; c++) {
      if (column0 + column + c < n) { b2[at + c] = ${
        kernel.accumulate ? "b2[at + c] + " : ""
      }s${i}[c]; }
    }
  }`
    ),
  ];
  const coded = codedSource(kernel);
  const readers = [
    readerText("readA", "b0", kernel.a, aAligned, use),
    isBlockCode(kernel.b)
      ? codedReaderText("readB", coded!, bAligned)
      : readerText("readB", "b1", kernel.b, bAligned, use),
  ];
  const code = [
    bindingText(arrayTypes(kernel, aAligned, bAligned), productNumbers, 0),
    mathText(used),
    ...readers,
    `var<workgroup> tileA: array<vec4<f32>, ${depth * rows4}>;`,
    `var<workgroup> tileB: array<vec4<f32>, ${depth * columns4}>;`,
    `@compute @workgroup_size(${size})`,
    `fn main(${entryParameters}) {`,
    ...lines,
    `}`,
  ].join("\n");
  return { name, code, buffers: coded ? 4 : 3, numbers: productNumbers, scalars: 0 };
}

/** WGSL of a function that reads four neighbours of a stored row, zeros past `end`, one by one. */
function scalarReaderText(name: string, load: (index: string) => string): string {
  const parts = range(4).map((i) =>
    `  if (at + ${i} < end) { r[${i}] = ${load(`base + at + ${i}`)}; }`
  );
  return `fn ${name}(base: i32, at: i32, end: i32) -> vec4<f32> {
  var r = vec4<f32>();
${parts.join("\n")}
  return r;
}`;
}

/** The same of a matrix in a block code. */
function codedReaderText(name: string, source: CodedSource, aligned: boolean): string {
  if (!aligned) {
    return [decoderText(source), scalarReaderText(name, (index) => `decode(${index})`)].join("\n");
  }
  return `${vectorDecoderText(source)}
fn ${name}(base: i32, at: i32, end: i32) -> vec4<f32> {
  if (at >= end) { return vec4<f32>(); }
  return decode4(base + at);
}`;
}

/** The same of a matrix of plain elements. */
function readerText(
  name: string,
  buffer: string,
  dtype: DType,
  aligned: boolean,
  use: (name: string) => void,
): string {
  if (!aligned) {
    return scalarReaderText(name, (index) => loadText(buffer, dtype, index, false, use));
  }
  return `fn ${name}(base: i32, at: i32, end: i32) -> vec4<f32> {
  if (at >= end) { return vec4<f32>(); }
  let i = (base + at) / 4;
${vectorLoadText(buffer, dtype, use)}
}`;
}
