/** Reading rotary position embeddings from `config.json`. @module */

import { UserError } from "../core/mod.ts";
import {
  configError,
  configObject,
  configPlace,
  configSize,
  describeNumber,
  type HuggingFaceConfig,
  isNumberWithin,
  type NumberRange,
} from "./config.ts";
import type { RotaryConfig, RotaryScaling } from "./rotary.ts";

/** How {@link rotaryConfig} reads. */
export interface RotaryReading {
  /** The rotary parameters, where they do not stand in the config's usual places. */
  readonly parameters?: Readonly<Record<string, unknown>> | undefined;
  /** Keys that say which share of a head's features is rotated; without them all are. */
  readonly share?: readonly string[];
}

/**
 * Reads `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (transformers 4).
 *
 * @throws UserError for a value that cannot be, or a scaling that is not known.
 */
export function rotaryConfig(
  config: HuggingFaceConfig,
  headDim: number,
  { parameters, share }: RotaryReading = {},
): RotaryConfig {
  const read = rotaryReader(config, parameters);
  const empty = read.nullPlace("rope_theta");
  if (empty !== undefined) throw configError(config, empty, "a number");
  // Below one, positions would turn faster than floats can tell apart.
  const theta = read.number(["rope_theta", "rotary_emb_base"], { min: 1 }, 10000);
  const part = share === undefined ? 1 : read.number(share, { above: 0, max: 1 }, 1);
  const width = Math.trunc(headDim * part);
  if (!(width > 0 && width % 2 === 0)) {
    throw new UserError(
      `${configPlace(config)} rotates ${part} of the ${headDim} features of a head ` +
        "(partial_rotary_factor), which is not an even number of them.",
    );
  }
  return { width, theta, scaling: rotaryScaling(config, read, { width, theta }) };
}

/** Values among the rotary parameters, or in the config: the first of some names that has one. */
interface RotaryReader {
  readonly find: (...names: readonly string[]) => unknown;
  readonly number: (names: readonly string[], range?: NumberRange, fallback?: number) => number;
  /** Whether the rotary parameters have a name, be it with null. */
  readonly has: (name: string) => boolean;
  /** The first place that has a name, if null stands there. */
  readonly nullPlace: (name: string) => string | undefined;
  /** The error of a value that cannot be. */
  readonly refuse: (name: string, needed: string) => UserError;
}

function rotaryReader(
  config: HuggingFaceConfig,
  given?: Readonly<Record<string, unknown>>,
): RotaryReader {
  // What transformers 4 wrote wins where there is both.
  const scaling = configObject(config, "rope_scaling");
  const container = Object.keys(scaling).length > 0 ? "rope_scaling" : "rope_parameters";
  const parameters = given ?? configObject(config, container);
  // In a config, only these are about positions.
  const common = /^rope_theta$|^rotary_|^partial_rotary|max_position_embeddings$/;
  const places = (name: string): readonly (readonly [shown: string, value: unknown])[] => {
    const own = [`${container}.${name}`, parameters[name]] as const;
    const outer = [name, common.test(name) ? config[name] : undefined] as const;
    // Phi-3's original length beside the parameters is the one that counts.
    return name === "original_max_position_embeddings" ? [outer, own] : [own, outer];
  };
  const found = (names: readonly string[]) =>
    names.flatMap(places).find(([, value]) => value !== undefined && value !== null);
  return {
    find: (...names) => found(names)?.[1],
    nullPlace: (name) => {
      const [shown, value] = places(name).find(([, value]) => value !== undefined) ?? [];
      return value === null ? shown : undefined;
    },
    has: (name) => Object.hasOwn(parameters, name),
    number: (names, range = {}, fallback) => {
      const [shown, value] = found(names) ?? [`${container}.${names[0]}`, fallback];
      if (isNumberWithin(value, range)) return value;
      throw configError(config, shown, describeNumber(range));
    },
    refuse: (name, needed) => configError(config, `${container}.${name}`, needed),
  };
}

function rotaryScaling(
  config: HuggingFaceConfig,
  read: RotaryReader,
  { width, theta }: { readonly width: number; readonly theta: number },
): RotaryScaling {
  const type = String(read.find("rope_type", "type") ?? "default");
  const factor = () => read.number(["factor"], { above: 0 });
  const maxPositions = () => configSize(config, "max_position_embeddings", 2048);
  const originalMaxPositions = () =>
    read.number(["original_max_position_embeddings"], { min: 1 }, maxPositions());
  const factors = (name: string): readonly number[] => {
    const list = read.find(name);
    if (
      Array.isArray(list) && list.length === width / 2 &&
      list.every((x) => isNumberWithin(x, { above: 0 }))
    ) return list;
    throw read.refuse(name, `a list of ${width / 2} numbers above 0`);
  };
  switch (type) {
    case "default":
      return { type };
    case "linear":
      return { type, factor: factor() };
    case "dynamic":
      if (width <= 2) throw read.refuse("rope_type", "another scaling for heads of two features");
      return {
        type,
        factor: read.number(["factor"], { above: 0 }),
        originalMaxPositions: maxPositions(),
      };
    case "llama3":
      return {
        type,
        factor: factor(),
        lowFrequencyFactor: read.number(["low_freq_factor"], { above: 0 }),
        highFrequencyFactor: read.number(["high_freq_factor"], { above: 0 }),
        originalMaxPositions: originalMaxPositions(),
      };
    case "longrope": {
      const original = originalMaxPositions();
      const stretched = read.number(["factor"], { above: 0 }, maxPositions() / original);
      const scale = stretched <= 1 ? 1 : Math.sqrt(1 + Math.log(stretched) / Math.log(original));
      return {
        type,
        shortFactors: factors("short_factor"),
        longFactors: factors("long_factor"),
        attentionFactor: read.number(["attention_factor"], { min: 0 }, scale),
        originalMaxPositions: original,
      };
    }
    case "yarn":
      return yarn(read, {
        original: originalMaxPositions(),
        positions: maxPositions(),
        width,
        theta,
      });
    default:
      throw read.refuse(
        read.has("rope_type") ? "rope_type" : "type",
        "one of default, linear, dynamic, llama3, longrope and yarn",
      );
  }
}

/** Peng et al., "YaRN: Efficient Context Window Extension of Large Language Models", arXiv:2309.00071. */
function yarn(
  read: RotaryReader,
  { original, positions, width, theta }: {
    readonly original: number;
    readonly positions: number;
    readonly width: number;
    readonly theta: number;
  },
): RotaryScaling {
  // Null leaves it to the lengths; transformers refuses parameters without a word about it.
  const factor = read.number(
    ["factor"],
    { above: 0 },
    read.has("factor") ? positions / original : undefined,
  );
  const or = (name: string, otherwise: number) =>
    read.number([name], { min: 0 }, otherwise) || otherwise;
  const temperature = (scale: number, by: number) =>
    scale <= 1 ? 1 : 0.1 * by * Math.log(scale) + 1;
  const [own, all] = [or("mscale", 0), or("mscale_all_dim", 0)];
  const attention = own && all
    ? temperature(factor, own) / temperature(factor, all)
    : temperature(factor, 1);
  /** The pair of features that turns so many times over the original positions. */
  const pairOf = (turns: number) =>
    width * Math.log(original / (turns * 2 * Math.PI)) / (2 * Math.log(theta));
  const [low, high] = [pairOf(or("beta_fast", 32)), pairOf(or("beta_slow", 1))];
  const whole = read.find("truncate") !== false;
  const from = Math.max(whole ? Math.floor(low) : low, 0);
  const to = Math.min(whole ? Math.ceil(high) : high, width - 1);
  return {
    type: "yarn",
    factor,
    fade: [from, from === to ? to + 0.001 : to],
    attentionFactor: read.number(["attention_factor"], { min: 0 }, attention),
  };
}
