/**
 * Fused kernels as WGSL. A map runs one invocation per element, or per 32-bit word where it stores
 * narrow elements; rows and columns are reduced by the lanes of a workgroup, in a fixed order.
 *
 * @module
 */

import type { Access, FusedKernel, Int } from "../../kernel.ts";
import { type FusedLaunch, kernelKey } from "../../launch.ts";
import { reduceShader, run } from "./fused_reduce.ts";
import {
  FusedText,
  type Layout,
  narrowStores,
  packedStores,
  reducedDim,
  wordElements,
} from "./fused_text.ts";
import { instructionText } from "./instruction.ts";
import {
  cachedShader,
  type Dispatch,
  groupIndex,
  packNumbers,
  rawNumberText,
  refuseHuge,
  refuseLongLoops,
  type Shader,
  type Traits,
} from "./shader.ts";

/** Dispatches of a fused kernel: one, or none when there is nothing to compute. */
export function lowerFused(launch: FusedLaunch, traits: Traits): Dispatch[] {
  const { kernel } = launch;
  const name = fusedName(kernel);
  const sizes = launch.ints.slice(0, kernel.rank);
  const points = sizes.reduce((product, size) => product * size, 1);
  refuseHuge(`${name} over [${sizes}]`, points);
  const reduced = reducedDim(kernel);
  const cells = sizes.reduce((product, size, dim) => dim === reduced ? product : product * size, 1);
  if (cells === 0) return [];
  const packed = canPack(kernel, launch.ints);
  const layout = chooseLayout(kernel, cells, sizes[reduced] ?? 1, packed, traits);
  const { cells: perGroup, lanes } = layout;
  if (kernel.kind !== "map") {
    // Every reduction may take a pass over the row, and the stores take another.
    const passes = 1 + kernel.body.filter(({ op }) => op === "reduce").length;
    const steps = Math.ceil((sizes[reduced] ?? 1) / lanes) * (1 + 1 / run);
    refuseLongLoops(`${name} over [${sizes}]`, Math.ceil(passes * steps), traits);
  }
  const key = `${kernelKey(kernel)}|${perGroup}|${lanes}|${packed}`;
  const shader = cachedShader(
    key,
    () =>
      kernel.kind === "map" ? mapShader(kernel, layout, name) : reduceShader(kernel, layout, name),
  );
  const perInvocation = kernel.kind === "map" && packed ? wordElements(kernel) : 1;
  return [{
    shader,
    args: kernel.args.map((_, i) => i),
    numbers: packNumbers([cells], launch),
    workgroups: Math.ceil(Math.ceil(cells / perInvocation) / perGroup),
  }];
}

/** A short name for people: kind, rank and the instructions that matter. */
export function fusedName(kernel: FusedKernel): string {
  const names = kernel.body.flatMap((i) =>
    i.op === "unary" || i.op === "binary" || i.op === "reduce" ? [i.fn] : []
  );
  const shown = names.length > 8 ? [...names.slice(0, 8), `… ${names.length} in all`] : names;
  return `fused ${kernel.kind} of ${kernel.args.map((a) => a.dtype).join(", ")} (${
    shown.join(" ") || "copy"
  })`;
}

function chooseLayout(
  kernel: FusedKernel,
  cells: number,
  length: number,
  packed: boolean,
  traits: Traits,
): Layout {
  if (kernel.kind === "map") return { cells: traits.software ? 64 : 256, lanes: 1, packed };
  if (kernel.kind === "column") {
    if (length < 32 || (traits.software && length < 4096)) return { cells: 64, lanes: 1, packed };
    if (length > 65536) return { cells: 4, lanes: 64, packed };
    return cells >= 4096 ? { cells: 32, lanes: 8, packed } : { cells: 16, lanes: 16, packed };
  }
  if (traits.software) {
    // One SIMD group per row: its barriers cost nothing.
    if (length < 16) return { cells: 8, lanes: 1, packed };
    const lanes = length <= 16384
      ? 8
      : length <= 131072
      ? 64
      : Math.min(1024, traits.maxInvocations);
    return { cells: 1, lanes: lanes > 64 && lanes < 1024 ? 256 : lanes, packed };
  }
  if (length <= 16) return { cells: 64, lanes: 1, packed };
  if (length <= 512) return { cells: 1, lanes: 64, packed };
  const lanes = length >= 16384 ? Math.min(1024, traits.maxInvocations) : 256;
  return { cells: 1, lanes: lanes >= 1024 ? 1024 : 256, packed };
}

/** Whether, with these numbers, consecutive elements fill words that no other invocation writes. */
function canPack(kernel: FusedKernel, ints: readonly number[]): boolean {
  const stores = packedStores(kernel);
  if (stores.length === 0) return false;
  const byElement = narrowStores(kernel).filter((store) => !stores.includes(store));
  if (stores.some(({ arg }) => byElement.some((other) => other.arg === arg))) return false;
  const elements = wordElements(kernel);
  const { rank } = kernel;
  const valueOf = (int: Int) => int === 1 ? 1 : ints[int.slot]!;
  const strideOf = (access: Access, dim: number) => {
    const term = access.terms.find((candidate) => candidate.dim === dim);
    return term === undefined ? 0 : valueOf(term.stride);
  };
  return stores.every(({ access }) => {
    const offset = access.offset === null ? 0 : ints[access.offset.slot]!;
    if (offset % elements !== 0) return false;
    let contiguous = true;
    let aligned = rank > 0 && ints[rank - 1]! % elements === 0;
    let stride = 1;
    for (let dim = rank - 1; dim >= 0; dim--) {
      if (ints[dim]! === 1) continue;
      const actual = strideOf(access, dim);
      if (actual !== stride) contiguous = false;
      if (dim === rank - 1 ? actual !== 1 : actual % elements !== 0) aligned = false;
      stride *= ints[dim]!;
    }
    return aligned || (kernel.kind === "map" && contiguous);
  });
}

function mapShader(kernel: FusedKernel, layout: Layout, name: string): Shader {
  const text = new FusedText(kernel, layout.packed);
  const dims = Array.from({ length: kernel.rank }, (_, dim) => dim);
  text.add(`let linear = ${groupIndex} * ${layout.cells}u + lane;`);
  text.add(`let total = u32(${rawNumberText(0)});`);
  if (layout.packed) {
    const elements = wordElements(kernel);
    kernel.body.forEach((instruction, i) => {
      if (text.packedStores.has(instruction)) text.add(`var w${i} = 0u;`);
    });
    text.add(`for (var e = 0u; e < ${elements}u; e++) {`);
    text.add(`let flat = linear * ${elements}u + e;`);
    text.add(`if (flat >= total) { break; }`);
  } else {
    text.add(`let flat = linear;`);
    text.add(`if (flat >= total) { return; }`);
  }
  text.coordinates("flat", dims);
  kernel.body.forEach((instruction, i) => {
    if (instruction.op !== "store") text.add(instructionText(text.emission, i));
    else if (!text.packedStores.has(instruction)) text.store(instruction);
    else text.packedStore(instruction, i, "flat + 1u == total");
  });
  if (layout.packed) text.add("}");
  return text.shader(name, layout.cells, []);
}
