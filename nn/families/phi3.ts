/** Phi-3 and Phi-4 (Abdin et al., arXiv:2404.14219). @module */

import type { Tensor } from "../../core/mod.ts";
import { activationOf } from "../activations.ts";
import {
  configBoolean,
  configNumber,
  configSize,
  type HuggingFaceConfig,
  paddingIdOf,
} from "../config.ts";
import type { Decoder, DecoderParams, LayerContext } from "../decoder.ts";
import { queriesKeysValues } from "../heads.ts";
import { linear, type LinearParams } from "../linear.ts";
import { type NormParams, rmsNorm } from "../norm.ts";
import { outputWeight } from "../output_weight.ts";
import { embeddingShapes, linearShapes, normShapes } from "../parameter_shapes.ts";
import { applyRotary } from "../rotary.ts";
import { rotaryConfig } from "../rotary_config.ts";
import { embed, type Weight } from "../weight.ts";
import { uniformWindow } from "../windows.ts";
import { llamaSizes } from "./llama_like.ts";

/** Parameters, under their Hugging Face names. */
export interface Phi3Params extends DecoderParams {
  readonly model: {
    readonly embed_tokens: { readonly weight: Weight };
    readonly layers: readonly Phi3LayerParams[];
    readonly norm: NormParams;
  };
  readonly lm_head?: { readonly weight: Weight };
}

/** Parameters of one layer. */
export interface Phi3LayerParams {
  readonly input_layernorm: NormParams;
  readonly self_attn: { readonly qkv_proj: LinearParams; readonly o_proj: LinearParams };
  readonly post_attention_layernorm: NormParams;
  readonly mlp: { readonly gate_up_proj: LinearParams; readonly down_proj: LinearParams };
}

/** The decoder: Llama's, with one matrix for queries, keys and values, and one for gate and feed-forward. */
export function phi3(config: HuggingFaceConfig): Decoder<Phi3Params, Phi3LayerParams> {
  const sizes = llamaSizes(config);
  const { hiddenSize, headDim, vocabularySize } = sizes;
  const inner = configSize(config, "intermediate_size");
  const epsilon = configNumber(config, "rms_norm_eps", 1e-5);
  const activation = activationOf(config, "hidden_act", "silu");
  const window = uniformWindow({ ...config, sliding_window: config["sliding_window"] ?? null });
  const paddingId = paddingIdOf({ pad_token_id: 32_000, ...config });
  const tied = configBoolean(config, "tie_word_embeddings", false);

  const selfAttention = (
    { qkv_proj, o_proj }: Phi3LayerParams["self_attn"],
    x: Tensor,
    { index, positions, rotary: [rotary], attend }: LayerContext,
  ): Tensor => {
    const { q, k, v } = queriesKeysValues(linear(qkv_proj, x), sizes);
    const rotated = (projected: Tensor) => applyRotary(projected, positions, rotary!);
    return linear(o_proj, attend(rotated(q), rotated(k), v, { window: window(index) }));
  };
  const feedForward = ({ gate_up_proj, down_proj }: Phi3LayerParams["mlp"], x: Tensor): Tensor => {
    const both = linear(gate_up_proj, x);
    return linear(
      down_proj,
      activation(both.slice(0, inner, 1)).mul(both.slice(inner, 2 * inner, 1)),
    );
  };

  const queries = sizes.heads * headDim;
  const layerShapes = () => ({
    input_layernorm: normShapes(hiddenSize),
    self_attn: {
      qkv_proj: linearShapes(queries + 2 * sizes.keyValueHeads * headDim, hiddenSize),
      o_proj: linearShapes(hiddenSize, queries),
    },
    post_attention_layernorm: normShapes(hiddenSize),
    mlp: {
      gate_up_proj: linearShapes(2 * inner, hiddenSize),
      down_proj: linearShapes(hiddenSize, inner),
    },
  });

  return {
    config: sizes,
    rotary: [rotaryConfig(config, headDim, { share: ["partial_rotary_factor"] })],
    body: {
      model: {
        embed_tokens: embeddingShapes(vocabularySize, hiddenSize),
        layers: Array.from({ length: sizes.layers }, layerShapes),
        norm: normShapes(hiddenSize),
      },
    },
    tied,
    languageHead: tied ? {} : { lm_head: linearShapes(vocabularySize, hiddenSize) },
    embed: ({ model }, ids) => embed(model.embed_tokens.weight, ids, paddingId),
    layers: ({ model }) => model.layers,
    layer: (p, x, context) => {
      const normed = rmsNorm(p.input_layernorm, x, epsilon);
      const attended = x.add(selfAttention(p.self_attn, normed, context));
      return attended.add(
        feedForward(p.mlp, rmsNorm(p.post_attention_layernorm, attended, epsilon)),
      );
    },
    end: ({ model }, x) => rmsNorm(model.norm, x, epsilon),
    head: ({ model, lm_head }) => ({
      weight: outputWeight((lm_head ?? model.embed_tokens).weight),
    }),
  };
}
