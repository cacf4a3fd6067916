/** Python's int and float: exact whole numbers of any size, and doubles. */

import { roomForBits } from "./budget.ts";
import { refuse } from "./errors.ts";
import { asText, defined, Float, typeName, type Value } from "./values.ts";

/** A whole number: a `number` up to 2⁵³, a `bigint` beyond. */
export type Integer = number | bigint;

/** A whole number in its one form. */
export function integer(value: bigint): Integer {
  return value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : value;
}

/** A Python float of this value. */
export function float(value: number): Value {
  return Number.isInteger(value) ? new Float(value) : value;
}

/** Whether a value is a Python int (booleans are not counted). */
export function isInteger(value: Value): value is Integer {
  return typeof value === "bigint" || (typeof value === "number" && Number.isInteger(value));
}

/** Whether a value is a Python float. */
export function isFloat(value: Value): value is number | Float {
  return value instanceof Float || (typeof value === "number" && !Number.isInteger(value));
}

/** The whole number behind an int or bool; undefined for anything else. */
export function asInteger(value: Value): Integer | undefined {
  if (typeof value === "boolean") return Number(value);
  // Adding nothing turns a whole number's -0 into 0.
  if (typeof value === "number") return Number.isInteger(value) ? value + 0 : undefined;
  return typeof value === "bigint" ? value : undefined;
}

/** The double behind a float; undefined for anything else. */
export function asFloat(value: Value): number | undefined {
  if (value instanceof Float) return value.value;
  return typeof value === "number" && !Number.isInteger(value) ? value : undefined;
}

/** The number behind an int, float or bool; undefined for anything else. */
export function asNumber(value: Value): Integer | undefined {
  return asFloat(value) ?? asInteger(value);
}

/** A number as a double. @throws {TemplateError} if it is beyond the largest one */
export function toDouble(value: Integer): number {
  const double = Number(value);
  return typeof value === "bigint" && !Number.isFinite(double)
    ? refuse("int too large to convert to float")
    : double;
}

/** A number for an index, a width, a count, …. @throws {TemplateError} if it is no int */
export function index(value: Value, who: string): number {
  const whole = asInteger(defined(value));
  if (whole === undefined) {
    return refuse(`${who} takes an integer, not ${typeName(value)}`);
  }
  // Beyond 2⁵³ only its being huge counts.
  return Number(whole);
}

/** How many bits a whole number has. */
export function bits(value: Integer): number {
  if (typeof value === "number") {
    return value === 0 ? 0 : Math.floor(Math.log2(Math.abs(value))) + 1;
  }
  return (value < 0n ? -value : value).toString(16).length * 4;
}

/** Whether two numbers are equal, compared exactly. */
export function sameNumber(a: Integer, b: Integer): boolean {
  if (typeof a === typeof b) return a === b;
  return !(a < b) && !(a > b) && !Number.isNaN(a) && !Number.isNaN(b);
}

/** The sum, difference or product of whole numbers. */
export function wholeArithmetic(operator: "+" | "-" | "*", a: Integer, b: Integer): Integer {
  if (typeof a === "number" && typeof b === "number") {
    const result = operator === "+" ? a + b : operator === "-" ? a - b : a * b;
    if (Number.isSafeInteger(result)) return result;
  }
  roomForBits(operator === "*" ? bits(a) + bits(b) : Math.max(bits(a), bits(b)) + 1);
  const [x, y] = [BigInt(a), BigInt(b)];
  return integer(operator === "+" ? x + y : operator === "-" ? x - y : x * y);
}

/** Python's `//` and `%` of whole numbers, which round down. */
export function floorDivision(a: Integer, b: Integer): [quotient: Integer, remainder: Integer] {
  if (!b) refuse("integer division or modulo by zero");
  if (typeof a === "number" && typeof b === "number") {
    const rest = a % b;
    const remainder = rest !== 0 && (rest < 0) !== (b < 0) ? rest + b : rest;
    return [(a - remainder) / b + 0, remainder + 0];
  }
  const [x, y] = [BigInt(a), BigInt(b)];
  spendOn(x, y);
  const rest = x % y;
  const remainder = rest !== 0n && (rest < 0n) !== (y < 0n) ? rest + y : rest;
  return [integer((x - remainder) / y), integer(remainder)];
}

function spendOn(a: bigint, b: bigint): void {
  roomForBits(Math.max(bits(a), bits(b)));
}

/** `a / b` of whole numbers, rounded once, as Python does beyond 2⁵³ too. */
export function trueDivision(a: Integer, b: Integer): number {
  if (!b) refuse("division by zero");
  if (typeof a === "number" && typeof b === "number") return a / b;
  const result = ratio(BigInt(a), BigInt(b));
  return Number.isFinite(result) ? result : refuse("integer division result too large for a float");
}

/** The double nearest to a fraction. */
export function ratio(numerator: bigint, denominator: bigint): number {
  const negative = (numerator < 0n) !== (denominator < 0n);
  const [n, d] = [
    numerator < 0n ? -numerator : numerator,
    denominator < 0n ? -denominator : denominator,
  ];
  if (n === 0n) return 0;
  // 66 bits or more of the quotient, and one more that says whether anything is left.
  let shift = Math.max(0, 66 + bits(d) - bits(n));
  let quotient = (n << BigInt(shift)) / d;
  if (quotient * d !== n << BigInt(shift)) quotient |= 1n;
  // Below the normal doubles fewer bits count: they are cut first, so that it is rounded once.
  const surplus = shift - 1074;
  if (surplus > 0) {
    const rest = quotient & ((1n << BigInt(surplus)) - 1n);
    quotient >>= BigInt(surplus);
    const half = 1n << BigInt(surplus - 1);
    if (rest > half || (rest === half && quotient & 1n)) quotient++;
    shift = 1074;
  }
  const double = shift > 1000
    ? Number(quotient) * 2 ** -1000 * 2 ** (1000 - shift)
    : Number(quotient) * 2 ** -shift;
  return negative ? -double : double;
}

/** A finite double as a fraction: `m · 2^e`. */
export function parts(value: number): [mantissa: bigint, exponent: number] {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const word = view.getBigUint64(0);
  const biased = Number((word >> 52n) & 0x7ffn);
  const fraction = word & 0xfffffffffffffn;
  const mantissa = biased === 0 ? fraction : fraction | 0x10000000000000n;
  return [value < 0 ? -mantissa : mantissa, Math.max(biased, 1) - 1075];
}

/** Python's `a ** b` of whole numbers with `b >= 0`. */
export function wholePower(a: Integer, b: Integer): Integer {
  if (typeof a === "number" && typeof b === "number") {
    const result = a ** b;
    if (Number.isSafeInteger(result)) return result;
  }
  if (a === 0 || a === 1) return a;
  if (a === -1) return BigInt(b) % 2n === 0n ? 1 : -1;
  roomForBits(bits(a) * Number(b));
  return integer(BigInt(a) ** BigInt(b));
}

/** Python's `a ** b` of floats. */
export function floatPower(a: number, b: number): number {
  if (a === 0 && b < 0) refuse("0.0 cannot be raised to a negative power");
  if (a === 1) return 1;
  if (a === -1 && !Number.isFinite(b) && !Number.isNaN(b)) return 1;
  if (a < 0 && Number.isFinite(a) && Number.isFinite(b) && !Number.isInteger(b)) {
    refuse("complex numbers are not supported");
  }
  const result = exactPower(a, b);
  if (!Number.isFinite(result) && Number.isFinite(a) && Number.isFinite(b)) {
    refuse("(34, 'Numerical result out of range')");
  }
  return result;
}

/** V8's own power may be off in the last place, so common ones are computed as fractions. */
function exactPower(a: number, b: number): number {
  const estimate = a ** b;
  if (!Number.isInteger(b) || !Number.isFinite(estimate) || !Number.isFinite(a)) {
    return b === 0.5 && Number.isFinite(a) ? Math.sqrt(a) : estimate;
  }
  if (a === 0 || Math.abs(b) > 400 || Math.abs(estimate) < 1e-300) return estimate;
  const [mantissa, exponent] = parts(a);
  const count = BigInt(Math.abs(b));
  const [top, bottom] = exponent < 0
    ? [mantissa, 1n << BigInt(-exponent)]
    : [mantissa << BigInt(exponent), 1n];
  return b < 0 ? ratio(bottom ** count, top ** count) : ratio(top ** count, bottom ** count);
}

/** `|value| · 10^places` rounded to a whole number, halves to the even one. */
export function scaled(value: number, places: number): bigint {
  const [mantissa, exponent] = parts(Math.abs(value));
  let [top, bottom] = [mantissa, 1n];
  if (places >= 0) top *= 10n ** BigInt(places);
  else bottom *= 10n ** BigInt(-places);
  if (exponent >= 0) top <<= BigInt(exponent);
  else bottom <<= BigInt(-exponent);
  return halfEven(top, bottom);
}

/** `top / bottom` rounded to a whole number, halves to the even one; neither is negative. */
export function halfEven(top: bigint, bottom: bigint): bigint {
  const quotient = top / bottom;
  const twice = (top - quotient * bottom) * 2n;
  return twice > bottom || (twice === bottom && quotient & 1n) ? quotient + 1n : quotient;
}

/** Python's limit on digits of whole numbers to and from text. */
const MOST_DIGITS = 4300;

/** A whole number in decimal digits. @throws {TemplateError} beyond Python's 4300 digits */
export function decimal(value: Integer): string {
  if (typeof value === "number") return String(value + 0);
  if (bits(value) > 14_400) return tooManyDigits();
  const text = String(value);
  return text.replace("-", "").length > MOST_DIGITS ? tooManyDigits() : text;
}

function tooManyDigits(): never {
  return refuse(`Exceeds the limit (${MOST_DIGITS} digits) for integer string conversion`);
}

const DIGITS_OF: Readonly<Record<number, string>> = { 2: "b", 8: "o", 16: "x" };

/** Python's `int(text, base)`; undefined where Python raises a ValueError. */
export function parseInteger(text: string, base = 10): Integer | undefined {
  if (base !== 0 && (base < 2 || base > 36)) return undefined;
  let digits = asciiDigits(text).trim().toLowerCase();
  const sign = /^[-+]/.exec(digits)?.[0] ?? "";
  digits = digits.slice(sign.length);
  let radix = base;
  const prefix = /^0([box])_?/.exec(digits);
  if (prefix !== null && (base === 0 || DIGITS_OF[base] === prefix[1])) {
    radix = prefix[1] === "b" ? 2 : prefix[1] === "o" ? 8 : 16;
    digits = digits.slice(prefix[0].length);
  } else if (base === 0) {
    if (/^0[\d_]/.test(digits) && !/^[0_]+$/.test(digits)) return undefined;
    radix = 10;
  }
  if (!/^[\da-z]+(?:_[\da-z]+)*$/.test(digits)) return undefined;
  digits = digits.replaceAll("_", "");
  if (radix === 10 && digits.length > MOST_DIGITS) return undefined;
  for (const digit of digits) if (parseInt(digit, 36) >= radix) return undefined;
  roomForBits(digits.length * Math.log2(radix));
  let value = 0n;
  const prefixes: Readonly<Record<number, string>> = { 2: "0b", 8: "0o", 10: "", 16: "0x" };
  const written = prefixes[radix];
  if (written !== undefined) value = BigInt(written + digits);
  else for (const digit of digits) value = value * BigInt(radix) + BigInt(parseInt(digit, 36));
  return integer(sign === "-" ? -value : value);
}

/** Python's `float(text)`; undefined where Python raises a ValueError. */
export function floatIn(text: string): number | undefined {
  const plain = asciiDigits(text).trim().toLowerCase();
  const special = /^([-+]?)(inf|infinity|nan)$/.exec(plain);
  if (special !== null) {
    return special[2] === "nan" ? NaN : special[1] === "-" ? -Infinity : Infinity;
  }
  const digits = String.raw`\d+(?:_\d+)*`;
  const number = new RegExp(
    `^[-+]?(?:${digits}\\.?(?:${digits})?|\\.${digits})(?:e[-+]?${digits})?$`,
  );
  return number.test(plain) ? Number(plain.replaceAll("_", "")) : undefined;
}

/** Digits of all scripts are digits to Python, and all its blanks are blanks. */
function asciiDigits(text: string): string {
  // deno-lint-ignore no-control-regex -- blanks of Python that are none here
  return text.replace(/[\x1c-\x1f\x85]/g, " ").replace(/\ufeff/g, "\0").replace(
    /(?![0-9])\p{Nd}/gu,
    (digit) => {
      // The digits of a script stand in a row, zero first.
      let zero = digit.codePointAt(0)!;
      const code = zero;
      while (code - zero < 9 && /\p{Nd}/u.test(String.fromCodePoint(zero - 1))) zero--;
      return String(code - zero);
    },
  );
}

/** The number a text or number stands for as a float. @throws {TemplateError} for others */
export function floatOf(value: Value): number {
  const text = asText(value);
  const number = text === undefined ? asNumber(defined(value)) : floatIn(text);
  if (number === undefined) refuse(`could not convert ${typeName(value)} to float`);
  return toDouble(number);
}
