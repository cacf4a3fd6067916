import { type HuggingFaceConfig, llamaLike, uniformWindow } from "../config.ts";
import type { DecoderConfig } from "../decoder.ts";

/** Mistral (Jiang et al. 2023): Llama with a sliding window. */
export function mistral(config: HuggingFaceConfig): DecoderConfig {
  return llamaLike({ num_key_value_heads: 8, ...config }, {
    queryKeyValueBias: false,
    outputBias: false,
    mlpBias: false,
    queryKeyNorm: false,
    window: uniformWindow(config),
  }, { tied: false });
}
