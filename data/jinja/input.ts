/** From JSON-like data to the values of a template. */

import { Dictionary } from "./dictionary.ts";
import { refuse } from "./errors.ts";
import { integer } from "./numbers.ts";
import { Float, Thing, Undefined, type Value } from "./values.ts";

/**
 * Converts JSON-like data; what is undefined in an object is left out.
 *
 * @throws {TemplateError} for values that no template can use, such as functions and symbols
 */
export function toValue(input: unknown): Value {
  if (input === null) return null;
  switch (typeof input) {
    case "string":
    case "boolean":
      return input;
    case "number":
      return Number.isInteger(input) && !Number.isSafeInteger(input)
        ? integer(BigInt(input))
        : input;
    case "bigint":
      return integer(input);
    case "undefined":
      return new Undefined("the value is undefined");
    case "object":
      break;
    default:
      return refuse(`a template cannot use a value of type ${typeof input}`);
  }
  if (Array.isArray(input)) return input.map(toValue);
  if (input instanceof Float) {
    return Number.isInteger(input.value) ? input : input.value;
  }
  if (input instanceof Thing || input instanceof Dictionary) return input;
  const result = new Dictionary();
  if (input instanceof Map) {
    for (const [key, value] of input) result.set(toValue(key), toValue(value));
    return result;
  }
  for (const [key, value] of Object.entries(input)) {
    if (value !== undefined) result.set(key, toValue(value));
  }
  return result;
}
