/** Python's operators. */

import { room, spend } from "./budget.ts";
import { compare, equal, isIn } from "./compare.ts";
import { Dictionary } from "./dictionary.ts";
import { refuse } from "./errors.ts";
import { iterate, lazily, listLike } from "./iterate.ts";
import { joinMarked } from "./methods/markup.ts";
import {
  asInteger,
  asNumber,
  float,
  floatPower,
  floorDivision,
  type Integer,
  isFloat,
  toDouble,
  trueDivision,
  wholeArithmetic,
  wholePower,
} from "./numbers.ts";
import { formatPercent } from "./percent.ts";
import {
  asText,
  defined,
  Generator,
  Markup,
  Range,
  textOf,
  typeName,
  type Value,
  View,
} from "./values.ts";

/** Whether a comparison holds. */
export function holds(operator: string, left: Value, right: Value): boolean {
  switch (operator) {
    case "==":
      return equal(left, right);
    case "!=":
      return !equal(left, right);
    case "in":
      return contains(right, left);
    case "not in":
      return !contains(right, left);
  }
  if (left instanceof View && right instanceof View) {
    return refuse("the order of dictionary views is not supported");
  }
  const order = compare(left, right, operator);
  switch (operator) {
    case "<":
      return order < 0;
    case "<=":
      return order <= 0;
    case ">":
      return order > 0;
    default:
      return order >= 0;
  }
}

/** Whether `item in container`. */
export function contains(container: Value, item: Value): boolean {
  const text = asText(container);
  if (text !== undefined) {
    spend(text.length / 16);
    return text.includes(textOf(item, "'in <string>'"));
  }
  if (container instanceof Dictionary) return container.has(item);
  if (container instanceof View && container.kind === "keys") return container.of.has(item);
  if (container instanceof Generator) {
    for (const other of lazily(container)) if (isIn([other], item)) return true;
    return false;
  }
  if (container instanceof Range && asInteger(item) === undefined && !isFloat(item)) return false;
  return isIn(iterate(container), item);
}

function repeat(value: Value, times: Integer): Value | undefined {
  const text = asText(value);
  if (text === undefined && !Array.isArray(value)) return undefined;
  const count = Math.max(0, Number(times));
  if (text !== undefined) {
    room(text.length * count);
    const repeated = text === "" ? "" : text.repeat(count);
    return value instanceof Markup ? new Markup(repeated) : repeated;
  }
  const list = value as Value[];
  room(list.length * count, "list");
  spend(list.length * count);
  const items: Value[] = [];
  if (list.length > 0) {
    for (let i = 0; i < count; i++) {
      for (const item of list) items.push(item);
    }
  }
  return listLike(value, items);
}

function add(left: Value, right: Value): Value | undefined {
  if (left instanceof Markup || right instanceof Markup) return joinMarked(left, right);
  if (typeof left === "string" && typeof right === "string") {
    room(left.length + right.length);
    return left + right;
  }
  if (Array.isArray(left) && Array.isArray(right)) {
    const kind = listLike(left, []).constructor;
    if (kind !== listLike(right, []).constructor) return undefined;
    room(left.length + right.length, "list");
    spend(left.length + right.length);
    return listLike(left, [...left, ...right]);
  }
  return undefined;
}

/** Python's arithmetic on numbers, texts and lists. */
export function arithmetic(operator: string, left: Value, right: Value): Value {
  if (operator === "%" && asText(left) !== undefined) {
    const text = formatPercent(asText(left)!, right, left instanceof Markup);
    return left instanceof Markup ? new Markup(text) : text;
  }
  defined(left);
  defined(right);
  if (operator === "+") {
    const sum = add(left, right);
    if (sum !== undefined) return sum;
  }
  if (operator === "*") {
    const [times, timesLeft] = [asInteger(right), asInteger(left)];
    const repeated = (times === undefined ? undefined : repeat(left, times)) ??
      (timesLeft === undefined ? undefined : repeat(right, timesLeft));
    if (repeated !== undefined) return repeated;
  }
  const [a, b] = [asNumber(left), asNumber(right)];
  if (a === undefined || b === undefined) {
    return refuse(
      `unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`,
    );
  }
  return isFloat(left) || isFloat(right)
    ? float(floatArithmetic(operator, toDouble(a), toDouble(b)))
    : integerArithmetic(operator, a, b);
}

function integerArithmetic(operator: string, a: Integer, b: Integer): Value {
  switch (operator) {
    case "+":
    case "-":
    case "*":
      return wholeArithmetic(operator, a, b);
    case "/":
      return float(trueDivision(a, b));
    case "//":
      return floorDivision(a, b)[0];
    case "%":
      return floorDivision(a, b)[1];
    default:
      return b < 0 ? float(floatPower(toDouble(a), toDouble(b))) : wholePower(a, b);
  }
}

function floatArithmetic(operator: string, a: number, b: number): number {
  if (b === 0 && (operator === "/" || operator === "//" || operator === "%")) {
    refuse(operator === "/" ? "float division by zero" : "float floor division or modulo by zero");
  }
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / b;
    case "//":
      return floatDivision(a, b)[0];
    case "%":
      return floatDivision(a, b)[1];
    default:
      return floatPower(a, b);
  }
}

/** Python's floor division of floats, step for step as CPython does it. */
function floatDivision(a: number, b: number): [quotient: number, remainder: number] {
  let rest = a % b;
  let quotient = (a - rest) / b;
  if (rest !== 0) {
    if (b < 0 !== rest < 0) {
      rest += b;
      quotient -= 1;
    }
  } else rest = b < 0 ? -0 : 0;
  if (quotient === 0) return [a / b < 0 || Object.is(a / b, -0) ? -0 : 0, rest];
  const floor = Math.floor(quotient);
  return [quotient - floor > 0.5 ? floor + 1 : floor, rest];
}

/** `-value` or `+value`. */
export function signed(operator: string, value: Value): Value {
  const number = asNumber(defined(value));
  if (number === undefined) {
    return refuse(`bad operand type for unary ${operator}: '${typeName(value)}'`);
  }
  if (operator === "+") return isFloat(value) ? value : number;
  if (isFloat(value)) return float(-Number(number));
  return typeof number === "bigint" ? -number : 0 - number;
}
