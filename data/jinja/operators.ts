/** Python's operators. */

import { contains } from "./filters.ts";
import { formatPercent } from "./methods.ts";
import {
  asNumber,
  codePoints,
  compare,
  equal,
  float,
  isFloat,
  isInteger,
  TemplateError,
  Tuple,
  typeName,
  type Value,
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
    case "<":
      return compare(left, right) < 0;
    case "<=":
      return compare(left, right) <= 0;
    case ">":
      return compare(left, right) > 0;
    default:
      return compare(left, right) >= 0;
  }
}

/** The longest text or list that a repetition may make; refused before it is allocated. */
const REPETITION_LIMIT = 10_000_000;

function repeat(value: Value, times: number): Value | undefined {
  if (typeof value !== "string" && !Array.isArray(value)) return undefined;
  const count = Math.max(0, times);
  if (value.length * count > REPETITION_LIMIT) {
    throw new TemplateError(
      `repeating a ${typeName(value)} ${count} times makes more than ${REPETITION_LIMIT} items`,
    );
  }
  if (typeof value === "string") return value.repeat(count);
  const items: Value[] = [];
  if (value.length > 0) {
    for (let i = 0; i < count; i++) {
      for (const item of value) items.push(item);
    }
  }
  return value instanceof Tuple ? Tuple.from<Value>(items) : items;
}

/** Python's arithmetic on numbers, texts and lists. */
export function arithmetic(operator: string, left: Value, right: Value): Value {
  if (operator === "+") {
    if (typeof left === "string" && typeof right === "string") return left + right;
    if (Array.isArray(left) && Array.isArray(right)) {
      return left instanceof Tuple ? Tuple.from<Value>([...left, ...right]) : [...left, ...right];
    }
  }
  if (operator === "*") {
    if (isInteger(right) || typeof right === "boolean") {
      const repeated = repeat(left, Number(right));
      if (repeated !== undefined) return repeated;
    }
    if (isInteger(left) || typeof left === "boolean") {
      const repeated = repeat(right, Number(left));
      if (repeated !== undefined) return repeated;
    }
  }
  if (operator === "%" && typeof left === "string") return formatPercent(left, right);
  const [a, b] = [asNumber(left), asNumber(right)];
  if (a === undefined || b === undefined) {
    throw new TemplateError(
      `unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`,
    );
  }
  if (b === 0 && ["/", "//", "%"].includes(operator)) throw new TemplateError("division by zero");
  const kind = isFloat(left) || isFloat(right) ? float : (value: number) => value;
  switch (operator) {
    case "+":
      return kind(a + b);
    case "-":
      return kind(a - b);
    case "*":
      return kind(a * b);
    case "/":
      return float(a / b);
    case "//":
      return kind(Math.floor(a / b));
    case "%":
      return kind(a - b * Math.floor(a / b));
    default:
      return b < 0 ? float(a ** b) : kind(a ** b);
  }
}

/** `value[start:stop:step]`. */
export function slice(
  value: Value,
  start: number | null,
  stop: number | null,
  step: number,
): Value {
  if (!Array.isArray(value) && typeof value !== "string") {
    throw new TemplateError(`a ${typeName(value)} cannot be sliced`);
  }
  if (step === 0) throw new TemplateError("slice step cannot be zero");
  const items = typeof value === "string" ? codePoints(value) : value;
  const count = items.length;
  const clamp = (index: number) =>
    step > 0
      ? Math.min(Math.max(index < 0 ? index + count : index, 0), count)
      : Math.min(Math.max(index < 0 ? index + count : index, -1), count - 1);
  const from = start === null ? (step > 0 ? 0 : count - 1) : clamp(start);
  const to = stop === null ? (step > 0 ? count : -1) : clamp(stop);
  const taken: Value[] = [];
  for (let i = from; step > 0 ? i < to : i > to; i += step) taken.push(items[i]!);
  if (typeof value === "string") return taken.join("");
  return value instanceof Tuple ? Tuple.from<Value>(taken) : taken;
}
