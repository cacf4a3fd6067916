/** Jinja's tests, which stand after `is`. */

import { equal } from "./compare.ts";
import { Dictionary } from "./dictionary.ts";
import { FILTERS } from "./filters/table.ts";
import { refuse } from "./errors.ts";
import { isIterable, lengthOf } from "./iterate.ts";
import { asNumber, isFloat, isInteger } from "./numbers.ts";
import { arithmetic, contains, holds } from "./operators.ts";
import { toText } from "./represent.ts";
import { positional, signature } from "./signature.ts";
import { KINDS } from "./unicode.ts";
import { asText, type Keywords, Markup, Thing, Undefined, type Value, View } from "./values.ts";

/** A test: what it says of a value. */
export type Test = (value: Value, args: readonly Value[], keywords: Keywords) => boolean;

function plain(name: string, run: (value: Value) => boolean): Test {
  const bind = positional(name, 0);
  return (value, args, keywords) => {
    bind(args, keywords);
    return run(value);
  };
}

function binary(
  name: string,
  run: (value: Value, other: Value) => boolean,
  parameter?: string,
): Test {
  const bind = parameter === undefined ? positional(name, 1) : signature(name, [parameter]);
  return (value, args, keywords) => run(value, bind(args, keywords)[0]!);
}

function comparing(operator: string): Test {
  return binary(operator, (value, other) => holds(operator, value, other));
}

function isRemainder(value: Value, divisor: Value, rest: Value): boolean {
  return equal(arithmetic("%", value, divisor), rest);
}

/** Python's `is`: objects are themselves; small numbers and texts are one if they are equal. */
function isSame(value: Value, other: Value): boolean {
  if (
    value === null || other === null || typeof value === "boolean" || typeof other === "boolean"
  ) {
    return value === other;
  }
  const numbers = asNumber(value) !== undefined && asNumber(other) !== undefined;
  const texts = asText(value) !== undefined && asText(other) !== undefined;
  if (!numbers && !texts) return value === other;
  if (!equal(value, other)) return false;
  return value === other || isInteger(value) !== isInteger(other)
    ? value === other
    : refuse("sameas of equal numbers or texts differs between versions of Python; use ==");
}

/** All tests by name. */
export const TESTS: ReadonlyMap<string, Test> = new Map<string, Test>(Object.entries({
  boolean: plain("boolean", (value) => typeof value === "boolean"),
  callable: plain(
    "callable",
    (value) =>
      value instanceof Undefined || (value instanceof Thing && value.parts.call !== undefined),
  ),
  defined: plain("defined", (value) => !(value instanceof Undefined)),
  divisibleby: binary("divisibleby", (value, divisor) => isRemainder(value, divisor, 0), "num"),
  escaped: plain("escaped", (value) => value instanceof Markup),
  even: plain("even", (value) => isRemainder(value, 2, 0)),
  false: plain("false", (value) => value === false),
  filter: plain("filter", (value) => isName(value, FILTERS)),
  float: plain("float", isFloat),
  in: binary("in", (value, container) => contains(container, value), "seq"),
  integer: plain("integer", isInteger),
  iterable: plain(
    "iterable",
    (value) => isIterable(value) || (value instanceof Thing && value.parts.length !== undefined),
  ),
  lower: plain("lower", (value) => KINDS.islower(toText(value))),
  mapping: plain("mapping", (value) => value instanceof Dictionary),
  none: plain("none", (value) => value === null),
  number: plain("number", (value) => asNumber(value) !== undefined),
  odd: plain("odd", (value) => isRemainder(value, 2, 1)),
  sameas: binary("sameas", isSame, "other"),
  sequence: plain(
    "sequence",
    (value) =>
      lengthOf(value) !== undefined && !(value instanceof View) && !(value instanceof Thing),
  ),
  string: plain("string", (value) => asText(value) !== undefined),
  test: plain("test", (value) => isName(value, TESTS)),
  true: plain("true", (value) => value === true),
  undefined: plain("undefined", (value) => value instanceof Undefined),
  upper: plain("upper", (value) => KINDS.isupper(toText(value))),
  ...Object.fromEntries(
    Object.entries({
      "==": ["==", "eq", "equalto"],
      "!=": ["!=", "ne"],
      "<": ["<", "lt", "lessthan"],
      "<=": ["<=", "le"],
      ">": [">", "gt", "greaterthan"],
      ">=": [">=", "ge"],
    }).flatMap(([operator, names]) => names.map((name) => [name, comparing(operator)])),
  ),
}));

function isName(value: Value, table: ReadonlyMap<string, unknown>): boolean {
  if (value instanceof Dictionary || (Array.isArray(value) && value.constructor === Array)) {
    refuse("unhashable type");
  }
  return table.has(asText(value) ?? "");
}
