import { configBoolean, type HuggingFaceConfig } from "../config.ts";
import type { Decoder } from "../decoder.ts";
import { type LlamaLayerParams, llamaLike, type LlamaParams } from "./llama_like.ts";

/** Llama 1 to 3 (Touvron et al. 2023; Grattafiori et al. 2024). */
export function llama(config: HuggingFaceConfig): Decoder<LlamaParams, LlamaLayerParams> {
  const attentionBias = configBoolean(config, "attention_bias", false);
  return llamaLike(config, {
    queryKeyValueBias: attentionBias,
    outputBias: attentionBias,
    mlpBias: configBoolean(config, "mlp_bias", false),
  });
}
