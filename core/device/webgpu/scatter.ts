/** Rows written or added into a table, in the order of the rows. @module */

import { UserError } from "../../errors.ts";
import { bytesPerElement } from "../../dtype.ts";
import type { HandMadeLaunch } from "../../launch.ts";
import { scatter, type ScatterKernel } from "../../operations/rows.ts";
import {
  arrayType,
  bindingText,
  cachedShader,
  type Dispatch,
  elementsPerWord,
  entryParameters,
  groupIndex,
  numberVectors,
  packNumbers,
  rawNumberText,
  refuseHuge,
  type Shader,
  sizeText,
  softwareIterations,
  type Traits,
} from "./shader.ts";

/** Dispatches of a scatter: one workgroup per row of input. */
export function lowerScatter(launch: HandMadeLaunch<ScatterKernel>, traits: Traits): Dispatch[] {
  const { kernel, sizes: { tableRows, columns, count } } = launch;
  if (tableRows * columns * count === 0) return [];
  const name = `scatter ${kernel.add ? "adding" : "writing"} ${kernel.dtype}`;
  refuseHuge(`${name} [${tableRows}, ${columns}]`, Math.max(tableRows, count) * columns);
  const per = elementsPerWord(kernel.dtype);
  if (columns % per !== 0 || (kernel.add && bytesPerElement[kernel.dtype] < 4)) {
    throw new UserError(
      `The kernel ${name} with rows of ${columns} elements does not exist on WebGPU: narrow rows ` +
        `can only be written whole, in multiples of ${per} elements. Use f32 rows.`,
    );
  }
  const shader = cachedShader(
    `scatter|${kernel.add}|${kernel.dtype}`,
    () => scatterShader(kernel, name),
  );
  // Every row is compared with all rows of its dispatch, so there are several of bounded length.
  const words = columns / per;
  const perRow = Math.ceil(words / size) + 3;
  const longest = traits.software ? Math.max(1, Math.floor(softwareIterations / perRow)) : 4096;
  const dispatches: Dispatch[] = [];
  for (let first = 0; first < count; first += longest) {
    const end = Math.min(first + longest, count);
    const numbers = packNumbers([words, first, end], launch);
    dispatches.push({ shader, args: [0, 1, 2], numbers, workgroups: end - first });
  }
  return dispatches;
}

/** Invocations of a workgroup. */
const size = 64;

/**
 * Workgroup n leads if no earlier row (for writes: no later row) has the id of row n; the leader
 * handles all rows of its id, one after another. Nobody else touches that row of the table.
 */
function scatterShader(kernel: ScatterKernel, name: string): Shader {
  const type = arrayType(kernel.dtype);
  const numbers = numberVectors(scatter);
  const search = kernel.add
    ? `for (var i = first + lane; i < n; i += ${size}u)`
    : `for (var i = n + 1u + lane; i < count; i += ${size}u)`;
  const words = Math.ceil(size / 32);
  const body = kernel.add
    ? `  for (var base = n; base < count; base += ${size}u) {
    if (lane < ${words}u) { atomicStore(&matches[lane], 0u); }
    workgroupBarrier();
    if (base + lane < count && b1[base + lane] == id) {
      atomicOr(&matches[lane / 32u], 1u << (lane % 32u));
    }
    workgroupBarrier();
    for (var word = 0u; word < ${words}u; word++) {
      var bits = atomicLoad(&matches[word]);
      while (bits != 0u) {
        let start = (base + word * 32u + firstTrailingBit(bits)) * columns;
        bits = bits & (bits - 1u);
        for (var c = lane; c < columns; c += ${size}u) { b0[to + c] = b0[to + c] + b2[start + c]; }
      }
    }
    workgroupBarrier();
  }`
    : `  for (var c = lane; c < columns; c += ${size}u) { b0[to + c] = b2[n * columns + c]; }`;
  const code = `${bindingText([type, "i32", type], numbers, 0)}
var<workgroup> follows: atomic<u32>;
var<workgroup> followsAll: u32;
${kernel.add ? `var<workgroup> matches: array<atomic<u32>, ${words}>;` : ""}
@compute @workgroup_size(${size})
fn main(${entryParameters}) {
  let columns = u32(${rawNumberText(0)});
  let first = u32(${rawNumberText(1)});
  let count = u32(${rawNumberText(2)});
  let rows = ${sizeText(scatter, "tableRows")};
  let n = first + ${groupIndex};
  if (n >= count) { return; }
  let id = b1[n];
  if (lane == 0u) { atomicStore(&follows, select(0u, 1u, id < 0 || id >= rows)); }
  workgroupBarrier();
  ${search} {
    if (b1[i] == id) { atomicStore(&follows, 1u); break; }
  }
  workgroupBarrier();
  if (lane == 0u) { followsAll = atomicLoad(&follows); }
  if (workgroupUniformLoad(&followsAll) != 0u) { return; }
  let to = u32(id) * columns;
${body}
}`;
  return { name, code, buffers: 3, numbers, scalars: 0 };
}
