/** Python's `format(value, specification)`. */

import { room } from "./budget.ts";
import { refuse } from "./errors.ts";
import { exponential, fixed, general } from "./number_format.ts";
import { asFloat, asInteger, decimal, type Integer, toDouble } from "./numbers.ts";
import { representFloat, toText } from "./represent.ts";
import { characters, countCharacters } from "./unicode.ts";
import { asText, typeName, type Value } from "./values.ts";

interface Specification {
  readonly fill: string;
  readonly align: string;
  readonly sign: string;
  readonly noNegativeZero: boolean;
  readonly alternate: boolean;
  readonly width: number;
  readonly grouping: string;
  readonly precision: number | undefined;
  readonly type: string;
}

const SPECIFICATION = /^(?:(.)?([<>=^]))?([-+ ])?(z)?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?(.)?$/su;

/** @throws {TemplateError} for a specification that Python does not know either */
function parse(text: string, value: Value): Specification {
  const match = SPECIFICATION.exec(text);
  if (match === null) {
    refuse(`Invalid format specifier '${text}' for object of type '${typeName(value)}'`);
  }
  const [, fill, align, sign, z, alternate, zero, width, grouping, precision, type] = match!;
  const isNumber = asText(value) === undefined;
  const parsed: Specification = {
    fill: fill ?? (zero ? "0" : " "),
    align: align ?? (zero && isNumber ? "=" : isNumber ? ">" : "<"),
    sign: sign ?? "",
    noNegativeZero: z !== undefined,
    alternate: alternate !== undefined,
    width: Number(width ?? 0),
    grouping: grouping ?? "",
    precision: precision === undefined ? undefined : Number(precision),
    type: type ?? "",
  };
  room(parsed.width);
  room(parsed.precision ?? 0);
  return parsed;
}

/** Python's `format(value, specification)`. @throws {TemplateError} where Python raises */
export function formatValue(value: Value, specification: string): string {
  if (specification === "") return toText(value);
  const text = asText(value);
  if (text !== undefined) return formatText(text, parse(specification, value));
  const whole = asInteger(value);
  const number = asFloat(value);
  if (whole === undefined && number === undefined) {
    refuse(`unsupported format string passed to ${typeName(value)}.__format__`);
  }
  const parsed = parse(specification, value);
  if (number === undefined && !/^[eEfFgG%]$/.test(parsed.type)) {
    return formatWhole(whole!, parsed);
  }
  return formatFloat(number ?? toDouble(whole!), parsed, value);
}

function formatText(text: string, spec: Specification): string {
  if (spec.type !== "" && spec.type !== "s") unknown(spec.type, "str");
  if (spec.sign !== "") refuse("Sign not allowed in string format specifier");
  if (spec.noNegativeZero) {
    refuse("Negative zero coercion (z) not allowed in string format specifier");
  }
  if (spec.alternate) refuse("Alternate form (#) not allowed in string format specifier");
  if (spec.align === "=") refuse("'=' alignment not allowed in string format specifier");
  if (spec.grouping !== "") refuse(`Cannot specify '${spec.grouping}' with 's'.`);
  const cut = spec.precision === undefined
    ? text
    : characters(text).slice(0, spec.precision).join("");
  return aligned(spec, "", cut);
}

function unknown(type: string, of: string): never {
  return refuse(`Unknown format code '${type}' for object of type '${of}'`);
}

function formatWhole(value: Integer, spec: Specification): string {
  const { type, grouping } = spec;
  if (spec.precision !== undefined) refuse("Precision not allowed in integer format specifier");
  if (spec.noNegativeZero) {
    refuse("Negative zero coercion (z) not allowed in integer format specifier");
  }
  const size = value < 0 ? -value : value;
  if (type === "c") {
    if (spec.sign !== "") refuse("Sign not allowed with integer format specifier 'c'");
    if (spec.alternate) refuse("Alternate form (#) not allowed with integer format specifier 'c'");
    if (grouping !== "") refuse(`Cannot specify '${grouping}' with 'c'.`);
    if (value < 0 || value >= 0x110000) refuse("%c arg not in range(0x110000)");
    return aligned(spec, "", String.fromCodePoint(Number(value)));
  }
  const base = { b: 2, o: 8, x: 16, X: 16 }[type];
  if (base === undefined && !["", "d", "n"].includes(type)) unknown(type, "int");
  if (grouping === "," && base !== undefined || grouping !== "" && type === "n") {
    refuse(`Cannot specify '${grouping}' with '${type}'.`);
  }
  const plain = base === undefined ? decimal(size) : size.toString(base);
  const digits = type === "X" ? plain.toUpperCase() : plain;
  const prefix = spec.alternate && base !== undefined ? `0${type}` : "";
  return grouped(spec, signOf(spec, value < 0) + prefix, digits, "", base === undefined ? 3 : 4);
}

function formatFloat(value: number, spec: Specification, of: Value): string {
  const { type, precision } = spec;
  if (!/^[eEfFgGn%]?$/.test(type)) unknown(type, typeName(of));
  if (type === "n" && spec.grouping !== "") refuse(`Cannot specify '${spec.grouping}' with 'n'.`);
  const amount = type === "%" ? value * 100 : value;
  const text = Number.isFinite(amount)
    ? digitsOf(amount, type, precision, spec.alternate)
    : Number.isNaN(amount)
    ? "nan"
    : "inf";
  let negative = amount < 0 || Object.is(amount, -0);
  if (spec.noNegativeZero && /^[0.]+(?:e[-+]\d+)?$/.test(text)) negative = false;
  const written = /[EFG]/.test(type) ? text.toUpperCase() : text;
  const whole = /^\d*/.exec(written)![0];
  const rest = written.slice(whole.length) + (type === "%" ? "%" : "");
  return grouped(spec, signOf(spec, negative), whole, rest, 3);
}

function digitsOf(value: number, type: string, precision: number | undefined, alternate: boolean) {
  const point = (text: string) =>
    alternate && !text.includes(".") ? text.replace(/^\d+/, (digits) => `${digits}.`) : text;
  if (type === "") {
    if (precision === undefined) return point(representFloat(Math.abs(value)));
    return point(general(value, precision, { keepZeros: alternate, asFloat: true }));
  }
  const places = precision ?? 6;
  if (/[fF%]/.test(type)) return point(fixed(value, places));
  if (/[eE]/.test(type)) return point(exponential(value, places));
  return point(general(value, places, { keepZeros: alternate }));
}

function signOf({ sign }: Specification, negative: boolean): string {
  return negative ? "-" : sign === "-" ? "" : sign;
}

/** Aligns digits with separators between groups; zeros that fill are grouped too. */
function grouped(
  spec: Specification,
  sign: string,
  digits: string,
  rest: string,
  size: number,
): string {
  if (spec.grouping === "" || digits === "") return aligned(spec, sign, digits + rest);
  const group = (text: string) => {
    const parts: string[] = [];
    for (let end = text.length; end > 0; end -= size) {
      parts.unshift(text.slice(Math.max(0, end - size), end));
    }
    return parts.join(spec.grouping);
  };
  let text = group(digits);
  if (spec.fill === "0" && spec.align === "=") {
    const wanted = spec.width - sign.length - rest.length;
    for (let padded = digits; text.length < wanted; text = group(padded)) padded = `0${padded}`;
  }
  return aligned(spec, sign, text + rest);
}

function aligned({ fill, align, width }: Specification, sign: string, text: string): string {
  const missing = Math.max(0, width - sign.length - countCharacters(text));
  if (align === "<") return sign + text + fill.repeat(missing);
  if (align === "=") return sign + fill.repeat(missing) + text;
  const left = align === "^" ? Math.floor(missing / 2) : missing;
  return fill.repeat(left) + sign + text + fill.repeat(missing - left);
}
