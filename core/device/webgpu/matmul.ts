/**
 * Matrix products as WGSL. Hardware adapters get tiles in workgroup memory; a software adapter gets
 * large register tiles and reads four elements at a time, as reading is what costs most there.
 *
 * @module
 */

import { type BlockCode, isBlockCode } from "../../block_codes.ts";
import type { DType } from "../../dtype.ts";
import { kernelKey, type Launch, type MatmulKernel } from "../../kernel.ts";
import { type CodedSource, decoderText, vectorDecoderText } from "./coded_text.ts";
import { mathText } from "./math.ts";
import {
  arrayType,
  bindingText,
  cachedShader,
  derivedNumbers,
  type Dispatch,
  elementsPerWord,
  entryParameters,
  groupIndex,
  loadText,
  numberText,
  packNumbers,
  rawNumberText,
  refuseHuge,
  type Shader,
  type Traits,
} from "./shader.ts";

/** Dispatches of a matrix product: one, or none when C has no elements. */
export function lowerMatmul(kernel: MatmulKernel, launch: Launch, traits: Traits): Dispatch[] {
  const [batch, m, n, k] = launch.ints as [number, number, number, number];
  if (batch * m * n === 0 || (k === 0 && kernel.accumulate)) return [];
  const name = matmulName(kernel);
  const [aBatch, aRow, bBatch, bRow] = [5, 6, 8, 9].map((slot) => launch.ints[slot]!);
  refuseHuge(
    `${name} [${batch}, ${m}, ${n}, ${k}]`,
    Math.max(
      batch * m * n,
      (batch - 1) * aBatch! + (kernel.transposeA ? k : m) * aRow!,
      (batch - 1) * bBatch! + (kernel.transposeB ? n : k) * bRow!,
    ),
  );
  if (traits.software && k > 2 ** 14) {
    // llvmpipe ends loops after 65,535 iterations; shorter sums are more precise, too.
    return splitInner(kernel, launch, 2 ** 13, traits);
  }
  const tile = traits.software ? registerTile(m, n) : sharedTile(m, n, traits);
  const [tilesM, tilesN] = [Math.ceil(m / tile.rows), Math.ceil(n / tile.columns)];
  const aligned = [
    isAligned(kernel.a, launch.ints, 4, kernel.transposeA ? m : k),
    isAligned(kernel.b, launch.ints, 7, kernel.transposeB ? k : n),
  ];
  const key = `${kernelKey(kernel)}|${JSON.stringify(tile)}|${traits.software}|${aligned}`;
  const shader = cachedShader(
    key,
    () =>
      traits.software
        ? registerShader(kernel, tile, name, aligned[0]! && aligned[1]!)
        : sharedShader(kernel, tile, name, aligned[0]!, aligned[1]!),
  );
  const total = batch * tilesM * tilesN;
  return [{
    shader,
    args: isBlockCode(kernel.b) ? [0, 1, 2, 3] : [0, 1, 2],
    numbers: packNumbers([total, tilesM, tilesN], launch),
    workgroups: total,
  }];
}

/** The parts of a product whose inner size is beyond `limit`: all but the first accumulate. */
function splitInner(
  kernel: MatmulKernel,
  launch: Launch,
  limit: number,
  traits: Traits,
): Dispatch[] {
  const k = launch.ints[3]!;
  const rest: MatmulKernel = { ...kernel, accumulate: true };
  return Array.from({ length: Math.ceil(k / limit) }, (_, i) => {
    const from = i * limit;
    const ints = [...launch.ints];
    ints[3] = Math.min(limit, k - from);
    ints[4]! += from * (kernel.transposeA ? ints[6]! : 1);
    ints[7]! += from * (kernel.transposeB ? 1 : ints[9]!);
    return lowerMatmul(i === 0 ? kernel : rest, { ...launch, ints }, traits);
  }).flat();
}

function matmulName(kernel: MatmulKernel): string {
  const a = `${kernel.a}${kernel.transposeA ? " transposed" : ""}`;
  const b = `${kernel.b}${kernel.transposeB ? " transposed" : ""}`;
  return `matmul of ${a} and ${b}${kernel.accumulate ? ", accumulating" : ""}`;
}

/** A workgroup's part of C, and an invocation's part of that. */
interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly rowsEach: number;
  readonly columnsEach: number;
  /** Inner length of a step through workgroup memory. */
  readonly depth: number;
}

/** Lanes of a workgroup of the software shader: what llvmpipe runs as one vector with AVX2. */
const registerLanes = 8;

function registerTile(m: number, n: number): Tile {
  const rowsEach = m > 8 ? 16 : m > 4 ? 8 : m > 1 ? 4 : 1;
  const columnsEach = n <= 32 ? 4 : n <= 512 && m <= 16 ? 8 : 16;
  const down = m <= 16 ? 1 : n <= columnsEach ? 8 : n <= 2 * columnsEach ? 4 : 2;
  const [rows, columns] = [rowsEach * down, columnsEach * registerLanes / down];
  return { rows, columns, rowsEach, columnsEach, depth: 1 };
}

function sharedTile(m: number, n: number, traits: Traits): Tile {
  if (m <= 16) return { rows: 16, columns: 64, rowsEach: 1, columnsEach: 4, depth: 32 };
  const large = m >= 512 && n >= 512 && traits.workgroupBytes >= 16384;
  if (large) return { rows: 128, columns: 64, rowsEach: 8, columnsEach: 4, depth: 16 };
  return { rows: 64, columns: 64, rowsEach: 4, columnsEach: 4, depth: 16 };
}

/** Whether every group of four elements along stored rows begins at a multiple of four. */
function isAligned(
  storage: DType | BlockCode,
  ints: readonly number[],
  slot: number,
  length: number,
): boolean {
  const strides = [ints[slot]!, ints[slot + 1]!, ints[slot + 2]!];
  return (isBlockCode(storage) || elementsPerWord(storage) <= 2) && length % 4 === 0 &&
    strides.every((stride) => stride % 4 === 0);
}

const names = [
  "batches",
  "m",
  "n",
  "k",
  "aOffset",
  "aBatch",
  "aRow",
  "bOffset",
  "bBatch",
  "bRow",
  "cOffset",
  "cBatch",
  "cRow",
] as const;
const numberVectors = Math.ceil((derivedNumbers + names.length) / 4);

/** Where a coded B is found; null for one that is not coded. */
function codedSource({ b }: MatmulKernel): CodedSource | null {
  if (!isBlockCode(b)) return null;
  return { code: b, codes: "b1", scales: "b3", row: numberText(names.indexOf("bRow")) };
}

/** Types of the arrays a product binds. */
function arrayTypes(kernel: MatmulKernel, aAligned: boolean, bAligned: boolean): string[] {
  const type = (dtype: DType, aligned: boolean) => aligned ? vectorType(dtype) : arrayType(dtype);
  const b = isBlockCode(kernel.b) ? ["u32", "f32", "f32"] : [type(kernel.b, bAligned), "f32"];
  return [type(kernel.a, aAligned), ...b];
}

/** Declares the launch's numbers, this workgroup's tile and the three bases. */
function preamble(tile: Tile): string {
  return `
  let group = ${groupIndex};
  if (group >= u32(${rawNumberText(0)})) { return; }
  let tilesM = u32(${rawNumberText(1)});
  let tilesN = u32(${rawNumberText(2)});
${names.map((name, slot) => `  let ${name} = ${numberText(slot)};`).join("\n")}
  let batch = i32(group / (tilesM * tilesN));
  let within = group % (tilesM * tilesN);
  let row0 = i32(within % tilesM) * ${tile.rows};
  let column0 = i32(within / tilesM) * ${tile.columns};
  let aBase = aOffset + batch * aBatch;
  let bBase = bOffset + batch * bBatch;
  let cBase = cOffset + batch * cBatch;`;
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/**
 * C by tiles in registers: every lane sums its own rows and columns of C, reading A and B in place.
 * llvmpipe reads memory lane by lane, whether or not lanes agree on the address: about 45
 * instructions a lane for four neighbours, half as many for one element. So vectors are read, and
 * tiles are as large as pays; larger ones than 16 × 16 a lane were slower. Without vectors the loop
 * is not unrolled.
 */
function registerShader(kernel: MatmulKernel, tile: Tile, name: string, vectors: boolean): Shader {
  const { rowsEach, columnsEach } = tile;
  const across = tile.columns / columnsEach;
  const used = new Set<string>();
  const use = (function_: string) => void used.add(function_);
  const rows = range(rowsEach);
  const columns = range(columnsEach / 4);
  const coded = codedSource(kernel);
  const load = (buffer: string, storage: DType | BlockCode, index: string): string => {
    if (isBlockCode(storage)) return `${vectors ? "decode4" : "decode"}(${index})`;
    if (vectors) return `${buffer}Vector((${index}) >> 2u)`;
    return loadText(buffer, storage, index, false, use);
  };
  const loadA = (index: string) => load("b0", kernel.a, index);
  const loadB = (index: string) => load("b1", kernel.b, index);
  const readers = vectors
    ? ([["b0", kernel.a], ["b1", kernel.b]] as const).flatMap(([buffer, storage]) =>
      isBlockCode(storage) ? [] : [
        `fn ${buffer}Vector(i: i32) -> vec4<f32> {\n${vectorLoadText(buffer, storage, use)}\n}`,
      ]
    )
    : [];

  // Inner elements from p on; an operand stored with them along rows gives four at once.
  const step = (count: number): string[] => {
    const inner = range(count);
    const at = (u: number) => u === 0 ? "p" : `(p + ${u})`;
    const readB = !kernel.transposeB
      ? inner.flatMap((u) =>
        columns.map((j) => {
          const read = (c: number) => loadB(`bAt${4 * j + c} + ${at(u)} * bRow`);
          const value = vectors ? read(0) : `vec4<f32>(${range(4).map(read).join(", ")})`;
          return `    let y${j}_${u} = ${value};`;
        })
      )
      : [
        ...range(columnsEach).map((j) => `    let t${j} = ${loadB(`bAt${j} + p`)};`),
        ...inner.flatMap((u) =>
          columns.map((j) => {
            const parts = range(4).map((c) => `t${4 * j + c}${vectors ? `[${u}]` : ""}`);
            return `    let y${j}_${u} = vec4<f32>(${parts.join(", ")});`;
          })
        ),
      ];
    const readA = (i: number): string[] => {
      if (!kernel.transposeA) return [`    let x${i} = ${loadA(`aAt${i} + p`)};`];
      if (vectors && i % 4 !== 0) return [];
      return inner.map((u) => `    let x${i}_${u} = ${loadA(`aAt${i} + ${at(u)} * aRow`)};`);
    };
    const x = (i: number, u: number): string => {
      if (!kernel.transposeA) return `x${i}${vectors ? `[${u}]` : ""}`;
      return vectors ? `x${i - i % 4}_${u}[${i % 4}]` : `x${i}_${u}`;
    };
    return [
      ...readB,
      ...rows.flatMap((i) => [
        ...readA(i),
        ...columns.flatMap((j) =>
          inner.map((u) => `    s${i}_${j} = s${i}_${j} + ${x(i, u)} * y${j}_${u};`)
        ),
      ]),
    ];
  };
  // Where the inner index runs along no row, its length may be no multiple of four.
  const unrolled = vectors ? [`  for (; p + 4 <= k; p += 4) {`, ...step(4), `  }`] : [];
  const rest = vectors && (!kernel.transposeA || kernel.transposeB)
    ? []
    : [`  for (; p < k; p++) {`, ...step(1), `  }`];
  // Rows and columns past the end repeat the last ones; their results are not stored.
  const [lastRow, lastColumn] = [kernel.transposeA, !kernel.transposeB].map((along, operand) =>
    `${"mn"[operand]} - ${along && vectors ? 4 : 1}`
  );
  const aStarts = rows.filter((i) => !(vectors && kernel.transposeA) || i % 4 === 0);
  const bStarts = range(columnsEach).filter((j) => !vectors || kernel.transposeB || j % 4 === 0);
  const lines = [
    preamble(tile),
    `  let row = row0 + i32(lane / ${across}u) * ${rowsEach};`,
    `  let column = column0 + i32(lane % ${across}u) * ${columnsEach};`,
    ...aStarts.map((i) =>
      `  let aAt${i} = aBase + min(row + ${i}, ${lastRow})${kernel.transposeA ? "" : " * aRow"};`
    ),
    ...bStarts.map((j) =>
      `  let bAt${j} = bBase + min(column + ${j}, ${lastColumn})${
        kernel.transposeB ? " * bRow" : ""
      };`
    ),
    ...rows.flatMap((i) => columns.map((j) => `  var s${i}_${j} = vec4<f32>();`)),
    `  var p = 0;`,
    ...unrolled,
    ...rest,
    ...rows.map((i) =>
      `  if (row + ${i} < m) {
    let at = cBase + (row + ${i}) * cRow + column;
${
        range(columnsEach).map((j) => {
          const sum = `s${i}_${j >> 2}[${j & 3}]`;
          const value = kernel.accumulate ? `b2[at + ${j}] + ${sum}` : sum;
          return `    if (column + ${j} < n) { b2[at + ${j}] = ${value}; }`;
        }).join("\n")
      }
  }`
    ),
  ];
  const decode = vectors ? vectorDecoderText : decoderText;
  const code = [
    bindingText(arrayTypes(kernel, vectors, vectors), numberVectors, 0),
    mathText(used),
    ...(coded ? [decode(coded)] : []),
    ...readers,
    `@compute @workgroup_size(${registerLanes})`,
    `fn main(${entryParameters}) {`,
    ...lines,
    `}`,
  ].join("\n");
  return { name, code, buffers: coded ? 4 : 3, numbers: numberVectors, scalars: 0 };
}

/** Storage of an operand read four elements at a time. */
function vectorType(dtype: DType): string {
  return elementsPerWord(dtype) === 2 ? "vec2<u32>" : `vec4<${arrayType(dtype)}>`;
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

/** Statements that return vector `i` of an operand of plain elements. */
function vectorLoadText(buffer: string, dtype: DType, use: (name: string) => void): string {
  if (elementsPerWord(dtype) !== 2) {
    return `  return ${dtype === "f32" ? `${buffer}[i]` : `vec4<f32>(${buffer}[i])`};`;
  }
  const widen = (bits: string) => {
    if (dtype === "bf16") return `bitcast<f32>(${bits} << 16u)`;
    use("fromF16");
    return `fromF16(${bits})`;
  };
  const parts = ["x", "y"].flatMap((part) => [
    widen(`(w.${part} & 0xffffu)`),
    widen(`(w.${part} >> 16u)`),
  ]);
  return `  let w = ${buffer}[i];\n  return vec4<f32>(${parts.join(", ")});`;
}

/**
 * C by tiles: a workgroup copies `depth` inner elements of its rows of A and columns of B into
 * workgroup memory, both with the inner index outermost, then every invocation multiplies its part.
 */
function sharedShader(
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
    bindingText(arrayTypes(kernel, aAligned, bAligned), numberVectors, 0),
    mathText(used),
    ...readers,
    `var<workgroup> tileA: array<vec4<f32>, ${depth * rows4}>;`,
    `var<workgroup> tileB: array<vec4<f32>, ${depth * columns4}>;`,
    `@compute @workgroup_size(${size})`,
    `fn main(${entryParameters}) {`,
    ...lines,
    `}`,
  ].join("\n");
  return { name, code, buffers: coded ? 4 : 3, numbers: numberVectors, scalars: 0 };
}
