/** A seeded generator of fused kernels with inputs. */

import { type ComputeType, computeType, type DType } from "../../../core/dtype.ts";
import { type Elements, encode } from "../interpret.ts";
import type {
  Access,
  BinaryFunction,
  FusedKernel,
  Instruction,
  Int,
  KernelArgument,
  ReduceFunction,
  UnaryFunction,
} from "../../../core/kernel.ts";
import type { Inputs } from "./fused_harness.ts";

export interface Case extends Inputs {
  readonly kernel: FusedKernel;
  /** Arguments whose contents follow from inexact functions, and are compared with tolerance. */
  readonly inexact: readonly boolean[];
}

/** A small generator of uniform numbers (mulberry32). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Value {
  readonly type: ComputeType;
  /** Whether the devices' value has the same bits as the interpreter's. */
  readonly exact: boolean;
  /** Whether it may be NaN, whose bits are anyone's. */
  readonly wild: boolean;
  readonly lanes: boolean;
  readonly rows: boolean;
  readonly stage: number;
}

const exactUnary: readonly UnaryFunction[] = ["neg", "abs", "sign", "floor", "sqrt"];
const inexactUnary: readonly UnaryFunction[] = [
  "exp",
  "expm1",
  "log",
  "log1p",
  "rsqrt",
  "sin",
  "cos",
  "tanh",
  "sigmoid",
  "erf",
];
const floatBinary: readonly BinaryFunction[] = ["add", "sub", "mul", "div", "max", "min"];
const integerBinary: readonly BinaryFunction[] = [
  ...floatBinary,
  "mod",
  "and",
  "or",
  "xor",
  "shl",
  "shr",
];
const comparisons: readonly BinaryFunction[] = ["lt", "le", "eq", "ne"];

function empty(dtype: DType, length: number): Elements {
  switch (dtype) {
    case "f32":
      return new Float32Array(length);
    case "i32":
      return new Int32Array(length);
    case "u8":
      return new Uint8Array(length);
    case "f16":
    case "bf16":
      return new Uint16Array(length);
    default:
      return new Uint32Array(length);
  }
}

/** A random kernel of a kind, which any two runs with one seed agree on. */
export function randomCase(seed: number, kind: FusedKernel["kind"]): Case {
  const next = random(seed);
  const below = (count: number) => Math.floor(next() * count);
  const pick = <T>(items: readonly T[]): T => items[below(items.length)]!;
  const chance = (probability: number) => next() < probability;

  const least = { map: 0, row: 1, column: 2 }[kind];
  const rank = least + below(4 - (kind === "map" ? 0 : 1));
  const sizes = Array.from({ length: rank }, () => pick([1, 2, 3, 4, 5, 7, 9]));
  if (rank > 0) sizes[rank - 1] = pick([0, 1, 2, 3, 4, 5, 7, 15, 16, 17, 31, 33, 70, 140]);
  if (kind === "column") sizes[rank - 2] = pick([0, 1, 2, 5, 64, 65, 130]);
  else if (rank > 1 && chance(0.3)) sizes[0] = pick([0, 20, 37]);
  while (sizes.reduce((product, size) => product * size, 1) > 6000) {
    sizes[sizes.indexOf(Math.max(...sizes))] = 3;
  }
  const last = rank - 1;

  const ints: number[] = [...sizes];
  const slot = (value: number) => ({ slot: ints.push(value) - 1 });
  const int = (value: number): Int => value === 1 && chance(0.7) ? 1 : slot(value);
  const kernelArgs: KernelArgument[] = [];
  const args: Elements[] = [];
  const inexact: boolean[] = [];
  const body: Instruction[] = [];
  const values: (Value | null)[] = [];
  const emit = (instruction: Instruction, value: Value | null): number => {
    values.push(value);
    return body.push(instruction) - 1;
  };
  const argument = (dtype: DType, access: KernelArgument["access"], length: number): number => {
    const elements = empty(dtype, length);
    for (let i = 0; i < length; i++) {
      const small = below(33) - 16;
      if (dtype === "bool") elements[i] = below(2);
      else if (dtype === "u8" || dtype === "u32") {
        elements[i] = chance(0.1) ? below(2 ** 32) : small;
      } else if (dtype === "i32") elements[i] = chance(0.1) ? below(2 ** 32) - 2 ** 31 : small;
      else elements[i] = encode(dtype, chance(0.05) ? (next() - 0.5) * 1000 : small / 4);
    }
    kernelArgs.push({ dtype, access });
    inexact.push(false);
    return args.push(elements) - 1;
  };

  /** A contiguous access over some dims, now and then with gaps, and the elements it spans. */
  const contiguous = (dims: readonly number[]): { access: Access; length: number } => {
    let stride = chance(0.15) ? 2 : 1;
    const terms = dims.toReversed().map((dim) => {
      const term = { dim, stride: int(stride) };
      stride *= Math.max(sizes[dim]!, 1);
      return term;
    });
    const start = below(3);
    const offset = start === 0 ? null : slot(start);
    return {
      access: { offset, terms: terms.reverse(), masks: [], gather: null },
      length: stride + 3,
    };
  };

  const load = (): void => {
    const dtype = pick<DType>(["f32", "f32", "f32", "f16", "bf16", "i32", "u32", "u8", "bool"]);
    const terms: { dim: number; stride: Int }[] = [];
    const masks: { dim: number; low: Int; high: Int }[] = [];
    let [lowest, highest] = [0, 0];
    for (let dim = 0; dim < rank; dim++) {
      let [low, high] = [0, sizes[dim]!];
      if (chance(0.15)) {
        [low, high] = [below(high + 3) - 1, below(high + 4) - 1];
        masks.push({ dim, low: slot(low), high: slot(high) });
        [low, high] = [Math.max(low, 0), Math.min(high, sizes[dim]!)];
      }
      if (!chance(0.75)) continue;
      const stride = dim === last && chance(0.6) ? 1 : below(13) - 5;
      terms.push({ dim, stride: int(stride) });
      if (high <= low) continue;
      const ends = [low * stride, (high - 1) * stride];
      lowest += Math.min(...ends);
      highest += Math.max(...ends);
    }
    const rows = values.flatMap((value, index) => value?.type === "i32" ? [index] : []);
    let gather: Access["gather"] = null;
    if (rows.length > 0 && chance(0.4)) {
      const [count, stride] = [1 + below(9), below(9) - 3];
      gather = { index: pick(rows), stride: int(stride), count: int(count) };
      const ends = [0, (count - 1) * stride];
      lowest += Math.min(...ends);
      highest += Math.max(...ends);
    }
    const start = below(4) - lowest;
    const arg = argument(dtype, "read", start + highest + 1);
    const offset = start === 0 ? null : slot(start);
    const dims = [...terms, ...masks].map(({ dim }) => dim);
    const row = gather === null ? null : values[gather.index]!;
    const type = computeType(dtype);
    emit({ op: "load", arg, access: { offset, terms, masks, gather }, type }, {
      type,
      exact: true,
      wild: false,
      lanes: dims.includes(last) || (row?.lanes ?? false),
      rows: (kind === "column" && dims.includes(rank - 2)) || (row?.rows ?? false),
      stage: row?.stage ?? 0,
    });
  };

  const join = (...items: readonly Value[]) => ({
    exact: items.every(({ exact }) => exact),
    wild: true,
    lanes: items.some(({ lanes }) => lanes),
    rows: items.some(({ rows }) => rows),
    stage: Math.max(...items.map(({ stage }) => stage)),
  });
  const known = { exact: true, wild: false, lanes: false, rows: false, stage: 0 };
  const scalars = Array.from({ length: 3 }, () => below(33) / 4 - 4);
  /** A value that fits, by its index. */
  const find = (fits: (value: Value) => boolean): number | null => {
    const found = values.flatMap((value, index) => value !== null && fits(value) ? [index] : []);
    return found.length > 0 ? pick(found) : null;
  };

  const leaf = (): void => {
    const choice = below(10);
    if (choice < 6) return load();
    if (choice === 6) {
      const type = pick<ComputeType>(["f32", "i32", "u32", "bool"]);
      const number = below(4);
      const value = type === "bool"
        ? number % 2
        : type === "f32" && number === 3
        ? pick(["Infinity", "-Infinity", "NaN"])
        : number;
      emit({ op: "const", value, type }, { ...known, type, wild: true });
    } else if (choice === 7) {
      emit({ op: "scalar", index: below(3), type: "f32" }, { ...known, type: "f32" });
    } else if (rank > 0) {
      const dim = below(rank);
      emit({ op: "index", dim, type: "i32" }, {
        ...known,
        type: "i32",
        lanes: dim === last,
        rows: kind === "column" && dim === rank - 2,
      });
    }
  };

  const step = (): void => {
    const x = find(() => true);
    if (x === null) return leaf();
    const a = values[x]!;
    const same = find((value) => value.type === a.type && value.exact)!;
    const type = a.type;
    switch (below(7)) {
      case 0: {
        let fns: readonly UnaryFunction[] = type === "bool" ? ["not"] : ["neg", "abs", "sign"];
        if (type === "f32") fns = a.exact ? pick([exactUnary, inexactUnary]) : ["neg", "abs"];
        const fn = pick(fns);
        const exact = a.exact && !inexactUnary.includes(fn);
        emit({ op: "unary", fn, x, type }, { ...join(a), type, exact });
        break;
      }
      case 1:
      case 2: {
        if (same === null) break;
        let fns: readonly BinaryFunction[] = type === "bool" ? ["and", "or", "xor"] : integerBinary;
        if (type === "f32") fns = a.exact ? [...floatBinary, "pow", "mod"] : ["mul"];
        const fn = pick(fns);
        let y = same;
        if (fn === "shl" || fn === "shr") {
          if (type !== "u32") break;
          if (chance(0.5)) y = emit({ op: "const", value: below(32), type }, { ...known, type });
          else {
            const mask = emit({ op: "const", value: 31, type }, { ...known, type });
            const b = join(values[y]!);
            y = emit({ op: "binary", fn: "and", x: y, y: mask, type }, { ...b, type });
          }
        }
        const joined = join(a, values[y]!);
        const exact = joined.exact && fn !== "pow" && fn !== "mod";
        emit({ op: "binary", fn, x, y, type }, { ...joined, type, exact: exact || type !== "f32" });
        break;
      }
      case 3:
        if (same === null || !a.exact) break;
        emit(
          { op: "binary", fn: pick(comparisons), x, y: same, type: "bool" },
          { ...join(a, values[same]!), type: "bool" },
        );
        break;
      case 4: {
        const condition = find((value) => value.type === "bool");
        if (condition === null || same === null) break;
        const joined = join(a, values[same]!, values[condition]!);
        emit({ op: "where", condition, x, y: same, type }, { ...joined, type });
        break;
      }
      case 5: {
        const to = pick<ComputeType>(["f32", "i32", "u32", "bool"]);
        if (!a.exact) break;
        if (type !== "bool" && to !== "bool" && !a.wild && chance(0.3)) {
          emit({ op: "bitcast", x, type: to }, { ...a, type: to, wild: true });
        } else emit({ op: "cast", x, type: to }, { ...join(a), type: to });
        break;
      }
      case 6: {
        if (kind === "map" || (kind === "column" && a.stage > 0)) break;
        let fn = pick<ReduceFunction>(["sum", "max", "min"]);
        if (type === "bool" && fn === "sum") fn = "max";
        let of = x;
        // Sums of one sign, so that their relative error is small.
        if (type === "f32" && fn === "sum") {
          of = emit({ op: "unary", fn: "abs", x, type }, { ...a, type });
        }
        emit({ op: "reduce", fn, x: of, type }, {
          type,
          exact: a.exact && (type !== "f32" || fn !== "sum"),
          wild: true,
          lanes: kind === "column",
          rows: false,
          stage: a.stage + 1,
        });
      }
    }
  };

  for (let i = 0; i < 3; i++) leaf();
  if (kind === "map" && chance(0.3)) {
    // In place: what is loaded here is stored below.
    const { access, length } = contiguous(sizes.map((_, dim) => dim));
    const arg = argument("f32", "readwrite", length);
    const lanes = rank > 0;
    emit({ op: "load", arg, access, type: "f32" }, { ...known, type: "f32", lanes });
  }
  for (let i = 4 + below(14); i > 0; i--) chance(0.2) ? leaf() : step();
  if (kind !== "map" && !body.some(({ op }) => op === "reduce")) {
    const x = find(({ type, stage }) => type !== "bool" && stage === 0);
    if (x !== null) {
      const type = values[x]!.type;
      emit(
        { op: "reduce", fn: "max", x, type },
        { ...values[x]!, lanes: kind === "column", rows: false, stage: 1 },
      );
    }
  }

  const store = (x: number, arg: number | null, given: Access | null) => {
    const value = values[x]!;
    let dims = sizes.map((_, dim) => dim);
    if (kind === "row" && !value.lanes && chance(0.7)) dims = dims.slice(0, -1);
    if (kind === "column") dims = dims.filter((dim) => dim !== rank - 2);
    const dtype = value.type === "f32"
      ? pick<DType>(["f32", "f16", "bf16"])
      : value.type === "u32"
      ? pick<DType>(["u32", "u8"])
      : value.type;
    const { access, length } = contiguous(dims);
    const target = arg ?? argument(dtype, "write", length);
    inexact[target] = !value.exact;
    emit({ op: "store", arg: target, access: given ?? access, x }, null);
  };
  const storable = (value: Value) => kind !== "column" || (value.stage > 0 && !value.rows);
  for (let i = 1 + below(3); i > 0; i--) {
    const x = find(storable);
    if (x !== null) store(x, null, null);
  }
  for (const instruction of [...body]) {
    if (instruction.op !== "load" || kernelArgs[instruction.arg]!.access !== "readwrite") continue;
    store(find(({ type }) => type === "f32")!, instruction.arg, instruction.access);
  }
  return {
    kernel: { op: "fused", kind, rank, args: kernelArgs, body },
    ints,
    scalars,
    args,
    inexact,
  };
}
