/** Python's view of the values a template handles: truth, equality, order, `str`, `repr`, JSON. */

/** A template that cannot be parsed or rendered; its message says what and where. */
export class TemplateError extends Error {
  /** "TemplateError". */
  override readonly name = "TemplateError";
}

/** A Python float whose value happens to be integral, so that 1.0 does not become 1. */
export class Float {
  /** Takes the number. */
  constructor(
    /** The number. */
    readonly value: number,
  ) {}

  /** The number, for messages that show a value as JSON. */
  toJSON(): number {
    return this.value;
  }
}

/** A missing variable or attribute: prints as nothing, is false, and refuses everything else. */
export class Undefined {
  /** Takes what to say is undefined. */
  constructor(
    /** What is missing, as the subject of "… is undefined". */
    readonly what: string,
  ) {}
}

/** A Python tuple: a list in all but its printed form. */
export class Tuple extends Array<Value> {}

/** `namespace(…)`: the one object whose attributes a template may set. */
export class Namespace {
  /** Takes the attributes. */
  constructor(
    /** The attributes by name; templates change them. */
    readonly attributes: Map<string, Value>,
  ) {}
}

/** Keyword arguments of a call. */
export type Keywords = ReadonlyMap<string, Value>;

/** A function or macro a template can call. */
export class Callable {
  /** Takes its name, what it does, and attributes of its own. */
  constructor(
    /** Its name, for messages. */
    readonly name: string,
    /** What it does. */
    readonly call: (args: readonly Value[], keywords: Keywords) => Value,
    /** What a dot finds on it. */
    readonly attributes: ReadonlyMap<string, Value> = new Map(),
  ) {}
}

/** A Python dictionary. */
export type Dictionary = Map<Value, Value>;

/** Anything a template expression can evaluate to. */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Float
  | Undefined
  | Namespace
  | Callable
  | Value[]
  | Dictionary;

/** Converts JSON-like data to template values; functions must already be `Callable`. */
export function toValue(input: unknown): Value {
  if (input === undefined) return new Undefined("value");
  if (input === null || typeof input === "boolean" || typeof input === "string") return input;
  if (typeof input === "number") return input;
  if (typeof input === "bigint") return Number.isSafeInteger(Number(input)) ? Number(input) : input;
  if (input instanceof Callable || input instanceof Float) return input;
  if (Array.isArray(input)) return input.map(toValue);
  if (input instanceof Map) return new Map([...input].map(([key, item]) => [key, toValue(item)]));
  if (typeof input === "object") {
    const entries = Object.entries(input).filter(([, value]) => value !== undefined);
    return new Map(entries.map(([key, value]) => [key, toValue(value)]));
  }
  throw new TemplateError(`A template cannot use a value of type ${typeof input}.`);
}

/** Whether a value is a Python int (booleans are not counted). */
export function isInteger(value: Value): value is number {
  return typeof value === "number" && Number.isInteger(value);
}

/** Whether a value is a Python float. */
export function isFloat(value: Value): boolean {
  return value instanceof Float || (typeof value === "number" && !Number.isInteger(value));
}

/** The number behind an int, float or bool; undefined for anything else. */
export function asNumber(value: Value): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value === "boolean" || typeof value === "bigint") return Number(value);
  return value instanceof Float ? value.value : undefined;
}

/** A Python float of this value. */
export function float(value: number): Value {
  return Number.isInteger(value) ? new Float(value) : value;
}

/** The name of a value's Python type, for messages. */
export function typeName(value: Value): string {
  if (value === null) return "NoneType";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "string") return "str";
  if (isFloat(value)) return "float";
  if (typeof value === "number" || typeof value === "bigint") return "int";
  if (value instanceof Undefined) return "undefined";
  if (value instanceof Tuple) return "tuple";
  if (Array.isArray(value)) return "list";
  if (value instanceof Map) return "dict";
  return value instanceof Namespace ? "namespace" : "function";
}

/** `value`, or a stand-in where a lookup found nothing (None counts as found). */
export function found<T>(value: Value | undefined, otherwise: T): Value | T {
  return value === undefined ? otherwise : value;
}

/** Refuses an undefined value with the name of what is missing. */
export function defined(value: Value): Value {
  if (value instanceof Undefined) throw new TemplateError(`${value.what} is undefined`);
  return value;
}

/** Python's truth of a value. */
export function truthy(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  if (value instanceof Float) return value.value !== 0;
  return Boolean(value);
}

/** Python's `==`. */
export function equal(a: Value, b: Value): boolean {
  if (typeof a === "bigint" && typeof b === "bigint") return a === b;
  const [x, y] = [asNumber(a), asNumber(b)];
  if (x !== undefined && y !== undefined) return x === y;
  if (a instanceof Undefined && b instanceof Undefined) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a instanceof Tuple === b instanceof Tuple && a.length === b.length &&
      a.every((item, i) => equal(item, b[i]!));
  }
  if (a instanceof Map && b instanceof Map) {
    return a.size === b.size &&
      [...a].every(([key, item]) => b.has(key) && equal(item, b.get(key)!));
  }
  return a === b;
}

/** Python's order: negative, zero or positive; text by code points. */
export function compare(a: Value, b: Value): number {
  const [x, y] = [asNumber(defined(a)), asNumber(defined(b))];
  if (x !== undefined && y !== undefined) return x - y;
  if (typeof a === "string" && typeof b === "string") {
    const [p, q] = [codePoints(a), codePoints(b)];
    for (let i = 0; i < Math.min(p.length, q.length); i++) {
      if (p[i] !== q[i]) return p[i]!.codePointAt(0)! - q[i]!.codePointAt(0)!;
    }
    return p.length - q.length;
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let i = 0; i < Math.min(a.length, b.length); i++) {
      if (!equal(a[i]!, b[i]!)) return compare(a[i]!, b[i]!);
    }
    return a.length - b.length;
  }
  throw new TemplateError(`Cannot compare ${typeName(a)} with ${typeName(b)}`);
}

/** The characters of a text as Python counts them. */
export function codePoints(text: string): string[] {
  return Array.from(text);
}

/** The items a `for` or a list filter walks over: keys of a dictionary, characters of a text. */
export function iterate(value: Value): Value[] {
  if (Array.isArray(value)) return value;
  if (value instanceof Map) return [...value.keys()];
  if (typeof value === "string") return codePoints(value);
  if (value instanceof Undefined) return [];
  throw new TemplateError(`'${typeName(value)}' object is not iterable`);
}

/** Python's `str(value)`, as `{{ value }}` prints it. */
export function toText(value: Value): string {
  if (typeof value === "string") return value;
  return value instanceof Undefined ? "" : represent(value);
}

/** Python's `repr(value)`. */
export function represent(value: Value): string {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value === "string") return representText(value);
  if (isFloat(value)) return representFloat(asNumber(value)!);
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof Tuple) {
    return `(${value.map(represent).join(", ")}${value.length === 1 ? "," : ""})`;
  }
  if (Array.isArray(value)) return `[${value.map(represent).join(", ")}]`;
  if (value instanceof Map) {
    return `{${[...value].map(([k, v]) => `${represent(k)}: ${represent(v)}`).join(", ")}}`;
  }
  if (value instanceof Namespace) return `<Namespace ${represent(new Map(value.attributes))}>`;
  return value instanceof Callable ? `<function ${value.name}>` : "";
}

function representText(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const named: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };
  const body = codePoints(text).map((character) => {
    if (named[character] !== undefined) return named[character];
    if (character === quote) return `\\${quote}`;
    // Python prints what Unicode calls printable: neither control, unassigned nor a separator.
    if (character === " " || !/[\p{C}\p{Z}]/u.test(character)) return character;
    const code = character.codePointAt(0)!;
    if (code < 0x100) return `\\x${hexadecimal(code, 2)}`;
    return code < 0x10000 ? `\\u${hexadecimal(code, 4)}` : `\\U${hexadecimal(code, 8)}`;
  });
  return quote + body.join("") + quote;
}

function hexadecimal(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

function representFloat(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const [mantissa, exponentText] = value.toExponential().split("e");
  const exponent = Number(exponentText);
  if (exponent < -4 || exponent >= 16) {
    const sign = exponent < 0 ? "-" : "+";
    return `${mantissa}e${sign}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  if (exponent < 0) {
    const digits = mantissa!.replace("-", "").replace(".", "");
    return `${value < 0 ? "-" : ""}0.${"0".repeat(-exponent - 1)}${digits}`;
  }
  const text = String(value);
  return text.includes(".") ? text : `${text}.0`;
}

/** Options of Python's `json.dumps`. */
export interface JsonOptions {
  /** Spaces (a number) or a text to indent with; null for one line. */
  readonly indent?: number | string | null;
  /** Write everything beyond ASCII as escapes. */
  readonly ensureAscii?: boolean;
  /** Between items, and between key and value. */
  readonly separators?: readonly [string, string] | null;
  /** Sort the keys of dictionaries. */
  readonly sortKeys?: boolean;
}

/** Python's `json.dumps(value)`. */
export function toJson(value: Value, options: JsonOptions = {}): string {
  const { indent = null, ensureAscii = false, sortKeys = false } = options;
  const [between, colon] = options.separators ?? [indent === null ? ", " : ",", ": "];
  const step = typeof indent === "number" ? " ".repeat(indent) : indent;

  const text = (plain: string) => {
    const quoted = JSON.stringify(plain);
    if (!ensureAscii) return quoted;
    return quoted.replace(
      /[\u007f-\uffff]/g,
      (unit) => `\\u${hexadecimal(unit.charCodeAt(0), 4)}`,
    );
  };
  const scalar = (item: Value): string => {
    if (item === null) return "null";
    if (typeof item === "boolean") return String(item);
    const number = asNumber(item);
    if (number === undefined) {
      throw new TemplateError(
        item instanceof Undefined
          ? `${item.what} is undefined and cannot be written as JSON`
          : `A ${typeName(item)} cannot be written as JSON`,
      );
    }
    if (Number.isNaN(number)) return "NaN";
    if (!Number.isFinite(number)) return number > 0 ? "Infinity" : "-Infinity";
    return represent(item);
  };
  const enclose = (open: string, parts: string[], close: string, outer: string) => {
    if (parts.length === 0) return open + close;
    if (step === null) return open + parts.join(between) + close;
    const line = `\n${outer}${step}`;
    return open + line + parts.join(between + line) + `\n${outer}${close}`;
  };
  const write = (item: Value, outer: string): string => {
    const inner = step === null ? "" : outer + step;
    if (typeof item === "string") return text(item);
    if (Array.isArray(item)) return enclose("[", item.map((x) => write(x, inner)), "]", outer);
    if (item instanceof Map) {
      const entries = [...item];
      if (sortKeys) entries.sort(([a], [b]) => compare(a, b));
      const parts = entries.map(([key, x]) =>
        text(typeof key === "string" ? key : scalar(key)) + colon + write(x, inner)
      );
      return enclose("{", parts, "}", outer);
    }
    return scalar(item);
  };
  return write(value, "");
}
