/** Vector expressions: how formulas are written down in WebAssembly SIMD. @module */

import type { FunctionBuilder, Local } from "./wasm_function.ts";
import type { Opcode } from "./wasm_opcodes.ts";

/** A vector operand: a local, a float for all four lanes, or code that pushes a vector. */
export type Vector = Local | number | (() => void);

/**
 * Writes vector expressions into a function. Constants become locals that are set on entry;
 * temporaries come from a pool and return to it at the end of the `scope` that took them.
 */
export class Vectors {
  readonly #constants = new Map<string, Local>();
  #free: Local[] = [];
  #taken: Local[] = [];

  /** @param f The function under construction. */
  constructor(readonly f: FunctionBuilder) {}

  /** Pushes an operand. */
  push(x: Vector): void {
    if (typeof x === "function") x();
    else if (typeof x === "number") this.f.get(this.float(x));
    else this.f.get(x);
  }

  /** An instruction on operands. */
  op(name: Opcode, ...operands: readonly Vector[]): () => void {
    return () => {
      for (const operand of operands) this.push(operand);
      this.f.op(name);
    };
  }

  /** A shift of all lanes by one count. */
  shift(
    name: "i32x4.shl" | "i32x4.shr_s" | "i32x4.shr_u" | "i64x2.shl" | "i64x2.shr_u",
    x: Vector,
    count: number,
  ): () => void {
    return () => {
      this.push(x);
      this.f.i32(count).op(name);
    };
  }

  /** Lanes of `x` where the mask is set, of `y` elsewhere. */
  select(mask: Vector, x: Vector, y: Vector): () => void {
    return this.op("v128.bitselect", x, y, mask);
  }

  /** a·b + c. */
  madd(a: Vector, b: Vector, c: Vector): () => void {
    return this.op("f32x4.relaxed_madd", a, b, c);
  }

  /** c − a·b. */
  nmadd(a: Vector, b: Vector, c: Vector): () => void {
    return this.op("f32x4.relaxed_nmadd", a, b, c);
  }

  /** c₀·xⁿ + c₁·xⁿ⁻¹ + … + cₙ by Horner's rule. */
  polynomial(x: Local, coefficients: readonly number[]): () => void {
    const [first, ...rest] = coefficients;
    return rest.reduce<() => void>(
      (sum, coefficient) => this.madd(sum, x, coefficient),
      () => this.push(first!),
    );
  }

  /** Works lane by lane: `combine` replaces the same lane of `x` and `y` on the stack by a number. */
  lanewise(x: Local, y: Local, combine: () => void): Local {
    const result = this.temporary();
    this.f.get(x).set(result);
    for (let lane = 0; lane < 4; lane++) {
      this.f.get(result);
      for (const operand of [x, y]) this.f.get(operand).lane("i32x4.extract_lane", lane);
      combine();
      this.f.lane("i32x4.replace_lane", lane).set(result);
    }
    return result;
  }

  /** A float in every lane. */
  float(value: number): Local {
    const [bits] = new Int32Array(new Float32Array([value]).buffer);
    return this.constant(bits!, bits!, bits!, bits!);
  }

  /** An integer in every lane. */
  int(value: number): Local {
    return this.constant(value, value, value, value);
  }

  /** A double in both halves. */
  double(value: number): Local {
    const [low, high] = new Int32Array(new Float64Array([value]).buffer);
    return this.constant(low!, high!, low!, high!);
  }

  /** A vector of known bits. */
  constant(...lanes: readonly [number, number, number, number]): Local {
    const key = lanes.map((lane) => lane | 0).join();
    let local = this.#constants.get(key);
    if (local === undefined) {
      const fresh = local = this.f.local("v128");
      this.f.onEntry(() => this.f.v128(...lanes).set(fresh));
      this.#constants.set(key, local);
    }
    return local;
  }

  /** Evaluates now, into a temporary, what is used more than once. */
  keep(x: Vector): Local {
    this.push(x);
    const local = this.temporary();
    this.f.set(local);
    return local;
  }

  /** A vector local that is free until the end of the scope. */
  temporary(): Local {
    const local = this.#free.pop() ?? this.f.local("v128");
    this.#taken.push(local);
    return local;
  }

  /** Runs `body`; the temporaries it took are free again afterwards. */
  scope(body: () => void): void {
    const outer = this.#taken;
    this.#taken = [];
    body();
    this.#free.push(...this.#taken);
    this.#taken = outer;
  }
}
