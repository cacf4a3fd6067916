/** What kernels are lowered to: WGSL texts and the dispatches that use them. @module */

import { UserError } from "../../errors.ts";
import { bytesPerElement, type DType } from "../../dtype.ts";
import { type Launch, numbersOf } from "../../launch.ts";

/** A compute shader. Bindings: its storage buffers, then the numbers `P`, then the scalars `S`. */
export interface Shader {
  /** Names the kernel in error messages. */
  readonly name: string;
  readonly code: string;
  /** Storage buffers it binds. */
  readonly buffers: number;
  /** Length of `P`, in vectors of four. */
  readonly numbers: number;
  /** Length of `S`, the run's scalars, in vectors of four; 0 when it reads none. */
  readonly scalars: number;
}

/** One dispatch of a shader. */
export interface Dispatch {
  readonly shader: Shader;
  /** For each storage binding, the argument of the launch it takes. */
  readonly args: readonly number[];
  /** Integers of `P`, at most 4·`shader.numbers`; the shader may use fewer. */
  readonly numbers: ArrayLike<number>;
  /** Workgroups, folded over two dimensions where there are many; shaders see one index. */
  readonly workgroups: number;
}

/** What lowering needs to know of an adapter. */
export interface Traits {
  /** Whether a processor imitates the GPU: invocations are cheap, barriers and shared memory dear. */
  readonly software: boolean;
  readonly maxInvocations: number;
  /** Bytes of workgroup memory. */
  readonly workgroupBytes: number;
}

/** Where numbers of a launch begin in `P`: before them is what lowering derives from them. */
export const derivedNumbers = 4;

const shaders = new Map<string, Shader>();

/** The shader of `key`, made by `make` on first use. Texts do not depend on sizes, so few exist. */
export function cachedShader(key: string, make: () => Shader): Shader {
  let shader = shaders.get(key);
  if (shader === undefined) shaders.set(key, shader = make());
  return shader;
}

/** WGSL of number `slot` of the launch. */
export function numberText(slot: number): string {
  return rawNumberText(slot + derivedNumbers);
}

/** WGSL of element `index` of `P`, derived numbers included. */
export function rawNumberText(index: number): string {
  return `P[${index >> 2}].${"xyzw"[index & 3]}`;
}

/** The names of a kernel's numbers, as its record has them. */
interface NumberNames {
  readonly integers: readonly string[];
  readonly floats: readonly string[];
}

/** WGSL of a number of the launch of a kernel made by hand: i32, or f32. */
export function sizeText({ integers, floats }: NumberNames, name: string): string {
  const slot = integers.indexOf(name);
  return slot >= 0
    ? numberText(slot)
    : `bitcast<f32>(${numberText(integers.length + floats.indexOf(name))})`;
}

/** Length of `P` for a kernel made by hand, in vectors of four. */
export function numberVectors({ integers, floats }: NumberNames): number {
  return Math.ceil((derivedNumbers + integers.length + floats.length) / 4);
}

/** The numbers of a dispatch: derived ones, then the launch's integers, then its floats' bits. */
export function packNumbers(derived: readonly number[], launch: Launch): Int32Array {
  const { ints, floats } = numbersOf(launch);
  const count = derivedNumbers + ints.length + floats.length;
  const numbers = new Int32Array(Math.ceil(count / 4) * 4);
  numbers.set(derived);
  numbers.set(ints, derivedNumbers);
  new Float32Array(numbers.buffer).set(floats, derivedNumbers + ints.length);
  return numbers;
}

/** Throws where a launch's indices would pass 2³¹, which 32-bit index arithmetic cannot reach. */
export function refuseHuge(name: string, elements: number): void {
  if (elements >= 2 ** 31) {
    throw new UserError(
      `The kernel ${name} would index ${elements} elements, but a WebGPU kernel indexes at most ` +
        `${2 ** 31 - 1}. Use smaller batches or sequences, or --device cpu.`,
    );
  }
}

/**
 * Loop iterations an invocation may make. llvmpipe ends all loops of an invocation, without a word,
 * once they made 65,535 iterations together.
 */
export const softwareIterations = 60_000;

/** Throws where a software adapter would end the loops of a kernel too early. */
export function refuseLongLoops(name: string, iterations: number, traits: Traits): void {
  if (traits.software && iterations > softwareIterations) {
    throw new UserError(
      `The kernel ${name} would make up to ${iterations} loop iterations in one invocation, but a ` +
        `software adapter (llvmpipe) stops at 65535. Use shorter sequences, or --device cpu.`,
    );
  }
}

/** Element type of the WGSL array that holds a dtype; narrow types are packed in words. */
export function arrayType(dtype: DType): "f32" | "i32" | "u32" {
  return dtype === "f32" || dtype === "i32" ? dtype : "u32";
}

/** Elements of a dtype in a 32-bit word. */
export function elementsPerWord(dtype: DType): 1 | 2 | 4 {
  const bytes = bytesPerElement[dtype];
  return bytes === 1 ? 4 : bytes === 2 ? 2 : 1;
}

/** Declarations of storage bindings, of `P` and of `S`. */
export function bindingText(
  arrays: readonly string[],
  numbers: number,
  scalars: number,
): string {
  const lines = arrays.map((type, i) =>
    `@group(0) @binding(${i}) var<storage, read_write> b${i}: array<${type}>;`
  );
  const uniform = (name: string, type: string, count: number) =>
    lines.push(
      `@group(0) @binding(${lines.length}) var<uniform> ${name}: array<vec4<${type}>, ${count}>;`,
    );
  uniform("P", "i32", numbers);
  if (scalars > 0) uniform("S", "f32", scalars);
  return lines.join("\n");
}

/** Parameters of every entry point, and the number of this workgroup among all. */
export const entryParameters: string =
  `@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, ` +
  `@builtin(local_invocation_index) lane: u32`;

/** WGSL of the workgroup's number. */
export const groupIndex = `(wg.y * groups.x + wg.x)`;

/** WGSL of the value of an element, whatever its storage; `use` is told the functions it needs. */
export function loadText(
  buffer: string,
  dtype: DType,
  index: string,
  atomic: boolean,
  use: (name: string) => void,
): string {
  const at = (i: string) => atomic ? `atomicLoad(&${buffer}[${i}])` : `${buffer}[${i}]`;
  switch (dtype) {
    case "bool":
      return `(${at(index)} != 0u)`;
    case "bf16":
      return `bitcast<f32>((${at(`(${index}) >> 1u`)} >> (u32((${index}) & 1) << 4u)) << 16u)`;
    case "f16":
      use("fromF16");
      return `fromF16((${at(`(${index}) >> 1u`)} >> (u32((${index}) & 1) << 4u)) & 0xffffu)`;
    case "u8":
      return `((${at(`(${index}) >> 2u`)} >> (u32((${index}) & 3) << 3u)) & 0xffu)`;
    default:
      return at(index);
  }
}

/** WGSL of the stored form of a computed value: the array's type, or the low bits of a word. */
export function storedText(dtype: DType, value: string, use: (name: string) => void): string {
  switch (dtype) {
    case "bool":
      return `select(0u, 1u, ${value})`;
    case "bf16":
      use("toBf16");
      return `toBf16(${value})`;
    case "f16":
      use("toF16");
      return `toF16(${value})`;
    case "u8":
      return `(${value} & 0xffu)`;
    default:
      return value;
  }
}
