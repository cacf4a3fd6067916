/** Reading rotary position embeddings from `config.json`. @module */

import { UserError } from "../core/mod.ts";
import type { RotaryConfig, RotaryScaling } from "./rotary.ts";

/** How {@link rotaryConfig} reads. */
export interface RotaryReading {
  /** The rotary parameters, where they do not stand in the config's usual places. */
  readonly parameters?: Record<string, unknown> | undefined;
  /** Keys that say which share of a head's features is rotated; without them all are. */
  readonly share?: readonly string[];
}

/**
 * Reads `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (transformers 4).
 *
 * @throws UserError if the scaling is of another type.
 */
export function rotaryConfig(
  config: Record<string, unknown>,
  headDim: number,
  { parameters, share }: RotaryReading = {},
): RotaryConfig {
  const read = readRotary(
    config,
    parameters ??
      (config["rope_parameters"] ?? config["rope_scaling"] ?? {}) as Record<string, unknown>,
  );
  const theta = read("rope_theta", "rotary_emb_base") ?? 10000;
  if (!(typeof theta === "number" && Number.isFinite(theta) && theta > 0)) {
    throw new UserError(
      `The config has rope_theta = ${
        JSON.stringify(theta)
      }, but a positive number is needed there: ` +
        "the base of the rotary wavelengths.",
    );
  }
  const part = share === undefined ? 1 : read(...share) ?? 1;
  const width = Math.trunc(headDim * Number(part));
  if (!(width > 0 && width <= headDim && width % 2 === 0)) {
    throw new UserError(
      `The config rotates ${JSON.stringify(part)} of the ${headDim} features of a head ` +
        "(partial_rotary_factor), which is not an even number of them.",
    );
  }
  return { width, theta, scaling: rotaryScaling(read, { width, theta }) };
}

/** A value by the first of some names that has one, among the rotary parameters and then in the config. */
type RotaryReader = (...names: string[]) => unknown;

function readRotary(
  config: Record<string, unknown>,
  parameters: Record<string, unknown>,
): RotaryReader {
  // In a config, only these are about positions.
  const common = /^rope_theta$|^rotary_|^partial_rotary|max_position_embeddings$/;
  return (...names) =>
    names.flatMap((name) => [parameters[name], common.test(name) ? config[name] : undefined])
      .find((value) => value !== undefined && value !== null);
}

function rotaryScaling(
  read: RotaryReader,
  { width, theta }: { readonly width: number; readonly theta: number },
): RotaryScaling {
  const type = String(read("rope_type", "type") ?? "default");
  const number = (...names: string[]) => {
    const found = read(...names);
    if (typeof found === "number") return found;
    throw new UserError(
      `The config's rotary scaling "${type}" needs a number "${names[0]}", but has ${
        String(found)
      }.`,
    );
  };
  const originalMaxPositions = () =>
    number("original_max_position_embeddings", "max_position_embeddings");
  const factors = (name: string): readonly number[] => {
    const found = read(name);
    if (Array.isArray(found) && found.length === width / 2 && found.every(Number.isFinite)) {
      return found;
    }
    throw new UserError(
      `The config's rotary scaling "${type}" needs a list "${name}" of ${
        width / 2
      } numbers, but has ` +
        `${JSON.stringify(found)}.`,
    );
  };
  switch (type) {
    case "default":
      return { type };
    case "linear":
      return { type, factor: number("factor") };
    case "llama3":
      return {
        type,
        factor: number("factor"),
        lowFrequencyFactor: number("low_freq_factor"),
        highFrequencyFactor: number("high_freq_factor"),
        originalMaxPositions: originalMaxPositions(),
      };
    case "longrope": {
      const original = originalMaxPositions();
      const factor = read("factor") === undefined
        ? number("max_position_embeddings") / original
        : number("factor");
      const scale = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
      return {
        type,
        shortFactors: factors("short_factor"),
        longFactors: factors("long_factor"),
        attentionFactor: read("attention_factor") === undefined
          ? scale
          : number("attention_factor"),
        originalMaxPositions: original,
      };
    }
    case "yarn":
      return yarn(read, number, originalMaxPositions(), { width, theta });
    default:
      throw new UserError(
        `The config asks for rotary scaling of type "${type}". Supported types: default, linear, llama3, ` +
          "longrope, yarn.",
      );
  }
}

/** Peng et al., "YaRN: Efficient Context Window Extension of Large Language Models", arXiv:2309.00071. */
function yarn(
  read: RotaryReader,
  number: (name: string) => number,
  originalMaxPositions: number,
  { width, theta }: { readonly width: number; readonly theta: number },
): RotaryScaling {
  const factor = number("factor");
  const or = (name: string, otherwise: number) =>
    read(name) === undefined ? otherwise : number(name);
  const temperature = (scale: number, by: number) =>
    scale <= 1 ? 1 : 0.1 * by * Math.log(scale) + 1;
  const [own, all] = [or("mscale", 0), or("mscale_all_dim", 0)];
  const attention = own && all
    ? temperature(factor, own) / temperature(factor, all)
    : temperature(factor, 1);
  /** The pair of features that turns so many times over the original positions. */
  const pairOf = (turns: number) =>
    width * Math.log(originalMaxPositions / (turns * 2 * Math.PI)) / (2 * Math.log(theta));
  const [low, high] = [pairOf(or("beta_fast", 32)), pairOf(or("beta_slow", 1))];
  const whole = read("truncate") !== false;
  const from = Math.max(whole ? Math.floor(low) : low, 0);
  const to = Math.min(whole ? Math.ceil(high) : high, width - 1);
  return {
    type: "yarn",
    factor,
    fade: [from, from === to ? to + 0.001 : to],
    attentionFactor: or("attention_factor", attention),
  };
}
