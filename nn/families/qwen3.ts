import { configBoolean, type HuggingFaceConfig } from "../config.ts";
import type { Decoder } from "../decoder.ts";
import { layeredWindow } from "../windows.ts";
import { type LlamaLayerParams, llamaLike, type LlamaParams } from "./llama_like.ts";

/** Qwen 3 (Yang et al. 2025): queries and keys are normalised per head. */
export function qwen3(config: HuggingFaceConfig): Decoder<LlamaParams, LlamaLayerParams> {
  const attentionBias = configBoolean(config, "attention_bias", false);
  return llamaLike({ num_key_value_heads: 32, head_dim: 128, ...config }, {
    queryKeyValueBias: attentionBias,
    outputBias: attentionBias,
    queryKeyNorm: true,
    window: layeredWindow(config),
  });
}
