/** Sliding windows of attention, by layer, as configs describe them. @module */

import { UserError } from "../core/mod.ts";
import {
  configLayers,
  configNumber,
  configPlace,
  configSize,
  type HuggingFaceConfig,
} from "./config.ts";

/** How many positions back layer i sees; null is no limit. */
export type LayerWindow = (layer: number) => number | null;

/** The width of the window: 4096 where the config does not say (as in transformers), null where it says null. */
function windowOf(config: HuggingFaceConfig): number | null {
  return config["sliding_window"] === null ? null : configSize(config, "sliding_window", 4096);
}

/** A sliding window in every layer, or none. */
export function uniformWindow(config: HuggingFaceConfig): LayerWindow {
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
export function layeredWindow(config: HuggingFaceConfig): LayerWindow {
  const window = config["use_sliding_window"] === true ? windowOf(config) : null;
  const first = configNumber(config, "max_window_layers", 28);
  const slides = slidingLayers(config, window !== null, (layer) => layer >= first);
  return (layer) => slides(layer) ? window : null;
}

/** A sliding window but in every n-th layer, or in the layers that `layer_types` names (Gemma). */
export function alternatingWindow(config: HuggingFaceConfig, every: number): LayerWindow {
  const window = windowOf(config);
  const slides = slidingLayers(config, window !== null, (layer) => (layer + 1) % every !== 0);
  return (layer) => slides(layer) ? window : null;
}

function slidingLayers(
  config: HuggingFaceConfig,
  windows: boolean,
  otherwise: (layer: number) => boolean,
): (layer: number) => boolean {
  const types: unknown = config["layer_types"] ?? null;
  if (types === null) return otherwise;
  const layers = configLayers(config, "num_hidden_layers");
  const known = windows ? ["full_attention", "sliding_attention"] : ["full_attention"];
  if (Array.isArray(types) && types.length === layers && types.every((t) => known.includes(t))) {
    return (layer) => types[layer] === "sliding_attention";
  }
  throw new UserError(
    `${configPlace(config)} has layer_types = ${JSON.stringify(types)}; a list of ${layers} is ` +
      `needed (num_hidden_layers), of ${known.join(" and ")}` +
      (windows
        ? "."
        : ': with "use_sliding_window" or "sliding_window" off there are no other layers.'),
  );
}
