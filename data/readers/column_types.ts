/**
 * One type for each place in the rows of a table, as Hugging Face datasets gives its columns (by Arrow): where some
 * rows have floats, all numbers are floats; where kinds are mixed, every value is JSON, and a text that is the JSON of
 * a value *is* that value.
 *
 * What `datasets` loses on the way is kept: the text of dates (it makes `datetime`s of them, which no chat template can
 * write as JSON) and decimals beyond the tenth in mixed places.
 *
 * @module
 */

import { Float } from "../jinja/values.ts";
import { JsonError, parseJson } from "./python_json.ts";
import type { Row } from "./row.ts";

/** Kinds of values, as bits. */
const kinds = { truth: 1, whole: 2, float: 4, text: 8, list: 16, object: 32 } as const;

/** What stands at one place of the rows: in a column, in a field of its objects, among the items of its lists. */
interface Place {
  /** The kinds of its values, together. */
  kinds: number;
  /** Whether objects in it have different keys. */
  mixedKeys: boolean;
  /** Whether it holds what JSON writes as no number (NaN), or what 64 bits do not hold. */
  unstorable: boolean;
  /** Whether it holds what JavaScript's own numbers and objects cannot say. */
  special: boolean;
  /** Its objects' fields. */
  readonly fields: Map<string, Place>;
  /** Its lists' items. */
  items: Place | undefined;
  /** How many keys its first object has; -1 before one is seen. */
  keys: number;
}

function newPlace(): Place {
  return {
    kinds: 0,
    mixedKeys: false,
    unstorable: false,
    special: false,
    fields: new Map(),
    items: undefined,
    keys: -1,
  };
}

/** Columns of messages, or of texts. */
const messageColumns: ReadonlySet<string> = new Set([
  "messages",
  "conversations",
  "prompt",
  "completion",
  "chosen",
  "rejected",
  "reference",
]);

/** Further columns that chat templates see. */
const templateColumns: ReadonlySet<string> = new Set([
  "tools",
  "documents",
  "chat_template_kwargs",
]);

/**
 * Rows under one type for each column; each has all columns, with null where it said nothing. In columns that chat
 * templates see, which tell 5.0 from 5 and walk over keys in their order, floats with whole values are `Float`s, and
 * objects whose keys JavaScript would reorder are `Map`s, but for messages themselves. The other columns hold
 * JavaScript's own numbers and objects. Whole numbers beyond 2⁵³ are `bigint`s in all of them.
 */
export function typeRows(rows: Row[]): Row[] {
  const table = newPlace();
  for (const row of rows) seeFields(table, row);
  const changes: [string, (value: unknown) => unknown][] = [];
  for (const [column, place] of table.fields) {
    const shape = shapeOf(column);
    const typed = isTyped(place);
    if (typed && !isSpecial(place)) continue;
    changes.push([column, (value) => shape(typed ? value : store(place, value))]);
  }
  if (changes.length === 0 && !table.mixedKeys) return rows;
  const empty = Object.fromEntries([...table.fields.keys()].map((column) => [column, null]));
  return rows.map((row) => {
    const changed: Row = { ...empty, ...row };
    for (const [column, change] of changes) changed[column] = change(changed[column]);
    return changed;
  });
}

/** What becomes of the values of a column, by what reads it. */
function shapeOf(column: string): (value: unknown) => unknown {
  if (templateColumns.has(column)) return withoutMap;
  if (!messageColumns.has(column)) return plainValue;
  return (value) => Array.isArray(value) ? value.map(withoutMap) : value;
}

function withoutMap(value: unknown): unknown {
  return value instanceof Map ? Object.fromEntries(value) : value;
}

function see(place: Place, value: unknown): void {
  switch (typeof value) {
    case "string":
      place.kinds |= kinds.text;
      return;
    case "boolean":
      place.kinds |= kinds.truth;
      return;
    case "number":
      place.kinds |= Number.isInteger(value) ? kinds.whole : kinds.float;
      if (!Number.isFinite(value)) place.unstorable = true;
      return;
    case "bigint":
      place.kinds |= kinds.whole;
      place.special = true;
      if (BigInt.asIntN(64, value) !== value) place.unstorable = true;
      return;
  }
  if (value === null || value === undefined) return;
  if (Array.isArray(value)) {
    place.kinds |= kinds.list;
    const items = place.items ??= newPlace();
    for (const item of value) see(items, item);
  } else if (value instanceof Float) {
    place.kinds |= kinds.float;
    place.special = true;
  } else {
    place.kinds |= kinds.object;
    seeFields(place, value);
  }
}

function seeFields(place: Place, object: object): void {
  let keys = 0;
  const field = (name: string, value: unknown) => {
    let inner = place.fields.get(name);
    if (inner === undefined) {
      place.fields.set(name, inner = newPlace());
      if (place.keys >= 0) place.mixedKeys = true;
    }
    keys++;
    see(inner, value);
  };
  if (object instanceof Map) {
    place.special = true;
    for (const [name, value] of object) field(name, value);
  } else {
    for (const name in object) field(name, (object as Row)[name]);
  }
  if (place.keys < 0) place.keys = keys;
  if (keys !== place.keys || keys === 0) place.mixedKeys = true;
}

/** Whether values of a place are stored as JSON, each for itself, because no one type fits them. */
function isMixed({ kinds: seen, mixedKeys }: Place): boolean {
  const groups = [kinds.truth, kinds.whole | kinds.float, kinds.text, kinds.list, kinds.object];
  return mixedKeys || groups.filter((group) => seen & group).length > 1;
}

function parts(place: Place): Place[] {
  return [...place.fields.values(), ...(place.items ? [place.items] : [])];
}

function isSpecial(place: Place): boolean {
  return place.special || parts(place).some(isSpecial);
}

function holdsUnstorable(place: Place): boolean {
  return place.unstorable || parts(place).some(holdsUnstorable);
}

/** Whether the values of a place are as its type stores them already. */
function isTyped(place: Place): boolean {
  if (isMixed(place)) return !(place.kinds & kinds.text) && !holdsUnstorable(place);
  if (hasFloats(place) && place.kinds & kinds.whole) return false;
  return parts(place).every(isTyped);
}

/** Whether the numbers of a place are floats: if some are, or if some are too long for whole numbers of 64 bits. */
function hasFloats({ kinds: seen, unstorable }: Place): boolean {
  return (seen & kinds.float) !== 0 || unstorable;
}

/** A value as the type of its place stores it. */
function store(place: Place, value: unknown): unknown {
  if (isMixed(place)) return typeof value === "string" ? readText(value) : storeJson(value);
  if (Array.isArray(value)) return value.map((item) => store(place.items!, item));
  if (isObject(value)) {
    return mapFields(value, (item, name) => store(place.fields.get(name)!, item));
  }
  if (hasFloats(place)) return asFloat(value);
  return value;
}

/** A value as the JSON of one of its own, where what is no number is nothing. */
export function storeJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(storeJson);
  if (isObject(value)) return mapFields(value, storeJson);
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  const tooLong = typeof value === "bigint" &&
    BigInt.asUintN(64, value) !== value && BigInt.asIntN(64, value) !== value;
  return tooLong ? asFloat(value) : value;
}

/** A text among values of other kinds: what it is the JSON of, or itself. */
function readText(text: string): unknown {
  try {
    return storeJson(parseJson(text));
  } catch (error) {
    if (error instanceof JsonError) return text;
    throw error;
  }
}

/** A whole number as a float; all else as it is. */
function asFloat(value: unknown): unknown {
  if (typeof value === "bigint") return new Float(Number(value));
  return Number.isInteger(value) ? new Float(value as number) : value;
}

/** A value with JavaScript's own floats and objects. */
export function plainValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plainValue);
  if (value instanceof Float) return value.value;
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([name, item]) => [name, plainValue(item)]));
  }
  return isObject(value) ? mapFields(value, plainValue) : value;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !(value instanceof Float);
}

function mapFields(object: object, change: (value: unknown, name: string) => unknown): object {
  return object instanceof Map
    ? new Map([...object].map(([name, value]) => [name, change(value, name)]))
    : Object.fromEntries(
      Object.entries(object).map(([name, value]) => [name, change(value, name)]),
    );
}
