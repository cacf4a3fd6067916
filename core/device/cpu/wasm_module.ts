/** A binary WebAssembly module from its functions. @module */

import type { FunctionBuilder } from "./wasm_function.ts";
import { unsigned } from "./wasm_integers.ts";
import { type ValueType, valueType } from "./wasm_opcodes.ts";

/** A function type. */
export interface FunctionType {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

/** What a module is made of. Its memory is imported as `env.memory`, its table as `env.table`. */
export interface ModuleParts {
  /** Imported functions; they come first in the index space. */
  readonly imports?: readonly { readonly name: string; readonly type: FunctionType }[];
  /** Own functions; exported by name. */
  readonly functions: readonly { readonly name: string; readonly body: FunctionBuilder }[];
  /** Extra types for indirect calls: their index is `imports + functions + position`. */
  readonly types?: readonly FunctionType[];
  /** Whether a table is imported. */
  readonly table?: boolean;
  /** The memory's maximum in 64 KiB pages, as the importer declares it. */
  readonly maximumPages: number;
}

function section(id: number, entries: readonly (readonly number[])[]): number[] {
  const count = unsigned(entries.length);
  const size = entries.reduce((sum, entry) => sum + entry.length, count.length);
  const bytes = [id, ...unsigned(size), ...count];
  for (const entry of entries) for (const byte of entry) bytes.push(byte);
  return bytes;
}

function name(text: string): number[] {
  const bytes = new TextEncoder().encode(text);
  return [...unsigned(bytes.length), ...bytes];
}

function functionType(type: FunctionType): number[] {
  return [
    0x60,
    ...unsigned(type.parameters.length),
    ...type.parameters.map((t) => valueType[t]),
    ...unsigned(type.results.length),
    ...type.results.map((t) => valueType[t]),
  ];
}

/** Assembles a module with a shared, 64-bit imported memory. */
export function assemble(parts: ModuleParts): Uint8Array<ArrayBuffer> {
  const imports = parts.imports ?? [];
  const types = [
    ...imports.map((i) => i.type),
    ...parts.functions.map((f) => f.body),
    ...(parts.types ?? []),
  ];
  const importEntries = [
    // Flags 0x07: shared, with a maximum, 64-bit.
    [...name("env"), ...name("memory"), 0x02, 0x07, 0x01, ...unsigned(parts.maximumPages)],
    ...(parts.table ? [[...name("env"), ...name("table"), 0x01, 0x70, 0x00, 0x00]] : []),
    ...imports.map((i, index) => [...name("env"), ...name(i.name), 0x00, ...unsigned(index)]),
  ];
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, types.map(functionType)),
    ...section(2, importEntries),
    ...section(3, parts.functions.map((_, i) => unsigned(imports.length + i))),
    ...section(
      7,
      parts.functions.map((f, i) => [...name(f.name), 0x00, ...unsigned(imports.length + i)]),
    ),
    ...section(10, parts.functions.map((f) => f.body.encode())),
  ]);
}
