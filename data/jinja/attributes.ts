/** What dots, brackets and slices find, as Jinja's sandbox lets them. */

import { room, spend } from "./budget.ts";
import { Dictionary } from "./dictionary.ts";
import { refuse } from "./errors.ts";
import { listLike } from "./iterate.ts";
import { collectionMember, wouldChange } from "./methods/collections.ts";
import { markupMethod } from "./methods/markup.ts";
import { numberMember } from "./methods/numbers.ts";
import { TEXT_METHODS, type TextMethod } from "./methods/text.ts";
import { asInteger } from "./numbers.ts";
import { represent } from "./represent.ts";
import { formatText } from "./text_format.ts";
import { characters } from "./unicode.ts";
import {
  asText,
  callable,
  type Keywords,
  Markup,
  Namespace,
  Range,
  Thing,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

const METHOD = "builtin_function_or_method";

/** An attribute or method of a value, not an entry of a dictionary; undefined if there is none. */
export function memberOf(value: Value, name: string): Value | undefined {
  if (value instanceof Undefined) {
    return isReserved(name) ? unsafe(value, name) : refuse(value.message);
  }
  if (isReserved(name) && !(value instanceof Thing)) return unsafe(value, name);
  if (wouldChange(value, name)) return unsafe(value, name);
  const text = asText(value);
  if (text !== undefined) return textMember(value, text, name);
  if (value instanceof Thing) return value.parts.attribute?.(name);
  const member = collectionMember(value, name) ?? numberMember(value, name);
  if (typeof member !== "object" || member === null || !("run" in member)) return member;
  return callable(METHOD, (args, keywords) => member.run(value, member.bind(args, keywords)));
}

/** The names every Python object has; the sandbox hides what begins with an underscore. */
function isReserved(name: string): boolean {
  return /^__(?:class|doc|eq|ne|lt|le|gt|ge|hash|init|new|repr|str|dir|format|sizeof|reduce|reduce_ex|getattribute|setattr|delattr|init_subclass|subclasshook|len|iter|getitem|contains)__$/
    .test(name);
}

function unsafe(value: Value, name: string): Undefined {
  return new Undefined(
    `access to attribute '${name}' of '${
      typeName(value)
    }' object is unsafe: it is not allowed to ` +
      `change a value or to look behind it`,
  );
}

function textMember(value: Value, text: string, name: string): Value | undefined {
  const isMarked = value instanceof Markup;
  if (name === "format" || name === "format_map") {
    return callable("function", (args, keywords) => {
      const result = formatText(text, {
        ...(name === "format" ? formatFields(args, keywords) : mapFields(args, keywords)),
        attribute: attributeOf,
        item: itemOf,
        escape: isMarked,
      });
      return isMarked ? new Markup(result) : result;
    });
  }
  const method: TextMethod | undefined = isMarked
    ? markupMethod(name)
    : Object.hasOwn(TEXT_METHODS, name)
    ? TEXT_METHODS[name]
    : undefined;
  return method &&
    callable(METHOD, (args, keywords) => method.run(text, method.bind(args, keywords)));
}

function formatFields(positional: readonly Value[], keywords: Keywords) {
  return {
    positional,
    named: (name: string) => {
      const value = keywords.get(name);
      return value === undefined ? refuse(`format() has no value for {${name}}`) : value;
    },
  };
}

function mapFields(args: readonly Value[], keywords: Keywords) {
  if (keywords.size > 0) refuse("format_map() takes no keyword arguments");
  if (args.length !== 1) refuse(`format_map() takes one argument, not ${args.length}`);
  return {
    positional: [],
    named: (name: string) => {
      const value = args[0] instanceof Dictionary ? args[0].get(name) : undefined;
      return value === undefined ? refuse(`format_map() has no value for {${name}}`) : value;
    },
  };
}

/** `value.name`: an attribute or method, else an entry; undefined where it has neither. */
export function attributeOf(value: Value, name: string): Value {
  const member = memberOf(value, name);
  if (member !== undefined) return member;
  const entry = value instanceof Dictionary ? value.get(name) : undefined;
  return entry === undefined ? noAttribute(value, name) : entry;
}

/** What a dot finds where there is nothing. */
export function noAttribute(value: Value, name: string): Undefined {
  return new Undefined(`'${shownType(value)}' has no attribute '${name}'`);
}

function shownType(value: Value): string {
  return value === null ? "None" : `${typeName(value)} object`;
}

/** `value[key]`: an item, an entry of a dictionary, else an attribute. */
export function itemOf(value: Value, key: Value): Value {
  if (value instanceof Undefined) return refuse(value.message);
  const item = subscript(value, key);
  if (item !== undefined) return item;
  const name = asText(key);
  if (name !== undefined) {
    const member = memberOf(value, name);
    return member === undefined ? noAttribute(value, name) : member;
  }
  return new Undefined(`${shownType(value)} has no element ${describe(key)}`);
}

function describe(key: Value): string {
  return typeof key === "object" && key !== null ? `of type ${typeName(key)}` : represent(key);
}

function subscript(value: Value, key: Value): Value | undefined {
  if (value instanceof Dictionary) return isHashable(key) ? value.get(key) : undefined;
  const place = asInteger(key);
  if (place === undefined) return undefined;
  const at = Number(place);
  if (Array.isArray(value)) return value[at < 0 ? value.length + at : at];
  if (value instanceof Range) {
    const i = at < 0 ? value.length + at : at;
    return i >= 0 && i < value.length ? value.start + i * value.step : undefined;
  }
  const text = asText(value);
  if (text === undefined) return undefined;
  spend(text.length / 16);
  const all = characters(text);
  const character = all[at < 0 ? all.length + at : at];
  return character !== undefined && value instanceof Markup ? new Markup(character) : character;
}

function isHashable(key: Value): boolean {
  if (key instanceof Dictionary) return false;
  return !Array.isArray(key) || key.constructor !== Array && key.every(isHashable);
}

/** `value[start:stop:step]`; what cannot be sliced has no such element. */
export function slice(value: Value, start: Value, stop: Value, step: Value): Value {
  if (value instanceof Undefined) return refuse(value.message);
  const text = asText(value);
  const items = text !== undefined ? characters(text) : value;
  if (!Array.isArray(items) && !(items instanceof Range)) {
    // Python's own objects raise what Jinja takes for a missing element; namespaces raise something else.
    if (value instanceof Namespace) refuse("a namespace cannot be sliced");
    return new Undefined(`${shownType(value)} has no element of type slice`);
  }
  const [from, to, by] = sliceBounds(start, stop, step, items.length);
  const count = Math.max(0, Math.ceil((to - from) / by));
  if (items instanceof Range) {
    const at = (i: number) => items.start + i * items.step;
    return new Range(at(from), at(to), items.step * by);
  }
  room(count, "list");
  spend(count);
  const taken: Value[] = [];
  for (let i = 0; i < count; i++) taken.push(items[from + i * by]!);
  if (text === undefined) return listLike(value, taken);
  return value instanceof Markup ? new Markup(taken.join("")) : taken.join("");
}

/** The bounds of a slice, as Python's `slice.indices` gives them. */
function sliceBounds(start: Value, stop: Value, step: Value, length: number) {
  const place = (value: Value, otherwise: number) => {
    if (value === null) return otherwise;
    const whole = asInteger(value);
    return whole === undefined
      ? refuse("slice indices must be integers or None or have an __index__ method")
      : Number(whole);
  };
  const by = place(step, 1);
  if (by === 0) refuse("slice step cannot be zero");
  const [low, high] = by > 0 ? [0, length] : [-1, length - 1];
  const clamp = (index: number) =>
    Math.min(Math.max(index < 0 ? index + length : index, low), high);
  const from = start === null ? (by > 0 ? low : high) : clamp(place(start, 0));
  const to = stop === null ? (by > 0 ? high : low) : clamp(place(stop, 0));
  return [from, to, by] as const;
}
