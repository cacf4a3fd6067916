import { configObject, configSize, type HuggingFaceConfig } from "../config.ts";
import type { Decoder } from "../decoder.ts";
import { rotaryConfig } from "../rotary_config.ts";
import { alternatingWindow } from "../windows.ts";
import { type GemmaLayerParams, gemmaLike, type GemmaParams } from "./gemma_like.ts";

/** The text model of Gemma 3 (arXiv:2503.19786): five layers with a window for each without, each kind with a base. */
export function gemma3(config: HuggingFaceConfig): Decoder<GemmaParams, GemmaLayerParams> {
  const whole: HuggingFaceConfig = { num_key_value_heads: 4, head_dim: 256, ...config };
  const headDim = configSize(whole, "head_dim");
  // transformers 5 has parameters by kind of layer; 4 has a second base beside `rope_theta`.
  const byKind = configObject(whole, "rope_parameters");
  const parametersOf = (kind: string) =>
    (byKind[kind] ?? null) === null ? undefined : configObject(byKind, kind);
  return gemmaLike(whole, {
    queryKeyNorm: true,
    window: alternatingWindow(whole, configSize(whole, "sliding_window_pattern", 6)),
    rotary: {
      full: rotaryConfig({ rope_theta: 1_000_000, ...whole }, headDim, {
        parameters: parametersOf("full_attention"),
      }),
      sliding: rotaryConfig(
        { rope_theta: whole["rope_local_base_freq"] ?? 10_000 },
        headDim,
        { parameters: parametersOf("sliding_attention") },
      ),
    },
  });
}
