/** Python's `text % values`. */

import { room } from "./budget.ts";
import { Dictionary } from "./dictionary.ts";
import { refuse } from "./errors.ts";
import { escaped, escapeText } from "./markup.ts";
import { exponential, fixed, general } from "./number_format.ts";
import {
  asFloat,
  asInteger,
  asNumber,
  decimal,
  type Integer,
  integer,
  toDouble,
} from "./numbers.ts";
import { hexadecimal, represent, toText } from "./represent.ts";
import { characters, countCharacters } from "./unicode.ts";
import { asText, defined, Range, Tuple, typeName, Undefined, type Value } from "./values.ts";

/** A conversion: `%(name)-08.3f`. */
interface Conversion {
  readonly flags: string;
  readonly width: number;
  readonly precision: number | undefined;
  readonly type: string;
}

/** What fills in the places of a text. */
class Values {
  #next = 0;
  readonly #items: readonly Value[];

  constructor(readonly all: Value) {
    this.#items = all instanceof Tuple ? all : [all];
  }

  take(): Value {
    if (this.#next >= this.#items.length) refuse("not enough arguments for format string");
    return this.#items[this.#next++]!;
  }

  named(name: string): Value {
    if (!isMapping(this.all)) refuse("format requires a mapping");
    const value = this.all instanceof Dictionary ? this.all.get(name) : undefined;
    return value === undefined ? refuse(`the format has no value for '${name}'`) : value;
  }

  finish(): void {
    // Python lets dictionaries, lists and whatever else has items pass unused.
    if (this.#next < this.#items.length && !isMapping(this.all)) {
      refuse("not all arguments converted during string formatting");
    }
  }
}

function isMapping(value: Value): boolean {
  return value instanceof Dictionary || value instanceof Undefined || value instanceof Range ||
    (Array.isArray(value) && !(value instanceof Tuple));
}

/**
 * Python's `text % values`, by place or, from a dictionary, by name (`%(name)s`). With
 * `escape`, as for text that is marked as safe, values are escaped.
 *
 * @throws {TemplateError} for an unknown conversion, a value of the wrong type, and for missing or
 * surplus values
 */
export function formatPercent(text: string, all: Value, escape = false): string {
  const values = new Values(all);
  let result = "";
  let position = 0;
  while (true) {
    const start = text.indexOf("%", position);
    if (start < 0) break;
    result += text.slice(position, start);
    const { conversion, name, end } = readConversion(text, start + 1, values);
    position = end;
    if (conversion.type === "%") {
      result += "%";
      continue;
    }
    const value = name === undefined ? values.take() : values.named(name);
    const converted = convert(conversion, value, escape);
    room(result.length + converted.length);
    result += converted;
  }
  values.finish();
  return result + text.slice(position);
}

function readConversion(text: string, start: number, values: Values) {
  let position = start;
  let name: string | undefined;
  if (text[position] === "(") {
    let depth = 1;
    const open = ++position;
    while (position < text.length && depth > 0) {
      if (text[position] === "(") depth++;
      if (text[position] === ")") depth--;
      position++;
    }
    if (depth > 0) refuse("incomplete format key");
    name = text.slice(open, position - 1);
    if (!isMapping(values.all)) refuse("format requires a mapping");
  }
  const flags = /[-+ #0]*/y;
  flags.lastIndex = position;
  const given = flags.exec(text)![0];
  position += given.length;
  const number = (what: string): number | undefined => {
    if (text[position] === "*") {
      position++;
      const value = asInteger(values.take());
      if (value === undefined) return refuse("* wants int");
      return Number(value);
    }
    const digits = /\d*/y;
    digits.lastIndex = position;
    const found = digits.exec(text)![0];
    position += found.length;
    if (found.length > 10) refuse(`${what} too big`);
    return found === "" ? undefined : Number(found);
  };
  let width = number("width") ?? 0;
  const leftByWidth = width < 0;
  width = Math.abs(width);
  let precision: number | undefined;
  if (text[position] === ".") {
    position++;
    precision = Math.max(0, number("precision") ?? 0);
  }
  if (/[hlL]/.test(text[position] ?? "")) position++;
  const type = String.fromCodePoint(text.codePointAt(position) ?? 0);
  if (position >= text.length) refuse("incomplete format");
  room(width);
  const conversion = { flags: leftByWidth ? `${given}-` : given, width, precision, type };
  return { conversion, name, end: position + type.length };
}

function convert(conversion: Conversion, value: Value, escape: boolean): string {
  const { type, precision } = conversion;
  const cut = (text: string) =>
    precision === undefined ? text : characters(text).slice(0, precision).join("");
  switch (type) {
    case "s":
      return padded(conversion, "", cut(escape ? escaped(value) : toText(value)));
    case "r":
    case "a": {
      const plain = represent(value);
      const text = escape ? escapeText(plain) : plain;
      return padded(conversion, "", cut(type === "a" ? ascii(text) : text));
    }
    case "c":
      return padded(conversion, "", escape ? refuse("%c requires int or char") : character(value));
    case "d":
    case "i":
    case "u":
      return wholeNumber(conversion, wholeFor(type, value, escape), decimal, "");
    case "x":
    case "X":
    case "o": {
      const whole = escape ? undefined : asInteger(defined(value));
      if (whole === undefined) {
        return refuse(`%${type} format: an integer is required, not ${typeName(value)}`);
      }
      const base = type === "o" ? 8 : 16;
      const write = (v: Integer) => {
        const digits = v.toString(base);
        return type === "X" ? digits.toUpperCase() : digits;
      };
      return wholeNumber(conversion, whole, write, `0${type}`);
    }
    case "e":
    case "E":
    case "f":
    case "F":
    case "g":
    case "G":
      return floatNumber(conversion, value, escape);
    default:
      return refuse(`unsupported format character '${type}' (${type.codePointAt(0)})`);
  }
}

function ascii(text: string): string {
  return Array.from(text, (character) => {
    const code = character.codePointAt(0)!;
    if (code < 0x80) return character;
    if (code < 0x100) return `\\x${hexadecimal(code, 2)}`;
    return code < 0x10000 ? `\\u${hexadecimal(code, 4)}` : `\\U${hexadecimal(code, 8)}`;
  }).join("");
}

function character(value: Value): string {
  const text = asText(value);
  if (text !== undefined) {
    return countCharacters(text) === 1 ? text : refuse("%c requires int or char");
  }
  const code = asInteger(defined(value));
  if (code === undefined) return refuse("%c requires int or char");
  return code < 0 || code >= 0x110000
    ? refuse("%c arg not in range(0x110000)")
    : String.fromCodePoint(Number(code));
}

/** The whole part of a number. @throws {TemplateError} for infinite ones */
function wholeFor(type: string, value: Value, escape: boolean): Integer {
  const whole = asInteger(defined(value));
  if (whole !== undefined) return whole;
  const number = asFloat(value);
  if (number === undefined) {
    if (escape && asText(value) !== undefined) refuse("text as a number in marked text");
    return refuse(`%${type} format: a real number is required, not ${typeName(value)}`);
  }
  return Number.isFinite(number)
    ? integer(BigInt(Math.trunc(number)))
    : refuse(`cannot convert float ${represent(value)} to integer`);
}

function wholeNumber(
  conversion: Conversion,
  value: Integer,
  write: (value: Integer) => string,
  prefix: string,
): string {
  const negative = value < 0;
  const size = negative ? -value : value;
  const { precision = 0, flags } = conversion;
  room(precision);
  const digits = write(size).padStart(precision, "0");
  return padded(conversion, sign(flags, negative), digits, flags.includes("#") ? prefix : "");
}

function floatNumber(conversion: Conversion, value: Value, escape: boolean): string {
  const { flags, precision = 6, type } = conversion;
  const number = asNumber(defined(value));
  if (number === undefined) {
    if (escape && asText(value) !== undefined) refuse("text as a number in marked text");
    return refuse(`must be real number, not ${typeName(value)}`);
  }
  const double = toDouble(number);
  const negative = double < 0 || Object.is(double, -0);
  const alternate = flags.includes("#");
  let text: string;
  if (!Number.isFinite(double)) text = Number.isNaN(double) ? "nan" : "inf";
  else if (/f/i.test(type)) {
    text = fixed(double, precision) + (alternate && precision === 0 ? "." : "");
  } else if (/e/i.test(type)) {
    text = exponential(double, precision);
    if (alternate && precision === 0) text = text.replace("e", ".e");
  } else text = general(double, precision, { keepZeros: alternate });
  if (/[A-Z]/.test(type)) text = text.toUpperCase();
  return padded(conversion, sign(flags, negative), text);
}

function sign(flags: string, negative: boolean): string {
  if (negative) return "-";
  return flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
}

function padded(
  { flags, width, type }: Conversion,
  sign: string,
  text: string,
  prefix = "",
): string {
  const missing = Math.max(0, width - sign.length - prefix.length - countCharacters(text));
  if (flags.includes("-")) return sign + prefix + text + " ".repeat(missing);
  return flags.includes("0") && !/[srac]/.test(type)
    ? sign + prefix + "0".repeat(missing) + text
    : " ".repeat(missing) + sign + prefix + text;
}
