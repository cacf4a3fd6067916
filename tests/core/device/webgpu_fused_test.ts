import assert from "node:assert/strict";
import { bytesPerElement, type ComputeType, computeType, type DType } from "../../../core/dtype.ts";
import { decode, type Elements, encode, erf, interpret } from "../interpret.ts";
import type {
  Access,
  BinaryFunction,
  FusedKernel,
  Instruction,
  KernelArgument,
  UnaryFunction,
} from "../../../core/kernel.ts";
import {
  asFloats,
  bothKernels,
  type Call,
  generator,
  gpuTest,
  numbers,
  runKernel,
} from "./webgpu.ts";

type Device = Parameters<Parameters<typeof gpuTest>[1]>[0];

/** Collects the instructions and the ints of a kernel over `sizes`. */
class Builder {
  readonly ints: number[];
  readonly args: KernelArgument[] = [];
  readonly body: Instruction[] = [];
  readonly sizes: readonly number[];

  constructor(sizes: readonly number[]) {
    this.sizes = sizes;
    this.ints = [...sizes];
  }

  int(value: number): { readonly slot: number } {
    this.ints.push(value);
    return { slot: this.ints.length - 1 };
  }

  argument(dtype: DType, access: KernelArgument["access"] = "read"): number {
    return this.args.push({ dtype, access }) - 1;
  }

  /** An access with these strides; undefined leaves the dim out, and 1 is the literal. */
  access(strides: readonly (number | undefined)[], offset = 0, rest: Partial<Access> = {}): Access {
    const terms = strides.flatMap((stride, dim) =>
      stride === undefined ? [] : [{ dim, stride: stride === 1 ? 1 as const : this.int(stride) }]
    );
    return {
      offset: offset === 0 ? null : this.int(offset),
      terms,
      masks: [],
      gather: null,
      ...rest,
    };
  }

  /** Row-major strides of the space, without the dims in `without`. */
  strides(without: readonly number[] = []): (number | undefined)[] {
    let stride = 1;
    return this.sizes.map((size, dim) => ({ size, dim })).reverse().map(({ size, dim }) => {
      if (without.includes(dim)) return undefined;
      const own = stride;
      stride *= size;
      return own;
    }).reverse();
  }

  push(instruction: Instruction): number {
    return this.body.push(instruction) - 1;
  }

  load(arg: number, access = this.access(this.strides())): number {
    return this.push({ op: "load", arg, access, type: computeType(this.args[arg]!.dtype) });
  }

  store(arg: number, x: number, access = this.access(this.strides())): void {
    this.push({ op: "store", arg, access, x });
  }

  call(kind: FusedKernel["kind"]): Call {
    return { kernel: this.kernel(kind), ints: this.ints };
  }

  constant(value: number | string, type: ComputeType = "f32"): number {
    return this.push({ op: "const", value, type });
  }

  unary(fn: UnaryFunction, x: number, type: ComputeType = "f32"): number {
    return this.push({ op: "unary", fn, x, type });
  }

  binary(fn: BinaryFunction, x: number, y: number, type: ComputeType = "f32"): number {
    return this.push({ op: "binary", fn, x, y, type });
  }

  reduce(fn: "sum" | "max" | "min", x: number, type: ComputeType = "f32"): number {
    return this.push({ op: "reduce", fn, x, type });
  }

  kernel(kind: FusedKernel["kind"]): FusedKernel {
    return { op: "fused", kind, rank: this.sizes.length, args: this.args, body: this.body };
  }
}

/** Random contents; multiples of 1/8 below 4 for floats, so that sums and products are exact. */
function contents(dtype: DType, count: number, seed: number): Elements {
  const next = generator(seed);
  const eighths = () => Math.floor(next() * 64 - 32) / 8;
  switch (dtype) {
    case "f32":
      return Float32Array.from({ length: count }, eighths);
    case "f16":
    case "bf16":
      return Uint16Array.from({ length: count }, () => encode(dtype, eighths()));
    case "i32":
      return Int32Array.from({ length: count }, () => Math.floor(next() * 20 - 10));
    case "u32":
      return Uint32Array.from({ length: count }, () => next() * 2 ** 32);
    case "u8":
      return Uint8Array.from({ length: count }, () => next() * 256);
    case "bool":
      return Uint32Array.from({ length: count }, () => next() * 2);
  }
}

function view(dtype: DType, bytes: Uint8Array): Elements {
  switch (dtype) {
    case "f32":
      return new Float32Array(bytes.buffer);
    case "i32":
      return new Int32Array(bytes.buffer);
    case "u8":
      return bytes;
    case "f16":
    case "bf16":
      return new Uint16Array(bytes.buffer);
    default:
      return new Uint32Array(bytes.buffer);
  }
}

/** Runs a kernel on the device and on the interpreter; floats agree to `tolerance`, the rest to the bit. */
async function compare(
  device: Device,
  builder: Builder,
  kind: FusedKernel["kind"],
  args: readonly Elements[],
  tolerance = 0,
  scalars = new Float32Array(),
): Promise<void> {
  const kernel = builder.kernel(kind);
  const expected = args.map((arg) => arg.slice());
  interpret(kernel, builder.ints, [], scalars, expected, tolerance === 0 ? Math.fround : undefined);
  const actual = await runKernel(device, { kernel, ints: builder.ints }, args, { scalars });
  kernel.args.forEach(({ dtype }, arg) => {
    const result = view(dtype, actual[arg]!);
    assert.equal(result.length, args[arg]!.length);
    for (let i = 0; i < result.length; i++) {
      const [a, e] = [decode(dtype, result[i]!), decode(dtype, expected[arg]![i]!)];
      if (Object.is(a, e) || a === e) continue;
      const slack = dtype === "f32" ? tolerance * Math.max(1, Math.abs(e)) : 0;
      assert.ok(Math.abs(a - e) <= slack, `argument ${arg}[${i}]: ${a}, expected ${e}`);
    }
  });
}

bothKernels("a map reads broadcast, shifted, masked and gathered operands", async (device) => {
  const b = new Builder([3, 5, 7]);
  const full = b.argument("f32");
  const row = b.argument("bf16");
  const table = b.argument("f16");
  const ids = b.argument("i32");
  const sum = b.argument("f32", "write");
  const flag = b.argument("bool", "write");
  const x = b.load(full, b.access([40, 8, 1], 2));
  const y = b.load(
    row,
    b.access([undefined, undefined, 1], 0, { masks: [{ dim: 2, low: 1, high: b.int(5) }] }),
  );
  const id = b.load(ids, b.access([5, 1, undefined]));
  const gather = { index: id, stride: b.int(7), count: b.int(6) };
  const z = b.load(table, b.access([undefined, undefined, 1], 0, { gather }));
  const scalar = b.push({ op: "scalar", index: 5, type: "f32" });
  const total = b.binary("add", b.binary("mul", b.binary("add", x, y), z), scalar);
  b.store(sum, total);
  b.store(flag, b.binary("lt", x, z, "bool"));
  const args = [
    contents("f32", 130, 1),
    contents("bf16", 7, 2),
    contents("f16", 42, 3),
    Int32Array.from(contents("i32", 15, 4), (value) => value % 9),
    contents("f32", 105, 5),
    contents("bool", 105, 6),
  ];
  await compare(device, b, "map", args, 0, Float32Array.of(0, 0, 0, 0, 0, 2.5, 0));
});

bothKernels("narrow results fill whole words, and their neighbours stay", async (device) => {
  for (const dtype of ["bf16", "f16", "u8"] as const) {
    const type = computeType(dtype);
    for (
      const [sizes, strides, offset] of [
        [[3, 7], [7, 1], 0], // contiguous with an odd tail
        [[3, 8], [12, 1], 4], // words within longer rows
        [[3, 5], [9, 1], 3], // words shared by invocations
        [[4, 6], [1, 4], 0], // transposed
      ] as const
    ) {
      const b = new Builder(sizes);
      const from = b.argument(dtype);
      const into = b.argument(dtype, "readwrite");
      const own = b.load(into, b.access(strides, offset));
      b.store(
        into,
        b.binary(
          "add",
          b.load(from),
          type === "u32" ? b.binary("shr", own, b.constant(1, "u32"), "u32") : own,
          type,
        ),
        b.access(strides, offset),
      );
      const count = sizes[0] * sizes[1];
      const small = contents(dtype, count, 1);
      if (small instanceof Uint8Array) small.forEach((value, i) => small[i] = value >> 1);
      await compare(device, b, "map", [small, contents(dtype, 50, 2)]);
    }
  }
});

bothKernels(
  "rows: softmax, its statistics and a narrow copy come from one kernel",
  async (device) => {
    for (const length of [1, 7, 40, 600]) {
      const b = new Builder([2, 3, length]);
      const x = b.argument("f32");
      const out = b.argument("f32", "write");
      const narrow = b.argument("bf16", "write");
      const statistics = b.argument("f32", "write");
      const value = b.load(x);
      const top = b.reduce("max", value);
      const e = b.unary("exp", b.binary("sub", value, top));
      const total = b.reduce("sum", e);
      b.store(out, b.binary("div", e, total));
      b.store(narrow, b.binary("mul", top, b.constant(2)));
      b.store(statistics, b.binary("add", top, b.unary("log", total)), b.access(b.strides([2])));
      const count = 6 * length;
      await compare(
        device,
        b,
        "row",
        [
          numbers(count, length).map((value) => 8 * value),
          contents("f32", count, 2),
          contents("bf16", count, 3).fill(0),
          contents("f32", 6, 4),
        ].map((arg, i) => i === 0 ? Float32Array.from(arg, (v) => Math.round(v * 16) / 16) : arg),
        2e-6,
      );
    }
  },
);

bothKernels("rows: integer and narrow results, one per row, in place", async (device) => {
  const b = new Builder([5, 33]);
  const x = b.argument("f32");
  const place = b.argument("i32", "write");
  const largest = b.argument("f16", "readwrite");
  const value = b.load(x);
  const top = b.reduce("max", value);
  const j = b.push({ op: "index", dim: 1, type: "i32" });
  const here = b.binary("eq", value, top, "bool");
  const far = b.constant(2 ** 30, "i32");
  const candidate = b.push({ op: "where", condition: here, x: j, y: far, type: "i32" });
  b.store(place, b.reduce("min", candidate, "i32"), b.access([1, undefined]));
  const own = b.load(largest, b.access([1, undefined]));
  b.store(largest, b.binary("add", own, top), b.access([1, undefined]));
  await compare(device, b, "row", [
    contents("f32", 165, 1),
    contents("i32", 5, 2),
    contents("f16", 5, 3),
  ]);
});

bothKernels("columns are summed over the dim before the last", async (device) => {
  for (const [outer, rows, columns] of [[2, 70, 5], [1, 3, 130], [3, 0, 4]] as const) {
    const b = new Builder([outer, rows, columns]);
    const x = b.argument("f32");
    const gain = b.argument("bf16");
    const sum = b.argument("f32", "readwrite");
    const top = b.argument("bf16", "write");
    const value = b.load(x);
    const scaled = b.binary("mul", value, b.load(gain, b.access([undefined, 1, undefined])));
    const kept = b.access(b.strides([1]));
    b.store(sum, b.binary("add", b.load(sum, kept), b.reduce("sum", scaled)), kept);
    b.store(top, b.reduce("max", value), b.access(b.strides([1])));
    await compare(device, b, "column", [
      contents("f32", outer * rows * columns, 1),
      contents("bf16", Math.max(1, rows), 2),
      contents("f32", outer * columns, 3),
      contents("bf16", outer * columns, 4),
    ]);
  }
});

bothKernels("long rows and columns are summed to f32's precision", async (device) => {
  const count = 300_003;
  const values = numbers(count, 3).map((value) => value + 1);
  let exact = 0;
  for (const value of values) exact += value;
  for (const kind of ["row", "column"] as const) {
    const b = new Builder(kind === "row" ? [1, count] : [count, 1]);
    const x = b.argument("f32");
    const out = b.argument("f32", "write");
    b.store(out, b.reduce("sum", b.load(x)), b.access([undefined, undefined]));
    const kernel = b.kernel(kind);
    const [, sum] = await runKernel(device, { kernel, ints: b.ints }, [
      values,
      new Float32Array(1),
    ]);
    const error = Math.abs(asFloats(sum!)[0]! - exact) / exact;
    assert.ok(error < 5e-6, `${kind}: relative error ${error}`);
  }
});

gpuTest("integers wrap, shift and convert as the interpreter says", async (device) => {
  const b = new Builder([64]);
  const i = b.argument("i32");
  const u = b.argument("u32");
  const f = b.argument("f32");
  const outs = (dtype: DType) => b.argument(dtype, "write");
  const [x, y, z] = [b.load(i), b.load(u), b.load(f)];
  const five = b.constant(5, "u32");
  const seven = b.constant(-7, "i32");
  const integers: number[] = [
    b.binary("add", x, seven, "i32"),
    b.binary("div", x, seven, "i32"),
    b.binary("mod", x, seven, "i32"),
    b.binary("max", x, seven, "i32"),
    b.unary("abs", x, "i32"),
    b.unary("sign", x, "i32"),
    b.push({ op: "cast", x: z, type: "i32" }),
    b.push({ op: "bitcast", x: z, type: "i32" }),
    b.constant(-(2 ** 31), "i32"),
  ];
  const words: number[] = [
    b.binary("mul", y, y, "u32"),
    b.binary("shl", y, five, "u32"),
    b.binary("shr", y, five, "u32"),
    b.binary("xor", y, five, "u32"),
    b.binary("or", y, five, "u32"),
    b.push({ op: "cast", x, type: "u32" }),
  ];
  const negative = b.binary("lt", x, b.constant(0, "i32"), "bool");
  const odd = b.push({
    op: "cast",
    x: b.binary("and", y, b.constant(1, "u32"), "u32"),
    type: "bool",
  });
  const truths: number[] = [
    b.binary("and", negative, odd, "bool"),
    b.binary("xor", negative, odd, "bool"),
    b.unary("not", odd, "bool"),
    b.binary("ne", negative, odd, "bool"),
    b.push({ op: "cast", x: z, type: "bool" }),
  ];
  const floats: number[] = [
    b.push({ op: "cast", x, type: "f32" }),
    b.push({ op: "cast", x: y, type: "f32" }),
    b.push({ op: "cast", x: odd, type: "f32" }),
    b.push({ op: "bitcast", x: y, type: "f32" }),
  ];
  const args = [contents("i32", 64, 1), contents("u32", 64, 2), contents("f32", 64, 3)];
  args[1]![0] = 0x3f800000;
  for (let k = 1; k < 64; k++) args[1]![k] = args[1]![k]! & 0x7f7fffff;
  const groups = [["i32", integers], ["u32", words], ["bool", truths], ["f32", floats]] as const;
  for (const [dtype, results] of groups) {
    for (const result of results) {
      b.store(outs(dtype), result);
      args.push(contents(dtype, 64, 9));
    }
  }
  await compare(device, b, "map", args);
});

gpuTest("functions of one operand are within 5 units in the last place", async (device) => {
  const ranges: readonly [UnaryFunction, (x: number) => number, number, number][] = [
    ["exp", Math.exp, -87, 88],
    ["expm1", Math.expm1, -20, 20],
    ["expm1", Math.expm1, -1e-2, 1e-2],
    ["log", Math.log, 1e-30, 1e6],
    ["log", Math.log, 0.5, 2],
    ["log1p", Math.log1p, -0.99, 20],
    ["log1p", Math.log1p, -1e-3, 1e-3],
    ["tanh", Math.tanh, -12, 12],
    ["sigmoid", (x) => 1 / (1 + Math.exp(-x)), -80, 30],
    ["erf", erf, -5, 5],
    ["erf", erf, -1e-3, 1e-3],
    ["sin", Math.sin, -1000, 1000],
    ["cos", Math.cos, -1000, 1000],
    ["sqrt", Math.sqrt, 0, 1e5],
    ["rsqrt", (x) => 1 / Math.sqrt(x), 1e-5, 1e5],
  ];
  const count = 4001;
  const b = new Builder([count]);
  const args: Float32Array[] = [];
  for (const [fn, , low, high] of ranges) {
    const x = b.argument("f32");
    const out = b.argument("f32", "write");
    b.store(out, b.unary(fn, b.load(x)));
    args.push(Float32Array.from({ length: count }, (_, i) => low + (high - low) * i / (count - 1)));
    args.push(new Float32Array(count));
  }
  const results = await runKernel(device, b.call("map"), args);
  ranges.forEach(([fn, exact], k) => {
    const actual = asFloats(results[2 * k + 1]!);
    args[2 * k]!.forEach((x, i) => {
      const expected = exact(x);
      // Beside a zero of sin or cos the argument's own rounding decides.
      const magnitude = Math.max(
        Math.abs(expected),
        fn === "sin" || fn === "cos" ? 0.1 : 2 ** -126,
      );
      const unit = 2 ** (Math.floor(Math.log2(magnitude)) - 23);
      const error = Math.abs(actual[i]! - expected) / unit;
      assert.ok(error <= 5, `${fn}(${x}) is ${actual[i]}, expected ${expected}: ${error} ulp`);
    });
  });
});

gpuTest("infinities and NaN come through functions and reductions", async (device) => {
  const special = Float32Array.of(NaN, Infinity, -Infinity, 0, -1, 200, -200, 1, 0.5, 3e38);
  const n = special.length;
  const unary: UnaryFunction[] = ["exp", "expm1", "log", "log1p", "tanh", "sigmoid", "erf", "sign"];
  const binary: BinaryFunction[] = ["max", "min", "pow", "add"];
  const b = new Builder([n, n]);
  const x = b.argument("f32");
  const left = b.load(x, b.access([1, undefined]));
  const right = b.load(x, b.access([undefined, 1]));
  const results = [
    ...unary.map((fn) => b.unary(fn, left)),
    ...binary.map((fn) => b.binary(fn, left, right)),
    b.constant("NaN"),
    b.constant("-Infinity"),
  ];
  results.forEach((result) => b.store(b.argument("f32", "write"), result));
  const nan = b.binary("ne", left, left, "bool");
  b.store(b.argument("bool", "write"), nan);
  const args = [special, ...results.map(() => new Float32Array(n * n)), new Uint32Array(n * n)];
  await compare(device, b, "map", args, 1e-5);

  const rows = new Builder([n, n]);
  const matrix = rows.argument("f32");
  const value = rows.load(matrix);
  for (const fn of ["max", "min", "sum"] as const) {
    rows.store(rows.argument("f32", "write"), rows.reduce(fn, value), rows.access([1, undefined]));
  }
  const table = numbers(n * n, 1);
  special.forEach((element, i) => table[i * n + (3 * i) % n] = element);
  const outputs = [1, 2, 3].map(() => new Float32Array(n));
  await compare(device, rows, "row", [table, ...outputs], 1e-5);
});

gpuTest(
  "webgpu: pow takes negative bases, whole, fractional and large exponents",
  async (device) => {
    const bases = Float32Array.of(-3, -0.5, 0, 0.25, 0.9999, 1, 1.0001, 2.5, 1e-20, 7e10);
    const exponents = Float32Array.of(-65, -3, -2.5, -1, 0, 0.5, 1, 2, 3, 10.25, 64, 77, 2000);
    const b = new Builder([bases.length, exponents.length]);
    const x = b.load(b.argument("f32"), b.access([1, undefined]));
    const y = b.load(b.argument("f32"), b.access([undefined, 1]));
    b.store(b.argument("f32", "write"), b.binary("pow", x, y));
    const out = new Float32Array(bases.length * exponents.length);
    const results = await runKernel(device, b.call("map"), [bases, exponents, out]);
    const actual = asFloats(results[2]!);
    bases.forEach((base, i) =>
      exponents.forEach((exponent, j) => {
        const expected = Math.fround(base ** exponent);
        const value = actual[i * exponents.length + j]!;
        const close = Math.abs(value - expected) <= 3e-6 * Math.abs(expected) + 1e-44;
        assert.ok(
          Object.is(value, expected) || value === expected || close,
          `${base}^${exponent} is ${value}, expected ${expected}`,
        );
      })
    );
  },
);

gpuTest(
  "webgpu: narrow floats round to nearest even, with infinities and subnormals",
  async (device) => {
    const next = generator(11);
    const words = Uint32Array.from({ length: 20_000 }, () => next() * 2 ** 32);
    const values = new Float32Array(words.buffer);
    // Near the range of f16, and exactly between two of its numbers.
    for (let i = 0; i < 8000; i++) values[i] = (next() - 0.5) * 2 ** (Math.floor(next() * 44) - 26);
    for (let i = 8000; i < 12_000; i++) {
      words[i] = words[i]! & 0xfffff000 & ~0x40000000 |
        0x38000000;
    }
    for (const dtype of ["f16", "bf16"] as const) {
      const b = new Builder([values.length]);
      const x = b.argument("f32");
      const narrow = b.argument(dtype, "write");
      b.store(narrow, b.load(x));
      const target = new Uint16Array(values.length);
      const [, bytes] = await runKernel(device, b.call("map"), [values, target]);
      const actual = new Uint16Array(bytes!.buffer);
      const wide = new Builder([values.length]);
      const from = wide.argument(dtype);
      const into = wide.argument("f32", "write");
      wide.store(into, wide.load(from));
      const widened = await runKernel(device, wide.call("map"), [actual, values]);
      const back = asFloats(widened[1]!);
      values.forEach((value, i) => {
        if (Number.isNaN(value)) {
          assert.ok(Number.isNaN(decode(dtype, actual[i]!)), `NaN became ${actual[i]}`);
          return;
        }
        // Adapters may flush f32 subnormals, which only bf16 could hold.
        if (Math.abs(value) < 2 ** -126) return;
        assert.equal(actual[i]!, encode(dtype, value), `${value} to ${dtype}`);
        assert.equal(back[i], decode(dtype, actual[i]!));
      });
    }
  },
);

gpuTest("a map of more than 65535 workgroups reaches every element", async (device) => {
  const count = 65536 * 64 + 77;
  const b = new Builder([count]);
  const out = b.argument("u8", "write");
  const index = b.push({
    op: "cast",
    x: b.push({ op: "index", dim: 0, type: "i32" }),
    type: "u32",
  });
  const wide = b.argument("u32", "write");
  b.store(wide, index);
  b.store(out, b.binary("mod", index, b.constant(251, "u32"), "u32"));
  assert.equal(bytesPerElement.u8, 1);
  const args = [new Uint8Array(count), new Uint32Array(4 * count)].map((a, i) =>
    i === 0 ? a : new Uint32Array(count)
  );
  const [bytes, words] = await runKernel(device, b.call("map"), args);
  const numbers = new Uint32Array(words!.buffer);
  for (let i = 0; i < count; i++) {
    if (bytes![i] !== i % 251 || numbers[i] !== i) assert.fail(`element ${i}: ${bytes![i]}`);
  }
});
