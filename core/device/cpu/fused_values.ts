/** Instructions of fused kernels as vector operations. Bools are masks: all bits of a lane or none. @module */

import type { ComputeType } from "../../dtype.ts";
import type { BinaryFunction, Instruction, UnaryFunction } from "../../kernel.ts";
import { elementary, power } from "./math.ts";
import type { Vector, Vectors } from "./vectors.ts";
import type { Local } from "./wasm_function.ts";
import type { Opcode } from "./wasm_opcodes.ts";

/** Instructions that compute from values alone. */
export type Computation = Extract<
  Instruction,
  { op: "const" | "unary" | "binary" | "where" | "cast" | "bitcast" }
>;

const integerOps: Partial<Record<BinaryFunction, Opcode>> = {
  add: "i32x4.add",
  sub: "i32x4.sub",
  mul: "i32x4.mul",
  eq: "i32x4.eq",
  ne: "i32x4.ne",
  and: "v128.and",
  or: "v128.or",
  xor: "v128.xor",
};

const binaryOps: Readonly<Record<ComputeType, Partial<Record<BinaryFunction, Opcode>>>> = {
  f32: {
    add: "f32x4.add",
    sub: "f32x4.sub",
    mul: "f32x4.mul",
    div: "f32x4.div",
    max: "f32x4.max",
    min: "f32x4.min",
    lt: "f32x4.lt",
    le: "f32x4.le",
    eq: "f32x4.eq",
    ne: "f32x4.ne",
  },
  i32: {
    ...integerOps,
    max: "i32x4.max_s",
    min: "i32x4.min_s",
    lt: "i32x4.lt_s",
    le: "i32x4.le_s",
  },
  u32: {
    ...integerOps,
    max: "i32x4.max_u",
    min: "i32x4.min_u",
    lt: "i32x4.lt_u",
    le: "i32x4.le_u",
  },
  bool: {
    and: "v128.and",
    mul: "v128.and",
    min: "v128.and",
    or: "v128.or",
    max: "v128.or",
    xor: "v128.xor",
    ne: "v128.xor",
    eq: "i32x4.eq",
    // false < true; true is the integer −1.
    lt: "i32x4.gt_s",
    le: "i32x4.ge_s",
  },
};

/** The value of a computation from its operands' values. */
export function compute(
  v: Vectors,
  body: readonly Instruction[],
  instruction: Computation,
  value: (index: number) => Local,
): Vector {
  switch (instruction.op) {
    case "const":
      return literal(v, Number(instruction.value), instruction.type);
    case "unary":
      return unary(v, instruction.fn, typeOf(body, instruction.x), value(instruction.x));
    case "binary": {
      const { fn, x, y } = instruction;
      const shift = body[y]!;
      if ((fn === "shl" || fn === "shr") && shift.op === "const") {
        return v.shift(shiftOp(fn, instruction.type), value(x), Number(shift.value));
      }
      return binary(v, fn, typeOf(body, x), value(x), value(y));
    }
    case "where":
      return v.select(value(instruction.condition), value(instruction.x), value(instruction.y));
    case "cast":
      return cast(v, typeOf(body, instruction.x), instruction.type, value(instruction.x));
    case "bitcast":
      return value(instruction.x);
  }
}

/** The type of an instruction's value. */
export function typeOf(body: readonly Instruction[], index: number): ComputeType {
  const instruction = body[index]!;
  if (instruction.op === "store") throw new Error(`Instruction ${index} is a store: no value.`);
  return instruction.type;
}

/** A number in every lane. */
export function literal(v: Vectors, value: number, type: ComputeType): Local {
  if (type === "f32") return v.float(value);
  return v.int(type === "bool" ? -value : value);
}

/** The opcode of a two-operand function, if it is a single instruction. */
export function binaryOp(fn: BinaryFunction, type: ComputeType): Opcode | undefined {
  return binaryOps[type][fn];
}

function shiftOp(fn: "shl" | "shr", type: ComputeType) {
  if (fn === "shl") return "i32x4.shl";
  return type === "i32" ? "i32x4.shr_s" : "i32x4.shr_u";
}

function binary(v: Vectors, fn: BinaryFunction, type: ComputeType, x: Local, y: Local): Vector {
  const op = binaryOp(fn, type);
  if (op !== undefined) return v.op(op, x, y);
  if (type === "f32" && fn === "pow") return power(v, x, y);
  if (type === "f32" && fn === "mod") {
    return v.nmadd(y, v.op("f32x4.trunc", v.op("f32x4.div", x, y)), x);
  }
  if (type === "i32" || type === "u32") {
    const unsigned = type === "u32";
    switch (fn) {
      case "shl":
        return v.lanewise(x, y, () => v.f.op("i32.shl"));
      case "shr":
        return v.lanewise(x, y, () => v.f.op(unsigned ? "i32.shr_u" : "i32.shr_s"));
      case "div":
        return v.lanewise(x, divisor(v, type, x, y), () => {
          v.f.op(unsigned ? "i32.div_u" : "i32.div_s");
        });
      case "mod":
        return v.lanewise(x, divisor(v, type, x, y), () => {
          v.f.op(unsigned ? "i32.rem_u" : "i32.rem_s");
        });
    }
  }
  throw new Error(`A fused kernel cannot apply "${fn}" to ${type}.`);
}

/** y, but 1 where dividing by y would trap: x / 0 is x, as in WGSL, and so is −2³¹ / −1. */
function divisor(v: Vectors, type: "i32" | "u32", x: Local, y: Local): Local {
  const zero = v.op("i32x4.eq", y, v.int(0));
  const overflow = v.op(
    "v128.and",
    v.op("i32x4.eq", x, v.int(-0x80000000)),
    v.op("i32x4.eq", y, v.int(-1)),
  );
  const trap = type === "u32" ? zero : v.op("v128.or", zero, overflow);
  return v.keep(v.select(trap, v.int(1), y));
}

function unary(v: Vectors, fn: UnaryFunction, type: ComputeType, x: Local): Vector {
  if (type === "f32") {
    switch (fn) {
      case "neg":
        return v.op("f32x4.neg", x);
      case "abs":
        return v.op("f32x4.abs", x);
      case "floor":
        return v.op("f32x4.floor", x);
      case "sign": {
        const one = v.op("v128.or", v.op("v128.and", x, v.int(-0x80000000)), 1);
        // ±0 and NaN are their own signs.
        return v.select(v.op("f32x4.gt", v.op("f32x4.abs", x), 0), one, x);
      }
      case "not":
        break;
      default:
        return elementary[fn](v, x);
    }
  } else if (type === "bool") {
    if (fn === "not") return v.op("v128.not", x);
  } else {
    switch (fn) {
      case "neg":
        return v.op("i32x4.neg", x);
      case "abs":
        return type === "i32" ? v.op("i32x4.abs", x) : x;
      case "sign":
        return type === "i32"
          ? v.op("i32x4.max_s", v.op("i32x4.min_s", x, v.int(1)), v.int(-1))
          : v.op("i32x4.min_u", x, v.int(1));
    }
  }
  throw new Error(`A fused kernel cannot apply "${fn}" to ${type}.`);
}

function cast(v: Vectors, from: ComputeType, to: ComputeType, x: Local): Vector {
  if (from === to) return x;
  if (from === "bool") return v.op("v128.and", x, literal(v, 1, to));
  if (to === "bool") {
    return from === "f32" ? v.op("f32x4.ne", x, 0) : v.op("i32x4.ne", x, v.int(0));
  }
  if (from === "f32") {
    return v.op(to === "i32" ? "i32x4.trunc_sat_f32x4_s" : "i32x4.trunc_sat_f32x4_u", x);
  }
  if (to === "f32") {
    return v.op(from === "i32" ? "f32x4.convert_i32x4_s" : "f32x4.convert_i32x4_u", x);
  }
  return x;
}

// Vector instructions a function takes, roughly; those not listed take one.
const costs: Partial<Record<UnaryFunction | BinaryFunction, number>> = {
  exp: 22,
  expm1: 24,
  log: 32,
  log1p: 45,
  sqrt: 3,
  rsqrt: 6,
  div: 3,
  sin: 60,
  cos: 60,
  tanh: 36,
  sigmoid: 30,
  erf: 50,
  pow: 150,
};

/** Roughly how many vector instructions an instruction takes. */
export function cost(instruction: Instruction): number {
  if (instruction.op === "unary" || instruction.op === "binary") return costs[instruction.fn] ?? 1;
  return 1;
}
