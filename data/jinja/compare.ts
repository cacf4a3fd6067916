/** Python's truth, equality and order. */

import { spend } from "./budget.ts";
import { Dictionary, hash } from "./dictionary.ts";
import { refuse } from "./errors.ts";
import { iterate, lengthOf } from "./iterate.ts";
import { asNumber, sameNumber } from "./numbers.ts";
import {
  asText,
  defined,
  Float,
  Range,
  Thing,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from "./values.ts";

/** Python's truth of a value. */
export function truthy(value: Value): boolean {
  switch (typeof value) {
    case "boolean":
      return value;
    case "string":
      return value !== "";
    case "number":
      return value !== 0;
    case "bigint":
      return true;
  }
  if (value === null) return false;
  if (value instanceof Float) return value.value !== 0;
  if (value instanceof Thing && value.parts.length === undefined) return true;
  return lengthOf(value) !== 0;
}

/** Python's `is`, where it can be told: numbers and texts that are equal may be one or two. */
export function identical(a: Value, b: Value): boolean {
  return a === b;
}

/** Python's `==`. */
export function equal(a: Value, b: Value): boolean {
  if (typeof a === "string" && typeof b === "string") return a === b;
  const [x, y] = [asNumber(a), asNumber(b)];
  if (x !== undefined && y !== undefined) return sameNumber(x, y);
  const [text, other] = [asText(a), asText(b)];
  if (text !== undefined && other !== undefined) return text === other;
  if (a instanceof Undefined) return b instanceof Undefined;
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    if (a instanceof Tuple !== b instanceof Tuple) return false;
    spend(a.length);
    return a.every((item, i) => sameOrEqual(item, b[i]!));
  }
  if (a instanceof Dictionary) {
    if (!(b instanceof Dictionary) || a.size !== b.size) return false;
    spend(a.size);
    for (const [key, item] of a.entries()) {
      const other = b.get(key);
      if (other === undefined || !sameOrEqual(item, other)) return false;
    }
    return true;
  }
  if (a instanceof Range && b instanceof Range) return hash(a) === hash(b);
  if (a instanceof View && b instanceof View && a.kind !== "values" && b.kind !== "values") {
    const [these, those] = [iterate(a), iterate(b)];
    return these.length === those.length &&
      these.every((item) => those.some((other) => equal(item, other)));
  }
  return a === b;
}

/** Lists and dictionaries take an item for equal to itself, even NaN. */
function sameOrEqual(a: Value, b: Value): boolean {
  return a === b || equal(a, b) || (Number.isNaN(a) && Number.isNaN(b));
}

/** Whether Python's `==` or `is` finds an item in a list. */
export function isIn(items: readonly Value[], item: Value): boolean {
  return items.some((other) => sameOrEqual(other, item));
}

/** Python's order: negative, zero or positive, NaN where nothing holds; text by code points. */
export function compare(a: Value, b: Value, operator = "<"): number {
  const [x, y] = [asNumber(defined(a)), asNumber(defined(b))];
  if (x !== undefined && y !== undefined) {
    return x < y ? -1 : x > y ? 1 : sameNumber(x, y) ? 0 : NaN;
  }
  const [text, other] = [asText(a), asText(b)];
  if (text !== undefined && other !== undefined) return compareTexts(text, other);
  if (Array.isArray(a) && Array.isArray(b) && a instanceof Tuple === b instanceof Tuple) {
    spend(Math.min(a.length, b.length));
    for (let i = 0; i < Math.min(a.length, b.length); i++) {
      if (!sameOrEqual(a[i]!, b[i]!)) return compare(a[i]!, b[i]!, operator);
    }
    return a.length - b.length;
  }
  return refuse(
    `'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`,
  );
}

function compareTexts(a: string, b: string): number {
  let i = 0;
  const end = Math.min(a.length, b.length);
  while (i < end && a[i] === b[i]) i++;
  if (i === end) return a.length - b.length;
  // Halves of a character beyond U+FFFF stand before U+E000 but count more.
  const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
  const isHalf = (unit: number) => unit >= 0xd800 && unit <= 0xdfff;
  return isHalf(x) === isHalf(y) ? x - y : isHalf(x) ? 1 : -1;
}

/** Sorts by a key as Python's `sorted` does: stable, also where it is reversed. */
export function sorted(
  items: readonly Value[],
  key: (item: Value) => Value,
  reverse: boolean,
): Value[] {
  const sign = reverse ? -1 : 1;
  const keyed = items.map((item) => [key(item), item] as const);
  spend(items.length * Math.ceil(Math.log2(items.length + 1)));
  keyed.sort(([a], [b]) => {
    const order = compare(a, b);
    return Number.isNaN(order) ? refuse("sorting NaN is not supported") : sign * order;
  });
  return keyed.map(([, item]) => item);
}
