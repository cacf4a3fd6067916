/** Golden adapters: what PEFT computes with the adapters of `fixtures/adapters`. @module */

import { type Adapted, type CausalModel, causalModel, type DecoderParams } from "../../nn/mod.ts";
import { loadAdapter } from "../../train/files/adapter_files.ts";
import { readParameters } from "../../train/files/read_parameters.ts";
import { fixture, readTensors } from "../data/fixture_files.ts";
import { readConfig } from "./golden.ts";
import { type Layout, layOut } from "./streams.ts";

/** The golden adapters. */
export const adapterNames = [
  "llama_lora",
  "llama_rslora",
  "llama_dora",
  "llama_regex",
  "gpt2_lora",
] as const;

/** A model with an adapter, and what PEFT computes with it. */
export interface GoldenAdapter {
  readonly model: CausalModel;
  readonly base: DecoderParams;
  readonly adapted: Adapted<DecoderParams>;
  readonly layout: Layout;
  readonly columns: number;
  /** f32 [tokens, V]. */
  readonly on: Float32Array;
  readonly off: Float32Array;
  readonly merged: Float32Array;
  readonly loss: number;
  /** By the names of adapter_model.safetensors. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

/** A fixture model and its parameters. */
export async function readModel(
  name: string,
): Promise<{ readonly model: CausalModel; readonly params: DecoderParams }> {
  const model = causalModel(await readConfig(name));
  return { model, params: await readParameters(model, fixture(`models/${name}`)) };
}

/** Rows of ids as a stream, every token but the first of a row a label. */
export function rowsLayout(ids: Int32Array, columns: number): Layout {
  return layOut(
    Array.from({ length: ids.length / columns }, (_, row) => {
      const row_ids = Array.from(ids.subarray(row * columns, (row + 1) * columns));
      return { name: `row ${row}`, ids: row_ids, labels: row_ids };
    }),
  );
}

/** Reads a golden adapter. */
export async function readGoldenAdapter(
  name: typeof adapterNames[number],
): Promise<GoldenAdapter> {
  const { model, params: base } = await readModel(name.replace(/_.*/, ""));
  const adapted = await loadAdapter(base, fixture(`adapters/${name}`));
  const { floats, integers, shapes } = await readTensors(`golden/adapter_${name}.safetensors`);
  const columns = shapes.get("input_ids")![1]!;
  return {
    model,
    base,
    adapted,
    layout: rowsLayout(integers.get("input_ids")!, columns),
    columns,
    on: floats.get("logits")!,
    off: floats.get("logits_adapter_off")!,
    merged: floats.get("logits_merged")!,
    loss: floats.get("loss")![0]!,
    gradients: new Map(
      [...floats].flatMap(([key, values]) =>
        key.startsWith("grad.") ? [[key.slice("grad.".length), values] as const] : []
      ),
    ),
  };
}

/** The name in adapter_model.safetensors of a leaf of a parameter tree. */
export function peftName(path: string): string {
  return "base_model.model." +
    path.replace(/\.weight\.(lora_[AB])$/, ".$1.weight")
      .replace(/\.weight\.(lora_magnitude_vector|lora_embedding_[AB])$/, ".$1")
      .replace(/\.modules_to_save$/, "");
}
