/** The decoder of the Llama family, and what its members differ in. @module */

import { type Tensor, UserError } from "../../core/mod.ts";
import { activationOf } from "../activations.ts";
import {
  configBoolean,
  configNumber,
  configSize,
  type HuggingFaceConfig,
  paddingIdOf,
} from "../config.ts";
import type { Decoder, DecoderConfig, DecoderParams, LayerContext } from "../decoder.ts";
import { asHeads } from "../heads.ts";
import { linear, type LinearParams } from "../linear.ts";
import { type NormParams, rmsNorm } from "../norm.ts";
import { outputWeight } from "../output_weight.ts";
import { embeddingShapes, linearShapes, normShapes } from "../parameter_shapes.ts";
import { applyRotary } from "../rotary.ts";
import { rotaryConfig } from "../rotary_config.ts";
import { embed, type Weight } from "../weight.ts";
import type { LayerWindow } from "../windows.ts";

/** What a family adds to {@link llamaLike}. */
export interface LlamaTraits {
  /** Which projections have biases. */
  readonly queryKeyValueBias?: boolean;
  /** Whether attention's output projection has a bias. */
  readonly outputBias?: boolean;
  /** Whether feed-forward layers have biases. */
  readonly mlpBias?: boolean;
  /** Whether queries and keys are normalised per head. */
  readonly queryKeyNorm?: boolean;
  /** How many positions back layer i sees; no limit by default. */
  readonly window?: LayerWindow;
}

/** Parameters, under their Hugging Face names. */
export interface LlamaParams extends DecoderParams {
  /** The decoder. */
  readonly model: {
    readonly embed_tokens: { readonly weight: Weight };
    readonly layers: readonly LlamaLayerParams[];
    readonly norm: NormParams;
  };
  /** Absent when the head is the embedding matrix. */
  readonly lm_head?: { readonly weight: Weight };
}

/** Parameters of one layer. */
export interface LlamaLayerParams {
  /** Before attention. */
  readonly input_layernorm: NormParams;
  /** Attention's projections. */
  readonly self_attn: {
    readonly q_proj: LinearParams;
    readonly k_proj: LinearParams;
    readonly v_proj: LinearParams;
    readonly o_proj: LinearParams;
    readonly q_norm?: NormParams;
    readonly k_norm?: NormParams;
  };
  /** Before the feed-forward layer. */
  readonly post_attention_layernorm: NormParams;
  /** The feed-forward layer. */
  readonly mlp: GatedMlpParams;
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

/** The decoder of a config with the keys of transformers 4 or 5. */
export function llamaLike(
  config: HuggingFaceConfig,
  traits: LlamaTraits = {},
): Decoder<LlamaParams, LlamaLayerParams> {
  const sizes = llamaSizes(config);
  const intermediate = configSize(config, "intermediate_size");
  const epsilon = configNumber(config, "rms_norm_eps", 1e-6);
  const paddingId = paddingIdOf(config);
  const tied = configBoolean(config, "tie_word_embeddings", false);
  const activation = activationOf(config, "hidden_act", "silu");
  const { hiddenSize, headDim } = sizes;

  const selfAttention = (
    { self_attn: p }: LlamaLayerParams,
    x: Tensor,
    { index, positions, rotary: [rotary], attend }: LayerContext,
  ): Tensor => {
    const heads = (projected: Tensor, norm?: NormParams) => {
      const apart = asHeads(projected, headDim);
      return norm ? rmsNorm(norm, apart, epsilon) : apart;
    };
    const q = applyRotary(heads(linear(p.q_proj, x), p.q_norm), positions, rotary!);
    const k = applyRotary(heads(linear(p.k_proj, x), p.k_norm), positions, rotary!);
    const window = traits.window?.(index) ?? null;
    return linear(p.o_proj, attend(q, k, heads(linear(p.v_proj, x)), { window }));
  };

  const [queries, keys] = [sizes.heads * headDim, sizes.keyValueHeads * headDim];
  const projection = { bias: traits.queryKeyValueBias ?? false };
  const feedForward = { bias: traits.mlpBias ?? false };
  const layerShapes = () => ({
    input_layernorm: normShapes(hiddenSize),
    self_attn: {
      q_proj: linearShapes(queries, hiddenSize, projection),
      k_proj: linearShapes(keys, hiddenSize, projection),
      v_proj: linearShapes(keys, hiddenSize, projection),
      o_proj: linearShapes(hiddenSize, queries, { bias: traits.outputBias ?? false }),
      ...(traits.queryKeyNorm ? { q_norm: normShapes(headDim), k_norm: normShapes(headDim) } : {}),
    },
    post_attention_layernorm: normShapes(hiddenSize),
    mlp: {
      gate_proj: linearShapes(intermediate, hiddenSize, feedForward),
      up_proj: linearShapes(intermediate, hiddenSize, feedForward),
      down_proj: linearShapes(hiddenSize, intermediate, feedForward),
    },
  });

  return {
    config: sizes,
    rotary: [rotaryConfig(config, headDim)],
    body: {
      model: {
        embed_tokens: embeddingShapes(sizes.vocabularySize, hiddenSize),
        layers: Array.from({ length: sizes.layers }, layerShapes),
        norm: normShapes(hiddenSize),
      },
    },
    tied,
    languageHead: tied ? {} : { lm_head: linearShapes(sizes.vocabularySize, hiddenSize) },
    embed: ({ model }, ids) => embed(model.embed_tokens.weight, ids, paddingId),
    layers: ({ model }) => model.layers,
    layer: (p, x, context) => {
      const attended = x.add(
        selfAttention(p, rmsNorm(p.input_layernorm, x, epsilon), context),
      );
      const normed = rmsNorm(p.post_attention_layernorm, attended, epsilon);
      return attended.add(gatedMlp(p.mlp, normed, activation));
    },
    end: ({ model }, x) => rmsNorm(model.norm, x, epsilon),
    head: ({ model, lm_head }) => ({
      weight: outputWeight((lm_head ?? model.embed_tokens).weight),
    }),
  };
}

/** Sizes of a config with Llama's keys. */
export function llamaSizes(config: HuggingFaceConfig): DecoderConfig {
  const size = (name: string, fallback?: number) => configSize(config, name, fallback);
  const heads = size("num_attention_heads");
  const hiddenSize = size("hidden_size");
  if ((config["head_dim"] ?? null) === null && hiddenSize % heads !== 0) {
    throw new UserError(
      `The model's config.json has hidden_size = ${hiddenSize}, which is not a multiple of its ` +
        `${heads} attention heads. Where they do not divide, head_dim must say how wide a head is.`,
    );
  }
  const headDim = size("head_dim", hiddenSize / heads);
  const keyValueHeads = size("num_key_value_heads", heads);
  if (heads % keyValueHeads !== 0 || headDim % 2 !== 0) {
    throw new UserError(
      `The model's config.json has ${heads} attention heads of width ${headDim} and ${keyValueHeads} key/value heads: ` +
        "the first must be a multiple of the last, and the width even.",
    );
  }
  return {
    vocabularySize: size("vocab_size"),
    hiddenSize,
    layers: size("num_hidden_layers"),
    heads,
    keyValueHeads,
    headDim,
    maxPositions: size("max_position_embeddings", 2048),
    learnedPositions: false,
    initializerRange: configNumber(config, "initializer_range", 0.02),
  };
}
