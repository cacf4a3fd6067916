/** GPT-2 (Radford et al. 2019). @module */

import type { Tensor } from "../../core/mod.ts";
import { activationOf } from "../activations.ts";
import {
  configBoolean,
  configDeviation,
  configEpsilon,
  configLayers,
  configSize,
  type HuggingFaceConfig,
} from "../config.ts";
import type { Decoder, DecoderConfig, DecoderParams, LayerContext } from "../decoder.ts";
import { headWidth, queriesKeysValues } from "../heads.ts";
import { linear, type LinearParams } from "../linear.ts";
import { layerNorm, type LayerNormParams } from "../norm.ts";
import { outputWeight } from "../output_weight.ts";
import { embeddingShapes, linearShapes, normShapes } from "../parameter_shapes.ts";
import { embed, type Weight } from "../weight.ts";

/** Parameters, under their Hugging Face names; matrices are [out, in], where files have their transposes. */
export interface Gpt2Params extends DecoderParams {
  readonly transformer: {
    readonly wte: { readonly weight: Weight };
    readonly wpe: { readonly weight: Weight };
    readonly h: readonly Gpt2LayerParams[];
    readonly ln_f: LayerNormParams;
  };
  readonly lm_head?: { readonly weight: Weight };
}

/** Parameters of one layer. */
export interface Gpt2LayerParams {
  readonly ln_1: LayerNormParams;
  readonly attn: { readonly c_attn: LinearParams; readonly c_proj: LinearParams };
  readonly ln_2: LayerNormParams;
  readonly mlp: { readonly c_fc: LinearParams; readonly c_proj: LinearParams };
}

/** The decoder: learned positions, layer normalisation, one projection for queries, keys and values. */
export function gpt2(config: HuggingFaceConfig): Decoder<Gpt2Params, Gpt2LayerParams> {
  const sizes = gptSizes(config);
  const { hiddenSize, headDim, vocabularySize } = sizes;
  const epsilon = configEpsilon(config, "layer_norm_epsilon", 1e-5);
  const activation = activationOf(config, "activation_function", "gelu_new");
  const scaled = configBoolean(config, "scale_attn_weights", true);
  const byLayer = configBoolean(config, "scale_attn_by_inverse_layer_idx", false);
  const tied = configBoolean(config, "tie_word_embeddings", true);

  const selfAttention = (
    { c_attn, c_proj }: Gpt2LayerParams["attn"],
    x: Tensor,
    { index, attend }: LayerContext,
  ): Tensor => {
    const { q, k, v } = queriesKeysValues(linear(c_attn, x), sizes);
    const scale = (scaled ? 1 / Math.sqrt(headDim) : 1) / (byLayer ? index + 1 : 1);
    return linear(c_proj, attend(q, k, v, { scale }));
  };

  const inner = configSize(config, "n_inner", 4 * hiddenSize);
  const conv1d = { bias: true, transposed: true };
  const residual = { ...conv1d, deviation: 1 / Math.sqrt(2 * sizes.layers) };
  const layerShapes = () => ({
    ln_1: normShapes(hiddenSize, { bias: true }),
    attn: {
      c_attn: linearShapes(3 * hiddenSize, hiddenSize, conv1d),
      c_proj: linearShapes(hiddenSize, hiddenSize, residual),
    },
    ln_2: normShapes(hiddenSize, { bias: true }),
    mlp: {
      c_fc: linearShapes(inner, hiddenSize, conv1d),
      c_proj: linearShapes(hiddenSize, inner, residual),
    },
  });

  return {
    config: { ...sizes, learnedPositions: true },
    rotary: [],
    body: {
      transformer: {
        wte: embeddingShapes(vocabularySize, hiddenSize),
        wpe: embeddingShapes(sizes.maxPositions, hiddenSize),
        h: Array.from({ length: sizes.layers }, layerShapes),
        ln_f: normShapes(hiddenSize, { bias: true }),
      },
    },
    tied,
    languageHead: tied ? {} : { lm_head: linearShapes(vocabularySize, hiddenSize) },
    tokenHead: "classifier",
    embed: ({ transformer }, ids) => embed(transformer.wte.weight, ids),
    begin: ({ transformer }, x, positions) => x.add(embed(transformer.wpe.weight, positions)),
    layers: ({ transformer }) => transformer.h,
    layer: (p, x, context) => {
      const attended = x.add(selfAttention(p.attn, layerNorm(p.ln_1, x, epsilon), context));
      const normed = layerNorm(p.ln_2, attended, epsilon);
      return attended.add(linear(p.mlp.c_proj, activation(linear(p.mlp.c_fc, normed))));
    },
    end: ({ transformer }, x) => layerNorm(transformer.ln_f, x, epsilon),
    head: ({ transformer, lm_head }) => ({
      weight: outputWeight((lm_head ?? transformer.wte).weight),
    }),
  };
}

/** Sizes of a config with GPT-2's keys. */
export function gptSizes(config: HuggingFaceConfig): DecoderConfig {
  const [hiddenSize, heads] = [configSize(config, "n_embd"), configSize(config, "n_head")];
  return {
    vocabularySize: configSize(config, "vocab_size"),
    hiddenSize,
    layers: configLayers(config, "n_layer"),
    heads,
    keyValueHeads: heads,
    headDim: headWidth(config, hiddenSize, heads),
    maxPositions: configSize(config, "n_positions"),
    learnedPositions: false,
    initializerRange: configDeviation(config, "initializer_range", 0.02),
  };
}
