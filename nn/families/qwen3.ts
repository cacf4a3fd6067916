import { type HuggingFaceConfig, layeredWindow, llamaLike } from "../config.ts";
import type { DecoderConfig } from "../decoder.ts";

/** Qwen 3 (Yang et al. 2025): queries and keys are normalised per head. */
export function qwen3(config: HuggingFaceConfig): DecoderConfig {
  const attentionBias = config["attention_bias"] === true;
  return llamaLike({ num_key_value_heads: 32, head_dim: 128, ...config }, {
    queryKeyValueBias: attentionBias,
    outputBias: attentionBias,
    mlpBias: false,
    queryKeyNorm: true,
    window: layeredWindow(config),
  }, { tied: false });
}
