/** Rotary position embedding (Su et al., "RoFormer", 2021), with the scalings of longer contexts. @module */

import { concat, iota, type Operand, type Tensor, tensor } from "../core/mod.ts";
import { dynamicFrequencies, dynamicRows, type LongFrequencies } from "./rotary_dynamic.ts";

/** How frequencies are stretched for contexts longer than those of pre-training. */
export type RotaryScaling =
  | { readonly type: "default" }
  | { readonly type: "linear"; readonly factor: number }
  /** By the length of the stream, beyond the original positions. */
  | { readonly type: "dynamic"; readonly factor: number; readonly originalMaxPositions: number }
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
  /** With it, streams longer than the table are rotated by frequencies that depend on their length. */
  readonly long?: LongFrequencies;
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
    case "dynamic":
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
  return config.scaling.type === "dynamic"
    ? dynamicTable(config, config.scaling, positions)
    : fixedTable(config, positions);
}

function dynamicTable(
  config: RotaryConfig,
  { factor, originalMaxPositions: after }: Extract<RotaryScaling, { readonly type: "dynamic" }>,
  positions: number,
): RotaryTable {
  const short = fixedTable(config, Math.min(positions, after));
  if (positions <= after) return short;
  const { width, theta } = config;
  const rows = Array.from(
    { length: positions - after },
    (_, i) => dynamicFrequencies({ width, theta, factor, positions: after }, after + 1 + i),
  );
  const values = new Float32Array(rows.length * width / 2);
  rows.forEach((row, i) => values.set(row, i * width / 2));
  const frequencies = tensor(values, { shape: [rows.length, width / 2] });
  return { ...short, long: { frequencies, after } };
}

function fixedTable(config: RotaryConfig, positions: number): RotaryTable {
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

/** Cosines and sines f32 [T, width / 2] of the positions i32 [T] of a stream. */
function rowsOf(
  positions: Tensor,
  table: RotaryTable,
): { readonly cos: Tensor; readonly sin: Tensor } {
  const { cos, sin, longFrom, long } = table;
  if (long) return dynamicRows(positions, table, long);
  const isLong = longFrom === undefined ? null : positions.cast("f32").max().ge(longFrom);
  const rows = isLong ? positions.add(isLong.cast("i32").mul(cos.shape[0]! / 2)) : positions;
  return { cos: cos.gather(rows), sin: sin.gather(rows) };
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
  const [t, heads, headDim] = x.shape as [number, number, number];
  const half = table.cos.shape[1]!;
  if (2 * half < headDim) {
    const rotated = applyRotary(x.slice(0, 2 * half, 2), positions, table, { interleaved });
    return concat([rotated, x.slice(2 * half, headDim, 2)], 2);
  }
  const [pair, along] = interleaved ? [3, [half, 1]] as const : [2, [1, half]] as const;
  const pairs = x.reshape(t, heads, ...(interleaved ? [half, 2] : [2, half]));
  const { cos, sin } = rowsOf(positions, table);
  const byToken = (values: Tensor) => values.reshape(t, 1, ...along);
  // (a, b) → (a cos − b sin, b cos + a sin)
  const signs = iota(2).mul(2).sub(1).cast("f32");
  const sign = interleaved ? signs : signs.reshape(2, 1);
  return pairs.mul(byToken(cos)).add(pairs.flip(pair).mul(byToken(sin).mul(sign)))
    .reshape(t, heads, headDim);
}
