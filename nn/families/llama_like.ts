/** The decoder of the Llama family, and what its members differ in. @module */

import { type Tensor, UserError } from "../../core/mod.ts";
import { activationOf } from "../activations.ts";
import {
  configDeviation,
  configEpsilon,
  configLayers,
  configPlace,
  configSize,
  type HuggingFaceConfig,
} from "../config.ts";
import type { Decoder, DecoderConfig } from "../decoder.ts";
import { type NormParams, rmsNorm } from "../norm.ts";
import { normShapes } from "../parameter_shapes.ts";
import { rotaryConfig } from "../rotary_config.ts";
import type { LayerWindow } from "../windows.ts";
import {
  aroundLayers,
  gatedMlp,
  type GatedMlpParams,
  gatedMlpShapes,
  type LlamaTree,
  rotaryAttention,
  type RotaryAttentionParams,
  rotaryAttentionShapes,
} from "./llama_parts.ts";

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
export type LlamaParams = LlamaTree<LlamaLayerParams>;

/** Parameters of one layer. */
export interface LlamaLayerParams {
  /** Before attention. */
  readonly input_layernorm: NormParams;
  /** Attention. */
  readonly self_attn: RotaryAttentionParams;
  /** Before the feed-forward layer. */
  readonly post_attention_layernorm: NormParams;
  /** The feed-forward layer. */
  readonly mlp: GatedMlpParams;
}

/** The decoder of a config with the keys of transformers 4 or 5. */
export function llamaLike(
  config: HuggingFaceConfig,
  traits: LlamaTraits = {},
): Decoder<LlamaParams, LlamaLayerParams> {
  const sizes = llamaSizes(config);
  const { hiddenSize, headDim } = sizes;
  const inner = configSize(config, "intermediate_size");
  const epsilon = configEpsilon(config, "rms_norm_eps", 1e-6);
  const activation = activationOf(config, "hidden_act", "silu");
  const norm = (params: NormParams, x: Tensor) => rmsNorm(params, x, epsilon);
  return {
    ...aroundLayers<LlamaLayerParams>(config, sizes, {
      norm,
      gains: normShapes(hiddenSize),
      layerShapes: () => ({
        input_layernorm: normShapes(hiddenSize),
        self_attn: rotaryAttentionShapes(sizes, {
          bias: traits.queryKeyValueBias ?? false,
          outputBias: traits.outputBias ?? false,
          gains: traits.queryKeyNorm ? normShapes(headDim) : null,
        }),
        post_attention_layernorm: normShapes(hiddenSize),
        mlp: gatedMlpShapes(hiddenSize, inner, traits.mlpBias),
      }),
    }),
    rotary: [rotaryConfig(config, headDim)],
    layer: (p, x, context) => {
      const attended = x.add(
        rotaryAttention(p.self_attn, norm(p.input_layernorm, x), context, {
          headDim,
          table: context.rotary[0]!,
          norm,
          window: traits.window?.(context.index) ?? null,
        }),
      );
      const normed = norm(p.post_attention_layernorm, attended);
      return attended.add(gatedMlp(p.mlp, normed, activation));
    },
  };
}

/** Sizes of a config with Llama's keys. */
export function llamaSizes(config: HuggingFaceConfig): DecoderConfig {
  const size = (name: string, fallback?: number) => configSize(config, name, fallback);
  const heads = size("num_attention_heads");
  const hiddenSize = size("hidden_size");
  if ((config["head_dim"] ?? null) === null && hiddenSize % heads !== 0) {
    throw new UserError(
      `${configPlace(config)} has hidden_size = ${hiddenSize}, which is not a multiple of its ` +
        `${heads} attention heads. Where they do not divide, head_dim must say how wide a head is.`,
    );
  }
  const headDim = size("head_dim", hiddenSize / heads);
  const keyValueHeads = size("num_key_value_heads", heads);
  if (heads % keyValueHeads !== 0 || headDim % 2 !== 0) {
    throw new UserError(
      `${
        configPlace(config)
      } has ${heads} attention heads of width ${headDim} and ${keyValueHeads} key/value heads: ` +
        "the first must be a multiple of the last, and the width even.",
    );
  }
  return {
    vocabularySize: size("vocab_size"),
    hiddenSize,
    layers: configLayers(config, "num_hidden_layers"),
    heads,
    keyValueHeads,
    headDim,
    maxPositions: size("max_position_embeddings", 2048),
    learnedPositions: false,
    initializerRange: configDeviation(config, "initializer_range", 0.02),
  };
}
