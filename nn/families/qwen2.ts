import { type HuggingFaceConfig, layeredWindow, llamaLike } from "../config.ts";
import type { DecoderConfig } from "../decoder.ts";

/** Qwen 2 and 2.5 (Yang et al. 2024): biases on queries, keys and values. */
export function qwen2(config: HuggingFaceConfig): DecoderConfig {
  return llamaLike({ num_key_value_heads: 32, ...config }, {
    queryKeyValueBias: true,
    outputBias: false,
    mlpBias: false,
    queryKeyNorm: false,
    window: layeredWindow(config),
  }, { tied: false });
}
