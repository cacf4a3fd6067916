import { configSize, type HuggingFaceConfig } from "../config.ts";
import type { Decoder } from "../decoder.ts";
import { rotaryConfig } from "../rotary_config.ts";
import { alternatingWindow } from "../windows.ts";
import { type GemmaLayerParams, gemmaLike, type GemmaParams } from "./gemma_like.ts";

/**
 * Gemma 2 (arXiv:2408.00118): a window in every other layer, limited scores and logits. transformers limits scores
 * with `attn_implementation="eager"` alone, which it recommends for training; so does this.
 */
export function gemma2(config: HuggingFaceConfig): Decoder<GemmaParams, GemmaLayerParams> {
  const whole: HuggingFaceConfig = {
    num_key_value_heads: 4,
    head_dim: 256,
    attn_logit_softcapping: 50,
    final_logit_softcapping: 30,
    ...config,
  };
  const rotary = rotaryConfig(whole, configSize(whole, "head_dim"));
  return gemmaLike(whole, {
    queryKeyNorm: false,
    window: alternatingWindow(whole, 2),
    rotary: { full: rotary, sliding: rotary },
  });
}
