/** The decoder of Gemma 2 and 3: norms around every part, gains on top of one, scaled embeddings. @module */

import { type Tensor, UserError } from "../../core/mod.ts";
import { activationOf } from "../activations.ts";
import {
  configBoolean,
  configEpsilon,
  configNumber,
  configPlace,
  configSize,
  type HuggingFaceConfig,
} from "../config.ts";
import type { Decoder } from "../decoder.ts";
import { type NormParams, rmsNormFromOne } from "../norm.ts";
import { normShapes } from "../parameter_shapes.ts";
import type { RotaryConfig } from "../rotary.ts";
import type { LayerWindow } from "../windows.ts";
import { llamaSizes } from "./llama_like.ts";
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
export type GemmaParams = LlamaTree<GemmaLayerParams>;

/** Parameters of one layer. */
export interface GemmaLayerParams {
  readonly input_layernorm: NormParams;
  readonly self_attn: RotaryAttentionParams;
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
      `${
        configPlace(config)
      } has use_bidirectional_attention = true: it embeds texts and does not predict tokens, ` +
        "which is not supported.",
    );
  }
  const sizes = llamaSizes(config);
  const { hiddenSize, headDim } = sizes;
  const inner = configSize(config, "intermediate_size");
  const epsilon = configEpsilon(config, "rms_norm_eps", 1e-6);
  const activation = activationOf(config, "hidden_activation", "gelu_pytorch_tanh");
  const scale = 1 / Math.sqrt(configNumber(config, "query_pre_attn_scalar", 256, { above: 0 }));
  const softcap = capOf(config, "attn_logit_softcapping");
  const bias = configBoolean(config, "attention_bias", false);
  const norm = (params: NormParams, x: Tensor) => rmsNormFromOne(params, x, epsilon);
  const gains = (width: number) => normShapes(width, { fromOne: true });
  return {
    ...aroundLayers<GemmaLayerParams>(config, sizes, {
      tied: true,
      paddingId: 0,
      embeddingScale: Math.sqrt(hiddenSize),
      softCap: capOf(config, "final_logit_softcapping"),
      norm,
      gains: gains(hiddenSize),
      layerShapes: () => ({
        input_layernorm: gains(hiddenSize),
        self_attn: rotaryAttentionShapes(sizes, {
          bias,
          outputBias: bias,
          gains: queryKeyNorm ? gains(headDim) : null,
        }),
        post_attention_layernorm: gains(hiddenSize),
        pre_feedforward_layernorm: gains(hiddenSize),
        mlp: gatedMlpShapes(hiddenSize, inner),
        post_feedforward_layernorm: gains(hiddenSize),
      }),
    }),
    rotary: [rotary.full, rotary.sliding],
    layer: (p, x, context) => {
      const seen = window(context.index);
      const out = rotaryAttention(p.self_attn, norm(p.input_layernorm, x), context, {
        headDim,
        table: context.rotary[seen === null ? 0 : 1]!,
        norm,
        window: seen,
        scale,
        softcap,
      });
      const attended = x.add(norm(p.post_attention_layernorm, out));
      const fed = gatedMlp(p.mlp, norm(p.pre_feedforward_layernorm, attended), activation);
      return attended.add(norm(p.post_feedforward_layernorm, fed));
    },
  };
}

function capOf(config: HuggingFaceConfig, name: string): number | null {
  return (config[name] ?? null) === null
    ? null
    // Less is nothing in 32 bits.
    : configNumber(config, name, undefined, { min: 1e-30 });
}
