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

import { UserError } from "../../core/errors.ts";
import { plainJson } from "../../core/terminal.ts";
import { Float } from "../jinja/values.ts";
import { JsonError, parseJson } from "./python_json.ts";
import type { Row } from "./row.ts";

/** Kinds of values, as bits. */
const kinds = { truth: 1, whole: 2, float: 4, text: 8, list: 16, object: 32 } as const;

const kindNames = ["truth values", "numbers", "numbers", "texts", "lists", "objects"] as const;

/** What stands at one place of the rows: in a column, in a field of its objects, among the items of its lists. */
interface Place {
  /** The kinds of its values, together. */
  kinds: number;
  /** Whether objects in it have different keys. */
  mixedKeys: boolean;
  /** Whether it holds NaN or an infinity, which JSON writes as no number. */
  notFinite: boolean;
  /** Whether it holds a whole number that 64 bits with a sign do not hold. */
  long: boolean;
  /** A whole number in it that 64 bits do not hold in any way. */
  tooLong: bigint | undefined;
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
    notFinite: false,
    long: false,
    tooLong: undefined,
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
 *
 * @param uneven What is said of a line that is not one row, if there is one: "line 2 of a.jsonl is blank".
 * @throws {UserError} for values of different kinds in a column, where lines are uneven or a whole number is too long:
 *   neither can then be stored as JSON
 */
export function typeRows(rows: Row[], uneven?: string): Row[] {
  const table = newPlace();
  for (const row of rows) seeFields(table, row);
  const columns = [...table.fields];
  const scanned = uneven === undefined && find(table, ({ tooLong }) => tooLong) === undefined;
  const mixed = (place: Place) => isMixed(place, scanned);
  const stored = columns.find(([, place]) => find(place, (inner) => mixed(inner) || undefined));
  if (stored && !scanned) throw cannotMix(...stored, table, uneven);
  const storage: Storage = { mixed, json: stored !== undefined };
  const changes: [string, (value: unknown) => unknown][] = [];
  for (const [column, place] of columns) {
    const shape = shapeOf(column);
    const typed = isTyped(place, storage);
    if (typed && !isSpecial(place)) continue;
    changes.push([column, (value) => shape(typed ? value : store(place, value, storage))]);
  }
  if (changes.length === 0 && !table.mixedKeys) return rows;
  const empty = Object.fromEntries(columns.map(([column]) => [column, null]));
  return rows.map((row) => {
    const changed: Row = { ...empty, ...row };
    for (const [column, change] of changes) changed[column] = change(changed[column]);
    return changed;
  });
}

function cannotMix(column: string, place: Place, table: Place, uneven?: string): UserError {
  const inner = find(place, (inner) => hasManyKinds(inner) ? inner : undefined)!;
  const seen = new Set(kindNames.filter((_, bit) => inner.kinds & 1 << bit));
  const number = find(table, ({ tooLong }) => tooLong);
  const [why, remedy] = uneven === undefined
    ? [`the rows hold ${`${number}`.slice(0, 40)}, which 64 bits do not hold`, "Write it as a text"]
    : [uneven, "Make every line one row"];
  return new UserError(
    `The column ${plainJson(column)} mixes ${[...seen].join(", ")}, which cannot be read where ` +
      `${why}. ${remedy}, or give the column values of one kind.`,
  );
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
      if (!Number.isFinite(value)) place.notFinite = true;
      return;
    case "bigint":
      place.kinds |= kinds.whole;
      place.special = true;
      if (BigInt.asIntN(64, value) !== value) place.long = true;
      if (isTooLong(value)) place.tooLong = value;
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

/** How the values of a table are stored. */
interface Storage {
  /** Whether those of a place are JSON, each for itself, because no one type fits them. */
  readonly mixed: (place: Place) => boolean;
  /** Whether those of any place are; then all rows were written as JSON once, in which NaN is null. */
  readonly json: boolean;
}

function hasManyKinds({ kinds: seen }: Place): boolean {
  const groups = [kinds.truth, kinds.whole | kinds.float, kinds.text, kinds.list, kinds.object];
  return groups.filter((group) => seen & group).length > 1;
}

/** @param scanned Whether differences of keys count: they do where all lines could be read as JSON in 64 bits. */
function isMixed(place: Place, scanned: boolean): boolean {
  return (scanned && place.mixedKeys) || hasManyKinds(place);
}

function parts(place: Place): Place[] {
  return [...place.fields.values(), ...(place.items ? [place.items] : [])];
}

/** What is found first at a place or inside it. */
function find<T>(place: Place, at: (place: Place) => T | undefined): T | undefined {
  const here = at(place);
  if (here !== undefined) return here;
  for (const part of parts(place)) {
    const found = find(part, at);
    if (found !== undefined) return found;
  }
  return undefined;
}

function isSpecial(place: Place): boolean {
  return find(place, ({ special }) => special || undefined) ?? false;
}

function isNotFinite(place: Place): boolean {
  return find(place, ({ notFinite }) => notFinite || undefined) ?? false;
}

/** Whether the values of a place are as its type stores them already. */
function isTyped(place: Place, storage: Storage): boolean {
  if (storage.json && isNotFinite(place)) return false;
  if (storage.mixed(place)) return !(place.kinds & kinds.text);
  if (hasFloats(place) && place.kinds & kinds.whole) return false;
  return parts(place).every((part) => isTyped(part, storage));
}

/** Whether the numbers of a place are floats: if some are, or if some are too long for whole numbers of 64 bits. */
function hasFloats({ kinds: seen, notFinite, long }: Place): boolean {
  return (seen & kinds.float) !== 0 || notFinite || long;
}

/** A value as the type of its place stores it. */
function store(place: Place, value: unknown, storage: Storage): unknown {
  if (storage.mixed(place)) return typeof value === "string" ? readText(value) : storeJson(value);
  if (Array.isArray(value)) return value.map((item) => store(place.items!, item, storage));
  if (isObject(value)) {
    return mapFields(value, (item, name) => store(place.fields.get(name)!, item, storage));
  }
  if (storage.json && typeof value === "number" && !Number.isFinite(value)) return null;
  return hasFloats(place) ? asFloat(value) : value;
}

/**
 * A value as the JSON of one of its own, where what is no number is nothing.
 *
 * @throws {JsonError} for a whole number that 64 bits do not hold
 */
export function storeJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(storeJson);
  if (isObject(value)) return mapFields(value, storeJson);
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value !== "bigint" || !isTooLong(value)) return value;
  throw new JsonError(`it holds ${`${value}`.slice(0, 40)}, which 64 bits do not hold`, 0);
}

function isTooLong(value: bigint): boolean {
  return BigInt.asUintN(64, value) !== value && BigInt.asIntN(64, value) !== value;
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
