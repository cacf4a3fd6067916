/** GPT-NeoX and Pythia (Black et al. 2022; Biderman et al. 2023). @module */

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
import { headWidth } from "../heads.ts";
import { linear, type LinearParams } from "../linear.ts";
import { layerNorm, type LayerNormParams } from "../norm.ts";
import { outputWeight } from "../output_weight.ts";
import { embeddingShapes, linearShapes, normShapes } from "../parameter_shapes.ts";
import { applyRotary } from "../rotary.ts";
import { rotaryConfig } from "../rotary_config.ts";
import { embed, type Weight } from "../weight.ts";

/** Parameters, under the names that transformers 5 gives them; the head is `embed_out` in files. */
export interface GptNeoXParams extends DecoderParams {
  readonly gpt_neox: {
    readonly embed_in: { readonly weight: Weight };
    readonly layers: readonly GptNeoXLayerParams[];
    readonly final_layer_norm: LayerNormParams;
  };
  readonly lm_head?: { readonly weight: Weight };
}

/** Parameters of one layer. */
export interface GptNeoXLayerParams {
  readonly input_layernorm: LayerNormParams;
  readonly attention: { readonly query_key_value: LinearParams; readonly dense: LinearParams };
  readonly post_attention_layernorm: LayerNormParams;
  readonly mlp: { readonly dense_h_to_4h: LinearParams; readonly dense_4h_to_h: LinearParams };
}

/** The decoder: attention and feed-forward side by side by default, a part of each head's features rotated. */
export function gptNeoX(config: HuggingFaceConfig): Decoder<GptNeoXParams, GptNeoXLayerParams> {
  const sizes = gptNeoXSizes(config);
  const { hiddenSize, heads, headDim, vocabularySize } = sizes;
  const epsilon = configEpsilon(config, "layer_norm_eps", 1e-5);
  const activation = activationOf(config, "hidden_act", "gelu");
  const parallel = configBoolean(config, "use_parallel_residual", true);
  const tied = configBoolean(config, "tie_word_embeddings", false);

  const selfAttention = (
    { query_key_value, dense }: GptNeoXLayerParams["attention"],
    x: Tensor,
    { positions, rotary: [rotary], attend }: LayerContext,
  ): Tensor => {
    // Head by head, each with its query, key and value.
    const all = linear(query_key_value, x).reshape(x.shape[0]!, heads, 3 * headDim);
    const [q, k, v] = [0, 1, 2].map((i) => all.slice(i * headDim, (i + 1) * headDim, 2));
    const rotated = (projected: Tensor) => applyRotary(projected, positions, rotary!);
    return linear(dense, attend(rotated(q!), rotated(k!), v!));
  };
  const feedForward = ({ mlp }: GptNeoXLayerParams, x: Tensor): Tensor =>
    linear(mlp.dense_4h_to_h, activation(linear(mlp.dense_h_to_4h, x)));

  const inner = configSize(config, "intermediate_size");
  const projection = { bias: configBoolean(config, "attention_bias", true) };
  const layerShapes = () => ({
    input_layernorm: normShapes(hiddenSize, { bias: true }),
    attention: {
      query_key_value: linearShapes(3 * hiddenSize, hiddenSize, projection),
      dense: linearShapes(hiddenSize, hiddenSize, projection),
    },
    post_attention_layernorm: normShapes(hiddenSize, { bias: true }),
    mlp: {
      dense_h_to_4h: linearShapes(inner, hiddenSize, { bias: true }),
      dense_4h_to_h: linearShapes(hiddenSize, inner, { bias: true }),
    },
  });

  return {
    config: sizes,
    rotary: [rotaryConfig({ rotary_pct: 0.25, ...config }, headDim, {
      share: ["partial_rotary_factor", "rotary_pct"],
    })],
    body: {
      gpt_neox: {
        embed_in: embeddingShapes(vocabularySize, hiddenSize),
        layers: Array.from({ length: sizes.layers }, layerShapes),
        final_layer_norm: normShapes(hiddenSize, { bias: true }),
      },
    },
    tied,
    languageHead: tied ? {} : { lm_head: linearShapes(vocabularySize, hiddenSize) },
    storedNames: { lm_head: "embed_out" },
    tokenHead: "classifier",
    embed: ({ gpt_neox }, ids) => embed(gpt_neox.embed_in.weight, ids),
    layers: ({ gpt_neox }) => gpt_neox.layers,
    layer: (p, x, context) => {
      const attended = selfAttention(p.attention, layerNorm(p.input_layernorm, x, epsilon), context)
        .add(x);
      const input = layerNorm(p.post_attention_layernorm, parallel ? x : attended, epsilon);
      return feedForward(p, input).add(attended);
    },
    end: ({ gpt_neox }, x) => layerNorm(gpt_neox.final_layer_norm, x, epsilon),
    head: ({ gpt_neox, lm_head }) => ({
      weight: outputWeight((lm_head ?? gpt_neox.embed_in).weight),
    }),
  };
}

function gptNeoXSizes(config: HuggingFaceConfig): DecoderConfig {
  const hiddenSize = configSize(config, "hidden_size");
  const heads = configSize(config, "num_attention_heads");
  return {
    vocabularySize: configSize(config, "vocab_size"),
    hiddenSize,
    layers: configLayers(config, "num_hidden_layers"),
    heads,
    keyValueHeads: heads,
    headDim: headWidth(config, hiddenSize, heads),
    maxPositions: configSize(config, "max_position_embeddings", 2048),
    learnedPositions: false,
    initializerRange: configDeviation(config, "initializer_range", 0.02),
  };
}
