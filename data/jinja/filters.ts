/** Jinja's filters and tests, as far as chat templates use them. */

import { arithmetic } from "./operators.ts";
import { capitalize, formatPercent, methodOf, replace, strip } from "./methods.ts";
import {
  asNumber,
  Callable,
  codePoints,
  compare,
  defined,
  equal,
  float,
  found,
  isFloat,
  isInteger,
  iterate,
  type Keywords,
  Namespace,
  TemplateError,
  toJson,
  toText,
  truthy,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

type Filter = (value: Value, args: readonly Value[], keywords: Keywords) => Value;
type Test = (value: Value, args: readonly Value[]) => boolean;

/** The attribute, item or method `name` of a value; undefined where it has none. */
export function attributeOf(value: Value, name: string): Value {
  if (value instanceof Undefined) throw new TemplateError(`${value.what} is undefined`);
  const missing = () => new Undefined(`'${typeName(value)} object' has no attribute '${name}'; it`);
  if (value instanceof Namespace || value instanceof Callable) {
    return found(value.attributes.get(name), missing());
  }
  const method = methodOf(value, name);
  if (method !== undefined) return method;
  return found(value instanceof Map ? value.get(name) : undefined, missing());
}

/** `value[index]`: an item of a list or text, an entry of a dictionary, or an attribute. */
export function itemOf(value: Value, index: Value): Value {
  if (value instanceof Undefined) throw new TemplateError(`${value.what} is undefined`);
  if (value instanceof Map && value.has(index)) return value.get(index)!;
  if (isInteger(index) && (Array.isArray(value) || typeof value === "string")) {
    const items = iterate(value);
    return found(
      items[index < 0 ? items.length + index : index],
      new Undefined(`${typeName(value)} object has no element ${index}; it`),
    );
  }
  if (typeof index === "string") return attributeOf(value, index);
  return new Undefined(`${typeName(value)} object has no element ${toText(index)}; it`);
}

/** Follows a dotted path, as the `attribute` of `map`, `sort` and others does. */
function path(value: Value, attribute: Value): Value {
  if (isInteger(attribute)) return itemOf(value, attribute);
  return toText(attribute).split(".").reduce<Value>(
    (inner, part) => itemOf(inner, /^\d+$/.test(part) ? Number(part) : part),
    value,
  );
}

function option(args: readonly Value[], keywords: Keywords, index: number, name: string) {
  return index < args.length ? args[index] : keywords.get(name);
}

/** What `select`, `reject` and `map` run over: whatever counts as false is an empty sequence. */
function lazily(value: Value): Value[] {
  return truthy(value) ? iterate(value) : [];
}

function items(value: Value): Value[] {
  if (value instanceof Undefined) return [];
  if (value instanceof Map) return [...value].map((entry) => Tuple.from<Value>(entry));
  throw new TemplateError(
    `Can only get item pairs from a mapping; items was given a ${typeName(value)}`,
  );
}

function format(value: Value, args: readonly Value[], keywords: Keywords): Value {
  if (args.length > 0 && keywords.size > 0) {
    throw new TemplateError("format takes positional or named arguments, not both");
  }
  return formatPercent(
    toText(value),
    keywords.size > 0 ? new Map<Value, Value>(keywords) : Tuple.from<Value>(args),
  );
}

function length(value: Value): number {
  if (value instanceof Map) return value.size;
  if (Array.isArray(value) || typeof value === "string") return iterate(value).length;
  if (value instanceof Undefined) return 0;
  throw new TemplateError(`object of type '${typeName(value)}' has no len()`);
}

function sorted(items: Value[], key: (item: Value) => Value, descending: boolean, cased: boolean) {
  const keys = new Map(items.map((item) => {
    const value = key(item);
    return [item, !cased && typeof value === "string" ? value.toLowerCase() : value];
  }));
  const sign = descending ? -1 : 1;
  return [...items].sort((a, b) => sign * compare(keys.get(a)!, keys.get(b)!));
}

function select(items: Value, args: readonly Value[], wanted: boolean, byAttribute: boolean) {
  const attribute = byAttribute ? args[0] : undefined;
  const [name, ...testArgs] = byAttribute ? args.slice(1) : args;
  return lazily(items).filter((item) => {
    const value = attribute === undefined ? item : path(item, attribute);
    const holds = name === undefined ? truthy(value) : applyTest(toText(name), value, testArgs);
    return holds === wanted;
  });
}

function round(value: Value, args: readonly Value[], keywords: Keywords): Value {
  const number = asNumber(defined(value));
  if (number === undefined) throw new TemplateError(`cannot round a ${typeName(value)}`);
  const scale = 10 ** (asNumber(option(args, keywords, 0, "precision") ?? 0) ?? 0);
  const method = option(args, keywords, 1, "method") ?? "common";
  const scaled = number * scale;
  if (method === "ceil") return float(Math.ceil(scaled) / scale);
  if (method === "floor") return float(Math.floor(scaled) / scale);
  // Python rounds halves to even.
  const low = Math.floor(scaled);
  const half = scaled - low === 0.5;
  return float((half ? (low % 2 === 0 ? low : low + 1) : Math.round(scaled)) / scale);
}

function toInteger(value: Value, fallback: Value): Value {
  const number = typeof value === "string"
    ? /^\s*[-+]?\d+(\.\d*)?([eE][-+]?\d+)?\s*$/.test(value) ? Number(value) : NaN
    : asNumber(value) ?? NaN;
  return Number.isFinite(number) ? Math.trunc(number) : fallback;
}

function toFloat(value: Value, fallback: Value): Value {
  const number = typeof value === "string" && value.trim() !== ""
    ? Number(value)
    : asNumber(value) ?? NaN;
  return Number.isNaN(number) ? fallback : float(number);
}

const JSON_SEPARATORS = (value: Value | undefined): readonly [string, string] | null =>
  Array.isArray(value) ? [toText(value[0]!), toText(value[1]!)] : null;

const ESCAPED: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&#34;",
  "'": "&#39;",
};
const escape: Filter = (value) => toText(value).replace(/[&<>"']/g, (c) => ESCAPED[c]!);
const fallback: Filter = (value, args, keywords) =>
  value instanceof Undefined ||
    (truthy(option(args, keywords, 1, "boolean") ?? false) && !truthy(value))
    ? found(option(args, keywords, 0, "default_value"), "")
    : value;

const FILTERS: Readonly<Record<string, Filter>> = {
  abs: (value) => Math.abs(asNumber(defined(value)) ?? NaN),
  // Unlike a dot, this filter never looks at the entries of a dictionary.
  attr: (value, [name]) =>
    value instanceof Map
      ? found(methodOf(value, toText(name ?? "")), new Undefined(`attribute ${toText(name ?? "")}`))
      : attributeOf(value, toText(name ?? "")),
  batch: (value, [size, fill]) => {
    const [items, width] = [iterate(value), asNumber(size ?? 1)!];
    const rows: Value[][] = [];
    for (let i = 0; i < items.length; i += width) rows.push(items.slice(i, i + width));
    while (fill !== undefined && rows.at(-1)!.length < width) rows.at(-1)!.push(fill);
    return rows;
  },
  capitalize: (value) => capitalize(toText(value)),
  center: (value, args) => methodOf(toText(value), "center")!.call([args[0] ?? 80], new Map()),
  count: (value) => length(value),
  d: fallback,
  default: fallback,
  dictsort: (value, args, keywords) => {
    const index = (option(args, keywords, 1, "by") ?? "key") === "value" ? 1 : 0;
    const items = [...(value as Map<Value, Value>)].map((entry) => Tuple.from<Value>(entry));
    const cased = truthy(option(args, keywords, 0, "case_sensitive") ?? false);
    const reverse = truthy(option(args, keywords, 2, "reverse") ?? false);
    return sorted(items, (item) => itemOf(item, index), reverse, cased);
  },
  e: escape,
  escape,
  first: (value) => found(iterate(value)[0], new Undefined("the first item of an empty sequence")),
  float: (value, args, keywords) =>
    toFloat(value, found(option(args, keywords, 0, "default"), float(0))),
  format,
  indent: (value, args, keywords) => {
    const width = option(args, keywords, 0, "width") ?? 4;
    const space = typeof width === "string" ? width : " ".repeat(asNumber(width) ?? 4);
    const first = truthy(option(args, keywords, 1, "first") ?? false);
    const blank = truthy(option(args, keywords, 2, "blank") ?? false);
    return toText(value).split("\n").map((line, i) =>
      (i === 0 ? first : blank || line !== "") ? space + line : line
    ).join("\n");
  },
  int: (value, args, keywords) => toInteger(value, found(option(args, keywords, 0, "default"), 0)),
  items,
  join: (value, args, keywords) => {
    const attribute = option(args, keywords, 1, "attribute");
    const items = iterate(value).map((x) =>
      toText(attribute === undefined ? x : path(x, attribute))
    );
    return items.join(toText(option(args, keywords, 0, "d") ?? ""));
  },
  last: (value) =>
    found(iterate(value).at(-1), new Undefined("the last item of an empty sequence")),
  length: (value) => length(value),
  list: (value) => [...iterate(value)],
  lower: (value) => toText(value).toLowerCase(),
  map: (value, args, keywords) => {
    const attribute = keywords.get("attribute");
    if (attribute !== undefined) {
      const missing = keywords.get("default");
      return lazily(value).map((item) => {
        const inner = path(item, attribute);
        return inner instanceof Undefined && missing !== undefined ? missing : inner;
      });
    }
    const [name, ...rest] = args;
    return lazily(value).map((item) => applyFilter(toText(name ?? ""), item, rest, keywords));
  },
  max: (value) =>
    iterate(value).reduce<Value>(
      (best, item) => best instanceof Undefined || compare(item, best) > 0 ? item : best,
      new Undefined("the maximum of an empty sequence"),
    ),
  min: (value) =>
    iterate(value).reduce<Value>(
      (best, item) => best instanceof Undefined || compare(item, best) < 0 ? item : best,
      new Undefined("the minimum of an empty sequence"),
    ),
  reject: (value, args) => select(value, args, false, false),
  rejectattr: (value, args) => select(value, args, false, true),
  replace: (value, [old, replacement, count]) =>
    replace(toText(value), toText(old ?? ""), toText(replacement ?? ""), asNumber(count ?? -1)),
  reverse: (value) =>
    typeof value === "string"
      ? codePoints(value).reverse().join("")
      : [...iterate(value)].reverse(),
  round,
  safe: (value) => value,
  select: (value, args) => select(value, args, true, false),
  selectattr: (value, args) => select(value, args, true, true),
  sort: (value, args, keywords) => {
    const attribute = option(args, keywords, 2, "attribute");
    const cased = truthy(option(args, keywords, 1, "case_sensitive") ?? false);
    const reverse = truthy(option(args, keywords, 0, "reverse") ?? false);
    const key = (item: Value) => attribute === undefined ? item : path(item, attribute);
    return sorted(iterate(value), key, reverse, cased);
  },
  string: (value) => toText(value),
  sum: (value, args, keywords) => {
    const attribute = option(args, keywords, 0, "attribute");
    const items = iterate(value).map((item) =>
      attribute === undefined ? item : path(item, attribute)
    );
    const start = option(args, keywords, 1, "start") ?? 0;
    if (typeof start === "string") throw new TemplateError("sum() can't sum strings");
    return items.reduce<Value>((sum, item) => arithmetic("+", sum, defined(item)), start);
  },
  title: (value) => toText(value).split(/([-\s({[<]+)/).map((part) => capitalize(part)).join(""),
  tojson: (value, args, keywords) => {
    const indent = option(args, keywords, 1, "indent") ?? null;
    return toJson(value, {
      ensureAscii: truthy(option(args, keywords, 0, "ensure_ascii") ?? false),
      indent: typeof indent === "string" ? indent : asNumber(indent) ?? null,
      separators: JSON_SEPARATORS(option(args, keywords, 2, "separators")),
      sortKeys: truthy(option(args, keywords, 3, "sort_keys") ?? false),
    });
  },
  trim: (value, args, keywords) => strip(toText(value), option(args, keywords, 0, "chars"), "both"),
  unique: (value) => {
    const seen: Value[] = [];
    const key = (item: Value) => typeof item === "string" ? item.toLowerCase() : item;
    return iterate(value).filter((item) => {
      if (seen.some((other) => equal(other, key(item)))) return false;
      seen.push(key(item));
      return true;
    });
  },
  upper: (value) => toText(value).toUpperCase(),
  urlencode: (value) => {
    if (value instanceof Map || Array.isArray(value)) {
      const pairs = value instanceof Map ? [...value] : value.map(iterate);
      return pairs.map((pair) => {
        if (pair.length !== 2) throw new TemplateError("urlencode needs pairs of key and value");
        return pair.map((part) => quoteUrl(part).replaceAll("%20", "+")).join("=");
      }).join("&");
    }
    return quoteUrl(value).replaceAll("%2F", "/");
  },
  wordcount: (value) => toText(value).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0,
};

/** Percent-encodes all but letters, digits and `_.-~`, as Python does. */
function quoteUrl(value: Value): string {
  return encodeURIComponent(toText(value)).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

const ordered = (holds: (order: number) => boolean): Test => (value, [other]) =>
  holds(compare(value, found(other, null)));
const same: Test = (value, [other]) => equal(value, other ?? null);
const integer = (value: Value): number => {
  if (!isInteger(value)) throw new TemplateError(`expected an integer, got ${typeName(value)}`);
  return value;
};

/** Whether `item in container`. */
export function contains(container: Value, item: Value): boolean {
  if (typeof container === "string") {
    if (typeof item !== "string") {
      throw new TemplateError(`'in <string>' requires a string, not ${typeName(item)}`);
    }
    return container.includes(item);
  }
  if (container instanceof Map) return container.has(item);
  return iterate(container).some((other) => equal(other, item));
}

const TESTS: Readonly<Record<string, Test>> = {
  boolean: (value) => typeof value === "boolean",
  callable: (value) => value instanceof Callable,
  defined: (value) => !(value instanceof Undefined),
  undefined: (value) => value instanceof Undefined,
  divisibleby: (value, [other]) => integer(value) % integer(other ?? null) === 0,
  even: (value) => integer(value) % 2 === 0,
  odd: (value) => integer(value) % 2 !== 0,
  false: (value) => value === false,
  true: (value) => value === true,
  none: (value) => value === null,
  float: (value) => isFloat(value),
  integer: (value) => isInteger(value),
  number: (value) => asNumber(value) !== undefined,
  string: (value) => typeof value === "string",
  mapping: (value) => value instanceof Map,
  iterable: (value) =>
    Array.isArray(value) || value instanceof Map || typeof value === "string" ||
    value instanceof Undefined,
  sequence: (value) =>
    Array.isArray(value) || value instanceof Map || typeof value === "string" ||
    value instanceof Undefined,
  lower: (value) => truthy(methodOf(toText(value), "islower")!.call([], new Map())),
  upper: (value) => truthy(methodOf(toText(value), "isupper")!.call([], new Map())),
  sameas: (value, [other]) => value === other,
  in: (value, [container]) => contains(container ?? null, value),
  filter: (value) => Object.hasOwn(FILTERS, toText(value)),
  test: (value) => Object.hasOwn(TESTS, toText(value)),
  escaped: () => false,
  eq: same,
  equalto: same,
  "==": same,
  ne: (value, [other]) => !equal(value, other ?? null),
  "!=": (value, [other]) => !equal(value, other ?? null),
  lt: ordered((order) => order < 0),
  lessthan: ordered((order) => order < 0),
  "<": ordered((order) => order < 0),
  le: ordered((order) => order <= 0),
  "<=": ordered((order) => order <= 0),
  gt: ordered((order) => order > 0),
  greaterthan: ordered((order) => order > 0),
  ">": ordered((order) => order > 0),
  ge: ordered((order) => order >= 0),
  ">=": ordered((order) => order >= 0),
};

/** Applies a filter by name. */
export function applyFilter(
  name: string,
  value: Value,
  args: readonly Value[],
  keywords: Keywords,
): Value {
  const filter = Object.hasOwn(FILTERS, name) ? FILTERS[name] : undefined;
  if (filter === undefined) throw new TemplateError(`No filter named '${name}'`);
  return filter(value, args, keywords);
}

/** Applies a test by name. */
export function applyTest(name: string, value: Value, args: readonly Value[]): boolean {
  const test = Object.hasOwn(TESTS, name) ? TESTS[name] : undefined;
  if (test === undefined) throw new TemplateError(`No test named '${name}'`);
  return test(value, args);
}
