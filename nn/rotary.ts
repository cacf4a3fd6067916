/** Rotary position embedding (Su et al., "RoFormer", 2021), with the scalings of longer contexts. @module */

import { concat, iota, type Operand, type Tensor, tensor, UserError } from "../core/mod.ts";

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
  }
  | {
    readonly type: "yarn";
    readonly factor: number;
    /** Between which pairs of features the division by the factor fades in. */
    readonly fade: readonly [from: number, to: number];
    /** Factor of cosines and sines. */
    readonly attentionFactor: number;
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
  /**
   * With it there are two rows for each position, all of the first kind first: where a stream has a position from here
   * on, all of it is rotated by those of the second kind.
   */
  readonly longFrom?: Operand;
}

/** The tables of a model: one for each rotary embedding its layers use, and none for learned positions. */
export type RotaryTables = readonly RotaryTable[];

/**
 * Radians per position, one for each pair of features; rounded to f32 where the reference does.
 *
 * @param long Whether there are more positions than the original ones, on which `longrope` depends.
 */
export function rotaryFrequencies(
  { width, theta, scaling }: RotaryConfig,
  { long = false }: { readonly long?: boolean } = {},
): Float32Array {
  return Float32Array.from({ length: width / 2 }, (_, i) => {
    const power = Math.fround(Math.pow(theta, Math.fround(2 * i / width)));
    return scaled(power, i, scaling, long);
  });
}

function scaled(power: number, i: number, scaling: RotaryScaling, long: boolean): number {
  const frequency = Math.fround(1 / power);
  switch (scaling.type) {
    case "default":
      return frequency;
    case "longrope": {
      const factors = long ? scaling.longFactors : scaling.shortFactors;
      return 1 / Math.fround(Math.fround(factors[i]!) * power);
    }
    case "yarn": {
      const { factor, fade: [from, to] } = scaling;
      const divided = Math.min(Math.max(Math.fround((i - from) / (to - from)), 0), 1);
      const interpolated = Math.fround(1 / Math.fround(factor * power));
      return interpolated * divided + frequency * (1 - divided);
    }
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
  const { scaling, width } = config;
  const switches = scaling.type === "longrope" && positions > scaling.originalMaxPositions;
  const kinds = (switches ? [false, true] : [false])
    .map((long) => rotaryFrequencies(config, { long }));
  const factor = "attentionFactor" in scaling ? scaling.attentionFactor : 1;
  const shape = [kinds.length * positions, width / 2];
  const table = (f: (angle: number) => number) => {
    const values = new Float32Array(shape[0]! * shape[1]!);
    let at = 0;
    for (const frequencies of kinds) {
      for (let p = 0; p < positions; p++) {
        for (const frequency of frequencies) values[at++] = factor * f(Math.fround(p * frequency));
      }
    }
    return tensor(values, { shape });
  };
  const longFrom = switches ? { longFrom: scaling.originalMaxPositions } : {};
  return { cos: table(Math.cos), sin: table(Math.sin), ...longFrom };
}

/** The rows of a table that positions i32 [T] of a stream take. */
function rowsOf(positions: Tensor, { cos, longFrom }: RotaryTable): Tensor {
  if (longFrom === undefined) return positions;
  const isLong = positions.cast("f32").max().ge(longFrom);
  return positions.add(isLong.cast("i32").mul(cos.shape[0]! / 2));
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
  table: RotaryTable,
  { interleaved = false }: RotaryOptions = {},
): Tensor {
  const { cos, sin } = table;
  const [t, heads, headDim] = x.shape as [number, number, number];
  const half = cos.shape[1]!;
  if (2 * half < headDim) {
    const rotated = applyRotary(x.slice(0, 2 * half, 2), positions, table, { interleaved });
    return concat([rotated, x.slice(2 * half, headDim, 2)], 2);
  }
  const [pair, along] = interleaved ? [3, [half, 1]] as const : [2, [1, half]] as const;
  const pairs = x.reshape(t, heads, ...(interleaved ? [half, 2] : [2, half]));
  const rows = rowsOf(positions, table);
  const byToken = (values: Tensor) => values.gather(rows).reshape(t, 1, ...along);
  // (a, b) → (a cos − b sin, b cos + a sin)
  const signs = iota(2).mul(2).sub(1).cast("f32");
  const sign = interleaved ? signs : signs.reshape(2, 1);
  return pairs.mul(byToken(cos)).add(pairs.flip(pair).mul(byToken(sin).mul(sign)))
    .reshape(t, heads, headDim);
}

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
