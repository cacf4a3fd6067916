/** Reading `config.json`. @module */

import { UserError } from "../core/mod.ts";

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
export function configSize(config: HuggingFaceConfig, name: string, fallback?: number): number {
  const value = configNumber(config, name, fallback);
  if (Number.isInteger(value) && value > 0) return value;
  throw new UserError(
    `The model's config.json has ${name} = ${
      JSON.stringify(config[name] ?? value)
    }, but a positive integer is needed there.`,
  );
}

/** The id of padding, whose embedding learns nothing from being read; null for none. A family may have a default. */
export function paddingIdOf(config: HuggingFaceConfig): number | null {
  return (config["pad_token_id"] ?? null) === null ? null : configNumber(config, "pad_token_id");
}

/** The probabilities of dropout in training that a config has, by name, where they are not 0. */
export function dropoutIn(config: HuggingFaceConfig): ReadonlyMap<string, number> {
  const names = /^(attn|embd|resid)_pdrop$|^((attention|hidden|activation)_)?dropout$/;
  return new Map(
    Object.entries(config).filter((entry): entry is [string, number] =>
      names.test(entry[0]) && typeof entry[1] === "number" && entry[1] > 0
    ),
  );
}

/** A switch of the config; what is not there, or null, is as the default says. */
export function configBoolean(
  config: HuggingFaceConfig,
  name: string,
  fallback: boolean,
): boolean {
  const value = config[name] ?? fallback;
  if (typeof value === "boolean") return value;
  throw new UserError(
    `The model's config.json has ${name} = ${
      JSON.stringify(value)
    }, but true or false is needed there.`,
  );
}
