/** Python's iteration and length. */

import { spend } from "./budget.ts";
import { Dictionary } from "./dictionary.ts";
import { refuse } from "./errors.ts";
import {
  asText,
  Generator,
  Markup,
  Range,
  Thing,
  Tuple,
  tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from "./values.ts";
import { characters, countCharacters } from "./unicode.ts";

/** The items of a value; undefined for what Python calls not iterable. */
function itemsOf(value: Value): readonly Value[] | Iterator<Value> | undefined {
  if (Array.isArray(value)) return value;
  const text = asText(value);
  if (text !== undefined) return characters(text);
  if (value instanceof Dictionary) return value.keys();
  if (value instanceof Generator) return value.items;
  if (value instanceof Undefined) return [];
  if (value instanceof View) return viewItems(value);
  return value instanceof Range ? rangeItems(value) : undefined;
}

function viewItems({ kind, of }: View): Value[] {
  if (kind === "keys") return of.keys();
  return kind === "values" ? of.values() : Array.from(of.entries(), (entry) => tuple(entry));
}

function rangeItems({ start, step, length }: Range): number[] {
  return Array.from({ length }, (_, i) => start + i * step);
}

/** Whether a value can be walked over. */
export function isIterable(value: Value): boolean {
  return Array.isArray(value) || asText(value) !== undefined || value instanceof Dictionary ||
    value instanceof Generator || value instanceof Undefined || value instanceof View ||
    value instanceof Range;
}

function notIterable(value: Value): never {
  return refuse(
    value instanceof Thing && value.parts.length !== undefined
      ? `walking over a ${typeName(value)} is not supported`
      : `'${typeName(value)}' object is not iterable`,
  );
}

/** All items of a value, not to be changed; a generator is used up. */
export function iterate(value: Value): readonly Value[] {
  const items = itemsOf(value) ?? notIterable(value);
  if (Array.isArray(items)) {
    spend(items.length);
    // Parts of a tuple would be tuples too.
    return items instanceof Tuple ? Array.from<Value>(items) : items;
  }
  const list: Value[] = [];
  for (const item of each(items as Iterator<Value>)) list.push(item);
  return list;
}

function* each(items: Iterator<Value>): Iterable<Value> {
  for (let next = items.next(); !next.done; next = items.next()) {
    spend(1);
    yield next.value;
  }
}

/** The items of a value one after the other, each made when it is asked for. */
export function iterator(value: Value): Iterator<Value> {
  const items = itemsOf(value) ?? notIterable(value);
  return Array.isArray(items) ? (items as Value[])[Symbol.iterator]() : items as Iterator<Value>;
}

/** As `iterator`, for a `for` loop; leaving the loop does not end a generator. */
export function lazily(value: Value): Iterable<Value> {
  return each(iterator(value));
}

/** Python's `len`; undefined for what has none. */
export function lengthOf(value: Value): number | undefined {
  if (Array.isArray(value)) return value.length;
  const text = asText(value);
  if (text !== undefined) return countCharacters(text);
  if (value instanceof Dictionary) return value.size;
  if (value instanceof Undefined) return 0;
  if (value instanceof Range) return value.length;
  if (value instanceof View) return value.of.size;
  return value instanceof Thing ? value.parts.length?.() : undefined;
}

/** Python's `len`. @throws {TemplateError} for what has none */
export function length(value: Value): number {
  return lengthOf(value) ?? refuse(`object of type '${typeName(value)}' has no len()`);
}

/** Python's `reversed`: the items from the last to the first. @throws {TemplateError} */
export function reversed(value: Value): Value[] {
  if (value instanceof Generator || !isIterable(value)) {
    refuse(`'${typeName(value)}' object is not reversible`);
  }
  const items = [...iterate(value)].reverse();
  // Walked over from the end, text that is marked as safe gives marked characters.
  return value instanceof Markup ? items.map((item) => new Markup(item as string)) : items;
}

/** A generator over what a function yields. */
export function generator(items: IterableIterator<Value>): Generator {
  return new Generator("generator", items);
}

/** A list like `like`: a tuple if that is one. */
export function listLike(like: Value, items: Value[]): Value[] {
  return like instanceof Tuple ? tuple(items) : items;
}
