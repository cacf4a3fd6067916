/** OPT (Zhang et al., arXiv:2205.01068). @module */

import { type Tensor, UserError } from "../../core/mod.ts";
import { activationOf } from "../activations.ts";
import {
  configBoolean,
  configDeviation,
  configLayers,
  configPlace,
  configSize,
  type HuggingFaceConfig,
  paddingIdOf,
} from "../config.ts";
import type { Decoder, DecoderConfig, DecoderParams, LayerContext } from "../decoder.ts";
import { asHeads, headWidth } from "../heads.ts";
import { linear, type LinearParams } from "../linear.ts";
import { layerNorm, type LayerNormParams } from "../norm.ts";
import { outputWeight } from "../output_weight.ts";
import { embeddingShapes, linearShapes, normShapes } from "../parameter_shapes.ts";
import { embed, type Weight } from "../weight.ts";

/** Parameters, under their Hugging Face names. */
export interface OptParams extends DecoderParams {
  readonly model: {
    readonly decoder: {
      readonly embed_tokens: { readonly weight: Weight };
      readonly embed_positions: { readonly weight: Weight };
      readonly project_in?: LinearParams;
      readonly layers: readonly OptLayerParams[];
      readonly final_layer_norm?: LayerNormParams;
      readonly project_out?: LinearParams;
    };
  };
  readonly lm_head?: { readonly weight: Weight };
}

/** Parameters of one layer. */
export interface OptLayerParams {
  readonly self_attn: {
    readonly q_proj: LinearParams;
    readonly k_proj: LinearParams;
    readonly v_proj: LinearParams;
    readonly out_proj: LinearParams;
  };
  readonly self_attn_layer_norm: LayerNormParams;
  readonly fc1: LinearParams;
  readonly fc2: LinearParams;
  readonly final_layer_norm: LayerNormParams;
}

/** PyTorch's default. */
const epsilon = 1e-5;
/** The first rows of the table of positions are for padding. */
const positionOffset = 2;

/** The decoder: learned positions, and layer normalisation before or (350m) after what it normalises. */
export function opt(config: HuggingFaceConfig): Decoder<OptParams, OptLayerParams> {
  const width = configSize(config, "hidden_size");
  const sizes = optSizes(config, width);
  const { hiddenSize, headDim, vocabularySize } = sizes;
  const activation = activationOf(config, "activation_function", "relu");
  const before = configBoolean(config, "do_layer_norm_before", true);
  const normalisesLast = before && !configBoolean(config, "_remove_final_layer_norm", false);
  const paddingId = paddingIdOf(config, 1);
  const tied = configBoolean(config, "tie_word_embeddings", true);
  if (!configBoolean(config, "layer_norm_elementwise_affine", true)) {
    throw new UserError(
      `${
        configPlace(config)
      } has layer_norm_elementwise_affine = false; only OPT models whose layer ` +
        "normalisation has gains and biases are supported.",
    );
  }

  const selfAttention = (
    { q_proj, k_proj, v_proj, out_proj }: OptLayerParams["self_attn"],
    x: Tensor,
    { attend }: LayerContext,
  ): Tensor => {
    const heads = (p: LinearParams) => asHeads(linear(p, x), headDim);
    return linear(out_proj, attend(heads(q_proj), heads(k_proj), heads(v_proj)));
  };
  /** x + f(x), normalised before f or after the sum. */
  const residual = (norm: LayerNormParams, x: Tensor, f: (x: Tensor) => Tensor): Tensor =>
    before ? x.add(f(layerNorm(norm, x, epsilon))) : layerNorm(norm, x.add(f(x)), epsilon);

  const inner = configSize(config, "ffn_dim");
  const biased = { bias: configBoolean(config, "enable_bias", true) };
  const projection = linearShapes(width, width, biased);
  const layerShapes = () => ({
    self_attn: { q_proj: projection, k_proj: projection, v_proj: projection, out_proj: projection },
    self_attn_layer_norm: normShapes(width, { bias: true }),
    fc1: linearShapes(inner, width, biased),
    fc2: linearShapes(width, inner, biased),
    final_layer_norm: normShapes(width, { bias: true }),
  });
  const projected = hiddenSize === width ? {} : {
    project_in: linearShapes(width, hiddenSize),
    project_out: linearShapes(hiddenSize, width),
  };

  return {
    config: sizes,
    rotary: [],
    body: {
      model: {
        decoder: {
          embed_tokens: embeddingShapes(vocabularySize, hiddenSize),
          embed_positions: embeddingShapes(sizes.maxPositions + positionOffset, width),
          ...projected,
          layers: Array.from({ length: sizes.layers }, layerShapes),
          ...(normalisesLast ? { final_layer_norm: normShapes(width, { bias: true }) } : {}),
        },
      },
    },
    tied,
    tokenHead: null,
    languageHead: tied ? {} : { lm_head: linearShapes(vocabularySize, hiddenSize) },
    embed: ({ model: { decoder } }, ids) => embed(decoder.embed_tokens.weight, ids, paddingId),
    begin: ({ model: { decoder } }, x, positions) =>
      (decoder.project_in ? linear(decoder.project_in, x) : x)
        .add(embed(decoder.embed_positions.weight, positions.add(positionOffset))),
    layers: ({ model: { decoder } }) => decoder.layers,
    layer: (p, x, context) => {
      const attended = residual(
        p.self_attn_layer_norm,
        x,
        (y) => selfAttention(p.self_attn, y, context),
      );
      return residual(
        p.final_layer_norm,
        attended,
        (y) => linear(p.fc2, activation(linear(p.fc1, y))),
      );
    },
    end: ({ model: { decoder: { final_layer_norm, project_out } } }, x) => {
      const normed = final_layer_norm ? layerNorm(final_layer_norm, x, epsilon) : x;
      return project_out ? linear(project_out, normed) : normed;
    },
    head: ({ model: { decoder }, lm_head }) => ({
      weight: outputWeight((lm_head ?? decoder.embed_tokens).weight),
    }),
  };
}

function optSizes(config: HuggingFaceConfig, width: number): DecoderConfig {
  const heads = configSize(config, "num_attention_heads");
  return {
    vocabularySize: configSize(config, "vocab_size"),
    hiddenSize: configSize(config, "word_embed_proj_dim", width),
    layers: configLayers(config, "num_hidden_layers"),
    heads,
    keyValueHeads: heads,
    headDim: headWidth(config, width, heads),
    maxPositions: configSize(config, "max_position_embeddings"),
    learnedPositions: true,
    initializerRange: configDeviation(config, "init_std", 0.02),
  };
}
