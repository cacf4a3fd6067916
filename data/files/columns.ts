/**
 * Lists of plain objects as bytes, column by column, and back: exactly, or not at all. Numbers and token ids stay
 * binary, so that hundreds of thousands of examples are read in a moment.
 *
 * @module
 */

/** What a column holds; counts are of its values. */
type Column =
  /** Objects, by property; `present` (absent where all have it) has for each object 0 or 1. */
  | { readonly kind: "objects"; readonly properties: readonly Property[] }
  /** Lists of whole numbers of 32 bits: lengths, then all numbers. `typed`: as `Int32Array`. */
  | { readonly kind: "ints"; readonly typed: boolean; readonly lengths: Blob; readonly data: Blob }
  | { readonly kind: "numbers"; readonly data: Blob }
  | { readonly kind: "booleans"; readonly data: Blob }
  | { readonly kind: "json"; readonly data: Blob };

interface Property {
  readonly name: string;
  readonly present: Blob | null;
  readonly column: Column;
}

/** Where a column's bytes are. */
interface Blob {
  readonly offset: number;
  readonly bytes: number;
}

/** A list of values in columns. */
export interface Columns {
  /** How to read the bytes; JSON. */
  readonly layout: { readonly count: number; readonly column: Column };
  /** The bytes, in pieces. */
  readonly pieces: readonly Uint8Array[];
}

/** A list, or null if one of its values would not come back as it is. */
export function toColumns(values: readonly unknown[]): Columns | null {
  const pieces: Uint8Array[] = [];
  let offset = 0;
  const put = (array: ArrayBufferView): Blob => {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    const blob = { offset, bytes: bytes.length };
    const padding = new Uint8Array((8 - bytes.length % 8) % 8);
    pieces.push(bytes, padding);
    offset += bytes.length + padding.length;
    return blob;
  };
  const column = columnOf(values, put);
  return column && { layout: { count: values.length, column }, pieces };
}

function columnOf(
  values: readonly unknown[],
  put: (array: ArrayBufferView) => Blob,
): Column | null {
  const all = (test: (value: unknown) => boolean) => values.length > 0 && values.every(test);
  if (all((value) => value instanceof Int32Array)) return ints(values as Int32Array[], true, put);
  if (all(isIntList)) return ints(values as number[][], false, put);
  if (all((value) => typeof value === "number")) {
    return { kind: "numbers", data: put(Float64Array.from(values as number[])) };
  }
  if (all((value) => typeof value === "boolean")) {
    return { kind: "booleans", data: put(Uint8Array.from(values as boolean[], Number)) };
  }
  if (all(isPlainObject)) {
    const objects = values as Readonly<Record<string, unknown>>[];
    const names = new Set<string>();
    for (const object of objects) for (const name in object) names.add(name);
    const properties: Property[] = [];
    for (const name of names) {
      const owners = objects.filter((object) => Object.hasOwn(object, name));
      const column = columnOf(owners.map((object) => object[name]), put);
      if (!column) return null;
      const present = owners.length === objects.length
        ? null
        : put(Uint8Array.from(objects, (object) => Number(Object.hasOwn(object, name))));
      properties.push({ name, present, column });
    }
    return { kind: "objects", properties };
  }
  if (!values.every(isJson)) return null;
  return { kind: "json", data: put(new TextEncoder().encode(JSON.stringify(values))) };
}

function ints(
  lists: readonly ArrayLike<number>[],
  typed: boolean,
  put: (array: ArrayBufferView) => Blob,
): Column {
  const lengths = Uint32Array.from(lists, ({ length }) => length);
  const data = new Int32Array(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  for (const list of lists) {
    data.set(list, at);
    at += list.length;
  }
  return { kind: "ints", typed, lengths: put(lengths), data: put(data) };
}

function isIntList(value: unknown): boolean {
  return Array.isArray(value) &&
    value.every((item) => item === (item | 0) && !Object.is(item, -0));
}

function isPlainObject(value: unknown): boolean {
  return typeof value === "object" && value !== null &&
    Object.getPrototypeOf(value) === Object.prototype;
}

function isJson(value: unknown): boolean {
  if (typeof value === "number") return Number.isFinite(value) && !Object.is(value, -0);
  if (value === null || typeof value === "string" || typeof value === "boolean") return true;
  if (Array.isArray(value)) return value.every(isJson);
  return isPlainObject(value) &&
    Object.entries(value as object).every(([name, item]) => name !== "__proto__" && isJson(item));
}

/** The list again. @param bytes All pieces in a row, at an offset that is a multiple of 8. */
export function fromColumns<T>({ count, column }: Columns["layout"], bytes: Uint8Array): T[] {
  return valuesOf(column, count, bytes) as T[];
}

function valuesOf(column: Column, count: number, bytes: Uint8Array): unknown[] {
  const at = ({ offset, bytes: length }: Blob) => bytes.subarray(offset, offset + length);
  switch (column.kind) {
    case "ints": {
      const lengths = at(column.lengths);
      const counts = new Uint32Array(lengths.buffer, lengths.byteOffset, count);
      const data = at(column.data);
      const all = new Int32Array(data.buffer, data.byteOffset, data.length / 4);
      let end = 0;
      return Array.from(counts, (length) => {
        const list = all.subarray(end, end += length);
        return column.typed ? list : Array.from(list);
      });
    }
    case "numbers": {
      const data = at(column.data);
      return Array.from(new Float64Array(data.buffer, data.byteOffset, count));
    }
    case "booleans":
      return Array.from(at(column.data), Boolean);
    case "json":
      return JSON.parse(new TextDecoder().decode(at(column.data)));
    case "objects": {
      const objects: Record<string, unknown>[] = Array.from({ length: count }, () => ({}));
      for (const { name, present, column: inner } of column.properties) {
        const has = present && at(present);
        const owners = has ? objects.filter((_, i) => has[i] === 1) : objects;
        const values = valuesOf(inner, owners.length, bytes);
        owners.forEach((owner, i) => owner[name] = values[i]);
      }
      return objects;
    }
  }
}
