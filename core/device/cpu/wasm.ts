/**
 * A small WebAssembly assembler: instructions by name, structured control flow, one binary module.
 * It knows memory64, threads, SIMD and relaxed SIMD, because that is what the CPU device runs on.
 *
 * @module
 */

/** Value types by their byte in the binary format. */
export const valueType = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;

/** A WebAssembly value type. */
export type ValueType = keyof typeof valueType;

// Opcodes without immediates. SIMD ones have the prefix 0xfd, atomics 0xfe, saturating truncation 0xfc.
const plain = {
  unreachable: [0x00],
  nop: [0x01],
  return: [0x0f],
  drop: [0x1a],
  select: [0x1b],
  "i32.eqz": [0x45],
  "i32.eq": [0x46],
  "i32.ne": [0x47],
  "i32.lt_s": [0x48],
  "i32.lt_u": [0x49],
  "i32.gt_s": [0x4a],
  "i32.gt_u": [0x4b],
  "i32.le_s": [0x4c],
  "i32.le_u": [0x4d],
  "i32.ge_s": [0x4e],
  "i32.ge_u": [0x4f],
  "i64.eqz": [0x50],
  "i64.eq": [0x51],
  "i64.ne": [0x52],
  "i64.lt_s": [0x53],
  "i64.lt_u": [0x54],
  "i64.gt_s": [0x55],
  "i64.gt_u": [0x56],
  "i64.le_s": [0x57],
  "i64.le_u": [0x58],
  "i64.ge_s": [0x59],
  "i64.ge_u": [0x5a],
  "f32.eq": [0x5b],
  "f32.ne": [0x5c],
  "f32.lt": [0x5d],
  "f32.gt": [0x5e],
  "f32.le": [0x5f],
  "f32.ge": [0x60],
  "i32.clz": [0x67],
  "i32.ctz": [0x68],
  "i32.add": [0x6a],
  "i32.sub": [0x6b],
  "i32.mul": [0x6c],
  "i32.div_s": [0x6d],
  "i32.div_u": [0x6e],
  "i32.rem_s": [0x6f],
  "i32.rem_u": [0x70],
  "i32.and": [0x71],
  "i32.or": [0x72],
  "i32.xor": [0x73],
  "i32.shl": [0x74],
  "i32.shr_s": [0x75],
  "i32.shr_u": [0x76],
  "i64.add": [0x7c],
  "i64.sub": [0x7d],
  "i64.mul": [0x7e],
  "i64.div_s": [0x7f],
  "i64.div_u": [0x80],
  "i64.rem_s": [0x81],
  "i64.rem_u": [0x82],
  "i64.and": [0x83],
  "i64.or": [0x84],
  "i64.xor": [0x85],
  "i64.shl": [0x86],
  "i64.shr_s": [0x87],
  "i64.shr_u": [0x88],
  "f32.abs": [0x8b],
  "f32.neg": [0x8c],
  "f32.ceil": [0x8d],
  "f32.floor": [0x8e],
  "f32.trunc": [0x8f],
  "f32.nearest": [0x90],
  "f32.sqrt": [0x91],
  "f32.add": [0x92],
  "f32.sub": [0x93],
  "f32.mul": [0x94],
  "f32.div": [0x95],
  "f32.min": [0x96],
  "f32.max": [0x97],
  "i32.wrap_i64": [0xa7],
  "i64.extend_i32_s": [0xac],
  "i64.extend_i32_u": [0xad],
  "f32.convert_i32_s": [0xb2],
  "f32.convert_i32_u": [0xb3],
  "f64.convert_i64_s": [0xb9],
  "i32.reinterpret_f32": [0xbc],
  "f32.reinterpret_i32": [0xbe],
  "i32.trunc_sat_f32_s": [0xfc, 0],
  "i32.trunc_sat_f32_u": [0xfc, 1],
  "atomic.fence": [0xfe, 0x03, 0x00],
  // SIMD
  "i8x16.swizzle": [0xfd, 14],
  "i8x16.splat": [0xfd, 15],
  "i16x8.splat": [0xfd, 16],
  "i32x4.splat": [0xfd, 17],
  "i64x2.splat": [0xfd, 18],
  "f32x4.splat": [0xfd, 19],
  "i32x4.eq": [0xfd, 55],
  "i32x4.ne": [0xfd, 56],
  "i32x4.lt_s": [0xfd, 57],
  "i32x4.lt_u": [0xfd, 58],
  "i32x4.gt_s": [0xfd, 59],
  "i32x4.gt_u": [0xfd, 60],
  "i32x4.le_s": [0xfd, 61],
  "i32x4.le_u": [0xfd, 62],
  "i32x4.ge_s": [0xfd, 63],
  "i32x4.ge_u": [0xfd, 64],
  "f32x4.eq": [0xfd, 65],
  "f32x4.ne": [0xfd, 66],
  "f32x4.lt": [0xfd, 67],
  "f32x4.gt": [0xfd, 68],
  "f32x4.le": [0xfd, 69],
  "f32x4.ge": [0xfd, 70],
  "v128.not": [0xfd, 77],
  "v128.and": [0xfd, 78],
  "v128.andnot": [0xfd, 79],
  "v128.or": [0xfd, 80],
  "v128.xor": [0xfd, 81],
  "v128.bitselect": [0xfd, 82],
  "v128.any_true": [0xfd, 83],
  "f32x4.ceil": [0xfd, 103],
  "f32x4.floor": [0xfd, 104],
  "f32x4.trunc": [0xfd, 105],
  "f32x4.nearest": [0xfd, 106],
  "i8x16.narrow_i16x8_u": [0xfd, 102],
  "i16x8.narrow_i32x4_s": [0xfd, 133],
  "i16x8.narrow_i32x4_u": [0xfd, 134],
  "i16x8.extend_low_i8x16_s": [0xfd, 135],
  "i16x8.extend_high_i8x16_s": [0xfd, 136],
  "i16x8.extend_low_i8x16_u": [0xfd, 137],
  "i32x4.abs": [0xfd, 160],
  "i32x4.neg": [0xfd, 161],
  "i32x4.all_true": [0xfd, 163],
  "i32x4.bitmask": [0xfd, 164],
  "i32x4.extend_low_i16x8_s": [0xfd, 167],
  "i32x4.extend_high_i16x8_s": [0xfd, 168],
  "i32x4.extend_low_i16x8_u": [0xfd, 169],
  "i32x4.extend_high_i16x8_u": [0xfd, 170],
  "i32x4.shl": [0xfd, 171],
  "i32x4.shr_s": [0xfd, 172],
  "i32x4.shr_u": [0xfd, 173],
  "i32x4.add": [0xfd, 174],
  "i32x4.sub": [0xfd, 177],
  "i32x4.mul": [0xfd, 181],
  "i32x4.min_s": [0xfd, 182],
  "i32x4.min_u": [0xfd, 183],
  "i32x4.max_s": [0xfd, 184],
  "i32x4.max_u": [0xfd, 185],
  "f32x4.abs": [0xfd, 224],
  "f32x4.neg": [0xfd, 225],
  "f32x4.sqrt": [0xfd, 227],
  "f32x4.add": [0xfd, 228],
  "f32x4.sub": [0xfd, 229],
  "f32x4.mul": [0xfd, 230],
  "f32x4.div": [0xfd, 231],
  "f32x4.min": [0xfd, 232],
  "f32x4.max": [0xfd, 233],
  "f32x4.pmin": [0xfd, 234],
  "f32x4.pmax": [0xfd, 235],
  "i32x4.trunc_sat_f32x4_s": [0xfd, 248],
  "i32x4.trunc_sat_f32x4_u": [0xfd, 249],
  "f32x4.convert_i32x4_s": [0xfd, 250],
  "f32x4.convert_i32x4_u": [0xfd, 251],
  /** a·b + c, rounded once or twice as the machine prefers. */
  "f32x4.relaxed_madd": [0xfd, 0x105],
  "f32x4.relaxed_nmadd": [0xfd, 0x106],
  /** Bytes by their numbers, which must be below 16. */
  "i8x16.relaxed_swizzle": [0xfd, 0x100],
  "f64x2.splat": [0xfd, 20],
  "f64x2.eq": [0xfd, 71],
  "f64x2.nearest": [0xfd, 148],
  "f32x4.demote_f64x2_zero": [0xfd, 94],
  "f64x2.promote_low_f32x4": [0xfd, 95],
  "f64x2.add": [0xfd, 240],
  "f64x2.sub": [0xfd, 241],
  "f64x2.mul": [0xfd, 242],
  "f64x2.div": [0xfd, 243],
  "f64x2.pmin": [0xfd, 246],
  "f64x2.pmax": [0xfd, 247],
  "f64x2.floor": [0xfd, 117],
  "i32x4.trunc_sat_f64x2_s_zero": [0xfd, 252],
  "f64x2.convert_low_i32x4_s": [0xfd, 254],
  "i64x2.extend_low_i32x4_s": [0xfd, 199],
  "i64x2.shl": [0xfd, 203],
  "i64x2.shr_u": [0xfd, 205],
  "i64x2.add": [0xfd, 206],
  "i64x2.sub": [0xfd, 209],
} as const satisfies Record<string, readonly number[]>;

/** An instruction without immediates. */
export type Opcode = keyof typeof plain;

// Loads and stores: opcode and natural alignment (log2 of bytes).
const memoryOps = {
  "i32.load": [[0x28], 2],
  "i64.load": [[0x29], 3],
  "f32.load": [[0x2a], 2],
  "i32.load8_u": [[0x2d], 0],
  "i32.load16_u": [[0x2f], 1],
  "i32.store": [[0x36], 2],
  "i64.store": [[0x37], 3],
  "f32.store": [[0x38], 2],
  "i32.store8": [[0x3a], 0],
  "i32.store16": [[0x3b], 1],
  "v128.load": [[0xfd, 0], 4],
  "v128.load16x4_u": [[0xfd, 4], 3],
  "v128.load8_splat": [[0xfd, 7], 0],
  "v128.load16_splat": [[0xfd, 8], 1],
  "v128.load32_splat": [[0xfd, 9], 2],
  "v128.load64_splat": [[0xfd, 10], 3],
  "v128.store": [[0xfd, 11], 4],
  "v128.load32_zero": [[0xfd, 92], 2],
  "v128.load64_zero": [[0xfd, 93], 3],
  "memory.atomic.notify": [[0xfe, 0x00], 2],
  "memory.atomic.wait32": [[0xfe, 0x01], 2],
  "i32.atomic.load": [[0xfe, 0x10], 2],
  "i32.atomic.store": [[0xfe, 0x17], 2],
  "i32.atomic.rmw.add": [[0xfe, 0x1e], 2],
} as const satisfies Record<string, readonly [readonly number[], number]>;

// Loads and stores of one lane.
const laneMemoryOps = {
  "v128.load8_lane": [[0xfd, 84], 0],
  "v128.load16_lane": [[0xfd, 85], 1],
  "v128.load32_lane": [[0xfd, 86], 2],
  "v128.load64_lane": [[0xfd, 87], 3],
  "v128.store8_lane": [[0xfd, 88], 0],
  "v128.store16_lane": [[0xfd, 89], 1],
  "v128.store32_lane": [[0xfd, 90], 2],
  "v128.store64_lane": [[0xfd, 91], 3],
} as const satisfies Record<string, readonly [readonly number[], number]>;

const laneOps = {
  "i32x4.extract_lane": [0xfd, 27],
  "i32x4.replace_lane": [0xfd, 28],
  "f32x4.extract_lane": [0xfd, 31],
  "f32x4.replace_lane": [0xfd, 32],
} as const satisfies Record<string, readonly number[]>;

function unsigned(value: number | bigint): number[] {
  let rest = BigInt(value);
  const bytes: number[] = [];
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 0x80);
  } while (rest !== 0n);
  return bytes;
}

function signed(value: number | bigint): number[] {
  let rest = BigInt(value);
  const bytes: number[] = [];
  for (;;) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    const done = (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0);
    bytes.push(done ? low : low | 0x80);
    if (done) return bytes;
  }
}

function opcode(code: readonly number[]): number[] {
  return code.length === 1 ? [code[0]!] : [code[0]!, ...unsigned(code[1]!), ...code.slice(2)];
}

const encoded = new Map<string, number[]>();
for (const [name, code] of Object.entries(plain)) encoded.set(name, opcode(code));

/** A local variable of a function under construction. */
export interface Local {
  readonly index: number;
  readonly type: ValueType;
}

/** Writes the body of one function. Every method appends and returns the builder. */
export class FunctionBuilder {
  #code: number[] = [];
  readonly #entry: number[] = [];
  readonly #locals: ValueType[] = [];
  #depth = 0;

  /** @param parameters Types of the parameters, which are the first locals. */
  constructor(readonly parameters: readonly ValueType[], readonly results: readonly ValueType[]) {}

  /** The parameter at `index`. */
  parameter(index: number): Local {
    return { index, type: this.parameters[index]! };
  }

  /** A fresh local, zero until set. */
  local(type: ValueType): Local {
    this.#locals.push(type);
    return { index: this.parameters.length + this.#locals.length - 1, type };
  }

  /**
   * What `write` appends runs on entry, before all else: the place for constants and parameters
   * that loops use, which compilers do not move out of loops by themselves.
   */
  onEntry(write: () => void): this {
    const [code, depth] = [this.#code, this.#depth];
    [this.#code, this.#depth] = [this.#entry, 0];
    write();
    [this.#code, this.#depth] = [code, depth];
    return this;
  }

  /** Instructions without immediates, in order. */
  op(...names: readonly Opcode[]): this {
    for (const name of names) this.#code.push(...encoded.get(name)!);
    return this;
  }

  /** Pushes locals, in order. */
  get(...locals: readonly Local[]): this {
    for (const local of locals) this.#code.push(0x20, ...unsigned(local.index));
    return this;
  }

  /** Pops into a local. */
  set(local: Local): this {
    this.#code.push(0x21, ...unsigned(local.index));
    return this;
  }

  /** Copies the top of the stack into a local. */
  tee(local: Local): this {
    this.#code.push(0x22, ...unsigned(local.index));
    return this;
  }

  /** Pushes a 32-bit integer. */
  i32(value: number): this {
    this.#code.push(0x41, ...signed(value | 0));
    return this;
  }

  /** Pushes a 64-bit integer. */
  i64(value: number | bigint): this {
    this.#code.push(0x42, ...signed(value));
    return this;
  }

  /** Pushes a 32-bit float. */
  f32(value: number): this {
    this.#code.push(0x43, ...new Uint8Array(new Float32Array([value]).buffer));
    return this;
  }

  /** Pushes a vector of four 32-bit lanes, given by their bits. */
  v128(...lanes: readonly [number, number, number, number]): this {
    this.#code.push(0xfd, ...unsigned(12), ...new Uint8Array(new Int32Array(lanes).buffer));
    return this;
  }

  /** Pushes a vector with one float in every lane. */
  f32x4(value: number): this {
    const bits = new Int32Array(new Float32Array([value]).buffer)[0]!;
    return this.v128(bits, bits, bits, bits);
  }

  /** Pushes a vector with one integer in every lane. */
  i32x4(value: number): this {
    return this.v128(value | 0, value | 0, value | 0, value | 0);
  }

  /** A load or store at the address on the stack plus `offset` bytes. */
  memory(name: keyof typeof memoryOps, offset = 0): this {
    const [code, align] = memoryOps[name];
    this.#code.push(...opcode(code), ...unsigned(align), ...unsigned(offset));
    return this;
  }

  /** A load or store of one lane. */
  memoryLane(name: keyof typeof laneMemoryOps, lane: number, offset = 0): this {
    const [code, align] = laneMemoryOps[name];
    this.#code.push(...opcode(code), ...unsigned(align), ...unsigned(offset), lane);
    return this;
  }

  /** Extracts or replaces one lane. */
  lane(name: keyof typeof laneOps, lane: number): this {
    this.#code.push(...opcode(laneOps[name]), lane);
    return this;
  }

  /** Picks 16 bytes of the two vectors on the stack. */
  shuffle(bytes: readonly number[]): this {
    this.#code.push(0xfd, ...unsigned(13), ...bytes);
    return this;
  }

  /** Calls a function by its index in the module (imports first). */
  call(index: number): this {
    this.#code.push(0x10, ...unsigned(index));
    return this;
  }

  /** Calls through table 0 with a type of the module; the callee's index is on the stack. */
  callIndirect(type: number): this {
    this.#code.push(0x11, ...unsigned(type), 0);
    return this;
  }

  /** memory.fill: address, value, length on the stack. */
  fill(): this {
    this.#code.push(0xfc, ...unsigned(11), 0);
    return this;
  }

  /** memory.copy: destination, source, length on the stack. */
  copy(): this {
    this.#code.push(0xfc, ...unsigned(10), 0, 0);
    return this;
  }

  /** A block; inside, `break_(depthOf(block))` leaves it. `body` receives its label. */
  block(body: (label: number) => void): this {
    return this.#nest(0x02, body);
  }

  /** A loop; `br` to its label starts the next round. */
  loop(body: (label: number) => void): this {
    return this.#nest(0x03, body);
  }

  /** Runs `then` if the i32 on the stack is not 0, else `otherwise`. */
  if(then: () => void, otherwise?: () => void): this {
    this.#code.push(0x04, 0x40);
    this.#depth++;
    then();
    if (otherwise) {
      this.#code.push(0x05);
      otherwise();
    }
    this.#depth--;
    this.#code.push(0x0b);
    return this;
  }

  /** Jumps to a label. */
  br(label: number): this {
    this.#code.push(0x0c, ...unsigned(this.#depth - label));
    return this;
  }

  /** Jumps to a label if the i32 on the stack is not 0. */
  brIf(label: number): this {
    this.#code.push(0x0d, ...unsigned(this.#depth - label));
    return this;
  }

  /** while (i < end) { body; i += step }, all i64. `end` may be a local or a number. */
  forRange(i: Local, end: Local | number, step: number, body: () => void): this {
    const pushEnd = () => typeof end === "number" ? this.i64(end) : this.get(end);
    return this.block((exit) => {
      this.loop((next) => {
        this.get(i);
        pushEnd();
        this.op("i64.ge_s").brIf(exit);
        body();
        this.get(i).i64(step).op("i64.add").set(i).br(next);
      });
    });
  }

  #nest(code: number, body: (label: number) => void): this {
    this.#code.push(code, 0x40);
    this.#depth++;
    body(this.#depth);
    this.#depth--;
    this.#code.push(0x0b);
    return this;
  }

  /** The function's entry of the code section. */
  encode(): number[] {
    const runs: [number, ValueType][] = [];
    for (const type of this.#locals) {
      const last = runs.at(-1);
      if (last?.[1] === type) last[0]++;
      else runs.push([1, type]);
    }
    const locals = runs.flatMap(([count, type]) => [...unsigned(count), valueType[type]]);
    const count = unsigned(runs.length);
    const size = count.length + locals.length + this.#entry.length + this.#code.length + 1;
    const bytes = [...unsigned(size), ...count, ...locals];
    for (const byte of this.#entry) bytes.push(byte);
    for (const byte of this.#code) bytes.push(byte);
    bytes.push(0x0b);
    return bytes;
  }
}

/** A function type. */
export interface FunctionType {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

/** What a module is made of. Its memory is imported as `env.memory`, its table as `env.table`. */
export interface ModuleParts {
  /** Imported functions; they come first in the index space. */
  readonly imports?: readonly { readonly name: string; readonly type: FunctionType }[];
  /** Own functions; exported by name. */
  readonly functions: readonly { readonly name: string; readonly body: FunctionBuilder }[];
  /** Extra types for indirect calls: their index is `imports + functions + position`. */
  readonly types?: readonly FunctionType[];
  /** Whether a table is imported. */
  readonly table?: boolean;
  /** The memory's maximum in 64 KiB pages, as the importer declares it. */
  readonly maximumPages: number;
}

function section(id: number, entries: readonly (readonly number[])[]): number[] {
  const count = unsigned(entries.length);
  const size = entries.reduce((sum, entry) => sum + entry.length, count.length);
  const bytes = [id, ...unsigned(size), ...count];
  for (const entry of entries) for (const byte of entry) bytes.push(byte);
  return bytes;
}

function name(text: string): number[] {
  const bytes = new TextEncoder().encode(text);
  return [...unsigned(bytes.length), ...bytes];
}

function functionType(type: FunctionType): number[] {
  return [
    0x60,
    ...unsigned(type.parameters.length),
    ...type.parameters.map((t) => valueType[t]),
    ...unsigned(type.results.length),
    ...type.results.map((t) => valueType[t]),
  ];
}

/** Assembles a module with a shared, 64-bit imported memory. */
export function assemble(parts: ModuleParts): Uint8Array<ArrayBuffer> {
  const imports = parts.imports ?? [];
  const types = [
    ...imports.map((i) => i.type),
    ...parts.functions.map((f) => f.body),
    ...(parts.types ?? []),
  ];
  const importEntries = [
    // Flags 0x07: shared, with a maximum, 64-bit.
    [...name("env"), ...name("memory"), 0x02, 0x07, 0x01, ...unsigned(parts.maximumPages)],
    ...(parts.table ? [[...name("env"), ...name("table"), 0x01, 0x70, 0x00, 0x00]] : []),
    ...imports.map((i, index) => [...name("env"), ...name(i.name), 0x00, ...unsigned(index)]),
  ];
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, types.map(functionType)),
    ...section(2, importEntries),
    ...section(3, parts.functions.map((_, i) => unsigned(imports.length + i))),
    ...section(
      7,
      parts.functions.map((f, i) => [...name(f.name), 0x00, ...unsigned(imports.length + i)]),
    ),
    ...section(10, parts.functions.map((f) => f.body.encode())),
  ]);
}
