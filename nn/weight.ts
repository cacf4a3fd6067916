/**
 * Weights that compose: a weight is a tensor, a quantised matrix, a low-rank update over a weight, or a
 * retrained tensor or retrained rows over a weight. What a layer does with its weight recurses over these.
 *
 * All are plain objects in the parameter tree, so that `partition`, `jit` and `checkpoint` see their tensors.
 *
 * @module
 */

import { matmul, type Operand, scatterRows, stopGradient, Tensor, where } from "../core/mod.ts";
import { dropOut } from "./dropout.ts";
import { dequantized, projectQuantized, type Quantized, quantizedShape } from "./quantized.ts";

/** The parameter of a layer: a matrix, most often [out, in]; for embeddings [V, D]. */
export type Weight = Tensor | Quantized | Lora | LoraEmbedding | Retrained | TokenRows;

/**
 * A low-rank update of the matrix of a linear layer: W + s·BA (Hu et al., "LoRA", arXiv:2106.09685). With
 * magnitudes m it is DoRA, (m / ‖V‖)·V for V = W + s·BA with norms by row (Liu et al., arXiv:2402.09353).
 */
export interface Lora {
  /** What it updates; frozen. */
  readonly base: Weight;
  /** f32 [r, in]. */
  readonly lora_A: Tensor;
  /** f32 [out, r]. */
  readonly lora_B: Tensor;
  /** f32 [out]; there in DoRA. */
  readonly lora_magnitude_vector?: Tensor | null;
  /** s: α / r, or α / √r. */
  readonly scaling: Operand;
  /** Probability with which elements of the input of A are dropped; absent for none. */
  readonly dropout?: Operand | null;
  /** What is dropped; without it (the default) nothing is. See {@link seedDropout}. */
  readonly dropoutKey?: Tensor | null;
}

/** A low-rank update of an embedding matrix: W + s·(BA)ᵀ; DoRA's norms are by column. */
export interface LoraEmbedding {
  /** What it updates; frozen. */
  readonly base: Weight;
  /** f32 [r, V]. */
  readonly lora_embedding_A: Tensor;
  /** f32 [D, r]. */
  readonly lora_embedding_B: Tensor;
  /** f32 [D]; there in DoRA. */
  readonly lora_magnitude_vector?: Tensor | null;
  /** s: α / r, or α / √r. */
  readonly scaling: Operand;
}

/** A parameter that is trained whole beside an adapter (`modules_to_save`), over what it was. */
export interface Retrained<W = Weight> {
  /** What it was; frozen. */
  readonly base: W;
  /** What it is, f32. */
  readonly modules_to_save: Tensor;
}

/** A matrix [V, D] some of whose rows are trained (`trainable_token_indices`), over what it was. */
export interface TokenRows {
  /** What it was; frozen. */
  readonly base: Weight;
  /** f32 [n, D]: what the rows are. PEFT calls them a delta, though they stand in the place of the base's. */
  readonly trainable_tokens_delta: Tensor;
  /** i32 [n]: which rows these are. */
  readonly token_indices: Tensor;
}

/** A parameter with one axis (a gain, a bias): a tensor, possibly retrained. */
export type VectorWeight = Tensor | Retrained<Tensor>;

/** Whether a value of a parameter tree is a quantised matrix. */
export function isQuantized(value: unknown): value is Quantized {
  return hasKeys(value, "codes", "absmax");
}

/** Whether a value of a parameter tree is a {@link Lora}. */
export function isLora(value: unknown): value is Lora {
  return hasKeys(value, "base", "lora_A");
}

/** Whether a value of a parameter tree is a {@link LoraEmbedding}. */
export function isLoraEmbedding(value: unknown): value is LoraEmbedding {
  return hasKeys(value, "base", "lora_embedding_A");
}

/** Whether a value of a parameter tree is a {@link Retrained}. */
export function isRetrained(value: unknown): value is Retrained {
  return hasKeys(value, "base", "modules_to_save");
}

/** Whether a value of a parameter tree is a {@link TokenRows}. */
export function isTokenRows(value: unknown): value is TokenRows {
  return hasKeys(value, "base", "trainable_tokens_delta");
}

function hasKeys(value: unknown, ...keys: string[]): boolean {
  return typeof value === "object" && value !== null && !(value instanceof Tensor) &&
    keys.every((key) => Object.hasOwn(value, key));
}

/** x·Wᵀ on the last axis: [..., in] → [..., out]. */
export function project(weight: Weight, x: Tensor): Tensor {
  if (weight instanceof Tensor) return matmul(x, weight, { transposeB: true });
  if (isQuantized(weight)) return projectQuantized(weight, x);
  if (isRetrained(weight)) return project(weight.modules_to_save, x);
  if (isLora(weight)) return projectLora(weight, x);
  return matmul(x, denseWeight(weight), { transposeB: true });
}

function projectLora(weight: Lora, x: Tensor): Tensor {
  const { base, lora_A, lora_B, lora_magnitude_vector: magnitude, scaling } = weight;
  const whole = project(base, x);
  const { dropout, dropoutKey } = weight;
  const drops = dropout !== undefined && dropout !== null && dropoutKey;
  const dropped = drops ? dropOut(x, dropout, dropoutKey) : x;
  const update = project(lora_B, project(lora_A, dropped)).mul(scaling);
  if (!magnitude) return whole.add(update);
  const ratio = magnitude.div(loraNorms(weight));
  // PEFT drops elements of the base's input too, but only in the term that DoRA adds.
  const projected = dropped === x ? whole : project(base, dropped);
  return whole.add(projected.mul(ratio.sub(1))).add(update.mul(ratio));
}

/**
 * ‖W + s·BA‖ by row, [out], a constant to differentiation as in DoRA's section 4.3. By
 * ‖w + s·Aᵀb‖² = ‖w‖² + 2s·b·(A w) + s²·b·(AAᵀ)·b, so that no matrix of the size of W is made.
 */
export function loraNorms({ base, lora_A, lora_B, scaling }: Lora): Tensor {
  const across = project(base, lora_A).transpose();
  const within = project(matmul(lora_A, lora_A, { transposeB: true }), lora_B);
  const mixed = lora_B.mul(across.mul(2).add(within.mul(scaling))).sum(-1).mul(scaling);
  return stopGradient(denseWeight(base).square().sum(-1).add(mixed).maximum(0).sqrt());
}

/** ‖W + s·(BA)ᵀ‖ by column, [D]; see {@link loraNorms}. */
export function loraEmbeddingNorms(weight: LoraEmbedding): Tensor {
  const { base, lora_embedding_A: a, lora_embedding_B: b, scaling } = weight;
  const dense = denseWeight(base);
  const across = matmul(a, dense).transpose();
  const within = project(matmul(a, a, { transposeB: true }), b);
  const mixed = b.mul(across.mul(2).add(within.mul(scaling))).sum(-1).mul(scaling);
  return stopGradient(dense.square().sum(0).add(mixed).maximum(0).sqrt());
}

/**
 * Rows of an embedding matrix [V, D] by id, f32: ids of any shape → [..., D].
 *
 * @param paddingId Id whose row learns nothing from being read, as PyTorch's `padding_idx`; none by default.
 */
export function embed(weight: Weight, ids: Tensor, paddingId: number | null = null): Tensor {
  const rowsOf = (table: Tensor) => {
    const rows = table.gather(ids).cast("f32");
    return paddingId === null
      ? rows
      : where(ids.eq(paddingId).unsqueeze(-1), stopGradient(rows), rows);
  };
  if (weight instanceof Tensor) return rowsOf(weight);
  if (isRetrained(weight)) return rowsOf(weight.modules_to_save);
  if (!isLoraEmbedding(weight)) return rowsOf(denseWeight(weight));
  const { base, lora_embedding_A, lora_embedding_B, lora_magnitude_vector, scaling } = weight;
  const update = project(lora_embedding_B, rowsOf(lora_embedding_A.transpose())).mul(scaling);
  const whole = embed(base, ids, paddingId).add(update);
  if (!lora_magnitude_vector) return whole;
  return whole.mul(lora_magnitude_vector.div(loraEmbeddingNorms(weight)));
}

/** The matrix a weight stands for, as one f32 tensor: for output heads, and for merging. */
export function denseWeight(weight: Weight): Tensor {
  if (weight instanceof Tensor) return weight.cast("f32");
  if (isQuantized(weight)) return dequantized(weight);
  if (isRetrained(weight)) return weight.modules_to_save;
  if (isTokenRows(weight)) {
    const { base, trainable_tokens_delta: rows, token_indices: ids } = weight;
    return scatterRows(denseWeight(base), ids, rows);
  }
  if (isLora(weight)) {
    const { base, lora_A, lora_B, lora_magnitude_vector: magnitude, scaling } = weight;
    const updated = denseWeight(base).add(matmul(lora_B, lora_A).mul(scaling));
    return magnitude ? updated.mul(magnitude.div(loraNorms(weight)).unsqueeze(1)) : updated;
  }
  const { base, lora_embedding_A, lora_embedding_B, scaling } = weight;
  const update = matmul(lora_embedding_A, lora_embedding_B, { transposeA: true, transposeB: true });
  const updated = denseWeight(base).add(update.mul(scaling));
  const { lora_magnitude_vector: magnitude } = weight;
  return magnitude ? updated.mul(magnitude.div(loraEmbeddingNorms(weight))) : updated;
}

/** The tensor of a parameter with one axis. */
export function denseVector(weight: VectorWeight): Tensor {
  return weight instanceof Tensor ? weight : weight.modules_to_save;
}

/** Sizes [out, in] of a weight, or of a vector [size]. */
export function weightShape(weight: Weight): readonly number[] {
  if (weight instanceof Tensor) return weight.shape;
  if (isQuantized(weight)) return quantizedShape(weight);
  return weightShape(weight.base);
}
