/** Text that all fused shaders are made of: coordinates, stores and the shader around them. @module */

import type { FusedKernel, Instruction, Int } from "../../kernel.ts";
import { addressText, type Emission } from "./instruction.ts";
import { mathText } from "./math.ts";
import {
  arrayType,
  bindingText,
  derivedNumbers,
  elementsPerWord,
  entryParameters,
  numberText,
  type Shader,
  storedText,
} from "./shader.ts";

/** How the work is laid over invocations. */
export interface Layout {
  /** Results (elements, rows or columns) of one workgroup. */
  readonly cells: number;
  /** Invocations that share one result. 1 for maps. */
  readonly lanes: number;
  /** Whether every word of narrow stores is written by one invocation alone. */
  readonly packed: boolean;
}

/** The dim a kernel's lanes run along; −1 for maps. */
export function reducedDim(kernel: FusedKernel): number {
  return kernel.kind === "map" ? -1 : kernel.kind === "row" ? kernel.rank - 1 : kernel.rank - 2;
}

/** A store of a fused kernel. */
export type Store = Extract<Instruction, { op: "store" }>;

/** Stores of elements that share a word with others. */
export function narrowStores(kernel: FusedKernel): Store[] {
  return kernel.body.filter((i): i is Store =>
    i.op === "store" && elementsPerWord(kernel.args[i.arg]!.dtype) > 1
  );
}

/** Stores whose elements lie along the last dim, so that one invocation can fill whole words. */
export function packedStores(kernel: FusedKernel): Store[] {
  if (kernel.kind === "column") return [];
  return narrowStores(kernel).filter((store) =>
    kernel.kind === "map" || store.access.terms.some((term) => term.dim === kernel.rank - 1)
  );
}

/** Elements an invocation computes at a time where stores are packed. */
export function wordElements(kernel: FusedKernel): number {
  return packedStores(kernel).reduce(
    (most, store) => Math.max(most, elementsPerWord(kernel.args[store.arg]!.dtype)),
    1,
  );
}

/** Text shared by both kinds of fused shader. */
export class FusedText {
  /** What instructions share. */
  readonly emission: Emission;
  /** The body of the entry point so far. */
  readonly lines: string[] = [];
  /** Stores that fill whole words. */
  readonly packedStores: ReadonlySet<Instruction>;
  /** The kernel being written. */
  readonly kernel: FusedKernel;

  /** An empty text; `packed` is whether the stores along the last dim fill whole words. */
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

  /** Notes that a math function is called. */
  readonly use = (name: string): void => void this.emission.used.add(name);

  /** Adds a line. */
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

  /** The whole shader: bindings, math, globals and an entry point of `size` invocations. */
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
