/** What the shaders of products have in common: tiles, numbers, and reading four elements at a time. @module */

import { type BlockCode, isBlockCode } from "../../block_codes.ts";
import type { DType } from "../../dtype.ts";
import { matmul, type MatmulKernel } from "../../operations/matmul.ts";
import type { CodedSource } from "./coded_text.ts";
import {
  arrayType,
  elementsPerWord,
  groupIndex,
  numberVectors,
  rawNumberText,
  sizeText,
} from "./shader.ts";

/** A workgroup's part of C, and an invocation's part of that. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly rowsEach: number;
  readonly columnsEach: number;
  /** Inner length of a step through workgroup memory. */
  readonly depth: number;
}

/** Whether every group of four elements along stored rows begins at a multiple of four, by all strides and lengths. */
export function isAligned(storage: DType | BlockCode, lengths: readonly number[]): boolean {
  return (isBlockCode(storage) || elementsPerWord(storage) <= 2) &&
    lengths.every((length) => length % 4 === 0);
}

/** Vectors of numbers a launch takes. */
export const productNumbers: number = numberVectors(matmul);

/** Where a coded B is found; null for one that is not coded. */
export function codedSource({ b }: MatmulKernel): CodedSource | null {
  if (!isBlockCode(b)) return null;
  return { code: b, codes: "b1", scales: "b3", row: sizeText(matmul, "bRow") };
}

/** Types of the arrays a product binds. */
export function arrayTypes(kernel: MatmulKernel, aAligned: boolean, bAligned: boolean): string[] {
  const type = (dtype: DType, aligned: boolean) => aligned ? vectorType(dtype) : arrayType(dtype);
  const b = isBlockCode(kernel.b) ? ["u32", "f32", "f32"] : [type(kernel.b, bAligned), "f32"];
  return [type(kernel.a, aAligned), ...b];
}

/** Declares the launch's numbers, this workgroup's tile and the three bases. */
export function preamble(tile: Tile): string {
  return `
  let group = ${groupIndex};
  if (group >= u32(${rawNumberText(0)})) { return; }
  let tilesM = u32(${rawNumberText(1)});
  let tilesN = u32(${rawNumberText(2)});
${matmul.integers.map((name) => `  let ${name} = ${sizeText(matmul, name)};`).join("\n")}
  let item = i32(group / (tilesM * tilesN));
  let within = group % (tilesM * tilesN);
  let row0 = i32(within % tilesM) * ${tile.rows};
  let column0 = i32(within / tilesM) * ${tile.columns};
  let aBase = aOffset + item * aBatch;
  let bBase = bOffset + item * bBatch;
  let cBase = cOffset + item * cBatch;`;
}

/** 0 … count − 1. */
export function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** Storage of an operand read four elements at a time. */
export function vectorType(dtype: DType): string {
  return elementsPerWord(dtype) === 2 ? "vec2<u32>" : `vec4<${arrayType(dtype)}>`;
}

/** Statements that return vector `i` of an operand of plain elements. */
export function vectorLoadText(buffer: string, dtype: DType, use: (name: string) => void): string {
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
