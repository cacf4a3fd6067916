import type { HuggingFaceConfig } from "../config.ts";
import type { Decoder } from "../decoder.ts";
import { layeredWindow } from "../windows.ts";
import { type LlamaLayerParams, llamaLike, type LlamaParams } from "./llama_like.ts";

/** Qwen 2 and 2.5 (Yang et al. 2024): biases on queries, keys and values. */
export function qwen2(config: HuggingFaceConfig): Decoder<LlamaParams, LlamaLayerParams> {
  return llamaLike({ num_key_value_heads: 32, ...config }, {
    queryKeyValueBias: true,
    window: layeredWindow(config),
  });
}
