/** Python's dict: keys that are equal are one key, whatever their types, and keep their order. */

import { refuse } from "./errors.ts";
import {
  Float,
  Generator,
  Markup,
  Range,
  Thing,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** A Python dictionary. */
export class Dictionary {
  readonly #values = new Map<unknown, Value>();
  /** Keys that are not what they are stored under: `True`, `1.0`, a tuple, … */
  #oddKeys: Map<unknown, Value> | undefined;

  /** A dictionary of these entries; later ones win, the first key of equal ones stays. */
  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    for (const [key, value] of entries) this.set(key, value);
  }

  /** How many entries there are. */
  get size(): number {
    return this.#values.size;
  }

  /** The value of a key. @throws {TemplateError} if the key cannot be one */
  get(key: Value): Value | undefined {
    return this.#values.get(hash(key));
  }

  /** Whether there is such a key. @throws {TemplateError} if it cannot be one */
  has(key: Value): boolean {
    return this.#values.has(hash(key));
  }

  /** Sets an entry; for the making of dictionaries, which templates cannot change. */
  set(key: Value, value: Value): this {
    const stored = hash(key);
    if (stored !== key && !this.#values.has(stored)) {
      (this.#oddKeys ??= new Map()).set(stored, key);
    }
    this.#values.set(stored, value);
    return this;
  }

  /** The entries in their order. */
  *entries(): IterableIterator<[Value, Value]> {
    for (const [stored, value] of this.#values) yield [this.#key(stored), value];
  }

  /** The keys in their order. */
  keys(): Value[] {
    return Array.from(this.#values.keys(), (stored) => this.#key(stored));
  }

  /** The values in the order of their keys. */
  values(): Value[] {
    return [...this.#values.values()];
  }

  /** A copy with the same entries. */
  copy(): Dictionary {
    return new Dictionary(this.entries());
  }

  #key(stored: unknown): Value {
    const odd = this.#oddKeys?.get(stored);
    return odd === undefined ? stored as Value : odd;
  }
}

/** What equal keys are stored under. @throws {TemplateError} for lists and dictionaries */
export function hash(key: Value): unknown {
  if (key === null) return null;
  switch (typeof key) {
    case "string":
    case "number":
    case "bigint":
      return key;
    case "boolean":
      return Number(key);
  }
  if (key instanceof Float) {
    return Number.isSafeInteger(key.value) ? key.value : BigInt(key.value);
  }
  if (key instanceof Markup) return key.text;
  if (key instanceof Tuple) return joined(key);
  if (key instanceof Range) {
    return joined([key.length, key.length && key.start, key.length > 1 ? key.step : 0]);
  }
  if (key instanceof Undefined) return Undefined;
  if (key instanceof Generator || key instanceof Thing) return key;
  return refuse(`unhashable type: '${typeName(key)}'`);
}

const places = new WeakMap<object, number>();
let lastPlace = 0;

/** One text for all tuples with equal items; no text of a row begins with half a character. */
function joined(items: readonly Value[]): string {
  const parts = items.map((item) => {
    const key = hash(item);
    if (typeof key === "string") return JSON.stringify(key);
    if (typeof key !== "object" && typeof key !== "function" || key === null) {
      return String(key);
    }
    if (!places.has(key)) places.set(key, ++lastPlace);
    return `object ${places.get(key)}`;
  });
  return `\ud800(${parts.join()})`;
}
