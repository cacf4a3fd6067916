/** The body of a WebAssembly function: instructions by name, structured control flow. @module */

import { signed, unsigned } from "./wasm_integers.ts";
import {
  laneMemoryOps,
  laneOps,
  memoryOps,
  type Opcode,
  plainOps,
  type ValueType,
  valueType,
} from "./wasm_opcodes.ts";

function opcode(code: readonly number[]): number[] {
  return code.length === 1 ? [code[0]!] : [code[0]!, ...unsigned(code[1]!), ...code.slice(2)];
}

const encoded = new Map<string, number[]>();
for (const [name, code] of Object.entries(plainOps)) encoded.set(name, opcode(code));

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
