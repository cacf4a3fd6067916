/** Python's `str` and `repr`. */

import { room } from "./budget.ts";
import { Dictionary } from "./dictionary.ts";
import { refuse } from "./errors.ts";
import { asFloat, decimal } from "./numbers.ts";
import {
  Generator,
  Markup,
  Range,
  type Thing,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from "./values.ts";

/** Python's `str(value)`, as `{{ value }}` prints it. */
export function toText(value: Value): string {
  if (typeof value === "string") return value;
  if (value instanceof Markup) return value.text;
  return value instanceof Undefined ? "" : represent(value);
}

/** Python's `repr(value)`. @throws {TemplateError} where it holds an address */
export function represent(value: Value): string {
  if (value === null) return "None";
  switch (typeof value) {
    case "boolean":
      return value ? "True" : "False";
    case "string":
      return representText(value);
    case "bigint":
      return decimal(value);
  }
  const number = asFloat(value);
  if (number !== undefined) return representFloat(number);
  if (typeof value === "number") return String(value + 0);
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof Markup) return `Markup(${representText(value.text)})`;
  if (value instanceof Tuple) {
    return `(${listed(value)}${value.length === 1 ? "," : ""})`;
  }
  if (Array.isArray(value)) return `[${listed(value)}]`;
  if (value instanceof Dictionary) {
    return `{${joined(value.entries(), ([key, item]) => `${represent(key)}: ${represent(item)}`)}}`;
  }
  if (value instanceof Range) {
    const { start, stop, step } = value;
    return step === 1 ? `range(${start}, ${stop})` : `range(${start}, ${stop}, ${step})`;
  }
  if (value instanceof View) {
    const { kind, of } = value;
    const items = kind === "items"
      ? joined(of.entries(), ([key, item]) => `(${represent(key)}, ${represent(item)})`)
      : listed(kind === "keys" ? of.keys() : of.values());
    return `dict_${kind}([${items}])`;
  }
  const text = value instanceof Generator ? undefined : (value as Thing).parts.text?.();
  return text ?? refuse(
    `a ${typeName(value)} cannot be printed: Python would print its address in memory` +
      (value instanceof Generator ? " (the filter list makes a list of it)" : ""),
  );
}

function listed(items: Iterable<Value>): string {
  return joined(items, represent);
}

function joined<T>(items: Iterable<T>, text: (item: T) => string): string {
  let result = "";
  for (const item of items) {
    const part = text(item);
    room(result.length + part.length);
    result += result === "" ? part : `, ${part}`;
  }
  return result;
}

const NAMED: Readonly<Record<string, string>> = {
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\\": "\\\\",
};

/** Python's `repr` of a text. */
export function representText(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  // Python prints what Unicode calls printable: neither control, unassigned nor a separator.
  const body = text.replace(/[\\'"\p{C}]|(?! )\p{Z}/gu, (character) => {
    const named = NAMED[character];
    if (named !== undefined) return named;
    if (character === "'" || character === '"') {
      return character === quote ? `\\${character}` : character;
    }
    const code = character.codePointAt(0)!;
    if (code < 0x100) return `\\x${hexadecimal(code, 2)}`;
    return code < 0x10000 ? `\\u${hexadecimal(code, 4)}` : `\\U${hexadecimal(code, 8)}`;
  });
  return quote + body + quote;
}

/** A number in hexadecimal digits. */
export function hexadecimal(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

/** Python's `repr` of a float: the shortest digits that give it back. */
export function representFloat(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const [mantissa, exponentText] = value.toExponential().split("e");
  const exponent = Number(exponentText);
  if (exponent < -4 || exponent >= 16) {
    const sign = exponent < 0 ? "-" : "+";
    return `${mantissa}e${sign}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  if (exponent < 0) {
    const digits = mantissa!.replace("-", "").replace(".", "");
    return `${value < 0 ? "-" : ""}0.${"0".repeat(-exponent - 1)}${digits}`;
  }
  const text = String(value);
  return text.includes(".") ? text : `${text}.0`;
}
