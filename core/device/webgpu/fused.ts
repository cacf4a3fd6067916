/**
 * Fused kernels as WGSL. A map runs one invocation per element, or per 32-bit word where it stores
 * narrow elements; rows and columns are reduced by the lanes of a workgroup, in a fixed order.
 *
 * @module
 */

import type { Access, FusedKernel, Instruction, Int, Launch } from "../../kernel.ts";
import { kernelKey } from "../../kernel.ts";
import {
  addressText,
  type Emission,
  identityText,
  instructionText,
  joinText,
  operands,
} from "./instruction.ts";
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
  numberText,
  packNumbers,
  rawNumberText,
  refuseHuge,
  refuseLongLoops,
  type Shader,
  storedText,
  type Traits,
} from "./shader.ts";

/** How the work is laid over invocations. */
interface Layout {
  /** Results (elements, rows or columns) of one workgroup. */
  readonly cells: number;
  /** Invocations that share one result. 1 for maps. */
  readonly lanes: number;
  /** Whether every word of narrow stores is written by one invocation alone. */
  readonly packed: boolean;
}

/** Dispatches of a fused kernel: one, or none when there is nothing to compute. */
export function lowerFused(kernel: FusedKernel, launch: Launch, traits: Traits): Dispatch[] {
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

/** The dim a kernel's lanes run along; −1 for maps. */
function reducedDim(kernel: FusedKernel): number {
  return kernel.kind === "map" ? -1 : kernel.kind === "row" ? kernel.rank - 1 : kernel.rank - 2;
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

type Store = Extract<Instruction, { op: "store" }>;

function narrowStores(kernel: FusedKernel): Store[] {
  return kernel.body.filter((i): i is Store =>
    i.op === "store" && elementsPerWord(kernel.args[i.arg]!.dtype) > 1
  );
}

/** Stores whose elements lie along the last dim, so that one invocation can fill whole words. */
function packedStores(kernel: FusedKernel): Store[] {
  if (kernel.kind === "column") return [];
  return narrowStores(kernel).filter((store) =>
    kernel.kind === "map" || store.access.terms.some((term) => term.dim === kernel.rank - 1)
  );
}

function wordElements(kernel: FusedKernel): number {
  return packedStores(kernel).reduce(
    (most, store) => Math.max(most, elementsPerWord(kernel.args[store.arg]!.dtype)),
    1,
  );
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

/** Text shared by both kinds of fused shader. */
class FusedText {
  readonly emission: Emission;
  readonly lines: string[] = [];
  readonly packedStores: ReadonlySet<Instruction>;
  readonly kernel: FusedKernel;

  constructor(kernel: FusedKernel, packed: boolean) {
    this.kernel = kernel;
    this.packedStores = new Set<Instruction>(packed ? packedStores(kernel) : []);
    const atomic = new Set(
      narrowStores(kernel).filter((store) => !this.packedStores.has(store)).map((store) =>
        store.arg
      ),
    );
    this.emission = { args: kernel.args, body: kernel.body, atomic, used: new Set() };
  }

  readonly use = (name: string): void => void this.emission.used.add(name);

  add(line: string): void {
    this.lines.push(line);
  }

  /** Defines `c{dim}` for the given dims, outermost first, from a flat index. */
  coordinates(flat: string, dims: readonly number[]): void {
    if (dims.length === 1) return this.add(`let c${dims[0]} = i32(${flat});`);
    dims.toReversed().forEach((dim, i) => {
      const rest = i === 0 ? flat : `rest${i}`;
      if (i === dims.length - 1) return this.add(`let c${dim} = i32(${rest});`);
      const size = `u32(${numberText(dim)})`;
      this.add(`let c${dim} = i32(${rest} % ${size}); let rest${i + 1} = ${rest} / ${size};`);
    });
  }

  /** A store of an element by itself. */
  store(store: Store): void {
    const { arg, access, x } = store;
    const dtype = this.kernel.args[arg]!.dtype;
    const value = storedText(dtype, `v${x}`, this.use);
    const per = elementsPerWord(dtype);
    if (per === 1) return this.add(`b${arg}[${addressText(access)}] = ${value};`);
    const bits = 32 / per;
    this.add(`{
  let a = u32(${addressText(access)});
  let shift = (a % ${per}u) * ${bits}u;
  atomicAnd(&b${arg}[a / ${per}u], ~(${2 ** bits - 1}u << shift));
  atomicOr(&b${arg}[a / ${per}u], ${value} << shift);
}`);
  }

  /**
   * A store of element `e` of a group of elements; writes when its word is full. After the last
   * element (`last`) of an unfilled word, the bits beyond are kept.
   */
  packedStore(store: Store, index: number, last: string | undefined): void {
    const { arg, access, x } = store;
    const dtype = this.kernel.args[arg]!.dtype;
    const per = elementsPerWord(dtype);
    const bits = 32 / per;
    const word = `b${arg}[(${addressText(access)}) / ${per}]`;
    const value = storedText(dtype, `v${x}`, this.use);
    const position = `(e % ${per}u)`;
    this.add(`w${index} = w${index} | (${value} << (${position} * ${bits}u));`);
    this.add(`if (${position} == ${per - 1}u) { ${word} = w${index}; w${index} = 0u; }`);
    if (last !== undefined) {
      this.add(
        `else if (${last}) { ` +
          `${word} = (${word} & (0xffffffffu << ((${position} + 1u) * ${bits}u))) | w${index}; }`,
      );
    }
  }

  shader(name: string, size: number, globals: readonly string[]): Shader {
    const { args, body } = this.kernel;
    const { atomic, used } = this.emission;
    const slots = highestSlot(this.kernel);
    const numbers = Math.ceil((derivedNumbers + slots + 1) / 4);
    const scalars = body.reduce(
      (most, i) => i.op === "scalar" ? Math.max(most, (i.index >> 2) + 1) : most,
      0,
    );
    const arrays = args.map((arg, i) => atomic.has(i) ? "atomic<u32>" : arrayType(arg.dtype));
    const code = [
      bindingText(arrays, numbers, scalars),
      mathText(used),
      ...globals,
      `@compute @workgroup_size(${size})`,
      `fn main(${entryParameters}) {`,
      ...this.lines,
      "}",
    ].join("\n");
    return { name, code, buffers: args.length, numbers, scalars };
  }
}

function highestSlot(kernel: FusedKernel): number {
  let highest = kernel.rank - 1;
  const see = (int: Int | null) => {
    if (int !== null && int !== 1) highest = Math.max(highest, int.slot);
  };
  for (const instruction of kernel.body) {
    if (instruction.op !== "load" && instruction.op !== "store") continue;
    const { offset, terms, masks, gather } = instruction.access;
    see(offset);
    terms.forEach((term) => see(term.stride));
    masks.forEach((mask) => (see(mask.low), see(mask.high)));
    if (gather !== null) (see(gather.stride), see(gather.count));
  }
  return highest;
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

/** Sums are accumulated in runs of this many, then over the runs, to keep their error small. */
const run = 64;

function reduceShader(kernel: FusedKernel, layout: Layout, name: string): Shader {
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
