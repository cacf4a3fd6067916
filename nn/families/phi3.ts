/** Phi-3 and Phi-4 (Abdin et al., arXiv:2404.14219). @module */

import type { Tensor } from "../../core/mod.ts";
import { activationOf } from "../activations.ts";
import { configEpsilon, configSize, type HuggingFaceConfig } from "../config.ts";
import type { Decoder, LayerContext } from "../decoder.ts";
import { queriesKeysValues } from "../heads.ts";
import { linear, type LinearParams } from "../linear.ts";
import { type NormParams, rmsNorm } from "../norm.ts";
import { linearShapes, normShapes } from "../parameter_shapes.ts";
import { applyRotary } from "../rotary.ts";
import { rotaryConfig } from "../rotary_config.ts";
import { uniformWindow } from "../windows.ts";
import { llamaSizes } from "./llama_like.ts";
import { aroundLayers, type LlamaTree } from "./llama_parts.ts";

/** Parameters, under their Hugging Face names. */
export type Phi3Params = LlamaTree<Phi3LayerParams>;

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
  const { hiddenSize, heads, keyValueHeads, headDim } = sizes;
  const inner = configSize(config, "intermediate_size");
  const epsilon = configEpsilon(config, "rms_norm_eps", 1e-5);
  const activation = activationOf(config, "hidden_act", "silu");
  const window = uniformWindow({ ...config, sliding_window: config["sliding_window"] ?? null });
  const norm = (params: NormParams, x: Tensor) => rmsNorm(params, x, epsilon);

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
    const [gate, up] = [both.slice(0, inner, 1), both.slice(inner, 2 * inner, 1)];
    return linear(down_proj, activation(gate).mul(up));
  };

  return {
    ...aroundLayers<Phi3LayerParams>(config, sizes, {
      paddingId: 32_000,
      norm,
      gains: normShapes(hiddenSize),
      layerShapes: () => ({
        input_layernorm: normShapes(hiddenSize),
        self_attn: {
          qkv_proj: linearShapes((heads + 2 * keyValueHeads) * headDim, hiddenSize),
          o_proj: linearShapes(hiddenSize, heads * headDim),
        },
        post_attention_layernorm: normShapes(hiddenSize),
        mlp: {
          gate_up_proj: linearShapes(2 * inner, hiddenSize),
          down_proj: linearShapes(hiddenSize, inner),
        },
      }),
    }),
    rotary: [rotaryConfig(config, headDim, { share: ["partial_rotary_factor"] })],
    layer: (p, x, context) => {
      const attended = x.add(selfAttention(p.self_attn, norm(p.input_layernorm, x), context));
      return attended.add(feedForward(p.mlp, norm(p.post_attention_layernorm, attended)));
    },
  };
}
