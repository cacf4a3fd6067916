/** Muon. @module */

import { matmul, type Path, type Tensor, zeros } from "../../core/mod.ts";
import { isEmbedding, isOutputHead } from "../module_names.ts";
import { type AdamWOptions, adamWRule, type AdamWScalar } from "./adamw.ts";
import { decayed, movingAverage, optimizerOf, type ParameterRule, stateTensor } from "./rule.ts";
import type { Optimizer } from "./types.ts";

/** Settings of the iterations of Newton and Schulz. */
export interface NewtonSchulzOptions {
  /** 5 by default. */
  readonly iterations?: number;
  /** The polynomial that is iterated, a·x + b·x³ + c·x⁵. */
  readonly coefficients?: readonly [a: number, b: number, c: number];
  /** The least norm that a matrix is divided by. 1e-7 by default. */
  readonly epsilon?: number;
  /** `bf16` rounds what the iterations pass on, as PyTorch does. f32 by default. */
  readonly precision?: "f32" | "bf16";
}

/** Settings of {@link muon}. */
export interface MuonOptions extends NewtonSchulzOptions {
  /** Weight of the old momentum. 0.95 by default. */
  readonly momentum?: number;
  /** Step along the gradient and the momentum that follows. On by default. */
  readonly nesterov?: boolean;
  /**
   * How the learning rate of an m × n matrix is adjusted: `original` times √max(1, m/n) (Jordan, the default),
   * `match_rms_adamw` times 0.2·√max(m, n), so that steps are as large as AdamW's (Liu et al., "Muon is Scalable
   * for LLM Training", 2025).
   */
  readonly adjustment?: "original" | "match_rms_adamw";
  /** Decoupled weight decay of the matrices. 0.1 by default. */
  readonly weightDecay?: number;
  /** Which matrices decay, by path. All of them by default. */
  readonly decays?: (path: string) => boolean;
  /** Which parameters Muon steps; the others are AdamW's. {@link isHiddenMatrix} by default. */
  readonly steps?: (path: Path, shape: readonly number[]) => boolean;
  /** Settings of the other parameters' AdamW. */
  readonly adamW?: AdamWOptions;
}

/** Whether a row of a matrix is a token, a position or a class. */
function isLookup(path: Path): boolean {
  if (/(^|\.)(relative_attention_bias|v_head\.\w+|lora_embedding_\w+)(\.|$)/.test(path)) {
    return true;
  }
  const names = path.split(".");
  return names.some((_, i) => {
    const module = names.slice(0, i + 1).join(".");
    return isEmbedding(module) || isOutputHead(module);
  });
}

/** Whether a parameter is a matrix between hidden layers: of two axes, and neither an embedding nor a head. */
export function isHiddenMatrix(path: Path, shape: readonly number[]): boolean {
  return shape.length === 2 && !isLookup(path);
}

/**
 * Muon: momentum made orthogonal by Newton–Schulz iterations (Jordan et al., "Muon: An optimizer for hidden layers
 * in neural networks", 2024), as `torch.optim.Muon` computes it (there in bf16, here in f32 if not told otherwise). Only hidden
 * matrices are stepped so; embeddings, heads, gains and biases are AdamW's, at the same learning rate.
 */
export function muon(options: MuonOptions = {}): Optimizer {
  const { momentum = 0.95, nesterov = true, adjustment = "original" } = options;
  const { weightDecay = 0.1, decays = () => true, steps = isHiddenMatrix } = options;
  const others = adamWRule(
    options.adamW ?? { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay, decays },
  );
  const rule: ParameterRule<AdamWScalar> = {
    scalars: others.scalars,
    init: (param, path) =>
      steps(path, param.shape) ? { momentum: zeros(param.shape) } : others.init(param, path),
    update: (step, scalars) => {
      const { path, param, gradient } = step;
      if (!steps(path, param.shape)) return others.update(step, scalars);
      const buffer = movingAverage(stateTensor(step, "momentum"), gradient, momentum);
      const direction = nesterov ? movingAverage(buffer, gradient, momentum) : buffer;
      const kept = decayed(step, scalars.learningRate, { weightDecay, decays });
      const rate = scalars.learningRate.mul(adjustmentOf(adjustment, param.shape));
      return {
        param: kept.sub(orthogonalized(direction, options).mul(rate)),
        state: { momentum: buffer },
      };
    },
  };
  return optimizerOf(rule);
}

function adjustmentOf(kind: "original" | "match_rms_adamw", shape: readonly number[]): number {
  const [rows, columns] = [shape[0]!, shape[1]!];
  return kind === "original"
    ? Math.sqrt(Math.max(1, rows / columns))
    : 0.2 * Math.sqrt(Math.max(rows, columns));
}

/** A matrix with its singular values moved close to 1: UVᵀ of x = USVᵀ, roughly. */
export function orthogonalized(x: Tensor, options: NewtonSchulzOptions = {}): Tensor {
  const { iterations = 5, coefficients = [3.4445, -4.7750, 2.0315], epsilon = 1e-7 } = options;
  const [a, b, c] = coefficients;
  const round = (y: Tensor) => options.precision === "bf16" ? roundToBfloat16(y) : y;
  const tall = x.shape[0]! > x.shape[1]!;
  let y = round(x);
  y = round(y.div(round(y.square().sum().sqrt()).maximum(epsilon)));
  for (let i = 0; i < iterations; i++) {
    // The smaller of the two products of y with itself; p(yyᵀ)y = y·p(yᵀy).
    const gram = round(
      tall ? matmul(y, y, { transposeA: true }) : matmul(y, y, { transposeB: true }),
    );
    const polynomial = round(gram.mul(b).add(matmul(gram, gram).mul(c)));
    y = round(y.mul(a).add(tall ? matmul(y, polynomial) : matmul(polynomial, y)));
  }
  return y;
}

/** The nearest number whose lower half of bits is zero, to even of two. In registers a cast rounds nothing. */
function roundToBfloat16(x: Tensor): Tensor {
  const bits = x.bitcast("u32");
  const odd = bits.shiftRight(16).and(1);
  return bits.add(odd.add(0x7fff)).and(0xffff0000).bitcast("f32");
}
