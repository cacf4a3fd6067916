/** Attention and its gradients in plain float64, written from the contract of `AttentionKernel`. @module */

/** Sizes and variants. Arrays are those of the kernel, flat and row-major. */
export interface AttentionOptions {
  readonly queries: number;
  readonly keys: number;
  readonly queryHeads: number;
  readonly keyHeads: number;
  readonly width: number;
  readonly causal: boolean;
  readonly window: number;
  readonly scale: number;
  /** The cap of soft-capped scores; absent: none. */
  readonly softcap?: number;
  /** R: distances beyond it share a bias. */
  readonly reach?: number;
}

/** Arguments of the forward kernel. */
export interface AttentionInputs {
  /** [T, H, D]. */
  readonly q: ArrayLike<number>;
  /** [S, K, D]. */
  readonly k: ArrayLike<number>;
  /** [S, K, D]. */
  readonly v: ArrayLike<number>;
  /** [5, T]: segment, parent, position, first, last. */
  readonly querySegments: ArrayLike<number>;
  /** [5, S]. */
  readonly keySegments: ArrayLike<number>;
  /** [H, 2R+1]. */
  readonly bias?: ArrayLike<number>;
}

/** Results of the forward kernel. */
export interface AttentionResult {
  readonly out: Float64Array;
  readonly lse: Float64Array;
}

/** Results of the backward kernel; `dBias` is empty without a bias. */
export interface AttentionGradients {
  readonly dq: Float64Array;
  readonly dk: Float64Array;
  readonly dv: Float64Array;
  readonly dBias: Float64Array;
}

/** Whether query i sees key j. */
export function isVisible(
  inputs: Pick<AttentionInputs, "querySegments" | "keySegments">,
  options: Pick<AttentionOptions, "queries" | "keys" | "causal" | "window">,
  i: number,
  j: number,
): boolean {
  const query = (row: number) => inputs.querySegments[row * options.queries + i]!;
  const key = (row: number) => inputs.keySegments[row * options.keys + j]!;
  if (query(0) < 0 || key(0) < 0 || j < query(3) || j >= query(4)) return false;
  if (key(0) !== query(0) && key(0) !== query(1)) return false;
  const distance = query(2) - key(2);
  return options.causal
    ? distance >= 0 && distance < options.window
    : Math.abs(distance) < options.window;
}

/** One visible pair: its score and what the gradient needs. */
interface Pair {
  readonly j: number;
  readonly score: number;
  /** d score / d (q·k). */
  readonly slope: number;
  /** Index of its bias, −1 without one. */
  readonly bias: number;
}

function visiblePairs(
  inputs: AttentionInputs,
  options: AttentionOptions,
  i: number,
  h: number,
): Pair[] {
  const { queries, keys, queryHeads: H, keyHeads: K, width: D, scale, softcap } = options;
  const group = Math.floor(h * K / H);
  const reach = options.reach ?? 0;
  const pairs: Pair[] = [];
  for (let j = 0; j < keys; j++) {
    if (!isVisible(inputs, options, i, j)) continue;
    let dot = 0;
    for (let d = 0; d < D; d++) {
      dot += inputs.q[(i * H + h) * D + d]! * inputs.k[(j * K + group) * D + d]!;
    }
    let score = scale * dot;
    let slope = scale;
    if (softcap !== undefined) {
      const bent = Math.tanh(score / softcap);
      score = softcap * bent;
      slope *= 1 - bent * bent;
    }
    let bias = -1;
    if (inputs.bias) {
      const distance = inputs.querySegments[2 * queries + i]! - inputs.keySegments[2 * keys + j]!;
      bias = h * (2 * reach + 1) + Math.max(-reach, Math.min(reach, distance)) + reach;
      score += inputs.bias[bias]!;
    }
    pairs.push({ j, score, slope, bias });
  }
  return pairs;
}

function logSumExp(pairs: readonly Pair[]): number {
  const most = pairs.reduce((max, pair) => Math.max(max, pair.score), -Infinity);
  if (most === -Infinity) return -Infinity;
  return most + Math.log(pairs.reduce((sum, pair) => sum + Math.exp(pair.score - most), 0));
}

/** Forward attention. */
export function attentionOracle(
  inputs: AttentionInputs,
  options: AttentionOptions,
): AttentionResult {
  const { queries, queryHeads: H, keyHeads: K, width: D } = options;
  const out = new Float64Array(queries * H * D);
  const lse = new Float64Array(queries * H);
  for (let i = 0; i < queries; i++) {
    for (let h = 0; h < H; h++) {
      const pairs = visiblePairs(inputs, options, i, h);
      const total = lse[i * H + h] = logSumExp(pairs);
      const group = Math.floor(h * K / H);
      for (const { j, score } of pairs) {
        const p = Math.exp(score - total);
        for (let d = 0; d < D; d++) {
          out[(i * H + h) * D + d]! += p * inputs.v[(j * K + group) * D + d]!;
        }
      }
    }
  }
  return { out, lse };
}

/** Gradients of Σ out·dOut. */
export function attentionGradOracle(
  inputs: AttentionInputs,
  options: AttentionOptions,
  dOut: ArrayLike<number>,
): AttentionGradients {
  const { queries, keys, queryHeads: H, keyHeads: K, width: D } = options;
  const dq = new Float64Array(queries * H * D);
  const dk = new Float64Array(keys * K * D);
  const dv = new Float64Array(keys * K * D);
  const dBias = new Float64Array(inputs.bias?.length ?? 0);
  const { out } = attentionOracle(inputs, options);
  for (let i = 0; i < queries; i++) {
    for (let h = 0; h < H; h++) {
      const row = (i * H + h) * D;
      const group = Math.floor(h * K / H);
      const pairs = visiblePairs(inputs, options, i, h);
      const total = logSumExp(pairs);
      let delta = 0;
      for (let d = 0; d < D; d++) delta += out[row + d]! * dOut[row + d]!;
      for (const { j, score, slope, bias } of pairs) {
        const column = (j * K + group) * D;
        const p = Math.exp(score - total);
        let dp = 0;
        for (let d = 0; d < D; d++) {
          dp += dOut[row + d]! * inputs.v[column + d]!;
          dv[column + d]! += p * dOut[row + d]!;
        }
        const dScore = p * (dp - delta);
        if (bias >= 0) dBias[bias]! += dScore;
        for (let d = 0; d < D; d++) {
          dq[row + d]! += dScore * slope * inputs.k[column + d]!;
          dk[column + d]! += dScore * slope * inputs.q[row + d]!;
        }
      }
    }
  }
  return { dq, dk, dv, dBias };
}
