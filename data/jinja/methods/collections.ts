/** The methods of Python's list, tuple, dict, range and views. */

import { equal, isIn } from "../compare.ts";
import { Dictionary } from "../dictionary.ts";
import { refuse } from "../errors.ts";
import { iterate } from "../iterate.ts";
import { represent } from "../represent.ts";
import { type Bind, positional } from "../signature.ts";
import { Group, Range, Tuple, type Value, View } from "../values.ts";
import { bounds } from "./text.ts";

/** A method of a collection. */
export interface Method<T> {
  /** Binds the arguments. */
  readonly bind: Bind;
  /** What it does. */
  readonly run: (self: T, args: readonly Value[]) => Value;
}

function method<T>(
  name: string,
  least: number,
  most: number,
  run: (self: T, args: readonly Value[]) => Value,
): Method<T> {
  return { bind: positional(name, least, most), run };
}

const count = method<Value>("count", 1, 1, (self, [item]) => {
  return iterate(self).filter((other) => other === item || equal(other, item!)).length;
});

function place(self: Value, [item, from = null, to = null]: readonly Value[]): number {
  const items = iterate(self);
  const [start, end] = bounds(from, to, items.length);
  for (let i = start; i < end; i++) if (isIn([items[i]!], item!)) return i;
  return refuse(`${represent(item!)} is not in the list`);
}

const LIST: Readonly<Record<string, Method<Value>>> = {
  copy: method<Value>("copy", 0, 0, (self) => [...iterate(self)]),
  count,
  index: method<Value>("index", 1, 3, place),
};

const TUPLE: Readonly<Record<string, Method<Value>>> = { count, index: LIST["index"]! };
const RANGE: Readonly<Record<string, Method<Value>>> = {
  count,
  index: method<Value>("index", 1, 1, place),
};

const VIEW: Readonly<Record<string, Method<Value>>> = {
  isdisjoint: method<Value>("isdisjoint", 1, 1, (self, [other]) => {
    const items = iterate(self);
    return !iterate(other!).some((item) => isIn(items, item));
  }),
};

const DICTIONARY: Readonly<Record<string, Method<Dictionary>>> = {
  copy: method("copy", 0, 0, (self) => self.copy()),
  fromkeys: method("fromkeys", 1, 2, (_, [keys, value = null]) => {
    return new Dictionary(iterate(keys!).map((key) => [key, value] as const));
  }),
  get: method("get", 1, 2, (self, [key, fallback = null]) => {
    const value = self.get(key!);
    return value === undefined ? fallback : value;
  }),
  items: method("items", 0, 0, (self) => new View("items", self)),
  keys: method("keys", 0, 0, (self) => new View("keys", self)),
  values: method("values", 0, 0, (self) => new View("values", self)),
};

/** Methods that change what they belong to; transformers renders in an immutable sandbox. */
const CHANGING = {
  list: ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"],
  dict: ["clear", "pop", "popitem", "setdefault", "update"],
} as const;

/** Whether a method would change the list or dictionary. */
export function wouldChange(value: Value, name: string): boolean {
  if (value instanceof Dictionary) return CHANGING.dict.some((changing) => changing === name);
  return Array.isArray(value) && !(value instanceof Tuple) &&
    CHANGING.list.some((changing) => changing === name);
}

/** The method of a collection by this name, or an attribute; undefined if there is none. */
export function collectionMember(value: Value, name: string): Method<Value> | Value | undefined {
  if (value instanceof Dictionary) return own(DICTIONARY, name) as Method<Value> | undefined;
  if (value instanceof Group && name === "grouper") return value.grouper;
  if (value instanceof Group && name === "list") return value.list;
  if (value instanceof Tuple) return own(TUPLE, name);
  if (Array.isArray(value)) return own(LIST, name);
  if (value instanceof Range) {
    if (name === "start" || name === "stop" || name === "step") return value[name];
    return own(RANGE, name);
  }
  return value instanceof View && value.kind !== "values" ? own(VIEW, name) : undefined;
}

function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
