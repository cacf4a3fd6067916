/** Golden models: small checkpoints, and what transformers computes with them. @module */

import assert from "node:assert/strict";
import { type CausalModel, causalModel, type DecoderParams } from "../../nn/mod.ts";
import { readParameters } from "../../train/files/read_parameters.ts";
import { fixture, readFixture, readTensors } from "../data/fixture_files.ts";
import { type Layout, layOut, type Piece } from "./streams.ts";

/** The families with a golden file. */
export const goldenNames = [
  "llama",
  "llama3_rope",
  "llama_tied_bf16",
  "mistral",
  "qwen2",
  "qwen3",
  "phi3",
  "gemma3_text",
  "gpt2",
  "gptj",
  "gpt_neox",
  "opt",
] as const;

/** A family with a golden file. */
export type GoldenName = typeof goldenNames[number];

/** Numbers of the JSON half. */
export interface GoldenNumbers {
  readonly loss: number;
  readonly adamw: {
    readonly lr: number;
    readonly betas: readonly [number, number];
    readonly eps: number;
    readonly weight_decay: number;
    readonly max_grad_norm: number;
    /** Before each of ten steps, and after the last. */
    readonly losses: readonly number[];
    readonly grad_norms: readonly number[];
  };
  readonly zero_gradients: readonly string[];
  /** After the ten steps. */
  readonly final_parameters: Readonly<
    Record<string, { readonly l2: number; readonly sum: number; readonly l2_float64: number }>
  >;
}

/** The golden batch, right-padded: [rows, columns]. */
export interface GoldenBatch {
  readonly rows: number;
  readonly columns: number;
  readonly ids: Int32Array;
  readonly mask: Int32Array;
  readonly labels: Int32Array;
  /** f32 [rows, columns, V]; zeros in padding. */
  readonly logits: Float32Array;
  /** f32 [rows, columns − 1]: log-prob of the next token; 0 in padding. */
  readonly tokenLogProbs: Float32Array;
}

/** A golden model. */
export interface Golden {
  readonly config: Readonly<Record<string, unknown>>;
  readonly model: CausalModel;
  readonly params: DecoderParams;
  readonly numbers: GoldenNumbers;
  readonly batch: GoldenBatch;
  /** The gradient of a parameter as files hold it, or undefined where the file has none. */
  readonly gradient: (path: string) => Float32Array | undefined;
}

/** The parsed config of a fixture model. */
export async function readConfig(name: string): Promise<Readonly<Record<string, unknown>>> {
  return await readFixture(`models/${name}/config.json`);
}

/** Reads a golden model and its batch. */
export async function readGolden(name: GoldenName): Promise<Golden> {
  const config = await readConfig(name);
  const model = causalModel(config);
  const params = await readParameters(model, fixture(`models/${name}`));
  const { floats, integers, shapes } = await readTensors(`golden/${name}.safetensors`);
  const [rows, columns] = shapes.get("input_ids") as [number, number];
  return {
    config,
    model,
    params,
    numbers: await readFixture<GoldenNumbers>(`golden/${name}.json`),
    batch: {
      rows,
      columns,
      ids: integers.get("input_ids")!,
      mask: integers.get("attention_mask")!,
      labels: integers.get("labels")!,
      logits: floats.get("logits")!,
      tokenLogProbs: floats.get("token_logps")!,
    },
    gradient: (path) => floats.get(`grad.${path}`),
  };
}

/** The rows of a golden batch without their padding. */
export function goldenRows({ rows, columns, ids, mask, labels }: GoldenBatch): Exclude<
  Piece,
  number
>[] {
  return Array.from({ length: rows }, (_, row) => {
    const of = (values: Int32Array) =>
      Array.from(values.subarray(row * columns, (row + 1) * columns))
        .filter((_, i) => mask[row * columns + i] === 1);
    return { name: `row ${row}`, ids: of(ids), labels: of(labels) };
  });
}

/** The golden batch as it is, padding included: token t of the stream is element t of the batch. */
export function goldenLayout(batch: GoldenBatch): Layout {
  return layOut(
    goldenRows(batch).flatMap((row): Piece[] => [row, batch.columns - row.ids.length]),
  );
}

/** ‖a − b‖ / ‖b‖, of gradients. */
export function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  assert.equal(a.length, b.length);
  let [apart, whole] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    apart += (a[i]! - b[i]!) ** 2;
    whole += b[i]! ** 2;
  }
  return Math.sqrt(apart / whole);
}
