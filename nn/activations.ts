/** Activation functions by their names in `config.json`. @module */

import { configPlace, type HuggingFaceConfig } from "./config.ts";
import { gelu, geluTanh, relu, silu, type Tensor, UserError } from "../core/mod.ts";

const activations: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  silu,
  swish: silu,
  relu,
  gelu,
  gelu_new: geluTanh,
  gelu_fast: geluTanh,
  gelu_pytorch_tanh: geluTanh,
};

/**
 * The activation that a config names.
 *
 * @param key Where the config names it.
 * @throws UserError for one that is not known.
 */
export function activationOf(
  config: HuggingFaceConfig,
  key: string,
  fallback: string,
): (x: Tensor) => Tensor {
  const name = config[key] ?? fallback;
  const found = typeof name === "string" && Object.hasOwn(activations, name)
    ? activations[name]
    : undefined;
  if (found) return found;
  throw new UserError(
    `${configPlace(config)} has ${key} = ${JSON.stringify(name)}, which is not known. Known: ` +
      `${Object.keys(activations).join(", ")}.`,
  );
}
