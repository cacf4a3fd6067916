/** Parts of decoders whose parameters are named as Llama's: attention, feed-forward, what is around the layers. @module */

import type { Tensor } from "../../core/mod.ts";
import { configBoolean, type HuggingFaceConfig, paddingIdOf } from "../config.ts";
import type {
  AttendOptions,
  Decoder,
  DecoderConfig,
  DecoderParams,
  LayerContext,
} from "../decoder.ts";
import { asHeads } from "../heads.ts";
import { linear, type LinearParams } from "../linear.ts";
import type { NormParams } from "../norm.ts";
import { outputWeight } from "../output_weight.ts";
import {
  embeddingShapes,
  type LayerShapes,
  linearShapes,
  type ParameterShapes,
} from "../parameter_shapes.ts";
import { applyRotary, type RotaryTable } from "../rotary.ts";
import { embed, type Weight } from "../weight.ts";

/** Parameters of {@link rotaryAttention}. */
export interface RotaryAttentionParams {
  /** Queries. */
  readonly q_proj: LinearParams;
  /** Keys. */
  readonly k_proj: LinearParams;
  /** Values. */
  readonly v_proj: LinearParams;
  /** What is made of the heads' results. */
  readonly o_proj: LinearParams;
  /** Gains of each head's queries, if these are normalised. */
  readonly q_norm?: NormParams;
  /** Gains of each head's keys, if these are normalised. */
  readonly k_norm?: NormParams;
}

/** Settings of {@link rotaryAttention}. */
export interface RotaryAttentionOptions extends AttendOptions {
  /** Width of a head. */
  readonly headDim: number;
  /** The rotation. */
  readonly table: RotaryTable;
  /** Normalises queries and keys where there are gains for it. */
  readonly norm: (params: NormParams, x: Tensor) => Tensor;
}

/** Self attention with rotated queries and keys: f32 [T, D] → [T, D]. */
export function rotaryAttention(
  p: RotaryAttentionParams,
  x: Tensor,
  { positions, attend }: LayerContext,
  { headDim, table, norm, ...how }: RotaryAttentionOptions,
): Tensor {
  const rotated = (projection: LinearParams, gains?: NormParams) => {
    const heads = asHeads(linear(projection, x), headDim);
    return applyRotary(gains ? norm(gains, heads) : heads, positions, table);
  };
  const [q, k] = [rotated(p.q_proj, p.q_norm), rotated(p.k_proj, p.k_norm)];
  return linear(p.o_proj, attend(q, k, asHeads(linear(p.v_proj, x), headDim), how));
}

/** Shapes of {@link RotaryAttentionParams}; `gains` are those of queries and keys. */
export function rotaryAttentionShapes(
  { hiddenSize, heads, keyValueHeads, headDim }: DecoderConfig,
  { bias, outputBias, gains }: {
    readonly bias: boolean;
    readonly outputBias: boolean;
    readonly gains?: LayerShapes | null;
  },
): ParameterShapes {
  const [queries, keys] = [heads * headDim, keyValueHeads * headDim];
  return {
    q_proj: linearShapes(queries, hiddenSize, { bias }),
    k_proj: linearShapes(keys, hiddenSize, { bias }),
    v_proj: linearShapes(keys, hiddenSize, { bias }),
    o_proj: linearShapes(hiddenSize, queries, { bias: outputBias }),
    ...(gains ? { q_norm: gains, k_norm: gains } : {}),
  };
}

/** Parameters of {@link gatedMlp}. */
export interface GatedMlpParams {
  /** What the activation is of. */
  readonly gate_proj: LinearParams;
  /** What it is multiplied by. */
  readonly up_proj: LinearParams;
  /** Back to the width of hidden states. */
  readonly down_proj: LinearParams;
}

/** A feed-forward layer with a gate (Shazeer, "GLU Variants Improve Transformer", 2020). */
export function gatedMlp(
  { gate_proj, up_proj, down_proj }: GatedMlpParams,
  x: Tensor,
  activation: (x: Tensor) => Tensor,
): Tensor {
  return linear(down_proj, activation(linear(gate_proj, x)).mul(linear(up_proj, x)));
}

/** Shapes of {@link GatedMlpParams}. */
export function gatedMlpShapes(width: number, inner: number, bias = false): ParameterShapes {
  return {
    gate_proj: linearShapes(inner, width, { bias }),
    up_proj: linearShapes(inner, width, { bias }),
    down_proj: linearShapes(width, inner, { bias }),
  };
}

/** Parameters of a decoder with layers L. */
export interface LlamaTree<L> extends DecoderParams {
  /** The decoder. */
  readonly model: {
    readonly embed_tokens: { readonly weight: Weight };
    readonly layers: readonly L[];
    readonly norm: NormParams;
  };
  /** Absent when the head is the embedding matrix. */
  readonly lm_head?: { readonly weight: Weight };
}

/** Settings of {@link aroundLayers}. */
export interface AroundLayersOptions {
  /** Whether the head is the embedding matrix where the config does not say; false by default. */
  readonly tied?: boolean;
  /** The id of padding where the config does not say; none by default. */
  readonly paddingId?: number;
  /** Factor of embeddings; 1 by default. */
  readonly embeddingScale?: number;
  /** Limits the logits; no limit by default. */
  readonly softCap?: number | null;
  /** The last normalisation. */
  readonly norm: (params: NormParams, x: Tensor) => Tensor;
  /** Its gains. */
  readonly gains: LayerShapes;
  /** Shapes of one layer. */
  readonly layerShapes: () => ParameterShapes;
}

/** All of a decoder but its layers: embeddings, the last normalisation, the head, and the tree they stand in. */
export function aroundLayers<L>(
  config: HuggingFaceConfig,
  sizes: DecoderConfig,
  {
    tied: tiedByDefault = false,
    embeddingScale,
    softCap = null,
    norm,
    gains,
    layerShapes,
    ...rest
  }: AroundLayersOptions,
): Omit<Decoder<LlamaTree<L>, L>, "rotary" | "layer"> {
  const { vocabularySize, hiddenSize, layers } = sizes;
  const tied = configBoolean(config, "tie_word_embeddings", tiedByDefault);
  const paddingId = paddingIdOf(config, rest.paddingId);
  return {
    config: sizes,
    body: {
      model: {
        embed_tokens: embeddingShapes(vocabularySize, hiddenSize),
        layers: Array.from({ length: layers }, layerShapes),
        norm: gains,
      },
    },
    tied,
    languageHead: tied ? {} : { lm_head: linearShapes(vocabularySize, hiddenSize) },
    embed: ({ model }, ids) => {
      const embeddings = embed(model.embed_tokens.weight, ids, paddingId);
      return embeddingScale === undefined ? embeddings : embeddings.mul(embeddingScale);
    },
    layers: ({ model }) => model.layers,
    end: ({ model }, x) => norm(model.norm, x),
    head: ({ model, lm_head }) => ({
      weight: outputWeight((lm_head ?? model.embed_tokens).weight),
      softCap,
    }),
  };
}
