/** Rotary position embedding (Su et al., "RoFormer", 2021), with the scalings of longer contexts. @module */

import { concat, iota, type Tensor, tensor, UserError } from "../core/mod.ts";

/** How frequencies are stretched for contexts longer than those of pre-training. */
export type RotaryScaling =
  | { readonly type: "default" }
  | { readonly type: "linear"; readonly factor: number }
  | {
    readonly type: "llama3";
    readonly factor: number;
    readonly lowFrequencyFactor: number;
    readonly highFrequencyFactor: number;
    readonly originalMaxPositions: number;
  }
  | {
    readonly type: "longrope";
    /** A divisor of each frequency, for contexts up to the original length and for longer ones. */
    readonly shortFactors: readonly number[];
    readonly longFactors: readonly number[];
    /** Factor of cosines and sines. */
    readonly attentionFactor: number;
    readonly originalMaxPositions: number;
  };

/** What the rotation depends on. */
export interface RotaryConfig {
  /** How many features of a head are rotated, the first ones; even. */
  readonly width: number;
  /** Base of the wavelengths. */
  readonly theta: number;
  /** How frequencies are stretched. */
  readonly scaling: RotaryScaling;
}

/** cos and sin of every position and frequency, f32 [positions, width / 2]. */
export interface RotaryTable {
  /** Cosines. */
  readonly cos: Tensor;
  /** Sines. */
  readonly sin: Tensor;
}

/** The tables of a model: one for each rotary embedding its layers use, and none for learned positions. */
export type RotaryTables = readonly RotaryTable[];

/**
 * Radians per position, one for each pair of features; rounded to f32 where the reference does.
 *
 * @param positions How many there are, on which `longrope` depends.
 */
export function rotaryFrequencies(
  { width, theta, scaling }: RotaryConfig,
  positions: number,
): Float32Array {
  return Float32Array.from({ length: width / 2 }, (_, i) => {
    const power = Math.fround(Math.pow(theta, Math.fround(2 * i / width)));
    if (scaling.type !== "longrope") return scaled(Math.fround(1 / power), scaling);
    const { shortFactors, longFactors, originalMaxPositions } = scaling;
    const factor = (positions > originalMaxPositions ? longFactors : shortFactors)[i]!;
    return 1 / Math.fround(Math.fround(factor) * power);
  });
}

function scaled(
  frequency: number,
  scaling: Exclude<RotaryScaling, { readonly type: "longrope" }>,
): number {
  switch (scaling.type) {
    case "default":
      return frequency;
    case "linear":
      return frequency / scaling.factor;
    case "llama3": {
      // Short wavelengths stay, long ones are divided, those between are blended.
      const {
        factor,
        lowFrequencyFactor: low,
        highFrequencyFactor: high,
        originalMaxPositions: length,
      } = scaling;
      const wavelength = 2 * Math.PI / frequency;
      if (wavelength < length / high) return frequency;
      if (wavelength > length / low) return frequency / factor;
      const smooth = (length / wavelength - low) / (high - low);
      return (1 - smooth) * frequency / factor + smooth * frequency;
    }
  }
}

/** The table of positions 0 … positions − 1, computed on the host, because GPUs' sines are coarse. */
export function rotaryTable(config: RotaryConfig, positions: number): RotaryTable {
  const frequencies = rotaryFrequencies(config, positions);
  const { scaling } = config;
  const factor = scaling.type === "longrope" ? scaling.attentionFactor : 1;
  const half = frequencies.length;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let p = 0; p < positions; p++) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(p * frequencies[i]!);
      cos[p * half + i] = factor * Math.cos(angle);
      sin[p * half + i] = factor * Math.sin(angle);
    }
  }
  const shape = [positions, half];
  return { cos: tensor(cos, { shape }), sin: tensor(sin, { shape }) };
}

/** Which features of a head are rotated together. */
export interface RotaryOptions {
  /** Pairs are neighbours (x[2i], x[2i + 1]), as in GPT-J, and not (x[i], x[i + width / 2]). */
  readonly interleaved?: boolean;
}

/**
 * Rotates pairs of features of every head by position: the first features, as many as the table is for.
 *
 * @param x f32 [T, H, D].
 * @param positions i32 [T].
 */
export function applyRotary(
  x: Tensor,
  positions: Tensor,
  { cos, sin }: RotaryTable,
  { interleaved = false }: RotaryOptions = {},
): Tensor {
  const [t, heads, headDim] = x.shape as [number, number, number];
  const half = cos.shape[1]!;
  if (2 * half < headDim) {
    const rotated = applyRotary(x.slice(0, 2 * half, 2), positions, { cos, sin }, { interleaved });
    return concat([rotated, x.slice(2 * half, headDim, 2)], 2);
  }
  const [pair, along] = interleaved ? [3, [half, 1]] as const : [2, [1, half]] as const;
  const pairs = x.reshape(t, heads, ...(interleaved ? [half, 2] : [2, half]));
  const byToken = (table: Tensor) => table.gather(positions).reshape(t, 1, ...along);
  // (a, b) → (a cos − b sin, b cos + a sin)
  const signs = iota(2).mul(2).sub(1).cast("f32");
  const sign = interleaved ? signs : signs.reshape(2, 1);
  return pairs.mul(byToken(cos)).add(pairs.flip(pair).mul(byToken(sin).mul(sign)))
    .reshape(t, heads, headDim);
}

/**
 * Reads `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (transformers 4).
 *
 * @param parameters What they say, if it does not stand there.
 * @throws UserError if the scaling is of another type.
 */
export function rotaryConfig(
  config: Record<string, unknown>,
  headDim: number,
  parameters = (config["rope_parameters"] ?? config["rope_scaling"] ?? {}) as Record<
    string,
    unknown
  >,
): RotaryConfig {
  const read = (...names: string[]) =>
    names.flatMap((name) => [parameters[name], config[name]])
      .find((value) => value !== undefined && value !== null);
  const theta = read("rope_theta", "rotary_emb_base") ?? 10000;
  if (!(typeof theta === "number" && Number.isFinite(theta) && theta > 0)) {
    throw new UserError(
      `The config has rope_theta = ${
        JSON.stringify(theta)
      }, but a positive number is needed there: ` +
        "the base of the rotary wavelengths.",
    );
  }
  const share = read("partial_rotary_factor", "rotary_pct") ?? 1;
  const width = Math.trunc(headDim * Number(share));
  if (!(width > 0 && width <= headDim && width % 2 === 0)) {
    throw new UserError(
      `The config rotates ${JSON.stringify(share)} of the ${headDim} features of a head ` +
        "(partial_rotary_factor), which is not an even number of them.",
    );
  }
  return { width, theta, scaling: rotaryScaling(config, parameters, width) };
}

function rotaryScaling(
  config: Record<string, unknown>,
  parameters: Record<string, unknown>,
  width: number,
): RotaryScaling {
  const type = String(parameters["rope_type"] ?? parameters["type"] ?? "default");
  const value = (name: string) =>
    parameters[name] ?? (name === "original_max_position_embeddings" ? config[name] : undefined);
  const number = (name: string) => {
    const found = value(name);
    if (typeof found === "number") return found;
    throw new UserError(
      `The config's rotary scaling "${type}" needs a number "${name}", but has ${String(found)}.`,
    );
  };
  const factors = (name: string): readonly number[] => {
    const found = value(name);
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
        originalMaxPositions: number("original_max_position_embeddings"),
      };
    case "longrope": {
      const original = number("original_max_position_embeddings");
      const factor = Number(
        value("factor") ?? Number(config["max_position_embeddings"]) / original,
      );
      const given = value("attention_factor");
      return {
        type,
        shortFactors: factors("short_factor"),
        longFactors: factors("long_factor"),
        attentionFactor: typeof given === "number"
          ? given
          : factor <= 1
          ? 1
          : Math.sqrt(1 + Math.log(factor) / Math.log(original)),
        originalMaxPositions: original,
      };
    }
    default:
      throw new UserError(
        `The config asks for rotary scaling of type "${type}". Supported types: default, linear, llama3, ` +
          "longrope.",
      );
  }
}
