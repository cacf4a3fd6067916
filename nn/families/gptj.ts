/** GPT-J (Wang and Komatsuzaki 2021). @module */

import type { Tensor } from "../../core/mod.ts";
import { activationOf } from "../activations.ts";
import {
  configBoolean,
  configEpsilon,
  configError,
  configSize,
  type HuggingFaceConfig,
} from "../config.ts";
import type { Decoder, DecoderParams, LayerContext } from "../decoder.ts";
import { asHeads } from "../heads.ts";
import { linear, type LinearParams } from "../linear.ts";
import { layerNorm, type LayerNormParams } from "../norm.ts";
import { outputWeight } from "../output_weight.ts";
import { embeddingShapes, linearShapes, normShapes } from "../parameter_shapes.ts";
import { applyRotary } from "../rotary.ts";
import { denseVector, embed, type VectorWeight, type Weight } from "../weight.ts";
import { gptSizes } from "./gpt2.ts";

/** Parameters, under their Hugging Face names. */
export interface GptJParams extends DecoderParams {
  readonly transformer: {
    readonly wte: { readonly weight: Weight };
    readonly h: readonly GptJLayerParams[];
    readonly ln_f: LayerNormParams;
  };
  /** Its matrix is absent where it is the embedding matrix. */
  readonly lm_head: { readonly weight?: Weight; readonly bias: VectorWeight };
}

/** Parameters of one layer. */
export interface GptJLayerParams {
  readonly ln_1: LayerNormParams;
  readonly attn: {
    readonly q_proj: LinearParams;
    readonly k_proj: LinearParams;
    readonly v_proj: LinearParams;
    readonly out_proj: LinearParams;
  };
  readonly mlp: { readonly fc_in: LinearParams; readonly fc_out: LinearParams };
}

/** The decoder: attention and feed-forward side by side, neighbouring features rotated, a head with a bias. */
export function gptJ(config: HuggingFaceConfig): Decoder<GptJParams, GptJLayerParams> {
  const sizes = gptSizes(config);
  const { hiddenSize, headDim, vocabularySize } = sizes;
  const epsilon = configEpsilon(config, "layer_norm_epsilon", 1e-5);
  const activation = activationOf(config, "activation_function", "gelu_new");
  const tied = configBoolean(config, "tie_word_embeddings", false);

  const selfAttention = (
    { q_proj, k_proj, v_proj, out_proj }: GptJLayerParams["attn"],
    x: Tensor,
    { positions, rotary: [rotary], attend }: LayerContext,
  ): Tensor => {
    const heads = (p: LinearParams) => asHeads(linear(p, x), headDim);
    const rotated = (p: LinearParams) =>
      applyRotary(heads(p), positions, rotary!, { interleaved: true });
    return linear(out_proj, attend(rotated(q_proj), rotated(k_proj), heads(v_proj)));
  };

  const width = configSize(config, "rotary_dim", 64);
  if (width % 2 !== 0 || width > headDim) {
    throw configError(
      config,
      "rotary_dim",
      `an even number up to ${headDim}, the width of a head,`,
    );
  }
  const inner = configSize(config, "n_inner", 4 * hiddenSize);
  const projection = linearShapes(hiddenSize, hiddenSize);
  const { bias, ...matrix } = linearShapes(vocabularySize, hiddenSize, { bias: true });
  const layerShapes = () => ({
    ln_1: normShapes(hiddenSize, { bias: true }),
    attn: { q_proj: projection, k_proj: projection, v_proj: projection, out_proj: projection },
    mlp: {
      fc_in: linearShapes(inner, hiddenSize, { bias: true }),
      fc_out: linearShapes(hiddenSize, inner, { bias: true }),
    },
  });

  return {
    config: sizes,
    rotary: [{
      width,
      theta: 10000,
      scaling: { type: "default" },
    }],
    body: {
      transformer: {
        wte: embeddingShapes(vocabularySize, hiddenSize),
        h: Array.from({ length: sizes.layers }, layerShapes),
        ln_f: normShapes(hiddenSize, { bias: true }),
      },
    },
    tied,
    languageHead: { lm_head: { ...(tied ? {} : matrix), bias } },
    tokenHead: null,
    embed: ({ transformer }, ids) => embed(transformer.wte.weight, ids),
    layers: ({ transformer }) => transformer.h,
    layer: (p, x, context) => {
      const normed = layerNorm(p.ln_1, x, epsilon);
      const attended = selfAttention(p.attn, normed, context);
      return attended.add(linear(p.mlp.fc_out, activation(linear(p.mlp.fc_in, normed)))).add(x);
    },
    end: ({ transformer }, x) => layerNorm(transformer.ln_f, x, epsilon),
    head: ({ transformer, lm_head }) => ({
      weight: outputWeight(lm_head.weight ?? transformer.wte.weight),
      bias: denseVector(lm_head.bias),
    }),
  };
}
