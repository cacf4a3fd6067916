/** The `attribute` argument of `map`, `sort`, `groupby` and others: a path of names and numbers. */

import { itemOf } from "../attributes.ts";
import { parseInteger } from "../numbers.ts";
import { KINDS } from "../unicode.ts";
import { asText, Markup, Undefined, type Value } from "../values.ts";

/** Texts without regard to capitals, as filters compare them unless they are told to. */
export function ignoringCase(value: Value): Value {
  if (typeof value === "string") return value.toLowerCase();
  return value instanceof Markup ? new Markup(value.text.toLowerCase()) : value;
}

function path(attribute: Value): Value[] {
  if (attribute === null) return [];
  const text = asText(attribute);
  if (text === undefined) return [attribute];
  return text.split(".").map((part) => KINDS.isdigit(part) ? parseInteger(part) ?? part : part);
}

/** Follows a path; `otherwise` stands for what is missing, unless it is null. */
export function getter(attribute: Value, otherwise: Value = null): (item: Value) => Value {
  const parts = path(attribute);
  return (item) => {
    let value = item;
    for (const part of parts) {
      value = itemOf(value, part);
      if (otherwise !== null && value instanceof Undefined) value = otherwise;
    }
    return value;
  };
}

/** As `getter`, without regard to capitals unless `caseSensitive`. */
export function keyGetter(
  attribute: Value,
  caseSensitive: boolean,
  otherwise: Value = null,
): (item: Value) => Value {
  const get = getter(attribute, otherwise);
  return caseSensitive ? get : (item) => ignoringCase(get(item));
}

/** The values at several paths with commas between them, as a list. */
export function listGetter(attribute: Value, caseSensitive: boolean): (item: Value) => Value {
  const text = asText(attribute);
  const getters = (text === undefined ? [attribute] : text.split(","))
    .map((part) => keyGetter(part, caseSensitive));
  return (item) => getters.map((get) => get(item));
}
