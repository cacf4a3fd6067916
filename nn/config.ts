/** Reading `config.json`: values by name, type and range, and errors that say where they stand. @module */

import { UserError } from "../core/mod.ts";

/** The path of the file that a config was read from. Copies of the config have it too. */
export const configPath: unique symbol = Symbol("the path of a config.json");

/** The names of the fields that are written as floats though their values are whole: 64.0 is no number of heads. */
export const writtenAsFloats: unique symbol = Symbol("fields of a config.json written as floats");

/** A parsed `config.json`. */
export type HuggingFaceConfig = Readonly<Record<string, unknown>> & {
  readonly [configPath]?: string;
  readonly [writtenAsFloats]?: ReadonlySet<string>;
};

/** What a config is called in messages: its path, where that is known. */
export function configPlace(config: HuggingFaceConfig): string {
  return config[configPath] ?? "The model's config.json";
}

/** A value of the config that cannot be. `needed` continues "but … is needed there". */
export function configError(config: HuggingFaceConfig, name: string, needed: string): UserError {
  // Rotary parameters and the like stand in objects of their own.
  const value = name.split(".").reduce<unknown>(
    (found, key) =>
      typeof found === "object" && found !== null && Object.hasOwn(found, key)
        ? (found as Record<string, unknown>)[key]
        : undefined,
    config,
  );
  const shown = value === undefined ? "undefined" : JSON.stringify(value);
  return new UserError(
    `${configPlace(config)} has ${name} = ${
      shown.length > 200 ? `${shown.slice(0, 200)}…` : shown
    }, but ${needed} is needed there.`,
  );
}

/** Where a number has to be. */
export interface NumberRange {
  /** The least. */
  readonly min?: number;
  /** What it has to be more than. */
  readonly above?: number;
  /** The most. */
  readonly max?: number;
}

/** Whether a value is a finite number within a range. */
export function isNumberWithin(
  value: unknown,
  { min = -Infinity, above = -Infinity, max = Infinity }: NumberRange = {},
): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= min && value > above &&
    value <= max;
}

/** A range in words, as in "a number from 0 to 1". */
export function describeNumber({ min, above, max }: NumberRange = {}): string {
  const from = min !== undefined ? ` from ${min}` : above !== undefined ? ` above ${above}` : "";
  return `a number${from}${max === undefined ? "" : ` to ${max}`}`;
}

/** A number of the config. @throws UserError for another value. */
export function configNumber(
  config: HuggingFaceConfig,
  name: string,
  fallback?: number,
  range: NumberRange = {},
): number {
  const value = config[name] ?? fallback;
  if (isNumberWithin(value, range)) return value;
  throw configError(config, name, describeNumber(range));
}

/** No tensor has more rows, and no model more heads. */
const mostOfSizes = 2 ** 31 - 1;

/** Models have some hundred, the deepest a thousand; what is far beyond is no number of layers. */
const mostLayers = 4096;

/** A size of the config: a positive integer. @throws UserError for another value. */
export function configSize(
  config: HuggingFaceConfig,
  name: string,
  fallback?: number,
  most: number = mostOfSizes,
): number {
  const value = config[name] ?? fallback;
  if (isNumberWithin(value, { min: 1, max: most }) && Number.isInteger(value)) return value;
  const isInteger = typeof value === "number" && Number.isInteger(value);
  throw configError(
    config,
    name,
    isInteger && value > most ? `a positive integer up to ${most}` : "a positive integer",
  );
}

/** A number of layers. @throws UserError for another value. */
export function configLayers(config: HuggingFaceConfig, name: string, fallback?: number): number {
  return configSize(config, name, fallback, mostLayers);
}

/** The epsilon of a normalisation. @throws UserError for a negative one. */
export function configEpsilon(config: HuggingFaceConfig, name: string, fallback: number): number {
  return configNumber(config, name, fallback, { min: 0 });
}

/** A standard deviation of fresh weights. @throws UserError for a negative one. */
export function configDeviation(config: HuggingFaceConfig, name: string, fallback: number): number {
  return configNumber(config, name, fallback, { min: 0 });
}

/** An object of the config; an empty one where there is none. @throws UserError for another value. */
export function configObject(
  config: HuggingFaceConfig,
  name: string,
): Readonly<Record<string, unknown>> {
  const value = config[name] ?? {};
  if (typeof value === "object" && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>;
  }
  throw configError(config, name, "an object");
}

const isId = (value: unknown) => Number.isSafeInteger(value);
/**
 * The id of padding, whose embedding learns nothing from being read; null for none. Negative ones count from the end
 * of the vocabulary, as in PyTorch. A family may have a default.
 *
 * @throws UserError for an id that the vocabulary does not have.
 */
export function paddingIdOf(
  config: HuggingFaceConfig,
  fallback: number | null = null,
): number | null {
  const given = config["pad_token_id"];
  if (given === undefined) return fallback;
  if (given === null) return null;
  const tokens = configSize(config, "vocab_size");
  if (isId(given) && isNumberWithin(given, { min: -tokens, max: tokens - 1 })) {
    return given < 0 ? tokens + given : given;
  }
  throw configError(config, "pad_token_id", `an id of the ${tokens} tokens (vocab_size), or null,`);
}

/** Probabilities of dropout that models compute with. */
export const dropoutNames: RegExp =
  /^(attn|embd|resid)_pdrop$|^((attention|hidden|activation)_)?dropout$/;

/** The probabilities of dropout in training that a config has, by name, where they are not 0. */
export function dropoutIn(config: HuggingFaceConfig): ReadonlyMap<string, number> {
  return new Map(
    Object.entries(config).filter((entry): entry is [string, number] =>
      dropoutNames.test(entry[0]) && typeof entry[1] === "number" && entry[1] > 0
    ),
  );
}

/** A switch of the config; what is not there, or null, is as the default says. @throws UserError for another value. */
export function configBoolean(
  config: HuggingFaceConfig,
  name: string,
  fallback: boolean,
): boolean {
  const value = config[name] ?? fallback;
  if (typeof value === "boolean") return value;
  throw configError(config, name, "true or false");
}
