/** Row and column kernels: passes along the reduced dim, joined across the lanes of a workgroup. @module */

import type { FusedKernel, Instruction } from "../../kernel.ts";
import { identityText, instructionText, joinText, operands } from "./instruction.ts";
import { FusedText, type Layout, reducedDim, type Store, wordElements } from "./fused_text.ts";
import { groupIndex, numberText, rawNumberText, type Shader } from "./shader.ts";

/** Sums are accumulated in runs of this many, then over the runs, to keep their error small. */
export const run = 64;

/** The shader of a row or column kernel. */
export function reduceShader(kernel: FusedKernel, layout: Layout, name: string): Shader {
  const { body, rank } = kernel;
  const { cells, lanes } = layout;
  const text = new FusedText(kernel, layout.packed);
  const reduced = reducedDim(kernel);
  const { varying, level } = analyse(body, reduced);
  const levels = Math.max(0, ...level);
  const globals = new Map<string, string>();
  const indices = body.map((_, i) => i);

  text.add(`let total = u32(${rawNumberText(0)});`);
  text.add(`let size = u32(${numberText(reduced)});`);
  if (cells === 1) {
    text.add(`let cell = ${groupIndex}; let part = lane;`);
    text.add(`if (cell >= total) { return; }`);
  } else if (lanes === 1) {
    text.add(`let cell = ${groupIndex} * ${cells}u + lane; let part = 0u;`);
    text.add(`if (cell >= total) { return; }`);
  } else {
    // Lanes beyond the last cell repeat it, because all must meet at the barriers.
    text.add(`let wanted = ${groupIndex} * ${cells}u + lane % ${cells}u;`);
    text.add(`let cell = min(wanted, total - 1u); let part = lane / ${cells}u;`);
  }
  const dims = Array.from({ length: rank }, (_, dim) => dim).filter((dim) => dim !== reduced);
  if (dims.length > 0) text.coordinates("cell", dims);

  for (let current = 0; current <= levels; current++) {
    for (const i of indices) {
      const { op } = body[i]!;
      if (level[i] !== current || varying[i] || op === "store" || op === "reduce") continue;
      text.add(instructionText(text.emission, i));
    }
    const reductions = indices.filter((i) => body[i]!.op === "reduce" && level[i] === current + 1);
    if (reductions.length > 0) reducePass(text, reductions, varying, reduced, layout, globals);
  }

  const live = cells > 1 && lanes > 1 ? "wanted < total && part == 0u" : "part == 0u";
  const stores = indices.filter((i) => body[i]!.op === "store");
  const single = stores.filter((i) => !storeVaries(body[i]!, reduced));
  const many = stores.filter((i) => storeVaries(body[i]!, reduced));
  if (single.length > 0) {
    // All lanes have read what lane 0 overwrites.
    const inPlace = single.some((i) => {
      const store = body[i]!;
      return store.op === "store" && kernel.args[store.arg]!.access === "readwrite";
    });
    if (inPlace && lanes > 1) text.add("storageBarrier(); workgroupBarrier();");
    text.add(`if (${live}) {`);
    for (const i of single) text.store(body[i] as Store);
    text.add("}");
  }
  if (many.length > 0) {
    if (cells > 1 && lanes > 1) text.add("if (wanted < total) {");
    const packed = many.some((i) => text.packedStores.has(body[i]!));
    const elements = packed ? wordElements(kernel) : 1;
    for (const i of many) {
      if (text.packedStores.has(body[i]!)) text.add(`var w${i} = 0u;`);
    }
    if (packed) {
      const step = `${lanes * elements}u`;
      text.add(`for (var word = part * ${elements}u; word < size; word += ${step}) {`);
      text.add(`for (var e = 0u; e < ${elements}u; e++) { let c${reduced} = i32(word + e);`);
    } else {
      text.add(`for (var j = part; j < size; j += ${lanes}u) { let c${reduced} = i32(j);`);
    }
    emitVarying(text, many, varying);
    for (const i of many) {
      const store = body[i] as Store;
      if (text.packedStores.has(store)) text.packedStore(store, i, undefined);
      else text.store(store);
    }
    text.add(packed ? "}}" : "}");
    if (cells > 1 && lanes > 1) text.add("}");
  }
  return text.shader(name, cells * lanes, [...globals.values()]);
}

/** A loop along the reduced dim that computes some reductions, and their joining across lanes. */
function reducePass(
  text: FusedText,
  reductions: readonly number[],
  varying: readonly boolean[],
  reduced: number,
  layout: Layout,
  globals: Map<string, string>,
): void {
  const { lanes, cells } = layout;
  const { body } = text.kernel;
  const parts = reductions.map((i) => {
    const instruction = body[i]!;
    if (instruction.op !== "reduce") throw new Error("Not a reduction.");
    return { i, ...instruction };
  });
  for (const { i, fn, type } of parts) {
    text.add(`var r${i} = ${identityText(fn, type, text.use)};`);
  }
  text.add(`for (var base = part; base < size; base += ${lanes * run}u) {`);
  for (const { i, fn, type } of parts) {
    text.add(`var q${i} = ${identityText(fn, type, text.use)};`);
  }
  text.add(`let end = min(base + ${lanes * run}u, size);`);
  text.add(`for (var j = base; j < end; j += ${lanes}u) { let c${reduced} = i32(j);`);
  emitVarying(text, reductions, varying);
  for (const { i, fn, type, x } of parts) {
    text.add(`q${i} = ${joinText(fn, type, `q${i}`, `v${x}`, text.use)};`);
  }
  text.add("}");
  for (const { i, fn, type } of parts) {
    text.add(`r${i} = ${joinText(fn, type, `r${i}`, `q${i}`, text.use)};`);
  }
  text.add("}");
  for (const { i, fn, type } of parts) {
    if (lanes === 1) {
      text.add(`let v${i} = r${i};`);
      continue;
    }
    const shared = `shared_${type}`;
    const name = `join_${fn}_${type}`;
    globals.set(shared, `var<workgroup> ${shared}: array<${type}, ${lanes * cells}>;`);
    const join = joinText(fn, type, `${shared}[lane]`, `${shared}[lane + s]`, text.use);
    globals.set(
      name,
      `fn ${name}(lane: u32, x: ${type}) -> ${type} {
  ${shared}[lane] = x;
  workgroupBarrier();
  for (var s = ${lanes * cells / 2}u; s >= ${cells}u; s = s / 2u) {
    if (lane < s) { ${shared}[lane] = ${join}; }
    workgroupBarrier();
  }
  let result = ${shared}[lane % ${cells}u];
  workgroupBarrier();
  return result;
}`,
    );
    text.add(`let v${i} = ${name}(lane, r${i});`);
  }
}

/** Emits the varying instructions that the given ones need, in order. */
function emitVarying(
  text: FusedText,
  wanted: readonly number[],
  varying: readonly boolean[],
): void {
  const { body } = text.kernel;
  const needed = new Set<number>();
  const stack = wanted.flatMap((i) => operands(body[i]!));
  for (let i = stack.pop(); i !== undefined; i = stack.pop()) {
    if (!varying[i] || needed.has(i)) continue;
    needed.add(i);
    stack.push(...operands(body[i]!));
  }
  for (const i of [...needed].sort((a, b) => a - b)) text.add(instructionText(text.emission, i));
}

/** Which values vary along the reduced dim, and after how many reductions each is known. */
function analyse(
  body: readonly Instruction[],
  reduced: number,
): { readonly varying: readonly boolean[]; readonly level: readonly number[] } {
  const varying: boolean[] = [];
  const level: number[] = [];
  body.forEach((instruction, i) => {
    const inputs = operands(instruction);
    const deepest = inputs.reduce((most, x) => Math.max(most, level[x]!), 0);
    if (instruction.op === "reduce") {
      varying[i] = false;
      level[i] = deepest + 1;
      return;
    }
    level[i] = deepest;
    varying[i] = inputs.some((x) => varying[x]!) ||
      (instruction.op === "index" && instruction.dim === reduced) ||
      (instruction.op === "load" &&
        (instruction.access.terms.some((term) => term.dim === reduced) ||
          instruction.access.masks.some((mask) => mask.dim === reduced)));
  });
  return { varying, level };
}

function storeVaries(instruction: Instruction, reduced: number): boolean {
  return instruction.op === "store" &&
    instruction.access.terms.some((term) => term.dim === reduced);
}
