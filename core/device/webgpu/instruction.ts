/** WGSL of one instruction of a fused kernel. @module */

import type { ComputeType } from "../../dtype.ts";
import type { Access, Instruction, Int, KernelArgument, ReduceFunction } from "../../kernel.ts";
import { floatLiteral } from "./math.ts";
import { loadText, numberText } from "./shader.ts";

/** What instructions of one kernel share while their text is made. */
export interface Emission {
  readonly args: readonly KernelArgument[];
  readonly body: readonly Instruction[];
  /** Arguments declared as atomics, because invocations may share a word of them. */
  readonly atomic: ReadonlySet<number>;
  /** Names of the math functions the text calls. */
  readonly used: Set<string>;
}

/** The type of an instruction's value. A store has none. */
export function typeOf(instruction: Instruction): ComputeType {
  if (instruction.op === "store") throw new Error("A store has no value.");
  return instruction.type;
}

/** The instructions an instruction reads. */
export function operands(instruction: Instruction): readonly number[] {
  switch (instruction.op) {
    case "load":
      return instruction.access.gather === null ? [] : [instruction.access.gather.index];
    case "binary":
      return [instruction.x, instruction.y];
    case "where":
      return [instruction.condition, instruction.x, instruction.y];
    case "const":
    case "scalar":
    case "index":
      return [];
    default:
      return [instruction.x];
  }
}

/** WGSL of a launch's int. */
export function intText(int: Int): string {
  return int === 1 ? "1" : numberText(int.slot);
}

/** WGSL of the element an access reaches; coordinates are the variables `c0`, `c1`, … */
export function addressText(access: Access): string {
  const parts = access.terms.map(({ dim, stride }) =>
    stride === 1 ? `c${dim}` : `c${dim} * ${intText(stride)}`
  );
  if (access.offset !== null) parts.unshift(numberText(access.offset.slot));
  if (access.gather !== null) {
    const { index, stride } = access.gather;
    parts.push(stride === 1 ? `v${index}` : `v${index} * ${intText(stride)}`);
  }
  return parts.length === 0 ? "0" : parts.join(" + ");
}

function loadCondition(access: Access): string | undefined {
  const conditions = access.masks.flatMap(({ dim, low, high }) => [
    `c${dim} >= ${intText(low)}`,
    `c${dim} < ${intText(high)}`,
  ]);
  if (access.gather !== null) {
    const { index, count } = access.gather;
    conditions.push(`v${index} >= 0`, `v${index} < ${intText(count)}`);
  }
  return conditions.length === 0 ? undefined : conditions.join(" && ");
}

/** The value a reduction starts from. */
export function identityText(
  fn: ReduceFunction,
  type: ComputeType,
  use: (name: string) => void,
): string {
  if (fn === "sum") return type === "f32" ? "0.0" : type === "i32" ? "0i" : "0u";
  if (type === "f32") return floatLiteral(fn === "max" ? -Infinity : Infinity, use);
  if (type === "u32") return fn === "max" ? "0u" : "0xffffffffu";
  return fn === "max" ? "bitcast<i32>(0x80000000u)" : "2147483647i";
}

/** WGSL of two partial results joined. */
export function joinText(
  fn: ReduceFunction,
  type: ComputeType,
  x: string,
  y: string,
  use: (name: string) => void,
): string {
  if (fn === "sum") return `${x} + ${y}`;
  if (type !== "f32") return `${fn}(${x}, ${y})`;
  use(fn);
  return `${fn}_(${x}, ${y})`;
}

const infix: Readonly<Record<string, string>> = {
  add: "+",
  sub: "-",
  mul: "*",
  div: "/",
  mod: "%",
  lt: "<",
  le: "<=",
  eq: "==",
  ne: "!=",
  and: "&",
  or: "|",
  xor: "^",
  shl: "<<",
  shr: ">>",
};

function unaryText(fn: string, type: ComputeType, x: string, use: (name: string) => void): string {
  if (fn === "neg") return `-${x}`;
  if (fn === "not") return `!${x}`;
  if (fn === "sqrt") return `sqrt(${x})`;
  if (fn === "rsqrt") return `inverseSqrt(${x})`;
  if (fn === "abs" || fn === "floor") return `${fn}(${x})`;
  if (fn === "sign" && type !== "f32") return `sign(${x})`;
  use(fn);
  return `${fn}_(${x})`;
}

function castText(
  from: ComputeType,
  to: ComputeType,
  x: string,
  use: (name: string) => void,
): string {
  if (from === to) return x;
  if (to === "bool") {
    return from === "f32" ? `(bitcast<u32>(${x}) & 0x7fffffffu) != 0u` : `${x} != ${from}(0)`;
  }
  if (from === "f32") {
    const name = to === "i32" ? "toI32" : "toU32";
    use(name);
    return `${name}(${x})`;
  }
  return `${to}(${x})`;
}

function constText(value: number, type: ComputeType, use: (name: string) => void): string {
  switch (type) {
    case "f32":
      return floatLiteral(value, use);
    case "bool":
      return value !== 0 ? "true" : "false";
    case "u32":
      return `${value >>> 0}u`;
    case "i32":
      return `bitcast<i32>(${value >>> 0}u)`;
  }
}

/** WGSL that defines `v{index}`, for any instruction but stores and reductions. */
export function instructionText(emission: Emission, index: number): string {
  const { args, body, atomic, used } = emission;
  const use = (name: string) => void used.add(name);
  const instruction = body[index]!;
  const define = (text: string) => `let v${index} = ${text};`;
  switch (instruction.op) {
    case "load": {
      const { arg, access, type } = instruction;
      const address = addressText(access);
      const load = loadText(`b${arg}`, args[arg]!.dtype, address, atomic.has(arg), use);
      const condition = loadCondition(access);
      if (condition === undefined) return define(load);
      const zero = type === "bool" ? "false" : `${type}(0)`;
      return `var v${index} = ${zero}; if (${condition}) { v${index} = ${load}; }`;
    }
    case "const":
      return define(constText(Number(instruction.value), instruction.type, use));
    case "scalar":
      return define(`S[${instruction.index >> 2}].${"xyzw"[instruction.index & 3]}`);
    case "index":
      return define(`c${instruction.dim}`);
    case "unary": {
      return define(unaryText(instruction.fn, instruction.type, `v${instruction.x}`, use));
    }
    case "binary": {
      const { fn, x, y } = instruction;
      const type = typeOf(body[x]!);
      const [a, b] = [`v${x}`, `v${y}`];
      if (fn === "max" || fn === "min") return define(joinText(fn, type, a, b, use));
      if (fn === "pow") {
        use("pow");
        return define(`pow_(${a}, ${b})`);
      }
      if (fn === "xor" && type === "bool") return define(`${a} != ${b}`);
      if (x === y && type === "f32" && (fn === "eq" || fn === "ne")) {
        use("isNan");
        return define(fn === "ne" ? `isNan(${a})` : `!isNan(${a})`);
      }
      return define(`${a} ${infix[fn]} ${b}`);
    }
    case "where":
      return define(`select(v${instruction.y}, v${instruction.x}, v${instruction.condition})`);
    case "cast": {
      const from = typeOf(body[instruction.x]!);
      return define(castText(from, instruction.type, `v${instruction.x}`, use));
    }
    case "bitcast":
      return define(`bitcast<${instruction.type}>(v${instruction.x})`);
    default:
      throw new Error(`A ${instruction.op} is not a plain instruction.`);
  }
}
