/** The decoder of Gemma 2 and 3: norms around every part, gains on top of one, scaled embeddings. @module */

import { type Tensor, UserError } from "../../core/mod.ts";
import { activationOf } from "../activations.ts";
import {
  configBoolean,
  configNumber,
  configSize,
  type HuggingFaceConfig,
  paddingIdOf,
} from "../config.ts";
import type { Decoder, DecoderParams, LayerContext } from "../decoder.ts";
import { asHeads } from "../heads.ts";
import { linear, type LinearParams } from "../linear.ts";
import { type NormParams, rmsNormFromOne } from "../norm.ts";
import { outputWeight } from "../output_weight.ts";
import { embeddingShapes, linearShapes, normShapes } from "../parameter_shapes.ts";
import { applyRotary, type RotaryConfig } from "../rotary.ts";
import { embed, type Weight } from "../weight.ts";
import type { LayerWindow } from "../windows.ts";
import { gatedMlp, type GatedMlpParams, llamaSizes } from "./llama_like.ts";

/** What a family adds to {@link gemmaLike}. */
export interface GemmaTraits {
  /** Whether queries and keys are normalised per head. */
  readonly queryKeyNorm: boolean;
  /** How many positions back layer i sees. */
  readonly window: LayerWindow;
  /** Rotary embeddings of layers that see everything, and of those with a window. */
  readonly rotary: { readonly full: RotaryConfig; readonly sliding: RotaryConfig };
}

/** Parameters, under their Hugging Face names. */
export interface GemmaParams extends DecoderParams {
  readonly model: {
    readonly embed_tokens: { readonly weight: Weight };
    readonly layers: readonly GemmaLayerParams[];
    readonly norm: NormParams;
  };
  readonly lm_head?: { readonly weight: Weight };
}

/** Parameters of one layer. */
export interface GemmaLayerParams {
  readonly input_layernorm: NormParams;
  readonly self_attn: {
    readonly q_proj: LinearParams;
    readonly k_proj: LinearParams;
    readonly v_proj: LinearParams;
    readonly o_proj: LinearParams;
    readonly q_norm?: NormParams;
    readonly k_norm?: NormParams;
  };
  readonly post_attention_layernorm: NormParams;
  readonly pre_feedforward_layernorm: NormParams;
  readonly mlp: GatedMlpParams;
  readonly post_feedforward_layernorm: NormParams;
}

/** The decoder of a config. */
export function gemmaLike(
  config: HuggingFaceConfig,
  { queryKeyNorm, window, rotary }: GemmaTraits,
): Decoder<GemmaParams, GemmaLayerParams> {
  if (configBoolean(config, "use_bidirectional_attention", false)) {
    throw new UserError(
      "The model's config.json has use_bidirectional_attention = true: it embeds texts and does not predict tokens, " +
        "which is not supported.",
    );
  }
  const sizes = llamaSizes(config);
  const { hiddenSize, headDim, vocabularySize } = sizes;
  const inner = configSize(config, "intermediate_size");
  const epsilon = configNumber(config, "rms_norm_eps", 1e-6);
  const activation = activationOf(config, "hidden_activation", "gelu_pytorch_tanh");
  const scale = 1 / Math.sqrt(configNumber(config, "query_pre_attn_scalar", 256));
  const softcap = capOf(config, "attn_logit_softcapping");
  const softCap = capOf(config, "final_logit_softcapping");
  const paddingId = paddingIdOf({ pad_token_id: 0, ...config });
  const tied = configBoolean(config, "tie_word_embeddings", true);

  const normed = (norm: NormParams, x: Tensor) => rmsNormFromOne(norm, x, epsilon);
  const selfAttention = (
    { self_attn: p }: GemmaLayerParams,
    x: Tensor,
    { index, positions, rotary: [full, sliding], attend }: LayerContext,
  ): Tensor => {
    const heads = (projected: Tensor, norm?: NormParams) => {
      const apart = asHeads(projected, headDim);
      return norm ? normed(norm, apart) : apart;
    };
    const seen = window(index);
    const table = seen === null ? full! : sliding!;
    const q = applyRotary(heads(linear(p.q_proj, x), p.q_norm), positions, table);
    const k = applyRotary(heads(linear(p.k_proj, x), p.k_norm), positions, table);
    const v = heads(linear(p.v_proj, x));
    return linear(p.o_proj, attend(q, k, v, { window: seen, scale, softcap }));
  };

  const [queries, keys] = [sizes.heads * headDim, sizes.keyValueHeads * headDim];
  const projection = { bias: configBoolean(config, "attention_bias", false) };
  const gains = (width: number) => normShapes(width, { fromOne: true });
  const layerShapes = () => ({
    input_layernorm: gains(hiddenSize),
    self_attn: {
      q_proj: linearShapes(queries, hiddenSize, projection),
      k_proj: linearShapes(keys, hiddenSize, projection),
      v_proj: linearShapes(keys, hiddenSize, projection),
      o_proj: linearShapes(hiddenSize, queries, projection),
      ...(queryKeyNorm ? { q_norm: gains(headDim), k_norm: gains(headDim) } : {}),
    },
    post_attention_layernorm: gains(hiddenSize),
    pre_feedforward_layernorm: gains(hiddenSize),
    mlp: {
      gate_proj: linearShapes(inner, hiddenSize),
      up_proj: linearShapes(inner, hiddenSize),
      down_proj: linearShapes(hiddenSize, inner),
    },
    post_feedforward_layernorm: gains(hiddenSize),
  });

  return {
    config: sizes,
    rotary: [rotary.full, rotary.sliding],
    body: {
      model: {
        embed_tokens: embeddingShapes(vocabularySize, hiddenSize),
        layers: Array.from({ length: sizes.layers }, layerShapes),
        norm: gains(hiddenSize),
      },
    },
    tied,
    languageHead: tied ? {} : { lm_head: linearShapes(vocabularySize, hiddenSize) },
    embed: ({ model }, ids) =>
      embed(model.embed_tokens.weight, ids, paddingId).mul(Math.sqrt(hiddenSize)),
    layers: ({ model }) => model.layers,
    layer: (p, x, context) => {
      const out = selfAttention(p, normed(p.input_layernorm, x), context);
      const attended = x.add(normed(p.post_attention_layernorm, out));
      const fed = gatedMlp(p.mlp, normed(p.pre_feedforward_layernorm, attended), activation);
      return attended.add(normed(p.post_feedforward_layernorm, fed));
    },
    end: ({ model }, x) => normed(model.norm, x),
    head: ({ model, lm_head }) => ({
      weight: outputWeight((lm_head ?? model.embed_tokens).weight),
      softCap,
    }),
  };
}

function capOf(config: HuggingFaceConfig, name: string): number | null {
  return (config[name] ?? null) === null ? null : configNumber(config, name);
}
