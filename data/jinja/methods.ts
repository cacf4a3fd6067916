/** The methods of Python's str, list and dict that templates call. */

import {
  asNumber,
  Callable,
  codePoints,
  defined,
  type Dictionary,
  equal,
  found,
  isInteger,
  iterate,
  type Keywords,
  represent,
  TemplateError,
  toText,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

type Method<T> = (self: T, args: readonly Value[], keywords: Keywords) => Value;

// Python's whitespace differs from JavaScript's: \x1c-\x1f and \x85 belong to it, \ufeff does not.
const WHITESPACE =
  "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const LEADING = new RegExp(`^[${WHITESPACE}]+`);
const BLANK = new RegExp(`[${WHITESPACE}]`);
const LINE_ENDS = "\\n-\\r\\x1c-\\x1e\\x85\\u2028\\u2029";
const LINE_BREAK = new RegExp(`\\r\\n|[${LINE_ENDS}]`);
const SPACES = new RegExp(`[${WHITESPACE}]+`);

/** A pattern anchored at the end would be tried anew at every blank: quadratic in a row of them. */
function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && BLANK.test(text[end - 1]!)) end--;
  return text.slice(0, end);
}

/** Python's `str.strip`, `lstrip` and `rstrip`. */
export function strip(
  text: string,
  characters: Value | undefined,
  side: "left" | "right" | "both",
): string {
  if (characters === undefined || characters === null) {
    const left = side === "right" ? text : text.replace(LEADING, "");
    return side === "left" ? left : trimEnd(left);
  }
  const set = new Set(codePoints(toText(characters)));
  const points = codePoints(text);
  let start = 0;
  let end = points.length;
  if (side !== "right") { while (start < end && set.has(points[start]!)) start++; }
  if (side !== "left") { while (end > start && set.has(points[end - 1]!)) end--; }
  return points.slice(start, end).join("");
}

function split(text: string, args: readonly Value[], keywords: Keywords, fromRight: boolean) {
  const separator = args[0] ?? keywords.get("sep") ?? null;
  const limit = asNumber(args[1] ?? keywords.get("maxsplit") ?? -1) ?? -1;
  if (separator === "") throw new TemplateError("split() needs a separator that is not empty");
  const parts = separator === null
    ? strip(text, undefined, "both").split(SPACES).filter((part) => part !== "")
    : text.split(toText(separator));
  if (limit < 0 || parts.length <= limit + 1) return parts;
  if (separator === null) {
    // The rest keeps its own whitespace, so it is cut from the text itself.
    let rest = strip(text, undefined, fromRight ? "right" : "left");
    const taken: string[] = [];
    for (let i = 0; i < limit; i++) {
      const part = fromRight ? parts[parts.length - 1 - i]! : parts[i]!;
      if (fromRight) {
        taken.unshift(part);
        rest = strip(rest.slice(0, rest.length - part.length), undefined, "right");
      } else {
        taken.push(part);
        rest = strip(rest.slice(part.length), undefined, "left");
      }
    }
    return fromRight ? [rest, ...taken] : [...taken, rest];
  }
  const glue = toText(separator);
  return fromRight
    ? [parts.slice(0, parts.length - limit).join(glue), ...parts.slice(parts.length - limit)]
    : [...parts.slice(0, limit), parts.slice(limit).join(glue)];
}

/** Python's `str.replace`. */
export function replace(text: string, old: string, replacement: string, count = -1): string {
  if (count < 0) return text.replaceAll(old, () => replacement);
  const parts = old === "" ? ["", ...codePoints(text), ""] : text.split(old);
  if (parts.length <= count + 1) return parts.join(replacement);
  const rest = parts.slice(count).join(old);
  return [...parts.slice(0, count), rest].join(replacement);
}

/** Python's `str.capitalize`. */
export function capitalize(text: string): string {
  const [first = "", ...rest] = codePoints(text);
  return first.toUpperCase() + rest.join("").toLowerCase();
}

function title(text: string): string {
  return text.replace(
    /\p{L}+/gu,
    (word) => codePoints(word)[0]!.toUpperCase() + codePoints(word).slice(1).join("").toLowerCase(),
  );
}

function affix(args: readonly Value[], test: (part: string) => boolean): boolean {
  const parts = Array.isArray(args[0]) ? args[0] : [args[0] ?? null];
  return parts.some((part) => {
    if (typeof part !== "string") {
      throw new TemplateError(`startswith() and endswith() take texts, not ${typeName(part)}`);
    }
    return test(part);
  });
}

/** The part of a text between two of Python's positions, and where it starts; undefined past the end. */
function within(self: string, from: Value | undefined, to: Value | undefined) {
  const characters = codePoints(self);
  const place = (value: Value | undefined, otherwise: number) => {
    if (value === undefined || value === null) return otherwise;
    if (!isInteger(value)) throw new TemplateError("slice indices must be integers or None");
    return value < 0 ? Math.max(0, value + characters.length) : value;
  };
  const start = place(from, 0);
  const end = Math.min(place(to, characters.length), characters.length);
  if (start > end) return undefined;
  return { start, text: characters.slice(start, end).join("") };
}

/** Where a text is found, counted in code points as Python does. */
function find(self: string, [part, from, to]: readonly Value[], last: boolean): number {
  if (typeof part !== "string") throw new TemplateError("find() and index() take a text");
  const searched = within(self, from, to);
  if (searched === undefined) return -1;
  const { start, text } = searched;
  const index = last ? text.lastIndexOf(part) : text.indexOf(part);
  return index < 0 ? -1 : start + codePoints(text.slice(0, index)).length;
}

function partition(self: string, separator: string, last: boolean): Value {
  const index = last ? self.lastIndexOf(separator) : self.indexOf(separator);
  if (index < 0) return Tuple.from<Value>(last ? ["", "", self] : [self, "", ""]);
  const rest = self.slice(index + separator.length);
  return Tuple.from<Value>([self.slice(0, index), separator, rest]);
}

function pad(self: string, args: readonly Value[], side: "left" | "right" | "both"): string {
  const width = asNumber(args[0] ?? 0) ?? 0;
  const fill = toText(args[1] ?? " ");
  const missing = Math.max(0, width - codePoints(self).length);
  if (side === "left") return fill.repeat(missing) + self;
  if (side === "right") return self + fill.repeat(missing);
  const left = Math.floor(missing / 2) + (missing & width & 1);
  return fill.repeat(left) + self + fill.repeat(missing - left);
}

/** Python's `"…{}…".format(…)`, with positions and names but without format specifications. */
function format(self: string, args: readonly Value[], keywords: Keywords): string {
  let next = 0;
  return self.replace(/\{\{|\}\}|\{([^{}]*)\}/g, (whole, field: string | undefined) => {
    if (whole === "{{") return "{";
    if (whole === "}}") return "}";
    if (!/^\w*$/.test(field!)) {
      throw new TemplateError(`format() takes only {}, {0} and {name} here, not ${whole}`);
    }
    const value = field === ""
      ? args[next++]
      : /^\d+$/.test(field!)
      ? args[Number(field)]
      : keywords.get(field!);
    if (value === undefined) throw new TemplateError(`format() has no value for ${whole}`);
    return toText(value);
  });
}

const STRING_METHODS: Readonly<Record<string, Method<string>>> = {
  strip: (self, [characters]) => strip(self, characters, "both"),
  lstrip: (self, [characters]) => strip(self, characters, "left"),
  rstrip: (self, [characters]) => strip(self, characters, "right"),
  split: (self, args, keywords) => split(self, args, keywords, false),
  rsplit: (self, args, keywords) => split(self, args, keywords, true),
  splitlines: (self) => {
    const lines = self.split(LINE_BREAK);
    if (lines.at(-1) === "") lines.pop();
    return lines;
  },
  join: (self, [items]) =>
    iterate(items ?? null).map((item) => {
      if (typeof item !== "string") {
        throw new TemplateError(`join() takes texts, not ${typeName(item)}`);
      }
      return item;
    }).join(self),
  replace: (self, [old, replacement, count]) =>
    replace(self, toText(old ?? ""), toText(replacement ?? ""), asNumber(count ?? -1)),
  startswith: (self, args) =>
    affix(args, (part) => within(self, args[1], args[2])?.text.startsWith(part) ?? false),
  endswith: (self, args) =>
    affix(args, (part) => within(self, args[1], args[2])?.text.endsWith(part) ?? false),
  removeprefix: (self, [part]) => {
    const prefix = toText(part ?? "");
    return self.startsWith(prefix) ? self.slice(prefix.length) : self;
  },
  removesuffix: (self, [part]) => {
    const suffix = toText(part ?? "");
    return suffix !== "" && self.endsWith(suffix) ? self.slice(0, -suffix.length) : self;
  },
  upper: (self) => self.toUpperCase(),
  lower: (self) => self.toLowerCase(),
  casefold: (self) => self.toLowerCase(),
  title: (self) => title(self),
  capitalize: (self) => capitalize(self),
  swapcase: (self) =>
    codePoints(self).map((c) => c === c.toUpperCase() ? c.toLowerCase() : c.toUpperCase()).join(""),
  find: (self, args) => find(self, args, false),
  rfind: (self, args) => find(self, args, true),
  index: (self, args) => {
    const index = find(self, args, false);
    if (index < 0) throw new TemplateError("substring not found");
    return index;
  },
  count: (self, [part]) =>
    part === "" ? codePoints(self).length + 1 : self.split(toText(part ?? "")).length - 1,
  isdigit: (self) => /^\p{Nd}+$/u.test(self),
  isnumeric: (self) => /^\p{N}+$/u.test(self),
  isdecimal: (self) => /^\p{Nd}+$/u.test(self),
  isalpha: (self) => /^\p{L}+$/u.test(self),
  isalnum: (self) => /^[\p{L}\p{N}]+$/u.test(self),
  isspace: (self) => self !== "" && strip(self, undefined, "both") === "",
  isupper: (self) => self === self.toUpperCase() && self !== self.toLowerCase(),
  islower: (self) => self === self.toLowerCase() && self !== self.toUpperCase(),
  partition: (self, [separator]) => partition(self, toText(separator ?? ""), false),
  rpartition: (self, [separator]) => partition(self, toText(separator ?? ""), true),
  zfill: (self, [width]) => {
    // The zeros go between the sign and the digits.
    const sign = /^[-+]/.exec(self)?.[0] ?? "";
    const digits = (asNumber(width ?? 0) ?? 0) - sign.length;
    return sign + pad(self.slice(sign.length), [digits, "0"], "left");
  },
  ljust: (self, args) => pad(self, args, "right"),
  rjust: (self, args) => pad(self, args, "left"),
  center: (self, args) => pad(self, args, "both"),
  format: (self, args, keywords) => format(self, args, keywords),
};

const LIST_METHODS: Readonly<Record<string, Method<Value[]>>> = {
  index: (self, [item]) => {
    const index = self.findIndex((x) => equal(x, item ?? null));
    if (index < 0) throw new TemplateError(`${represent(item ?? null)} is not in list`);
    return index;
  },
  count: (self, [item]) => self.filter((x) => equal(x, item ?? null)).length,
  copy: (self) => [...self],
};

const DICTIONARY_METHODS: Readonly<Record<string, Method<Dictionary>>> = {
  get: (self, args, keywords) =>
    found(self.get(found(args[0], null)), found(args[1], found(keywords.get("default"), null))),
  items: (self) => [...self].map((entry) => Tuple.from<Value>(entry)),
  keys: (self) => [...self.keys()],
  values: (self) => [...self.values()],
  copy: (self) => new Map(self),
};

const MUTATING = [
  "append",
  "extend",
  "insert",
  "pop",
  "remove",
  "clear",
  "update",
  "setdefault",
  "popitem",
  "sort",
  "reverse",
];

function bind<T>(self: T, methods: Readonly<Record<string, Method<T>>>, name: string) {
  const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
  return method && new Callable(name, (args, keywords) => method(self, args, keywords));
}

/** The method `name` of a value, if its Python type has it. */
export function methodOf(value: Value, name: string): Callable | undefined {
  if (typeof value === "string") return bind(value, STRING_METHODS, name);
  if ((Array.isArray(value) || value instanceof Map) && MUTATING.includes(name)) {
    // transformers renders in an immutable sandbox.
    if (value instanceof Map && value.has(name)) return undefined;
    return new Callable(name, () => {
      throw new TemplateError(`${name}() would change a ${typeName(value)}, which is not allowed`);
    });
  }
  if (Array.isArray(value)) return bind(value, LIST_METHODS, name);
  if (value instanceof Map) return bind(value, DICTIONARY_METHODS, name);
  return undefined;
}

/** Digits after the point without an exponent, which `toFixed` writes from 1e21 on. */
function fixed(number: number, places: number): string {
  if (Number.isNaN(number)) return "nan";
  if (!Number.isFinite(number)) return number > 0 ? "inf" : "-inf";
  if (Math.abs(number) >= 1e21) {
    return `${BigInt(number)}${places > 0 ? `.${"0".repeat(places)}` : ""}`;
  }
  const text = number.toFixed(places);
  return Object.is(number, -0) || (number < 0 && !text.startsWith("-")) ? `-${text}` : text;
}

function whole(number: number, type: string): string {
  if (!Number.isFinite(number)) {
    throw new TemplateError(`%${type} cannot convert ${represent(number)} to an integer`);
  }
  return String(BigInt(Math.trunc(number)));
}

/**
 * Python's `text % values`, for `%s`, `%r`, `%d`, `%i` and `%f`, by place or, from a dictionary, by
 * name (`%(name)s`). Throws a `TemplateError` for any other conversion and for missing or surplus
 * values.
 */
export function formatPercent(text: string, values: Value): string {
  const items = values instanceof Tuple ? [...values] : [values];
  const take = (name: string | undefined): Value => {
    if (name === undefined) {
      if (items.length === 0) throw new TemplateError("not enough arguments for format string");
      return items.shift()!;
    }
    if (!(values instanceof Map)) throw new TemplateError("format requires a mapping");
    return defined(found(values.get(name), new Undefined(`the format value '${name}'`)));
  };
  const result = text.replace(
    /%(?:(%)|(?:\(([^()]*)\))?(?:\.(\d+))?([srdif])|(.?))/gsu,
    (_, percent: string, name: string, digits: string, type: string, other: string) => {
      if (percent !== undefined) return "%";
      if (type === undefined) throw new TemplateError(`unsupported conversion '%${other}'`);
      const places = Number(digits ?? 6);
      if (places > 100 || (digits !== undefined && "di".includes(type))) {
        throw new TemplateError(`unsupported conversion '%.${digits}${type}'`);
      }
      const value = take(name);
      if (type === "s" || type === "r") {
        const whole = type === "s" ? toText(value) : represent(value);
        return digits === undefined ? whole : codePoints(whole).slice(0, places).join("");
      }
      const number = asNumber(defined(value));
      if (number === undefined) throw new TemplateError(`%${type} needs a number`);
      return type === "f" ? fixed(number, places) : whole(number, type);
    },
  );
  // Python lets dictionaries and lists pass unused.
  const mayRest = !(values instanceof Tuple) && (values instanceof Map || Array.isArray(values));
  if (items.length > 0 && !mayRest) {
    throw new TemplateError("not all arguments converted during string formatting");
  }
  return result;
}
