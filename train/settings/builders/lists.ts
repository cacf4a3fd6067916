/** Options that are a list. @module */

import type { Option, Reading } from "../option.ts";
import { bad, declare, good, isNone, type Spec } from "./declare.ts";
import { bounds, type NumberSpec, readNumber } from "./numbers.ts";

/** A list, or a single item for a list of one. */
export function readList<T>(
  raw: unknown,
  read: (item: unknown) => Reading<T>,
): Reading<readonly T[]> {
  const items: readonly unknown[] = Array.isArray(raw) ? raw : [raw];
  const values: T[] = [];
  for (const item of items) {
    const reading = read(item);
    if (!reading.ok) return reading;
    values.push(reading.value);
  }
  return values.length === 0 ? bad : good(values);
}

/** A list of texts. */
export function strings(
  spec: Spec<readonly string[]>,
): Option<readonly string[] | undefined> {
  return declare(spec, {
    type: "string | readonly string[]",
    shown: "TEXT …",
    expected: "one or more texts",
    arity: "many",
    read: (raw) => {
      if (isNone(raw)) return bad;
      return readList(raw, (item) => typeof item === "string" ? good(item) : bad);
    },
  });
}

/** A list of numbers. */
export function floats(
  spec: Spec<readonly number[]> & {
    readonly default: readonly number[];
    readonly optional?: false;
  },
): Option<readonly number[]>;
/** The same, undefined where it is not set. */
export function floats(spec: Spec<readonly number[]>): Option<readonly number[] | undefined>;
export function floats(spec: Spec<readonly number[]>): Option<readonly number[] | undefined> {
  return declare(spec, {
    type: "number | readonly number[]",
    shown: "FLOAT …",
    expected: "one or more numbers",
    arity: "many",
    read: (raw) => {
      if (isNone(raw)) return bad;
      return readList(raw, (item) => {
        const value = readNumber(item);
        return value === undefined || !Number.isFinite(value) ? bad : good(value);
      });
    },
  });
}

/** A list of whole numbers. */
export function ints(
  spec: Spec<readonly number[]> & Pick<NumberSpec, "min">,
): Option<readonly number[] | undefined> {
  return declare(spec, {
    type: "number | readonly number[]",
    shown: "INT …",
    expected: `one or more whole numbers${bounds({ help: "", ...pick(spec) })}`,
    arity: "many",
    read: (raw) => {
      if (isNone(raw)) return bad;
      return readList(raw, (item) => {
        const value = readNumber(item);
        const fits = Number.isSafeInteger(value) && value! >= (spec.min ?? -Infinity);
        return fits ? good(value!) : bad;
      });
    },
  });
}

function pick({ min }: Pick<NumberSpec, "min">): Pick<NumberSpec, "min"> {
  return min === undefined ? {} : { min };
}
