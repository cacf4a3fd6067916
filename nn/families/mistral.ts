import type { HuggingFaceConfig } from "../config.ts";
import type { Decoder } from "../decoder.ts";
import { uniformWindow } from "../windows.ts";
import { type LlamaLayerParams, llamaLike, type LlamaParams } from "./llama_like.ts";

/** Mistral (Jiang et al. 2023): Llama with a sliding window. */
export function mistral(config: HuggingFaceConfig): Decoder<LlamaParams, LlamaLayerParams> {
  return llamaLike({ num_key_value_heads: 8, ...config }, { window: uniformWindow(config) });
}
