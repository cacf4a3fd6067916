/** Reads files of tests/fixtures, whatever the working directory. @module */

import { openSafetensors } from "../../data/weights/safetensors.ts";
import { toFloat32Array, toInt32Array } from "../../data/weights/safetensors_dtypes.ts";

/** The path of a fixture. */
export function fixture(path: string): string {
  return new URL(`../fixtures/${path}`, import.meta.url).pathname;
}

/** A JSON fixture; the caller names the shape it relies on. */
export async function readFixture<T>(path: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(fixture(path)));
}

/** The rows of a JSONL fixture. */
export async function readRows(path: string): Promise<Record<string, unknown>[]> {
  const text = await Deno.readTextFile(fixture(path));
  return text.trim().split("\n").map((line) => JSON.parse(line));
}

/** The tensors of a safetensors fixture, by name. */
export interface TensorFixture {
  readonly floats: ReadonlyMap<string, Float32Array>;
  readonly integers: ReadonlyMap<string, Int32Array>;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
}

/** Reads a safetensors fixture: I32 tensors as integers, all others as floats. */
export async function readTensors(path: string): Promise<TensorFixture> {
  using file = await openSafetensors(fixture(path));
  const floats = new Map<string, Float32Array>();
  const integers = new Map<string, Int32Array>();
  const shapes = new Map<string, readonly number[]>();
  for (const [key, stored] of file.tensors) {
    const values = { dtype: stored.dtype, bytes: await stored.bytes(), name: key };
    shapes.set(key, stored.shape);
    if (stored.dtype === "I32") integers.set(key, Int32Array.from(toInt32Array(values)));
    else floats.set(key, toFloat32Array(values));
  }
  return { floats, integers, shapes };
}

/** A `tokenizer.json` that splits at spaces, and has nothing else beside its model. */
export function plainTokenizer(model: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: "Whitespace" },
    post_processor: null,
    decoder: null,
    model,
  });
}
