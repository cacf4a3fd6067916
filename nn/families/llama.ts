import { type HuggingFaceConfig, llamaLike } from "../config.ts";
import type { DecoderConfig } from "../decoder.ts";

/** Llama 1 to 3 (Touvron et al. 2023; Grattafiori et al. 2024). */
export function llama(config: HuggingFaceConfig): DecoderConfig {
  const attentionBias = config["attention_bias"] === true;
  return llamaLike(config, {
    queryKeyValueBias: attentionBias,
    outputBias: attentionBias,
    mlpBias: config["mlp_bias"] === true,
    queryKeyNorm: false,
    window: () => null,
  }, { tied: false });
}
