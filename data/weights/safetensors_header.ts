/**
 * The header of a safetensors file: parsing with full validation, and the order in which the
 * reference implementation lays tensors out.
 *
 * A file is an unsigned 64-bit little-endian header length, a JSON object mapping tensor names to
 * `{dtype, shape, data_offsets: [begin, end]}` (offsets count from the end of the header) with an
 * optional `__metadata__` map of strings, and the tensors' bytes, without holes.
 * See https://github.com/huggingface/safetensors#format.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { isStoredDtype, type StoredDtype, storedDtypeBytes } from "./safetensors_dtypes.ts";

/** The reference implementation refuses larger headers too. */
export const maxHeaderBytes = 100_000_000;

/** Where one tensor lies: `begin` and `end` in bytes from the end of the header. */
export type HeaderEntry = {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
};

/** A validated header: entries in the order of their bytes. */
export type SafetensorsHeader = {
  readonly entries: readonly HeaderEntry[];
  readonly metadata: Readonly<Record<string, string>>;
};

/** Bytes taken by a tensor of this element type and shape. */
export function storedByteLength(dtype: StoredDtype, shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, storedDtypeBytes[dtype]);
}

/**
 * Parses and validates the header JSON of `path`, whose tensor bytes are `dataBytes` long in total.
 *
 * Throws a `UserError` naming the file and the tensor for JSON that does not parse, keys that occur
 * twice, unknown element types, malformed shapes or offsets, sizes that do not fit shapes, and
 * tensors that overlap, leave holes or do not end where the file does.
 */
export function parseSafetensorsHeader(
  json: string,
  { path, dataBytes }: { readonly path: string; readonly dataBytes: number },
): SafetensorsHeader {
  const refuse = (reason: string): never => {
    throw new UserError(`Cannot read ${path}: ${reason}`);
  };
  let root: unknown;
  try {
    root = JSON.parse(json);
  } catch (error) {
    refuse(
      `its safetensors header is not valid JSON (${(error as SyntaxError).message}). The file is ` +
        `corrupt or is not a safetensors file; fetch or convert it again.`,
    );
  }
  if (!isPlainObject(root)) return refuse("its safetensors header is not a JSON object.");
  const repeated = findDuplicateKey(json);
  if (repeated !== undefined) {
    refuse(
      `the key "${repeated}" occurs twice in its safetensors header, so it is unclear which ` +
        `entry holds. Write the file again with unique names.`,
    );
  }
  const metadata: Record<string, string> = {};
  const entries: HeaderEntry[] = [];
  for (const [name, value] of Object.entries(root)) {
    if (name === "__metadata__") {
      if (value === null) continue;
      if (!isPlainObject(value)) return refuse(`"__metadata__" is not an object of strings.`);
      for (const [key, text] of Object.entries(value)) {
        if (typeof text !== "string") {
          return refuse(`the "__metadata__" entry "${key}" is not a string.`);
        }
        metadata[key] = text;
      }
    } else {
      entries.push(parseEntry(name, value, refuse));
    }
  }
  // The reference implementation takes 16.0 for no size, which JSON.parse makes 16 of.
  if (/\d[.eE]/.test(json.replace(/"[^"\\]*(?:\\.[^"\\]*)*"/g, '""'))) {
    refuse("a number in its safetensors header is not written as an integer.");
  }
  // Empty tensors share their offset with a neighbour; ordering by the end too puts them first.
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkLayout(entries, dataBytes, refuse);
  return { entries, metadata };
}

type Refuse = (reason: string) => never;

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function parseEntry(name: string, value: unknown, refuse: Refuse): HeaderEntry {
  if (!isPlainObject(value)) {
    return refuse(`the header entry of tensor "${name}" is not an object.`);
  }
  if (!name.isWellFormed()) {
    return refuse(`the name ${JSON.stringify(name)} of a tensor is not Unicode text.`);
  }
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isStoredDtype(dtype)) {
    return refuse(
      `tensor "${name}" has the dtype ${JSON.stringify(dtype)}, which is not supported. ` +
        `Supported are ${Object.keys(storedDtypeBytes).join(", ")}.`,
    );
  }
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    return refuse(
      `tensor "${name}" has the shape ${JSON.stringify(shape)}; a list of non-negative integers ` +
        `was expected.`,
    );
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    return refuse(
      `tensor "${name}" has data_offsets ${JSON.stringify(offsets)}; two non-negative integers ` +
        `were expected.`,
    );
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end) {
    return refuse(`tensor "${name}" has data_offsets [${begin}, ${end}], which run backwards.`);
  }
  const expected = storedByteLength(dtype, shape);
  if (end - begin !== expected) {
    return refuse(
      `tensor "${name}" spans ${end - begin} bytes, but ${dtype} of shape [${shape.join(", ")}] ` +
        `takes ${expected}.`,
    );
  }
  return { name, dtype, shape, begin, end };
}

function checkLayout(entries: readonly HeaderEntry[], dataBytes: number, refuse: Refuse): void {
  let reached = 0;
  let previous = "";
  for (const { name, begin, end } of entries) {
    if (begin < reached) {
      refuse(`tensors "${previous}" and "${name}" overlap at byte ${begin} of the data.`);
    }
    if (begin > reached) {
      refuse(
        `bytes ${reached} to ${begin} of the data, before tensor "${name}", belong to no tensor.`,
      );
    }
    if (end > dataBytes) {
      refuse(
        `the file is truncated: tensor "${name}" ends at byte ${end} of the data, of which only ` +
          `${dataBytes} are there. Copy or download the file again.`,
      );
    }
    reached = end;
    previous = name;
  }
  if (reached !== dataBytes) {
    refuse(
      `its tensors end at byte ${reached} of the data, but ${dataBytes} bytes follow the header: ` +
        `the header does not belong to this data.`,
    );
  }
}

/**
 * The first key that occurs twice in one object of a valid JSON text, if any. `JSON.parse` keeps
 * the last of such entries in silence.
 */
export function findDuplicateKey(json: string): string | undefined {
  const open: Set<string>[] = [];
  for (const [token, text, colon] of json.matchAll(/("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|[{}]/g)) {
    if (token === "{") {
      open.push(new Set());
    } else if (token === "}") {
      open.pop();
    } else if (text !== undefined && colon !== undefined) {
      const key = JSON.parse(text) as string;
      const keys = open.at(-1);
      if (keys?.has(key)) return key;
      keys?.add(key);
    }
  }
  return undefined;
}

/** Element types in the order in which the reference implementation writes them. */
const layoutOrder: readonly StoredDtype[] = [
  "U64",
  "I64",
  "F64",
  "F32",
  "U32",
  "I32",
  "BF16",
  "F16",
  "U16",
  "I16",
  "I8",
  "U8",
  "BOOL",
];

/** A tensor to be laid out in a file. */
export type Described = {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
};

/**
 * Orders tensors as the reference implementation does (widest elements first, so that every tensor
 * is aligned to its element size; then by name) and encodes the header: the 8-byte length and the
 * JSON, padded with spaces to a multiple of 8 bytes.
 *
 * Throws a `UserError` for names that occur twice or are reserved, and for malformed shapes.
 */
export function encodeSafetensorsHeader<T extends Described>(
  tensors: readonly T[],
  { path, metadata }: {
    readonly path: string;
    readonly metadata: Readonly<Record<string, string>>;
  },
): { readonly header: Uint8Array<ArrayBuffer>; readonly ordered: readonly T[] } {
  const refuse = (reason: string): never => {
    throw new UserError(`Cannot write ${path}: ${reason}`);
  };
  const ordered = [...tensors].sort((a, b) =>
    layoutOrder.indexOf(a.dtype) - layoutOrder.indexOf(b.dtype) ||
    (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
  );
  // Written by hand: an object would move names that look like integers to the front.
  const parts: string[] = [];
  if (Object.keys(metadata).length > 0) parts.push(`"__metadata__":${JSON.stringify(metadata)}`);
  const names = new Set<string>();
  let offset = 0;
  for (const { name, dtype, shape } of ordered) {
    if (name === "__metadata__") refuse(`"__metadata__" is reserved and cannot name a tensor.`);
    if (names.has(name)) refuse(`two tensors are named "${name}".`);
    names.add(name);
    if (shape.some((size) => !isCount(size))) {
      refuse(
        `tensor "${name}" has the shape [${
          shape.join(", ")
        }]; sizes must be non-negative integers.`,
      );
    }
    const end = offset + storedByteLength(dtype, shape);
    const value = JSON.stringify({ dtype, shape, data_offsets: [offset, end] });
    parts.push(`${JSON.stringify(name)}:${value}`);
    offset = end;
  }
  const json = new TextEncoder().encode(`{${parts.join(",")}}`);
  const padded = Math.ceil(json.length / 8) * 8;
  if (padded > maxHeaderBytes) {
    refuse(`its header would take ${padded} bytes; the format allows ${maxHeaderBytes}.`);
  }
  const header = new Uint8Array(8 + padded).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(json, 8);
  return { header, ordered };
}
