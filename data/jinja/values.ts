/**
 * The values a template handles, which are Python's.
 *
 * | Python | here |
 * |---|---|
 * | `None`, `bool`, `str` | `null`, `boolean`, `string` |
 * | `int` | `number` up to 2⁵³, `bigint` beyond |
 * | `float` | `number` if it is not whole (or infinite, or NaN), else a `Float` |
 * | `list`, `tuple` | an array, a `Tuple` |
 * | `dict` | a `Dictionary`, which keeps the order of its keys |
 *
 * `toValue` (in `input.ts`) makes them of JSON-like data. A reader that wants `5.0`, `-0.0`, 2⁶⁰ or the keys
 * `"20", "10"` of an object to stay what they are gives a `Float`, a `bigint` and a `Map`; plain
 * numbers and objects do for the rest.
 */

import type { Dictionary } from "./dictionary.ts";
import { refuse } from "./errors.ts";

/** A Python float whose value happens to be integral, so that 1.0 does not become 1. */
export class Float {
  /** Takes the number. */
  constructor(
    /** The number. */
    readonly value: number,
  ) {}
}

/** Text that is marked as safe HTML; it escapes what is joined to it. */
export class Markup {
  /** Takes the text. */
  constructor(
    /** The text. */
    readonly text: string,
  ) {}
}

/** A missing variable or attribute: prints as nothing, is false and empty, and refuses the rest. */
export class Undefined {
  /** Takes what is the matter, as a sentence. */
  constructor(
    /** What is missing, as a sentence: "'x' is undefined". */
    readonly message: string,
  ) {}
}

/** A Python tuple: a list in all but its printed form and its equality. */
export class Tuple extends Array<Value> {}

/** A tuple of these items. */
export function tuple(items: Iterable<Value>): Tuple {
  const made = new Tuple();
  for (const item of items) made.push(item);
  return made;
}

/** What `groupby` gives: a pair whose parts have names. */
export class Group extends Tuple {
  /** The value the items share. */
  get grouper(): Value {
    return this[0]!;
  }
  /** The items. */
  get list(): Value {
    return this[1]!;
  }
}

/** Something that is walked over once: what `map`, `select` and their like give. */
export class Generator {
  /** Takes the name of its Python type and the items. */
  constructor(
    /** The Python type, for messages. */
    readonly type: string,
    /** The items that are left. */
    readonly items: Iterator<Value>,
  ) {}
}

/** `range(…)`. */
export class Range {
  /** How many numbers it has. */
  readonly length: number;
  /** Takes where it starts, where it stops and the step between. */
  constructor(
    /** The first number. */
    readonly start: number,
    /** The number before which it stops. */
    readonly stop: number,
    /** The difference of neighbours; not zero. */
    readonly step: number,
  ) {
    this.length = Math.max(0, Math.ceil((stop - start) / step));
  }
}

/** `keys()`, `values()` or `items()` of a dictionary. */
export class View {
  /** Takes the kind and the dictionary. */
  constructor(
    /** Which part of the dictionary. */
    readonly kind: "keys" | "values" | "items",
    /** The dictionary. */
    readonly of: Dictionary,
  ) {}
}

/** Keyword arguments of a call. */
export type Keywords = ReadonlyMap<string, Value>;

/** An object of Jinja's own: something with attributes that can perhaps be called. */
export interface Parts {
  /** The name of its Python type. */
  readonly type: string;
  /** Its printed form; where it is left out, Python prints an address and printing is refused. */
  readonly text?: () => string;
  /** What a dot finds on it. */
  readonly attribute?: (name: string) => Value | undefined;
  /** What calling it does. */
  readonly call?: (args: readonly Value[], keywords: Keywords) => Value;
  /** How many items it has. */
  readonly length?: () => number;
}

/** A function, macro, loop, namespace, cycler, …: whatever is no plain data. */
export class Thing {
  /** Takes its parts. */
  constructor(
    /** What it can do. */
    readonly parts: Parts,
  ) {}
}

/** `namespace(…)`: the one object whose attributes a template may set. */
export class Namespace extends Thing {
  /** Takes the attributes and how to print them. */
  constructor(
    /** The attributes by name; templates change them. */
    readonly attributes: Dictionary,
    text: () => string,
  ) {
    super({ type: "Namespace", text, attribute: (name) => attributes.get(name) });
  }
}

/** Anything a template expression can evaluate to. */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Float
  | Markup
  | Undefined
  | Generator
  | Range
  | View
  | Thing
  | Value[]
  | Dictionary;

/** A function or method; Python prints an address for it. */
export function callable(
  type: string,
  call: (args: readonly Value[], keywords: Keywords) => Value,
): Thing {
  return new Thing({ type, call });
}

/** The text of a str, plain or marked as safe; undefined for anything else. */
export function asText(value: Value | undefined): string | undefined {
  return typeof value === "string" ? value : value instanceof Markup ? value.text : undefined;
}

/** The text of a str. @throws {TemplateError} for anything else, in the name of `who` */
export function textOf(value: Value, who: string): string {
  return asText(value) ?? refuse(`${who} takes a str, not ${typeName(value)}`);
}

/** `value`, or a stand-in where a lookup found nothing (None counts as found). */
export function found<T>(value: Value | undefined, otherwise: T): Value | T {
  return value === undefined ? otherwise : value;
}

/** Refuses an undefined value with the name of what is missing. */
export function defined(value: Value): Value {
  return value instanceof Undefined ? refuse(value.message) : value;
}

/** The name of a value's Python type, for messages. */
export function typeName(value: Value): string {
  if (value === null) return "NoneType";
  switch (typeof value) {
    case "boolean":
      return "bool";
    case "string":
      return "str";
    case "bigint":
      return "int";
    case "number":
      return Number.isInteger(value) ? "int" : "float";
  }
  if (value instanceof Float) return "float";
  if (value instanceof Markup) return "Markup";
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof Tuple) return "tuple";
  if (Array.isArray(value)) return "list";
  if (value instanceof Range) return "range";
  if (value instanceof View) return `dict_${value.kind}`;
  if (value instanceof Generator) return value.type;
  return value instanceof Thing ? value.parts.type : "dict";
}
