/** Projections as attention heads. @module */

import { type Tensor, UserError } from "../core/mod.ts";
import { configPlace, type HuggingFaceConfig } from "./config.ts";

/** A projection f32 [T, H·D] as heads [T, H, D]. */
export function asHeads(projected: Tensor, headDim: number): Tensor {
  return projected.reshape(projected.shape[0]!, -1, headDim);
}

/** Queries, keys and values of one projection f32 [T, (H + 2K)·D], which stand one after the other. */
export function queriesKeysValues(
  projected: Tensor,
  { heads, keyValueHeads, headDim }: {
    readonly heads: number;
    readonly keyValueHeads: number;
    readonly headDim: number;
  },
): { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor } {
  const all = asHeads(projected, headDim);
  const values = heads + keyValueHeads;
  return {
    q: all.slice(0, heads, 1),
    k: all.slice(heads, values, 1),
    v: all.slice(values, values + keyValueHeads, 1),
  };
}

/** The width of a head. @throws UserError if heads do not divide the width of hidden states. */
export function headWidth(
  config: HuggingFaceConfig,
  hiddenSize: number,
  heads: number,
): number {
  if (hiddenSize % heads === 0) return hiddenSize / heads;
  throw new UserError(
    `${
      configPlace(config)
    } has hidden states of width ${hiddenSize}, which is not a multiple of its ` +
      `${heads} attention heads.`,
  );
}
