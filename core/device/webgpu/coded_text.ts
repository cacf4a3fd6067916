/** WGSL that reads a matrix in a block code. @module */

import { type BlockCode, blockCodes } from "../../block_codes.ts";
import { floatLiteral } from "./math.ts";

/** Where WGSL finds a coded matrix. */
export interface CodedSource {
  readonly code: BlockCode;
  /** Buffer of the codes, as words. */
  readonly codes: string;
  /** Buffer of the scales. */
  readonly scales: string;
  /** Elements of a stored row, i32. */
  readonly row: string;
}

function scaleText({ code, scales, row }: CodedSource): string {
  const { block, values } = blockCodes[code];
  const scale = `${scales}[e / ${block ?? row}]`;
  return values === null ? `${scale} * ${Math.fround(1 / 127)}` : scale;
}

/** Declares `decode(e)`, the value of element number e. */
export function decoderText(source: CodedSource): string {
  const { bits } = blockCodes[source.code];
  const word = bits === 4
    ? `(${source.codes}[e >> 3u] >> ((u32(e) & 6u) << 2u))`
    : `(${source.codes}[e >> 2u] >> ((u32(e) & 3u) << 3u))`;
  const byte = bits === 4 ? `(${word} >> (4u - ((u32(e) & 1u) << 2u)))` : word;
  return `${valuesText(source)}fn decode(e: i32) -> f32 {
  return ${valueText(source, byte)} * (${scaleText(source)});
}`;
}

/** Declares `decode4(e)`, the values of elements e … e + 3 of one row, where e and all row lengths are multiples of 4. */
export function vectorDecoderText(source: CodedSource): string {
  const { bits } = blockCodes[source.code];
  const word = bits === 4
    ? `${source.codes}[e >> 3u] >> ((u32(e) & 4u) << 2u)`
    : `${source.codes}[e >> 2u]`;
  const shifts = bits === 4 ? [4, 0, 12, 8] : [0, 8, 16, 24];
  const parts = shifts.map((shift) => valueText(source, `(w >> ${shift}u)`));
  return `${valuesText(source)}fn decode4(e: i32) -> vec4<f32> {
  let w = ${word};
  return vec4<f32>(${parts.join(", ")}) * (${scaleText(source)});
}`;
}

/** The table of 4-bit codes; naga indexes variables only. */
function valuesText({ code }: CodedSource): string {
  const { values } = blockCodes[code];
  if (values === null) return "";
  const list = values.map((value) => floatLiteral(value, () => {})).join(", ");
  return `var<private> codeValues: array<f32, 16> = array<f32, 16>(${list});\n`;
}

/** The value at scale 1 of the code in the low bits of a word. */
function valueText({ code }: CodedSource, word: string): string {
  return blockCodes[code].bits === 4
    ? `codeValues[${word} & 15u]`
    : `f32(bitcast<i32>(${word} << 24u) >> 24u)`;
}
