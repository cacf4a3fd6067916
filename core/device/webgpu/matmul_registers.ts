/** Products for a software adapter: large tiles in registers, vectors read in place. @module */

import { type BlockCode, isBlockCode } from "../../block_codes.ts";
import type { DType } from "../../dtype.ts";
import type { MatmulKernel } from "../../operations/matmul.ts";
import { decoderText, vectorDecoderText } from "./coded_text.ts";
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
import { bindingText, entryParameters, loadText, type Shader } from "./shader.ts";

/** Lanes of a workgroup of the software shader: what llvmpipe runs as one vector with AVX2. */
const registerLanes = 8;

/** The tile of a product [m, n]: smaller for thin ones. */
export function registerTile(m: number, n: number): Tile {
  const rowsEach = m > 8 ? 16 : m > 4 ? 8 : m > 1 ? 4 : 1;
  const columnsEach = n <= 32 ? 4 : n <= 512 && m <= 16 ? 8 : 16;
  const down = m <= 16 ? 1 : n <= columnsEach ? 8 : n <= 2 * columnsEach ? 4 : 2;
  const [rows, columns] = [rowsEach * down, columnsEach * registerLanes / down];
  return { rows, columns, rowsEach, columnsEach, depth: 1 };
}

/**
 * C by tiles in registers: every lane sums its own rows and columns of C, reading A and B in place.
 * llvmpipe reads memory lane by lane, whether or not lanes agree on the address: about 45
 * instructions a lane for four neighbours, half as many for one element. So vectors are read, and
 * tiles are as large as pays; larger ones than 16 × 16 a lane were slower. Without vectors the loop
 * is not unrolled.
 */
export function registerShader(
  kernel: MatmulKernel,
  tile: Tile,
  name: string,
  vectors: boolean,
): Shader {
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
    bindingText(arrayTypes(kernel, vectors, vectors), productNumbers, 0),
    mathText(used),
    ...(coded ? [decode(coded)] : []),
    ...readers,
    `@compute @workgroup_size(${registerLanes})`,
    `fn main(${entryParameters}) {`,
    ...lines,
    `}`,
  ].join("\n");
  return { name, code, buffers: coded ? 4 : 3, numbers: productNumbers, scalars: 0 };
}
