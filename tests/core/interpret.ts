/** The reference semantics of fused kernels. @module */

import type { ComputeType, DType } from "../../core/dtype.ts";
import type {
  Access,
  BinaryFunction,
  FusedKernel,
  Instruction,
  Int,
  UnaryFunction,
} from "../../core/kernel.ts";

/**
 * Contents of a buffer: f32, i32, u32 and u8 as the array of that name, f16 and bf16 as their 16
 * bits, bool as 32-bit 0 or 1.
 */
export type Elements = Float32Array | Int32Array | Uint32Array | Uint16Array | Uint8Array;

/**
 * Runs a fused kernel point by point in double precision, the plain way: what devices do fast must
 * agree with it. Stores write into `args`; loads see what was there before the launch. `floats` is
 * part of every launch and unused by fused kernels. `round` is applied to each f32 that is computed;
 * with `Math.fround`, arithmetic is that of f32. Integers wrap; x / 0 is x and x mod 0 is 0.
 */
export function interpret(
  kernel: FusedKernel,
  ints: readonly number[],
  _floats: readonly number[],
  scalars: ArrayLike<number>,
  args: readonly Elements[],
  round: (x: number) => number = (x) => x,
): void {
  const { body, kind } = kernel;
  const before = args.map((elements) => elements.slice());
  const sizes = ints.slice(0, kernel.rank);
  const int = (value: Int) => value === 1 ? 1 : ints[value.slot]!;
  const reducedDim = kind === "map" ? -1 : kind === "row" ? kernel.rank - 1 : kernel.rank - 2;

  const place = (access: Access, at: readonly number[]) =>
    access.terms.reduce(
      (sum, { dim, stride }) => sum + at[dim]! * int(stride),
      access.offset ? ints[access.offset.slot]! : 0,
    );
  const masked = (access: Access, at: readonly number[]) =>
    access.masks.some(({ dim, low, high }) => at[dim]! < int(low) || at[dim]! >= int(high));

  /** Values at one point, by instruction; `results` holds those of reductions. */
  const evaluator = (at: readonly number[], results: ReadonlyMap<number, number>) => {
    const memo = new Map(results);
    const evaluate = (index: number): number => {
      const seen = memo.get(index);
      if (seen !== undefined) return seen;
      const result = value(body[index]!);
      memo.set(index, result);
      return result;
    };
    const typeOf = (index: number): ComputeType => {
      const instruction = body[index]!;
      if (instruction.op === "store") throw new Error("A store has no value.");
      return instruction.type;
    };
    const value = (instruction: Instruction): number => {
      switch (instruction.op) {
        case "load": {
          const { access, arg } = instruction;
          if (masked(access, at)) return 0;
          let element = place(access, at);
          if (access.gather) {
            const row = evaluate(access.gather.index);
            if (row < 0 || row >= int(access.gather.count)) return 0;
            element += row * int(access.gather.stride);
          }
          return decode(kernel.args[arg]!.dtype, before[arg]![element]!);
        }
        case "const":
          return Number(instruction.value);
        case "scalar":
          return Math.fround(scalars[instruction.index]!);
        case "index":
          return at[instruction.dim]!;
        case "unary":
          return settle(instruction.type, unary(instruction.fn, evaluate(instruction.x)), round);
        case "binary": {
          const [x, y] = [evaluate(instruction.x), evaluate(instruction.y)];
          const type = typeOf(instruction.x);
          return settle(instruction.type, binary(instruction.fn, type, x, y, round), round);
        }
        case "where":
          return evaluate(evaluate(instruction.condition) !== 0 ? instruction.x : instruction.y);
        case "cast":
          return cast(typeOf(instruction.x), instruction.type, evaluate(instruction.x), round);
        case "bitcast":
          return bitcast(typeOf(instruction.x), instruction.type, evaluate(instruction.x));
        default:
          throw new Error(`"${instruction.op}" has no value at a point.`);
      }
    };
    return evaluate;
  };

  // The points of the space that reductions leave: the reduced dim counts as one.
  for (const at of coordinates(sizes.map((size, dim) => dim === reducedDim ? 1 : size))) {
    const line = () => reducedDim < 0 ? [at] : coordinatesAlong(at, reducedDim, sizes[reducedDim]!);
    const results = new Map<number, number>();
    body.forEach((instruction, index) => {
      if (instruction.op !== "reduce") return;
      const { fn, type, x } = instruction;
      let total = fn === "sum" ? 0 : fn === "max" ? lowest(type) : highest(type);
      for (const point of line()) {
        const term = evaluator(point, results)(x);
        total = fn === "sum" ? total + term : Math[fn](total, term);
      }
      results.set(index, settle(type, total, round));
    });
    const stores = body.filter((instruction) => instruction.op === "store");
    for (const { arg, access, x } of stores) {
      const { dtype } = kernel.args[arg]!;
      const perLine = !access.terms.some(({ dim }) => dim === reducedDim);
      for (const point of perLine ? [at] : line()) {
        args[arg]![place(access, point)] = encode(dtype, evaluator(point, results)(x));
      }
    }
  }
}

function* coordinates(sizes: readonly number[]): Generator<number[]> {
  const count = sizes.reduce((product, size) => product * size, 1);
  for (let number = 0; number < count; number++) {
    const at: number[] = [];
    let rest = number;
    for (const size of sizes.toReversed()) {
      at.unshift(rest % size);
      rest = Math.floor(rest / size);
    }
    yield at;
  }
}

function* coordinatesAlong(at: readonly number[], dim: number, size: number): Generator<number[]> {
  for (let x = 0; x < size; x++) yield at.with(dim, x);
}

function lowest(type: ComputeType): number {
  return { f32: -Infinity, i32: -0x80000000, u32: 0, bool: 0 }[type];
}

function highest(type: ComputeType): number {
  return { f32: Infinity, i32: 0x7fffffff, u32: 0xffffffff, bool: 1 }[type];
}

/** A result as its type holds it: integers modulo 2³². */
function settle(type: ComputeType, x: number | bigint, round: (x: number) => number): number {
  if (type === "i32") return Number(BigInt.asIntN(32, BigInt(x)));
  if (type === "u32") return Number(BigInt.asUintN(32, BigInt(x)));
  return type === "f32" ? round(Number(x)) : Number(x);
}

function unary(fn: UnaryFunction, x: number): number {
  switch (fn) {
    case "neg":
      return -x;
    case "rsqrt":
      return 1 / Math.sqrt(x);
    case "sigmoid":
      return 1 / (1 + Math.exp(-x));
    case "erf":
      return erf(x);
    case "not":
      return x === 0 ? 1 : 0;
    default:
      return Math[fn](x);
  }
}

function binary(
  fn: BinaryFunction,
  type: ComputeType,
  x: number,
  y: number,
  round: (x: number) => number,
): number | bigint {
  const real = type === "f32";
  switch (fn) {
    case "add":
      return x + y;
    case "sub":
      return x - y;
    case "mul":
      return real ? x * y : BigInt(x) * BigInt(y);
    case "div":
      return real ? x / y : y === 0 ? x : Math.trunc(x / y);
    case "mod":
      if (real) return x - y * Math.trunc(round(x / y));
      return y === 0 ? 0 : x % y;
    case "pow":
      return power(x, y);
    case "max":
    case "min":
      return Math[fn](x, y);
    case "lt":
      return Number(x < y);
    case "le":
      return Number(x <= y);
    case "eq":
      return Number(x === y);
    case "ne":
      return Number(x !== y);
    case "and":
      return x & y;
    case "or":
      return x | y;
    case "xor":
      return x ^ y;
    case "shl":
      return x << y;
    case "shr":
      return type === "i32" ? x >> y : x >>> y;
  }
}

/** IEEE 754 pow, which has 1 where JavaScript has NaN: 1^NaN, 1^±∞ and (−1)^±∞. */
function power(x: number, y: number): number {
  return x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y;
}

/** The error function by a series of positive terms: 2/√π·e^(−x²)·Σ 2ⁿx²ⁿ⁺¹/(1·3·…·(2n+1)). */
export function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; n < 200; n++) {
    term *= 2 * x * x / (2 * n + 1);
    sum += term;
  }
  return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
}

function cast(
  from: ComputeType,
  to: ComputeType,
  x: number,
  round: (x: number) => number,
): number {
  if (to === "bool") return x !== 0 ? 1 : 0;
  if (to === "f32" || from !== "f32") return settle(to, x, round);
  if (Number.isNaN(x)) return 0;
  return Math.min(Math.max(Math.trunc(x), lowest(to)), highest(to));
}

function bitcast(from: ComputeType, to: ComputeType, x: number): number {
  const view = new DataView(new ArrayBuffer(4));
  if (from === "f32") view.setFloat32(0, x);
  else view.setUint32(0, x);
  if (to === "f32") return view.getFloat32(0);
  return to === "i32" ? view.getInt32(0) : view.getUint32(0);
}

/** The number that a buffer's element stands for. */
export function decode(dtype: DType, element: number): number {
  switch (dtype) {
    case "f16":
      return decodeFloat(element, 5, 10);
    case "bf16":
      return decodeFloat(element, 8, 7);
    case "bool":
      return element !== 0 ? 1 : 0;
    default:
      return element;
  }
}

/** The element that stands for a number: rounded to nearest even, integers modulo their width. */
export function encode(dtype: DType, x: number): number {
  switch (dtype) {
    case "f16":
      return encodeFloat(Math.fround(x), 5, 10);
    case "bf16":
      return encodeFloat(Math.fround(x), 8, 7);
    default:
      return x;
  }
}

function decodeFloat(bits: number, exponentBits: number, fractionBits: number): number {
  const highest = 2 ** exponentBits - 1;
  const bias = (highest - 1) / 2;
  const fraction = bits % 2 ** fractionBits;
  const exponent = (bits >> fractionBits) & highest;
  const sign = bits >> (exponentBits + fractionBits) ? -1 : 1;
  if (exponent === highest) return fraction ? NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** (1 - bias - fractionBits);
  return sign * (2 ** fractionBits + fraction) * 2 ** (exponent - bias - fractionBits);
}

function encodeFloat(x: number, exponentBits: number, fractionBits: number): number {
  const highest = 2 ** exponentBits - 1;
  const bias = (highest - 1) / 2;
  const infinity = highest * 2 ** fractionBits;
  if (Number.isNaN(x)) return infinity + 2 ** (fractionBits - 1);
  const sign = x < 0 || Object.is(x, -0) ? 2 ** (exponentBits + fractionBits) : 0;
  const magnitude = Math.abs(x);
  if (magnitude === Infinity) return sign + infinity;
  const exponent = Math.max(magnitude === 0 ? -Infinity : floorLog2(magnitude), 1 - bias);
  const steps = roundEven(magnitude / 2 ** (exponent - fractionBits));
  // A carry out of the fraction lands in the exponent, at the top in infinity.
  return sign + Math.min((exponent + bias - 1) * 2 ** fractionBits + steps, infinity);
}

function floorLog2(x: number): number {
  let exponent = Math.floor(Math.log2(x));
  while (2 ** exponent > x) exponent--;
  while (2 ** (exponent + 1) <= x) exponent++;
  return exponent;
}

function roundEven(x: number): number {
  const low = Math.floor(x);
  const rest = x - low;
  if (rest !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}
