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

/** A size of the config: a positive integer. */
function configSize(config: HuggingFaceConfig, name: string, fallback?: number): number {
  const value = configNumber(config, name, fallback);
  if (Number.isInteger(value) && value > 0) return value;
  throw new UserError(
    `The model's config.json has ${name} = ${
      JSON.stringify(config[name] ?? value)
    }, but a positive integer is needed there.`,
  );
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
  const size = (name: string, fallback?: number) => configSize(config, name, fallback);
  const heads = size("num_attention_heads");
  const hiddenSize = size("hidden_size");
  if ((config["head_dim"] ?? null) === null && hiddenSize % heads !== 0) {
    throw new UserError(
      `The model's config.json has hidden_size = ${hiddenSize}, which is not a multiple of its ` +
        `${heads} attention heads. Where they do not divide, head_dim must say how wide a head is.`,
    );
  }
  const headDim = size("head_dim", hiddenSize / heads);
  const activation = config["hidden_act"] ?? "silu";
  if (activation !== "silu" && activation !== "swish") {
    throw new UserError(
      `The model's config.json has hidden_act = ${
        JSON.stringify(activation)
      }; only "silu" is supported.`,
    );
  }
  const keyValueHeads = size("num_key_value_heads", heads);
  if (heads % keyValueHeads !== 0 || headDim % 2 !== 0) {
    throw new UserError(
      `The model's config.json has ${heads} attention heads of width ${headDim} and ${keyValueHeads} key/value heads: ` +
        "the first must be a multiple of the last, and the width even.",
    );
  }
  return {
    vocabularySize: size("vocab_size"),
    hiddenSize,
    intermediateSize: size("intermediate_size"),
    layers: size("num_hidden_layers"),
    heads,
    keyValueHeads,
    headDim,
    normEpsilon: configNumber(config, "rms_norm_eps", 1e-6),
    rotary: rotaryConfig(config, headDim),
    tied: typeof config["tie_word_embeddings"] === "boolean"
      ? config["tie_word_embeddings"]
      : defaults.tied,
    maxPositions: size("max_position_embeddings", 2048),
    initializerRange: configNumber(config, "initializer_range", 0.02),
    ...traits,
  };
}

/** The width of the window: 4096 where the config does not say (as in transformers), null where it says null. */
function windowOf(config: HuggingFaceConfig): number | null {
  return config["sliding_window"] === null ? null : configSize(config, "sliding_window", 4096);
}

/** A sliding window in every layer, or none. */
export function uniformWindow(config: HuggingFaceConfig): DecoderConfig["window"] {
  const window = windowOf(config);
  return () => window;
}

/**
 * A sliding window, if `use_sliding_window` is true, in some layers: those that `layer_types` names, or those from
 * `max_window_layers` on.
 *
 * @throws UserError if `layer_types` does not say `full_attention` or `sliding_attention` of every layer, or names
 *   windows that have no width.
 */
export function layeredWindow(config: HuggingFaceConfig): DecoderConfig["window"] {
  const window = config["use_sliding_window"] === true ? windowOf(config) : null;
  const types: unknown = config["layer_types"] ?? null;
  if (types === null) {
    const first = configNumber(config, "max_window_layers", 28);
    return (layer) => layer >= first ? window : null;
  }
  const layers = configSize(config, "num_hidden_layers");
  const known = window === null ? ["full_attention"] : ["full_attention", "sliding_attention"];
  if (!Array.isArray(types) || types.length !== layers || !types.every((t) => known.includes(t))) {
    throw new UserError(
      `The model's config.json has layer_types = ${
        JSON.stringify(types)
      }; a list of ${layers} is needed ` +
        `(num_hidden_layers), of ${known.join(" and ")}` +
        (window === null
          ? ': with "use_sliding_window" or "sliding_window" off there are no other layers.'
          : "."),
    );
  }
  return (layer) => types[layer] === "sliding_attention" ? window : null;
}
