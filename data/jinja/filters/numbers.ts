/** Filters of numbers. */

import { refuse } from "../errors.ts";
import { fixed } from "../number_format.ts";
import {
  asFloat,
  asInteger,
  float,
  floatIn,
  floatOf,
  halfEven,
  index,
  type Integer,
  integer,
  isFloat,
  parseInteger,
  scaled,
  wholePower,
} from "../numbers.ts";
import { arithmetic } from "../operators.ts";
import { truthy } from "../compare.ts";
import { asText, defined, typeName, Undefined, type Value } from "../values.ts";
import { type Filter, filter } from "./filter.ts";

function absolute(value: Value): Value {
  const whole = asInteger(defined(value));
  if (whole !== undefined) return whole < 0 ? -whole : whole;
  const number = asFloat(value);
  return number === undefined
    ? refuse(`bad operand type for abs(): '${typeName(value)}'`)
    : float(Math.abs(number));
}

function toFloat(value: Value, fallback: Value): Value {
  const text = asText(value);
  if (text === undefined && asInteger(defined(value)) === undefined && !isFloat(value)) {
    return fallback;
  }
  if (text === undefined) return float(floatOf(value));
  const number = floatIn(text);
  return number === undefined ? fallback : float(number);
}

function toInteger(value: Value, [fallback, base]: readonly Value[]): Value {
  const text = asText(value);
  if (text !== undefined) {
    const whole = parseInteger(text, index(base!, "int"));
    if (whole !== undefined) return whole;
  }
  const whole = asInteger(defined(value));
  if (whole !== undefined) return whole;
  const number = text === undefined ? asFloat(value) : floatIn(text);
  if (number === undefined || Number.isNaN(number)) return fallback!;
  if (Number.isFinite(number)) return integer(BigInt(Math.trunc(number)));
  // Python lets the error of an infinite float pass, but not that of a text like "inf".
  return text === undefined ? refuse("cannot convert float infinity to integer") : fallback!;
}

function round(value: Value, [precision, method]: readonly Value[]): Value {
  const how = asText(method!);
  if (how !== "common" && how !== "ceil" && how !== "floor") {
    refuse("method must be common, ceil or floor");
  }
  const whole = asInteger(defined(value));
  const number = asFloat(value);
  if (whole === undefined && number === undefined) {
    return refuse(`type ${typeName(value)} doesn't define __round__ method`);
  }
  if (how !== "common") {
    const power = arithmetic("**", 10, precision!);
    const rounded = toWhole(arithmetic("*", value, power), how === "ceil");
    return arithmetic("/", rounded, power);
  }
  if (precision === null) {
    return whole ??
      (Number.isFinite(number!)
        ? integer(roundToWhole(number!))
        : refuse("cannot convert a float that is not finite to an integer"));
  }
  const places = index(precision!, "round");
  return whole === undefined ? float(roundFloat(number!, places)) : roundWhole(whole, places);
}

function toWhole(value: Value, up: boolean): Integer {
  const whole = asInteger(value);
  if (whole !== undefined) return whole;
  const number = asFloat(value)!;
  return Number.isFinite(number)
    ? integer(BigInt(up ? Math.ceil(number) : Math.floor(number)))
    : refuse("cannot convert a float that is not finite to an integer");
}

function roundToWhole(value: number): bigint {
  const size = scaled(value, 0);
  return value < 0 ? -size : size;
}

function roundFloat(value: number, places: number): number {
  if (!Number.isFinite(value) || value === 0 || places > 323) return value;
  if (places < -308) return value < 0 ? -0 : 0;
  const size = Number(`${scaled(value, places)}e${-places}`);
  if (!Number.isFinite(size)) refuse("rounded value too large to represent");
  return value < 0 ? -size : size;
}

function roundWhole(value: Integer, places: number): Integer {
  if (places >= 0) return value;
  const unit = BigInt(wholePower(10, -places));
  const size = value < 0 ? -BigInt(value) : BigInt(value);
  const rounded = halfEven(size, unit) * unit;
  return integer(value < 0 ? -rounded : rounded);
}

const UNITS = ["k", "M", "G", "T", "P", "E", "Z", "Y"];

function fileSize(value: Value, binary: Value): Value {
  if (value instanceof Undefined) refuse(value.message);
  const bytes = floatOf(value);
  const base = truthy(binary) ? 1024 : 1000;
  if (bytes === 1) return "1 Byte";
  if (bytes < base) {
    if (!Number.isFinite(bytes)) refuse("cannot convert float infinity to integer");
    return `${BigInt(Math.trunc(bytes))} Bytes`;
  }
  if (Number.isNaN(bytes)) return `nan ${truthy(binary) ? "Yi" : "Y"}B`;
  for (const [i, letter] of UNITS.entries()) {
    const unit = base ** (i + 2);
    if (bytes >= unit && i < UNITS.length - 1) continue;
    const amount = base * bytes / unit;
    const prefix = truthy(binary) ? `${letter.toUpperCase()}i` : letter;
    return `${Number.isFinite(amount) ? fixed(amount, 1) : "inf"} ${prefix}B`;
  }
  return "";
}

/** The filters of numbers by name. */
export const NUMBER_FILTERS: Readonly<Record<string, Filter>> = {
  abs: filter("abs", [], absolute),
  filesizeformat: filter(
    "filesizeformat",
    [["binary", false]],
    (value, [binary]) => fileSize(value, binary!),
  ),
  float: filter("float", [["default", float(0)]], (value, [fallback]) => toFloat(value, fallback!)),
  int: filter("int", [["default", 0], ["base", 10]], toInteger),
  round: filter("round", [["precision", 0], ["method", "common"]], round),
};
