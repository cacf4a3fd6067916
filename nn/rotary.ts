/** Rotary position embedding (Su et al., "RoFormer", 2021), with the scalings of longer contexts. @module */

import { iota, type Tensor, tensor, UserError } from "../core/mod.ts";

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
  };

/** What the rotation depends on. */
export interface RotaryConfig {
  /** Width of a head; even. */
  readonly headDim: number;
  /** Base of the wavelengths. */
  readonly theta: number;
  /** How frequencies are stretched. */
  readonly scaling: RotaryScaling;
}

/** cos and sin of every position and frequency, f32 [positions, D/2]. */
export interface RotaryTables {
  /** Cosines. */
  readonly cos: Tensor;
  /** Sines. */
  readonly sin: Tensor;
}

/** Radians per position, one for each pair of features; rounded to f32 where the reference does. */
export function rotaryFrequencies({ headDim, theta, scaling }: RotaryConfig): Float32Array {
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const exponent = Math.fround(2 * i / headDim);
    const frequency = Math.fround(1 / Math.fround(Math.pow(theta, exponent)));
    return scaled(frequency, scaling);
  });
}

function scaled(frequency: number, scaling: RotaryScaling): number {
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

/** Tables for positions 0 … positions − 1, computed on the host, because GPUs' sines are coarse. */
export function rotaryTables(config: RotaryConfig, positions: number): RotaryTables {
  const frequencies = rotaryFrequencies(config);
  const half = frequencies.length;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let p = 0; p < positions; p++) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(p * frequencies[i]!);
      cos[p * half + i] = Math.cos(angle);
      sin[p * half + i] = Math.sin(angle);
    }
  }
  const shape = [positions, half];
  return { cos: tensor(cos, { shape }), sin: tensor(sin, { shape }) };
}

/**
 * Rotates the pairs (x[i], x[i + D/2]) of every head by position.
 *
 * @param x f32 [T, H, D].
 * @param positions i32 [T].
 */
export function applyRotary(x: Tensor, positions: Tensor, { cos, sin }: RotaryTables): Tensor {
  const [t, heads, width] = x.shape as [number, number, number];
  const pairs = x.reshape(t, heads, 2, width / 2);
  const byToken = (table: Tensor) => table.gather(positions).reshape(t, 1, 1, width / 2);
  // (a, b) → (a cos − b sin, b cos + a sin)
  const sign = iota(2).mul(2).sub(1).cast("f32").reshape(2, 1);
  return pairs.mul(byToken(cos)).add(pairs.flip(2).mul(byToken(sin).mul(sign))).reshape(
    t,
    heads,
    width,
  );
}

/**
 * Reads `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (transformers 4).
 *
 * @throws UserError if the scaling is of another type.
 */
export function rotaryConfig(config: Record<string, unknown>, headDim: number): RotaryConfig {
  const parameters = (config["rope_parameters"] ?? config["rope_scaling"] ?? {}) as Record<
    string,
    unknown
  >;
  const theta = Number(parameters["rope_theta"] ?? config["rope_theta"] ?? 10000);
  if (!(Number.isFinite(theta) && theta > 0)) {
    throw new UserError(
      `The config has rope_theta = ${
        JSON.stringify(parameters["rope_theta"] ?? config["rope_theta"])
      }, but a positive number is needed there: the base of the rotary wavelengths.`,
    );
  }
  const type = String(parameters["rope_type"] ?? parameters["type"] ?? "default");
  const number = (name: string) => {
    const value = parameters[name] ??
      (name === "original_max_position_embeddings" ? config[name] : undefined);
    if (typeof value !== "number") {
      throw new UserError(
        `The config's rotary scaling "${type}" needs a number "${name}", but has ${String(value)}.`,
      );
    }
    return value;
  };
  switch (type) {
    case "default":
      return { headDim, theta, scaling: { type } };
    case "linear":
      return { headDim, theta, scaling: { type, factor: number("factor") } };
    case "llama3":
      return {
        headDim,
        theta,
        scaling: {
          type,
          factor: number("factor"),
          lowFrequencyFactor: number("low_freq_factor"),
          highFrequencyFactor: number("high_freq_factor"),
          originalMaxPositions: number("original_max_position_embeddings"),
        },
      };
    default:
      throw new UserError(
        `The config asks for rotary scaling of type "${type}". Supported types: default, linear, llama3.`,
      );
  }
}
