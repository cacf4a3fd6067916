/** Filters that take and give sequences. */

import { room, spend } from "../budget.ts";
import { compare, equal, sorted, truthy } from "../compare.ts";
import { Dictionary, hash } from "../dictionary.ts";
import { refuse } from "../errors.ts";
import { generator, isIterable, iterate, iterator, lazily, length, reversed } from "../iterate.ts";
import { escaped } from "../markup.ts";
import { floorDivision, index } from "../numbers.ts";
import { arithmetic } from "../operators.ts";
import { toText } from "../represent.ts";
import { characters } from "../unicode.ts";
import {
  asText,
  Generator,
  Group,
  type Keywords,
  Markup,
  Range,
  tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from "../values.ts";
import { getter, ignoringCase, keyGetter, listGetter } from "./attribute.ts";
import { type Environment, type Filter, filter, refused } from "./filter.ts";

function* batches(value: Value, size: Value, fill: Value): IterableIterator<Value> {
  let batch: Value[] = [];
  for (const item of lazily(value)) {
    if (equal(batch.length, size)) {
      yield batch;
      batch = [];
    }
    batch.push(item);
  }
  if (batch.length === 0) return;
  if (fill !== null && compare(batch.length, size) < 0) {
    const missing = index(size, "batch") - batch.length;
    room(missing, "list");
    spend(missing);
    for (let i = 0; i < missing; i++) batch.push(fill);
  }
  yield batch;
}

function* slices(value: Value, count: Value, fill: Value): IterableIterator<Value> {
  const items = iterate(value);
  const wanted = index(count, "slice");
  const [perSlice, withOneMore] = floorDivision(items.length, wanted).map(Number);
  let offset = 0;
  for (let number = 0; number < wanted; number++) {
    spend(1);
    const start = offset + number * perSlice!;
    if (number < withOneMore!) offset++;
    const slice = items.slice(start, offset + (number + 1) * perSlice!);
    if (fill !== null && number >= withOneMore!) slice.push(fill);
    yield slice;
  }
}

function* pairs(value: Value): IterableIterator<Value> {
  if (value instanceof Undefined) return;
  if (!(value instanceof Dictionary)) {
    refuse(`Can only get item pairs from a mapping; items was given a ${typeName(value)}`);
  }
  for (const entry of (value as Dictionary).entries()) yield tuple(entry);
}

function* uniques(value: Value, key: (item: Value) => Value): IterableIterator<Value> {
  const seen = new Set<unknown>();
  for (const item of lazily(value)) {
    const wanted = hash(key(item));
    if (seen.has(wanted)) continue;
    seen.add(wanted);
    yield item;
  }
}

const map: Filter = (environment, value, args, keywords) => {
  function* items(): IterableIterator<Value> {
    if (!truthy(value)) return;
    const apply = mapping(environment, args, keywords);
    for (const item of lazily(value)) yield apply(item);
  }
  return generator(items());
};

function mapping(environment: Environment, args: readonly Value[], keywords: Keywords) {
  const attribute = keywords.get("attribute");
  if (args.length === 0 && attribute !== undefined) {
    for (const name of keywords.keys()) {
      if (name !== "attribute" && name !== "default") {
        refuse(`map has no parameter '${name}'`);
      }
    }
    const otherwise = keywords.get("default");
    return getter(attribute, otherwise === undefined ? null : otherwise);
  }
  const [name, ...rest] = args;
  if (name === undefined) return refuse("map requires a filter argument");
  return (item: Value) => environment.filter(name, item, rest, keywords);
}

/** `select`, `reject`, `selectattr` and `rejectattr`. */
function selecting(wanted: boolean, byAttribute: boolean): Filter {
  return (environment, value, args, keywords) => {
    function* items(): IterableIterator<Value> {
      if (!truthy(value)) return;
      if (byAttribute && args.length === 0) refuse("Missing parameter for attribute name");
      const get = byAttribute ? getter(args[0]!) : (item: Value) => item;
      const [name, ...rest] = byAttribute ? args.slice(1) : args;
      for (const item of lazily(value)) {
        const part = get(item);
        const holds = name === undefined
          ? truthy(part)
          : environment.test(name, part, rest, keywords);
        if (holds === wanted) yield item;
      }
    }
    return generator(items());
  };
}

/** `min` and `max`: the first of the items that no other goes before. */
function extreme(name: string, before: (order: number) => boolean): Filter {
  return filter(name, [["case_sensitive", false], ["attribute", null]], (value, args) => {
    const key = keyGetter(args[1]!, truthy(args[0]!));
    let best: Value | undefined;
    let bestKey: Value = null;
    for (const item of lazily(value)) {
      const itemKey = key(item);
      if (best === undefined || before(compare(itemKey, bestKey))) {
        [best, bestKey] = [item, itemKey];
      }
    }
    return best === undefined ? new Undefined("No aggregated item, sequence was empty.") : best;
  });
}

function groupBy(value: Value, args: readonly Value[]): Value {
  const [attribute, otherwise, caseSensitive] = args;
  const key = keyGetter(attribute!, truthy(caseSensitive!), otherwise!);
  const shown = getter(attribute!, otherwise!);
  const groups: { key: Value; items: Value[] }[] = [];
  for (const item of sorted(iterate(value), key, false)) {
    const itemKey = key(item);
    const last = groups.at(-1);
    if (last !== undefined && equal(last.key, itemKey)) last.items.push(item);
    else groups.push({ key: itemKey, items: [item] });
  }
  return groups.map(({ key, items }) => {
    const group = new Group();
    group.push(truthy(caseSensitive!) ? key : shown(items[0]!), items);
    return group;
  });
}

function join(value: Value, args: readonly Value[], { autoescape }: Environment): Value {
  const [separator, attribute] = args;
  const get = attribute === null ? (item: Value) => item : getter(attribute!);
  const items = iterate(value).map((item) => get(item));
  const marked = autoescape &&
    (separator instanceof Markup || items.some((item) => item instanceof Markup));
  const glue = marked ? escaped(separator!) : toText(separator!);
  let size = 0;
  const texts = Array.from(items, (item) => {
    const text = marked ? escaped(item) : toText(item);
    room(size += text.length + glue.length);
    return text;
  });
  const joined = texts.join(glue);
  return marked ? new Markup(joined) : joined;
}

function dictSort(value: Value, args: readonly Value[]): Value {
  const [caseSensitive, by, reverse] = args;
  const which = asText(by!);
  if (which !== "key" && which !== "value") {
    refuse('You can only sort by either "key" or "value"');
  }
  if (!(value instanceof Dictionary)) {
    return refuse(`dictsort takes a mapping, not ${typeName(value)}`);
  }
  const part = (item: Value) => (item as Value[])[which === "key" ? 0 : 1]!;
  const key = (item: Value) => truthy(caseSensitive!) ? part(item) : ignoringCase(part(item));
  return sorted(Array.from(value.entries(), tuple), key, index(reverse!, "dictsort") !== 0);
}

function first(value: Value): Value {
  const next = iterator(value).next();
  return next.done ? new Undefined("No first item, sequence was empty.") : next.value;
}

function last(value: Value): Value {
  const items = reversed(value);
  return items.length > 0 ? items[0]! : new Undefined("No last item, sequence was empty.");
}

function reverse(value: Value): Value {
  const text = asText(value);
  if (text !== undefined) {
    const turned = characters(text).reverse().join("");
    return value instanceof Markup ? new Markup(turned) : turned;
  }
  if (value instanceof Generator) return [...iterate(value)].reverse();
  if (!isIterable(value)) refuse("argument must be iterable");
  const type = value instanceof Dictionary
    ? "dict_reversekeyiterator"
    : value instanceof View
    ? `dict_reverse${value.kind.slice(0, -1)}iterator`
    : value instanceof Range
    ? "range_iterator"
    : `${typeName(value)}_reverseiterator`;
  return new Generator(type, reversed(value)[Symbol.iterator]());
}

function sum(value: Value, [attribute, start]: readonly Value[]): Value {
  if (asText(start!) !== undefined) refuse("sum() can't sum strings [use ''.join(seq) instead]");
  const get = attribute === null ? (item: Value) => item : getter(attribute!);
  let total: Value = start!;
  for (const item of lazily(value)) total = arithmetic("+", total, get(item));
  return total;
}

/** The filters of sequences by name. */
export const SEQUENCE_FILTERS: Readonly<Record<string, Filter>> = {
  batch: filter(
    "batch",
    ["linecount", ["fill_with", null]],
    (value, [size, fill]) => generator(batches(value, size!, fill!)),
  ),
  count: filter("count", [], length),
  dictsort: filter(
    "dictsort",
    [["case_sensitive", false], ["by", "key"], ["reverse", false]],
    dictSort,
  ),
  first: filter("first", [], first),
  groupby: filter(
    "groupby",
    ["attribute", ["default", null], ["case_sensitive", false]],
    groupBy,
  ),
  items: filter("items", [], (value) => generator(pairs(value))),
  join: filter("join", [["d", ""], ["attribute", null]], join),
  last: filter("last", [], last),
  length: filter("length", [], length),
  list: filter("list", [], (value) => [...iterate(value)]),
  map,
  max: extreme("max", (order) => order > 0),
  min: extreme("min", (order) => order < 0),
  random: refused("random", "a data set made with it would differ from run to run"),
  reject: selecting(false, false),
  rejectattr: selecting(false, true),
  reverse: filter("reverse", [], reverse),
  select: selecting(true, false),
  selectattr: selecting(true, true),
  slice: filter(
    "slice",
    ["slices", ["fill_with", null]],
    (value, [count, fill]) => generator(slices(value, count!, fill!)),
  ),
  sort: filter(
    "sort",
    [["reverse", false], ["case_sensitive", false], ["attribute", null]],
    (value, [backwards, caseSensitive, attribute]) =>
      sorted(
        iterate(value),
        listGetter(attribute!, truthy(caseSensitive!)),
        index(backwards!, "sort") !== 0,
      ),
  ),
  sum: filter("sum", [["attribute", null], ["start", 0]], sum),
  unique: filter(
    "unique",
    [["case_sensitive", false], ["attribute", null]],
    (value, [caseSensitive, attribute]) =>
      generator(uniques(value, keyGetter(attribute!, truthy(caseSensitive!)))),
  ),
};
