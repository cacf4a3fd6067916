/** Reading `config.json`. @module */

import { UserError } from "../core/mod.ts";
import type { DecoderConfig } from "./decoder.ts";
import { rotaryConfig } from "./rotary.ts";

/** A parsed `config.json`. */
export type HuggingFaceConfig = Readonly<Record<string, unknown>>;

/** A number of the config. */
export function configNumber(config: HuggingFaceConfig, name: string, fallback?: number): number {
  const value = config[name] ?? fallback;
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw new UserError(
      `The model's config.json has ${name} = ${
        JSON.stringify(config[name])
      }, but a number is needed there.`,
    );
  }
  return value;
}

/** What a family adds to {@link llamaLike}. */
export type FamilyTraits = Pick<
  DecoderConfig,
  "queryKeyValueBias" | "outputBias" | "mlpBias" | "queryKeyNorm" | "window"
>;

/** The config of a Llama-like decoder, with the keys of transformers 4 and 5. */
export function llamaLike(
  config: HuggingFaceConfig,
  traits: FamilyTraits,
  defaults: { readonly tied: boolean },
): DecoderConfig {
  const number = (name: string, fallback?: number) => configNumber(config, name, fallback);
  const heads = number("num_attention_heads");
  const hiddenSize = number("hidden_size");
  const headDim = number("head_dim", hiddenSize / heads);
  const activation = config["hidden_act"] ?? "silu";
  if (activation !== "silu" && activation !== "swish") {
    throw new UserError(
      `The model's config.json has hidden_act = ${
        JSON.stringify(activation)
      }; only "silu" is supported.`,
    );
  }
  const keyValueHeads = number("num_key_value_heads", heads);
  if (heads % keyValueHeads !== 0 || headDim % 2 !== 0) {
    throw new UserError(
      `The model's config.json has ${heads} attention heads of width ${headDim} and ${keyValueHeads} key/value heads: ` +
        "the first must be a multiple of the last, and the width even.",
    );
  }
  return {
    vocabularySize: number("vocab_size"),
    hiddenSize,
    intermediateSize: number("intermediate_size"),
    layers: number("num_hidden_layers"),
    heads,
    keyValueHeads,
    headDim,
    normEpsilon: number("rms_norm_eps", 1e-6),
    rotary: rotaryConfig(config, headDim),
    tied: typeof config["tie_word_embeddings"] === "boolean"
      ? config["tie_word_embeddings"]
      : defaults.tied,
    maxPositions: number("max_position_embeddings", 2048),
    initializerRange: number("initializer_range", 0.02),
    ...traits,
  };
}

/** A sliding window in every layer, or none. */
export function uniformWindow(config: HuggingFaceConfig): DecoderConfig["window"] {
  const window = config["sliding_window"];
  return () => typeof window === "number" ? window : null;
}

/** A sliding window in some layers: those named by `layer_types`, or those from `max_window_layers` on. */
export function layeredWindow(config: HuggingFaceConfig): DecoderConfig["window"] {
  const window = config["sliding_window"];
  const types = config["layer_types"];
  if (typeof window !== "number") return () => null;
  if (Array.isArray(types)) return (layer) => types[layer] === "sliding_attention" ? window : null;
  if (config["use_sliding_window"] !== true) return () => null;
  const first = configNumber(config, "max_window_layers", 28);
  return (layer) => layer >= first ? window : null;
}
