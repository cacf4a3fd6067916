/** i64 arithmetic written as expressions: addresses and counts of kernels written by hand. @module */

import type { FunctionBuilder, Local } from "./wasm_function.ts";

/** An i64 expression: a local, a literal, or code that pushes it. */
export type Value = Local | number | (() => void);

/** i64 arithmetic as expressions. */
export interface Integers {
  /** Pushes a value. */
  readonly put: (value: Value) => void;
  readonly add: (...terms: readonly Value[]) => () => void;
  readonly sub: (x: Value, y: Value) => () => void;
  readonly mul: (...factors: readonly Value[]) => () => void;
  /** Quotient of non-negative numbers. */
  readonly div: (x: Value, y: Value) => () => void;
  readonly min: (x: Value, y: Value) => () => void;
  readonly max: (x: Value, y: Value) => () => void;
  /** An i32 in memory, sign-extended. */
  readonly load32: (address: Value, offset?: number) => () => void;
  readonly load64: (address: Value, offset?: number) => () => void;
  readonly store32: (address: Value, value: Value, offset?: number) => void;
  readonly set: (local: Local, value: Value) => void;
  /** A fresh local with this value. */
  readonly let: (value: Value) => Local;
  /** Runs `body` with the local at start, start + step, … below end. */
  readonly range: (
    start: Value,
    end: Local | number,
    step: number,
    body: (i: Local) => void,
  ) => void;
  /** Runs `then` when x < y. */
  readonly ifLess: (x: Value, y: Value, then: () => void, otherwise?: () => void) => void;
}

/** i64 arithmetic in `f`. */
export function integers(f: FunctionBuilder): Integers {
  const put = (value: Value) => {
    if (typeof value === "number") f.i64(value);
    else if (typeof value === "function") value();
    else f.get(value);
  };
  const fold = (op: "i64.add" | "i64.mul") => (...values: readonly Value[]) => () => {
    values.forEach((value, i) => {
      put(value);
      if (i > 0) f.op(op);
    });
  };
  const pair = (op: "i64.sub" | "i64.div_u") => (x: Value, y: Value) => () => {
    put(x);
    put(y);
    f.op(op);
  };
  const pick = (op: "i64.lt_s" | "i64.gt_s") => (x: Value, y: Value) => () => {
    for (const value of [x, y, x, y]) put(value);
    f.op(op, "select");
  };
  const set = (local: Local, value: Value) => {
    put(value);
    f.set(local);
  };
  const let_ = (value: Value) => {
    const local = f.local("i64");
    set(local, value);
    return local;
  };
  return {
    put,
    add: fold("i64.add"),
    mul: fold("i64.mul"),
    sub: pair("i64.sub"),
    div: pair("i64.div_u"),
    min: pick("i64.lt_s"),
    max: pick("i64.gt_s"),
    load32: (address, offset = 0) => () => {
      put(address);
      f.memory("i32.load", offset).op("i64.extend_i32_s");
    },
    load64: (address, offset = 0) => () => {
      put(address);
      f.memory("i64.load", offset);
    },
    store32: (address, value, offset = 0) => {
      put(address);
      put(value);
      f.op("i32.wrap_i64").memory("i32.store", offset);
    },
    set,
    let: let_,
    range: (start, end, step, body) => {
      const i = let_(start);
      f.forRange(i, end, step, () => body(i));
    },
    ifLess: (x, y, then, otherwise) => {
      put(x);
      put(y);
      f.op("i64.lt_s").if(then, otherwise);
    },
  };
}
